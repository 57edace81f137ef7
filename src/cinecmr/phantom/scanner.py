"""From tissues to pixels: bSSFP contrast, slice profile, point spread, coil shading, noise.

Intensities are in units of a fully relaxed proton density of 1 until the last step, which scales and clips them.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from cinecmr.errors import RefusedInput
from cinecmr.phantom.chest import Tissue

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from cinecmr.phantom.scene import Layer, Scene

    # (codes, values, points) of one layer of a slice to its values
    Alter = Callable[[NDArray[np.uint8], NDArray[np.float32], NDArray[np.float32]], NDArray[np.float32]]

# T1 ms, T2 ms, proton density at 1.5 T; fat's T2 is the apparent one under bSSFP. Textbook values, rounded.
_RELAXATION_15T: dict[Tissue, tuple[float, float, float]] = {
    Tissue.AIR: (1000, 50, 0.0),
    Tissue.LUNG: (1200, 40, 0.10),
    Tissue.LUNG_VESSEL: (1500, 200, 0.75),
    Tissue.FAT: (300, 75, 0.85),
    Tissue.MUSCLE: (1000, 35, 0.85),
    Tissue.LIVER: (580, 46, 0.85),
    Tissue.GUT_WALL: (900, 45, 0.85),
    Tissue.GUT_CONTENT: (1400, 160, 0.9),
    Tissue.MYOCARDIUM: (1000, 48, 0.85),
    Tissue.BLOOD_LEFT: (1550, 250, 0.95),
    Tissue.BLOOD_RIGHT: (1550, 200, 0.95),
    Tissue.BLOOD_ATRIUM: (1550, 230, 0.95),
    Tissue.BLOOD_VESSEL: (1550, 220, 0.95),
    Tissue.PERICARDIUM: (1000, 25, 0.5),
    Tissue.MARROW: (450, 55, 0.6),
    Tissue.SPLEEN: (1050, 75, 0.9),
}


def relaxation(field_t: float) -> dict[Tissue, tuple[float, float, float]]:
    """T1 ms, T2 ms and proton density of every tissue: at 3 T, T1 is a quarter longer and T2 a tenth shorter."""
    longer, shorter = (1.25, 0.9) if field_t > 2 else (1.0, 1.0)
    return {tissue: (t1 * longer, t2 * shorter, pd) for tissue, (t1, t2, pd) in _RELAXATION_15T.items()}


def bssfp(t1_ms: float, t2_ms: float, density: float, tr_ms: float, flip_deg: float) -> float:
    """Steady-state signal of balanced SSFP on resonance, with TE = TR / 2.

    >>> round(bssfp(1550, 250, 1.0, 3.0, 60.0), 3)  # blood, large T2/T1
    0.188
    """
    e1, e2 = np.exp(-tr_ms / t1_ms), np.exp(-tr_ms / t2_ms)
    alpha = np.radians(flip_deg)
    steady = (1 - e1) * np.sin(alpha) / (1 - (e1 - e2) * np.cos(alpha) - e1 * e2)
    return float(density * steady * np.exp(-tr_ms / (2 * t2_ms)))


@dataclass(frozen=True)
class Scanner:
    """How one machine sees.

    Attributes:
        vendor, model: as its headers say. field_t: 1.5 or 3.
        flip_deg, tr_ms: of the cine sequence.
        pixel_mm, slice_mm, gap_mm: in-plane spacing, excited thickness, space between slices.
        matrix: pixels along x and y.
        frames: per beat.
        blur: standard deviation of the point spread, pixels.
        snr: blood signal over noise standard deviation.
        shading: strength of the receive coils' falloff away from the chest wall, 0 to 1.5.
        banding: strength of off-resonance bands, 0 to 1.
    """

    vendor: str = "SYNTHETIC"
    model: str = "Phantom 1.5"
    field_t: float = 1.5
    flip_deg: float = 55.0
    tr_ms: float = 3.0
    pixel_mm: float = 1.4
    slice_mm: float = 8.0
    gap_mm: float = 2.0
    matrix: tuple[int, int] = (192, 160)
    frames: int = 25
    blur: float = 0.55
    snr: float = 25.0
    shading: float = 0.5
    banding: float = 0.1

    def __post_init__(self) -> None:
        for name, (low, high, unit) in _POSSIBLE.items():
            for value in np.atleast_1d(getattr(self, name)):
                if not low <= value <= high:
                    raise ValueError(f"{name} is {low:g} to {high:g}{unit}, got {value:g}")

    def signals(self) -> NDArray[np.float32]:
        """(number of tissues,) cine signal of each tissue."""
        values = [bssfp(t1, t2, pd, self.tr_ms, self.flip_deg) for t1, t2, pd in relaxation(self.field_t).values()]
        return np.asarray(values, np.float32)


# What a machine can do: lowest, highest, unit.
_POSSIBLE: dict[str, tuple[float, float, str]] = {
    "field_t": (0.5, 3.0, " T"),
    "flip_deg": (1, 90, " degrees"),
    "tr_ms": (1.5, 10, " ms"),
    "pixel_mm": (0.3, 10, " mm"),
    "slice_mm": (1, 20, " mm"),
    "gap_mm": (0, 20, " mm"),
    "matrix": (8, 1024, " pixels"),
    "frames": (1, 200, " frames"),
    "blur": (0, 5, " pixels"),
    "snr": (0.5, np.inf, " times the noise"),
    "shading": (0, 1.5, ""),
    "banding": (0, 1, ""),
}

# The machines that studies are drawn from: a seed is a promise, so new machines go to `MACHINES`.

PRESETS: dict[str, Scanner] = {
    "siemens-1.5t": Scanner("SIEMENS", "Aera", 1.5, 58, 2.8, 1.4, 8.0, 2.0, (192, 160), 25, 0.5, 28, 0.6, 0.05),
    "siemens-3t": Scanner("SIEMENS", "Vida", 3.0, 42, 3.2, 1.5, 6.0, 4.0, (176, 208), 25, 0.5, 35, 0.9, 0.35),
    "philips-1.5t": Scanner("Philips", "Achieva", 1.5, 60, 3.0, 1.25, 8.0, 0.0, (192, 192), 30, 0.7, 22, 0.3, 0.05),
    "ge-1.5t": Scanner(
        "GE MEDICAL SYSTEMS", "Signa HDxt", 1.5, 50, 3.6, 1.37, 8.0, 2.0, (192, 192), 20, 0.7, 20, 0.5, 0.1
    ),
}
# Every machine that can be asked for by name.
MACHINES: dict[str, Scanner] = PRESETS | {
    "philips-3t": Scanner("Philips", "Ingenia", 3.0, 45, 2.9, 1.2, 8.0, 2.0, (224, 224), 30, 0.7, 30, 0.6, 0.3),
    "ge-3t": Scanner(
        "GE MEDICAL SYSTEMS", "Discovery MR750", 3.0, 45, 3.4, 1.4, 8.0, 0.0, (192, 192), 30, 0.7, 28, 0.8, 0.4
    ),
    "canon-1.5t": Scanner(
        "CANON_MEC", "Vantage Orian", 1.5, 60, 3.4, 1.4, 8.0, 2.0, (192, 176), 25, 0.65, 22, 0.5, 0.1
    ),
    "ukb-1.5t": Scanner("SIEMENS", "Aera", 1.5, 80, 2.6, 1.83, 8.0, 2.0, (208, 188), 50, 0.5, 26, 0.6, 0.05),
}


def machine(name: str) -> Scanner:
    """A machine by its name in `MACHINES`.

    Raises:
        RefusedInput: there is none of that name.
    """
    if name not in MACHINES:
        raise RefusedInput("unknown-scanner", f"no scanner '{name}': there are {', '.join(MACHINES)}")
    return MACHINES[name]


@dataclass(frozen=True)
class Look:
    """What differs from one slice of one study to the next: drawn once a study.

    Attributes:
        signals: (tissues,) as `Scanner.signals`, perhaps changed.
        grain: (tissues,) share by which the texture modulates each tissue.
        opposed: fat and water are out of phase, as at TR about 3 ms and 1.5 T: pixels that hold both turn dark.
        flow: share by which flow modulates blood, smooth in space.
        shading_direction: towards the coils, rad, in heart coordinates.
    """

    signals: NDArray[np.float32]
    grain: NDArray[np.float32]
    opposed: bool = True
    flow: float = 0.08
    shading_direction: float = 0.6
    waves: NDArray[np.float32] = field(default_factory=lambda: np.zeros((3, 4), np.float32))


BLOOD = (Tissue.BLOOD_LEFT, Tissue.BLOOD_RIGHT, Tissue.BLOOD_ATRIUM, Tissue.BLOOD_VESSEL)


def draw_look(scanner: Scanner, rng: np.random.Generator, spread: float = 0.12) -> Look:
    """Signals of one study: the scanner's, each tissue off by a few per cent, blood slower or faster."""
    signals = scanner.signals() * np.exp(spread * rng.standard_normal(len(Tissue))).astype(np.float32)
    left = signals[Tissue.BLOOD_LEFT]
    signals[Tissue.BLOOD_RIGHT] = left * rng.uniform(0.55, 1.03)
    signals[Tissue.BLOOD_ATRIUM] = left * rng.uniform(0.7, 1.05)
    signals[Tissue.BLOOD_VESSEL] = left * rng.uniform(0.7, 1.15)
    signals[Tissue.FAT] *= rng.uniform(0.7, 1.5)
    grain = np.full(len(Tissue), 0.05, np.float32)
    grain[[Tissue.LUNG, Tissue.LUNG_VESSEL]] = rng.uniform(0.0, 0.5)
    grain[[Tissue.LIVER, Tissue.SPLEEN, Tissue.FAT, Tissue.MARROW]] = rng.uniform(0.03, 0.2)
    grain[[Tissue.BLOOD_RIGHT, Tissue.BLOOD_ATRIUM]] = rng.uniform(0.02, 0.16)  # streams of two veins mix there
    waves = np.stack(
        [
            rng.uniform(0.02, 0.09, 3) * rng.choice([-1, 1], 3),
            rng.uniform(0.02, 0.09, 3) * rng.choice([-1, 1], 3),
            rng.uniform(-0.1, 0.1, 3),
            rng.uniform(0, 2 * np.pi, 3),
        ],
        axis=1,
    ).astype(np.float32)
    return Look(
        signals.astype(np.float32),
        grain,
        bool(rng.random() < 0.7),
        rng.uniform(0.02, 0.22),
        rng.uniform(-0.3, 1.3),
        waves,
    )


def layers(
    scene: Scene, points: NDArray[np.float32], normal: NDArray[np.float32], thickness: float, samples: int = 3
) -> list[Layer]:
    """The layers of a slice, as `slice_signal` averages them; see there."""
    offsets = ((np.arange(samples) + 0.5) / samples - 0.5) * thickness
    return [scene.layer(points + np.float32(offset) * normal.astype(np.float32)) for offset in offsets]


def slice_signal(
    scene: Scene,
    points: NDArray[np.float32],
    normal: NDArray[np.float32],
    thickness: float,
    look: Look,
    samples: int = 3,
    alter: Alter | None = None,
    behind: Sequence[Layer] = (),
) -> NDArray[np.float32]:
    """Signal of one slice, averaged through its thickness, before blur and noise.

    Args:
        scene: heart and chest at one moment.
        points: (x, y, 3) centres of the pixels, heart coordinates, mm.
        normal: (3,) unit normal of the slice.
        thickness: mm.
        look: tissue signals.
        samples: points through the slice.
        alter: makes of the values of one layer others, given its tissues and points: tags, scar.
        behind: `layers` of the same slice at any moment; made when there are none.

    Returns:
        (x, y), units of `bssfp`; negative where fat in opposed phase outweighs water.
    """
    signed = look.signals.copy()
    if look.opposed:
        signed[[Tissue.FAT, Tissue.MARROW]] *= -1
    total = np.zeros(points.shape[:2], np.float32)
    for layer in behind or layers(scene, points, normal, thickness, samples):
        moved, codes = layer.points, scene.paint(layer)
        x, y, z = moved[..., 0], moved[..., 1], moved[..., 2]
        value = signed[codes] * (1 + look.grain[codes] * scene.grain(codes, layer.spots))
        swirl = sum(np.sin(w[0] * x + w[1] * y + w[2] * z + w[3] + 6.28 * scene.time) for w in look.waves) / 3
        blood = (codes >= Tissue.BLOOD_LEFT) & (codes <= Tissue.BLOOD_VESSEL)
        value = value * np.where(blood, 1 + look.flow * swirl, 1)
        total += alter(codes, value, moved) if alter else value
    return np.asarray(total / samples, np.float32)


def expose(
    signal: NDArray[np.float32],
    points: NDArray[np.float32],
    scanner: Scanner,
    look: Look,
    rng: np.random.Generator,
    *,
    bright: float | None = None,
    signed: bool = False,
) -> NDArray[np.float32]:
    """What the machine makes of a slice: coil shading, banding, point spread, Rician noise.

    Args:
        signal: (x, y) from `slice_signal`.
        points: (x, y, 3) heart coordinates, mm.
        scanner: point spread, noise, shading, banding.
        look: where the coils are.
        rng: of the noise.
        bright: the signal that becomes 1; blood of the left ventricle's when None.
        signed: keep the sign, with Gaussian noise, as a phase-sensitive reconstruction does.

    Returns:
        (x, y), blood of the left ventricle about 1.
    """
    x, y = points[..., 0], points[..., 1]
    toward = np.cos(look.shading_direction) * x + np.sin(look.shading_direction) * y
    coil = np.exp(scanner.shading * np.clip(toward, -150, 150) / 110.0)
    w = look.waves[0]
    band = 1 - scanner.banding * np.exp(-(((np.sin(0.5 * w[0] * x + 0.5 * w[1] * y + w[3])) / 0.25) ** 2))
    unit = max(float(look.signals[Tissue.BLOOD_LEFT]) if bright is None else bright, 1e-6)
    picture = ndimage.gaussian_filter(signal * coil * band, scanner.blur) / unit
    sigma = 1.0 / scanner.snr
    if signed:
        return np.asarray(picture + sigma * rng.standard_normal(picture.shape, dtype=np.float32), np.float32)
    real = np.abs(picture) + sigma * rng.standard_normal(picture.shape, dtype=np.float32)
    imaginary = sigma * rng.standard_normal(picture.shape, dtype=np.float32)
    return np.asarray(np.hypot(real, imaginary), np.float32)


@dataclass(frozen=True)
class Exposure:
    """How one slice is taken in another contrast than the cine's.

    Attributes:
        points: (x, y, 3) centres of the pixels, heart coordinates, mm; straight rows.
        normal: (3,) unit normal of the slice.
        scanner: thickness, point spread and coils; its noise is that of the cine.
        look: grain, flow and coils of this study.
        rng: of the noise.
        behind: `layers` of the slice, which serve all of its frames; made when there are none.
    """

    points: NDArray[np.float32]
    normal: NDArray[np.float32]
    scanner: Scanner
    look: Look
    rng: np.random.Generator
    behind: Sequence[Layer] = ()

    def taken(
        self,
        scene: Scene,
        signals: NDArray[np.float32],
        alter: Alter,
        *,
        snr: float,
        flow: float = 1.0,
        bright: float | None = None,
        signed: bool = False,
    ) -> NDArray[np.float32]:
        """(x, y) picture, without the bands of bSSFP.

        Args:
            scene: heart and chest at the moment.
            signals: of the tissues, in this contrast.
            alter: see `slice_signal`.
            snr: signal to noise against the cine's.
            flow: how much moving blood varies, against the cine.
            bright: see `expose`.
            signed: see `expose`.
        """
        seen = replace(self.look, signals=signals, opposed=False, flow=flow * self.look.flow)
        machine = replace(self.scanner, snr=snr * self.scanner.snr, banding=0.0)
        signal = slice_signal(scene, self.points, self.normal, machine.slice_mm, seen, alter=alter, behind=self.behind)
        return expose(signal, self.points, machine, seen, self.rng, bright=bright, signed=signed)
