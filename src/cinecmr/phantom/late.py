"""Late gadolinium enhancement and T2-weighted imaging of the same heart: one still frame each, in mid-diastole.

Both are inversion recoveries. LGE waits until normal muscle, which has taken up some contrast agent, passes zero; scar
holds more of it and is bright, a core without reflow has had little and is dark. T2 weighting nulls fat and blackens
blood; water in an acute infarct is bright.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cinecmr.anatomy import Disease, Structure
from cinecmr.phantom.chest import Tissue
from cinecmr.phantom.scanner import BLOOD, relaxation

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cinecmr.phantom.heart import Heart
    from cinecmr.phantom.scanner import Alter, Exposure, Scanner
    from cinecmr.phantom.scene import Scene

# T1, ms at 1.5 T, ten to fifteen minutes after 0.15 mmol/kg of an extracellular agent; rounded from what Look-Locker
# series show. Normal muscle is about 150 ms longer than blood (Han et al., J Magn Reson Imaging 2009).
_T1_LATE: dict[Tissue, float] = {
    Tissue.LUNG: 900,
    Tissue.LUNG_VESSEL: 320,
    Tissue.FAT: 260,
    Tissue.MUSCLE: 520,
    Tissue.LIVER: 340,
    Tissue.GUT_WALL: 430,
    Tissue.GUT_CONTENT: 1400,
    Tissue.MYOCARDIUM: 460,
    Tissue.PERICARDIUM: 600,
    Tissue.MARROW: 330,
    Tissue.SPLEEN: 340,
    **dict.fromkeys(BLOOD, 320.0),
}
_T1_LATE_KINDS: dict[Structure, float] = {Structure.SCAR: 255, Structure.NO_REFLOW: 530, Structure.OEDEMA: 410}
# Amyloid binds the agent: muscle keeps more of it and blood less, so that blood is nearly as dark as nulled muscle.
_T1_LATE_AMYLOID = _T1_LATE | dict.fromkeys(BLOOD, 420.0) | {Tissue.MYOCARDIUM: 440.0}
_T1_LATE_AMYLOID_KINDS = _T1_LATE_KINDS | {Structure.SCAR: 310.0}
_BEATS = 2  # between two inversions
PSIR_ZERO = 1.5  # level of zero magnetisation in a phase-sensitive image, in units of the blood's signal
_ECHO_MS = 64.0  # effective echo time of the T2-weighted turbo spin echo
_T2_STRETCH = {Structure.SCAR: 1.45, Structure.NO_REFLOW: 0.95, Structure.OEDEMA: 1.50}  # acute, against normal muscle
_T1_STRETCH = {Structure.SCAR: 1.20, Structure.NO_REFLOW: 1.15, Structure.OEDEMA: 1.20}
_STRAND = 0.4  # share of muscle where strands cross the right ventricle's cavity
_SLACK_MM = 2.0  # trabeculae and coats so near to changed wall look like it


@dataclass(frozen=True)
class Signals:
    """What a still shows of everything.

    Attributes:
        tissues: (number of tissues,) by `Tissue` code.
        kinds: of changed wall. (Apart, because codes of tissues and structures overlap.)
    """

    tissues: NDArray[np.float32]
    kinds: dict[Structure, float]

    @property
    def muscle(self) -> float:
        """Normal muscle's."""
        return float(self.tissues[Tissue.MYOCARDIUM])


def recovered(t1_ms: float, inversion_ms: float, repeat_ms: float) -> float:
    """Longitudinal magnetisation after an inversion, in the steady state of inversions every `repeat_ms`.

    >>> round(recovered(460.0, null_ms(460.0, 1800.0), 1800.0), 9) + 0.0
    0.0
    """
    return float(1 - 2 * np.exp(-inversion_ms / t1_ms) / (1 + np.exp(-repeat_ms / t1_ms)))


def null_ms(t1_ms: float, repeat_ms: float) -> float:
    """Time after the inversion at which a tissue passes zero, ms.

    >>> round(null_ms(460.0, 1e9), 1)  # T1 ln 2 where recovery is complete
    318.8
    """
    return float(t1_ms * np.log(2 / (1 + np.exp(-repeat_ms / t1_ms))))


def moment(heart: Heart) -> float:
    """Share of the cycle in mid-diastole, when the heart is nearly still: stills are taken then."""
    return heart.beat.systole + 0.6 * (1 - heart.beat.systole)


def scar_labels(labels: NDArray[np.uint8], scene: Scene, points: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Labels of a still with the changed wall in them: SCAR, NO_REFLOW and OEDEMA where muscle was.

    Args:
        labels: (...) `Structure` codes of the slice, such as `Heart.reader_labels` gives.
        scene: the heart at that moment.
        points: (..., 3) heart coordinates, mm.

    Returns:
        A copy. Scar of the right ventricle's free wall replaces background.
    """
    found = labels.copy()
    scar = scene.heart.scar
    if scar is not None:
        codes = scar.codes(points, scene.heart, scene.time, scene.surfaces)
        wall = (codes > 0) & ((labels == Structure.MYO) | (labels == Structure.BACKGROUND))
        found[wall] = codes[wall]
    return found


def lge(scene: Scene, how: Exposure, *, late_ms: float = 0.0, psir: bool = False) -> NDArray[np.float32]:
    """One slice of late gadolinium enhancement.

    Args:
        scene: heart and chest, at `moment` of the beat.
        how: the slice; blood is noisier than in the cine.
        late_ms: how far the inversion time misses the null of normal muscle: too late is positive.
        psir: phase sensitive: the sign is kept, nulled muscle is at `PSIR_ZERO` and what is darker than it lies below.
            Otherwise the magnitude, in which what has not yet passed zero is bright again.

    Returns:
        (x, y), not negative; blood of a heart without amyloid is 1 away from zero magnetisation.
    """
    signals = late_signals(scene.heart, how.scanner, late_ms)
    mark = _marker(scene, signals, float(signals.tissues[Tissue.BLOOD_RIGHT]))
    blood = _usual_blood(how.scanner, _repeat_ms(scene.heart))
    picture = how.taken(scene, signals.tissues, mark, snr=0.6, flow=0.5, bright=blood, signed=psir)
    return np.clip(picture + np.float32(PSIR_ZERO), 0, None) if psir else picture


def late_signals(heart: Heart, scanner: Scanner, late_ms: float = 0.0) -> Signals:
    """Signed signal of every tissue and kind of scar after contrast, when normal muscle is nulled.

    Args:
        heart: its rate sets the time between inversions; amyloid binds the agent.
        scanner: field strength.
        late_ms: added to the inversion time.
    """
    amyloid = heart.person.disease is Disease.AMYLOID
    times, kinds = (_T1_LATE_AMYLOID, _T1_LATE_AMYLOID_KINDS) if amyloid else (_T1_LATE, _T1_LATE_KINDS)
    longer, repeat = _longer(scanner), _repeat_ms(heart)
    wait = null_ms(longer * times[Tissue.MYOCARDIUM], repeat) + late_ms
    tissues = np.zeros(len(Tissue), np.float32)
    for tissue, (_, _, density) in relaxation(scanner.field_t).items():
        if tissue in times:
            tissues[tissue] = density * recovered(longer * times[tissue], wait, repeat)
    density = relaxation(scanner.field_t)[Tissue.MYOCARDIUM][2]
    return Signals(tissues, {kind: density * recovered(longer * t1, wait, repeat) for kind, t1 in kinds.items()})


def t2(scene: Scene, how: Exposure) -> NDArray[np.float32]:
    """One T2-weighted slice: black blood, nulled fat, bright oedema.

    Blood that moves slowly between the trabeculae of the apex stays bright, as it does in patients.

    Args:
        scene: heart and chest, at `moment` of the beat.
        how: the slice; muscle is noisier than in the cine.

    Returns:
        (x, y), not negative; normal muscle about 0.4.
    """
    signals = t2_signals(scene.heart, how.scanner)
    mark, low = _marker(scene, signals, 0.0), 0.25 * scene.heart.lv.length

    def alter(codes: NDArray[np.uint8], values: NDArray[np.float32], at: NDArray[np.float32]) -> NDArray[np.float32]:
        flowing = (codes >= Tissue.BLOOD_LEFT) & (codes <= Tissue.BLOOD_VESSEL)
        slow = 0.05 + 0.30 * np.exp(-((np.clip(at[..., 2], 0, None) / low) ** 2))
        return mark(codes, np.where(flowing, values * slow, values).astype(np.float32), at)

    return how.taken(scene, signals.tissues, alter, snr=0.9, bright=2.5 * signals.muscle)


def t2_signals(heart: Heart, scanner: Scanner) -> Signals:
    """Signal of every tissue and kind of scar in a turbo spin echo after an inversion that nulls fat.

    Old scar holds no more water than muscle does; blood is given as if it stood still.
    """
    times = relaxation(scanner.field_t)
    repeat = _repeat_ms(heart)
    wait = null_ms(times[Tissue.FAT][0], repeat)

    def signal(t1: float, t2_ms: float, density: float) -> float:
        return density * abs(recovered(t1, wait, repeat)) * float(np.exp(-_ECHO_MS / t2_ms))

    tissues = np.array([signal(*times[tissue]) for tissue in Tissue], np.float32)
    t1, t2_ms, density = times[Tissue.MYOCARDIUM]
    if heart.scar is None or not heart.scar.acute:
        return Signals(tissues, dict.fromkeys(_T2_STRETCH, float(tissues[Tissue.MYOCARDIUM])))
    kinds = {kind: signal(t1 * _T1_STRETCH[kind], t2_ms * by, density) for kind, by in _T2_STRETCH.items()}
    return Signals(tissues, kinds)


def _repeat_ms(heart: Heart) -> float:
    return 1000 * _BEATS * heart.beat.rr_s


def _longer(scanner: Scanner) -> float:
    """T1 against 1.5 T: with the agent, which shortens it much the same at any field, it differs less than without."""
    return 1.1 if scanner.field_t > 2 else 1.0


def _usual_blood(scanner: Scanner, repeat_ms: float) -> float:
    """Signal of blood where normal muscle is nulled, without amyloid: the unit of the picture."""
    longer = _longer(scanner)
    wait = null_ms(longer * _T1_LATE[Tissue.MYOCARDIUM], repeat_ms)
    return 0.95 * recovered(longer * _T1_LATE[Tissue.BLOOD_LEFT], wait, repeat_ms)


def _marker(scene: Scene, signals: Signals, blood: float) -> Alter:
    """What gives changed wall its own signal wherever muscle was painted, and fine strands part of the `blood`'s."""
    scar, heart = scene.heart.scar, scene.heart

    def mark(codes: NDArray[np.uint8], values: NDArray[np.float32], at: NDArray[np.float32]) -> NDArray[np.float32]:
        muscle = codes == Tissue.MYOCARDIUM
        values = np.where(muscle & _strands(scene, at), _STRAND * values + (1 - _STRAND) * blood, values)
        if scar is None:
            return values
        kinds = scar.codes(at[muscle], heart, scene.time, scene.surfaces, slack_mm=_SLACK_MM)
        marked, own = values.copy(), values[muscle]
        for kind, level in signals.kinds.items():
            own = np.where(kinds == kind, np.float32(level), own)
        marked[muscle] = own
        return marked

    return mark


def _strands(scene: Scene, points: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Points amid the right ventricle's cavity: muscle there is in strands finer than the grid they are drawn on."""
    surfaces = scene.surfaces
    radius, at = scene.heart.polar(points, surfaces)
    return np.asarray((radius > surfaces.epi.ravel()[at] + 3) & (radius < surfaces.rv.ravel()[at] - 3), np.bool_)
