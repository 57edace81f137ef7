"""Chamber volumes and mass from labels: arrays in, millilitres and grams out.

Slice summation (Simpson's rule): every slice counts as thick as the distance to the next, so gaps count too. Which
frames are read is decided in `measure.cycle`; normal ranges stand in `measure.reference`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from cinecmr.anatomy import Structure
from cinecmr.geometry import voxel_volume_ml
from cinecmr.measure.base import find_base
from cinecmr.measure.body import bsa_mosteller
from cinecmr.study import Measurement

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from cinecmr.measure.base import Base
    from cinecmr.study import Facts

MYOCARDIUM_G_PER_ML = 1.05
CAVITIES = {"LV": Structure.LV, "RV": Structure.RV}

CONVENTION = (
    "slice summation; with 8 frames or more the LV ends at the mitral plane, whose height between slices is estimated "
    "from all frames; papillary muscles and trabeculae in the blood pool, not in the mass; a basal slice counts where "
    "it is labelled as ventricle (rule of the labels: myocardium around at least 50 % of the ring)"
)


def areas(labels: NDArray[np.uint8], structure: Structure) -> NDArray[np.float64]:
    """Voxels of one structure in every slice and frame.

    Args:
        labels: (x, y, z, t) `Structure` codes.
        structure: what to count.

    Returns:
        (z, t) counts; NaN where nobody looked at the slice in that frame.

    Raises:
        ValueError: `labels` is not 4-D.
    """
    if labels.ndim != 4:
        raise ValueError(f"labels must be (x, y, z, t), got shape {labels.shape}; give one frame as labels[..., None]")
    counts: NDArray[np.float64] = (labels == structure).sum(axis=(0, 1)).astype(np.float64)
    counts[(labels == Structure.UNSEEN).all(axis=(0, 1))] = np.nan
    return counts


def bridged(counts: NDArray[np.float64]) -> NDArray[np.float64]:
    """Slices where nobody looked, filled from the slices above and below; nothing is added beyond the outermost seen.

    Args:
        counts: (z, t) areas, NaN where nobody looked.

    Returns:
        (z, t); a frame in which no slice was seen stays NaN.

    >>> bridged(np.array([[10.0], [np.nan], [20.0], [np.nan]])).ravel()
    array([10., 15., 20.,  0.])
    """
    filled = counts.copy()
    z = np.arange(len(counts))
    for frame in range(counts.shape[1]):
        seen = np.isfinite(counts[:, frame])
        if seen.any() and not seen.all():
            filled[:, frame] = np.interp(z, z[seen], counts[seen, frame], left=0.0, right=0.0)
    return filled


def volume_curve(labels: NDArray[np.uint8], structure: Structure, affine: NDArray[np.float64]) -> NDArray[np.float64]:
    """Volume of one structure at every frame.

    Args:
        labels: (x, y, z, t) `Structure` codes, `UNSEEN` where nobody looked.
        structure: what to measure.
        affine: (4, 4) voxel index to patient RAS, mm.

    Returns:
        (t,) volumes, ml; NaN in a frame nobody looked at. Slice gaps count: a slice is as thick as the distance to
        the next. A slice nobody looked at is bridged from its neighbours.

    Raises:
        ValueError: `labels` is not 4-D.

    >>> labels = np.zeros((10, 10, 2, 3), np.uint8)
    >>> labels[..., 0] = Structure.LV
    >>> volume_curve(labels, Structure.LV, np.diag([1.0, 1.0, 10.0, 1.0]))
    array([2., 0., 0.])
    """
    voxels: NDArray[np.float64] = bridged(areas(labels, structure)).sum(axis=0)
    return voxels * voxel_volume_ml(affine)


def left_curve(
    labels: NDArray[np.uint8], structure: Structure, affine: NDArray[np.float64], base: Base | None
) -> NDArray[np.float64]:
    """Volume of the LV blood pool or myocardium at every frame, up to the mitral plane where that is known.

    Args:
        labels: (x, y, z, t) `Structure` codes.
        structure: `Structure.LV` or `Structure.MYO`.
        affine: (4, 4) voxel index to patient RAS, mm.
        base: see `measure.base`; None sums whole slices.

    Returns:
        (t,) volumes, ml, as `volume_curve` gives, and what lies between the last slice's face and the plane.
    """
    curve = volume_curve(labels, structure, affine)
    if base is None:
        return curve
    return curve + base.added(bridged(areas(labels, structure))) * voxel_volume_ml(affine)


def mitral_plane(
    labels: NDArray[np.uint8], affine: NDArray[np.float64], seen: NDArray[np.float64] | None = None
) -> Base | None:
    """The mitral plane between slices, from (x, y, z, t) labels; None where `measure.base` cannot tell it.

    Args:
        labels: of the short axis.
        affine: (4, 4) voxel index to patient RAS, mm.
        seen: (t,) height of the mitral hinges in long-axis views, in slices.
    """
    return find_base(bridged(areas(labels, Structure.LV)), float(np.linalg.norm(affine[:3, 2])), seen)


@dataclass(frozen=True)
class Chamber:
    """Volumes of one ventricle, and for the LV its mass.

    Attributes:
        name: "LV" or "RV".
        edv, esv: ml; `esv` is None without a measured cycle.
        ed, es: the frames they were read from.
        mass_ed, mass_es: grams of myocardium at ED and ES; LV only.
    """

    name: str
    edv: float
    ed: int
    esv: float | None = None
    es: int | None = None
    mass_ed: float | None = None
    mass_es: float | None = None

    @property
    def sv(self) -> float | None:
        """Stroke volume, ml."""
        return None if self.esv is None else self.edv - self.esv

    @property
    def ef(self) -> float | None:
        """Ejection fraction, %."""
        return None if self.sv is None or self.edv <= 0 else 100 * self.sv / self.edv


def chamber(
    name: str,
    labels: NDArray[np.uint8],
    affine: NDArray[np.float64],
    curve: NDArray[np.float64],
    cycle: Mapping[str, int],
    seen: NDArray[np.float64] | None = None,
) -> Chamber | None:
    """Read one ventricle at its own ED and ES.

    Args:
        name: "LV" or "RV".
        labels: (x, y, z, t) `Structure` codes.
        affine: (4, 4) voxel index to patient RAS, mm.
        curve: (t,) blood pool, ml, as `volume_curve` gives.
        cycle: frames, as `measure.cycle.find_cycle` gives.
        seen: see `mitral_plane`.

    Returns:
        None where the ventricle has no ED frame or was not looked at there.
    """
    ed, es = cycle.get(f"{name}_ED"), cycle.get(f"{name}_ES")
    if ed is None or not np.isfinite(curve[ed]):
        return None
    if es == ed or (es is not None and not np.isfinite(curve[es])):
        es = None
    grams = None
    if name == "LV":
        grams = left_curve(labels, Structure.MYO, affine, mitral_plane(labels, affine, seen)) * MYOCARDIUM_G_PER_ML
    return Chamber(
        name,
        float(curve[ed]),
        ed,
        None if es is None else float(curve[es]),
        es,
        None if grams is None else float(grams[ed]),
        None if grams is None or es is None else float(grams[es]),
    )


@dataclass
class _Sheet:
    """Collects measurements that share a source."""

    source: str
    convention: str
    rows: dict[str, Measurement] = field(default_factory=dict)

    def add(self, name: str, value: float | None, unit: str, method: str, frame: int | None = None) -> None:
        if value is not None:
            self.rows[name] = Measurement(float(value), unit, method, self.source, frame=frame)


def measurements(
    chambers: Mapping[str, Chamber],
    facts: Facts,
    rr_ms: float | None,
    source: str,
    convention: str = CONVENTION,
) -> dict[str, Measurement]:
    """Every number a report shows, from the chambers that may be shown.

    Args:
        chambers: under "LV" and "RV"; a withheld one is left out.
        facts: height and weight make the indices.
        rr_ms: makes heart rate and cardiac output.
        source: whose labels, such as "labels of sax-unet@3f2a9c10".
        convention: what the labels count, in words; stands in every method.

    Returns:
        By name: LVEDV, LVESV, LVSV (ml), LVEF (%), LVM (g), the same of the RV without mass, SVdiff (ml), HR (bpm),
        CO (l/min), BSA (m2), and with an i the indices per m2, CI. What cannot be known is absent.
    """
    sheet = _Sheet(source, convention)
    for one in chambers.values():
        _chamber_rows(sheet, one)
    left, right = chambers.get("LV"), chambers.get("RV")
    if left and right and left.sv is not None and right.sv is not None:
        sheet.add(
            "SVdiff", left.sv - right.sv, "ml", f"LVSV - RVSV; near 0 without shunt or regurgitation; {convention}"
        )
    if rr_ms:
        sheet.add("HR", 60000 / rr_ms, "bpm", f"60000 / R-R interval of {rr_ms:.0f} ms")
        if left and left.sv is not None:
            sheet.add("CO", left.sv * 60 / rr_ms, "l/min", f"LVSV x heart rate; {convention}")
    _index_rows(sheet, facts)
    return sheet.rows


def _chamber_rows(sheet: _Sheet, one: Chamber) -> None:
    n, words = one.name, sheet.convention
    only = "" if one.es is not None else ", not proven to be end-diastole"
    sheet.add(f"{n}EDV", one.edv, "ml", f"{n} blood pool at its largest{only}; {words}", one.ed)
    sheet.add(f"{n}ESV", one.esv, "ml", f"{n} blood pool at its smallest; {words}", one.es)
    sheet.add(f"{n}SV", one.sv, "ml", f"{n}EDV - {n}ESV; {words}")
    sheet.add(f"{n}EF", one.ef, "%", f"{n}SV / {n}EDV; {words}")
    if one.mass_ed is not None:
        sheet.add(f"{n}M", one.mass_ed, "g", f"myocardium at ED x {MYOCARDIUM_G_PER_ML} g/ml; {words}", one.ed)


def _index_rows(sheet: _Sheet, facts: Facts) -> None:
    if facts.height_m is None or facts.weight_kg is None:
        return
    bsa = bsa_mosteller(facts.height_m, facts.weight_kg)
    sheet.add("BSA", bsa, "m2", "Mosteller: sqrt(height cm x weight kg / 3600)")
    for name in ("LVEDV", "LVESV", "LVSV", "LVM", "RVEDV", "RVESV", "RVSV"):
        if name in sheet.rows:
            row = sheet.rows[name]
            sheet.add(
                f"{name}i", row.value / bsa, f"{row.unit}/m2", f"{name} / BSA (Mosteller); {row.method}", row.frame
            )
    if "CO" in sheet.rows:
        sheet.add("CI", sheet.rows["CO"].value / bsa, "l/min/m2", "CO / BSA (Mosteller)")


def extent(counts: NDArray[np.float64], frame: int) -> dict[str, Any]:
    """Which slices hold a structure at one frame.

    Args:
        counts: (z, t) areas, NaN where nobody looked.
        frame: the frame.

    Returns:
        `held`: z indices that hold it; `bridged`: z indices between them that nobody looked at; `first`, `last`: the
        outermost seen slices; `area`: (z,) counts with NaN as 0.
    """
    area = counts[:, frame]
    seen = np.flatnonzero(np.isfinite(area))
    held = np.flatnonzero(np.nan_to_num(area) > 0)
    gaps = [] if held.size == 0 else [z for z in range(held[0], held[-1]) if not np.isfinite(area[z])]
    return {
        "held": held,
        "bridged": gaps,
        "first": int(seen[0]) if seen.size else 0,
        "last": int(seen[-1]) if seen.size else 0,
        "area": np.nan_to_num(area),
    }
