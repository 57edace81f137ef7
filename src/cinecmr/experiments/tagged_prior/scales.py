"""How large the fourth paper's tables are made: `smoke` for tests, `minutes`, `laptop`, `gpu`, `full` as published."""

from __future__ import annotations

from dataclasses import dataclass, field

from cinecmr.errors import RefusedInput
from cinecmr.motion.published import Published
from cinecmr.motion.register import Sound


@dataclass(frozen=True)
class Scale:
    """Sizes and lengths.

    Attributes:
        name: of the scale.
        network: the published recipe; its `steps` are those of a fit that tables 1 to 3 judge, and of a subject of a
            prior.
        sound: the default registration. whole: its Gauss-Newton steps.
        sizes: of the priors, in subjects, rising; tables 1 and 2 use the last.
        steps, short: of figure 3, of the network and of the default; where a fit is looked at on its way.
        tested: subjects of each cohort. frames, matrix: of their beats and images; None for the scanner's own.
        cells: of the wall in which motion is judged, see `phantom.wall.wall_points`.
        resamples, draws: of patients, and of cases as other tables draw them.
        cost: what a table takes, in words.
    """

    name: str
    network: Published = field(default_factory=Published)
    sound: Sound = field(default_factory=Sound)
    whole: int = 8
    sizes: tuple[int, ...] = (50, 200, 450, 890)
    steps: tuple[int, ...] = (20, 50, 250, 500, 1000)
    short: tuple[int, ...] = (1, 2, 4, 8)
    tested: int = 100
    frames: int | None = None
    matrix: int | None = None
    cells: tuple[int, int, int] = (20, 14, 2)
    resamples: int = 2000
    draws: int = 100
    cost: str = ""

    def __post_init__(self) -> None:
        if self.network.steps not in self.steps or self.whole not in self.short:
            raise ValueError(f"scale {self.name}: fits that are judged are among those looked at on their way")

    @property
    def seeds(self) -> int:
        """Runs of each fit: one, as published."""
        return 1


_NARROW = Published(widths=(4, 64, 64, 64, 3), steps=250, points=2000, rate=1e-4)
_SMALL = Published(widths=(4, 48, 48, 48, 3), omega=20.0, steps=100, points=1000, rate=5e-4)
_TINY = Published(widths=(4, 12, 12, 3), omega=12.0, steps=2, points=200, rate=1e-3)
_COARSE = Sound((2, 2, 1), 2, pixels=200, face_points=120, tissue_points=60)

SCALES = {
    scale.name: scale
    for scale in (
        Scale(
            "smoke", _TINY, _COARSE, whole=2, sizes=(1, 2), steps=(2,), short=(2,), tested=2, frames=5, matrix=56,
            cells=(10, 8, 2), resamples=50, draws=20, cost="seconds a table",
        ),
        Scale(
            "minutes", _SMALL, sizes=(3, 6), steps=(10, 30, 100), short=(1, 3, 8), tested=5, frames=11, matrix=96,
            cost="about ten processor-minutes, once for all tables",
        ),
        Scale(
            "laptop", _NARROW, sizes=(5, 10, 25, 50), steps=(20, 50, 250, 500), tested=12, frames=13, matrix=128,
            cost="about an hour on two cores, once for all tables",
        ),
        Scale("gpu", sizes=(10, 50), tested=20, frames=25, cost="about ten minutes a prior, seconds a fit"),
        Scale("full", cost="about four hundred processor-seconds a fit, nearly nine hundred fits for the prior"),
    )
}  # fmt: skip


def chosen(name: str) -> Scale:
    """A scale by its name.

    Raises:
        RefusedInput: there is none of that name.
    """
    if name not in SCALES:
        raise RefusedInput("no-such-scale", f"no scale {name!r}: there are {', '.join(SCALES)}")
    return SCALES[name]
