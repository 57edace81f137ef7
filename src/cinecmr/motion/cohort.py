"""A prior from a cohort: every subject is registered once, kept in a file of its own, and averaged at the end.

Stopped and started again, it goes on with the subjects that are missing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cinecmr.errors import RefusedInput
from cinecmr.motion.field import WallMotion
from cinecmr.motion.prior import ejected_share, population
from cinecmr.motion.register import register

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from cinecmr.motion.prior import Prior
    from cinecmr.motion.register import Sound
    from cinecmr.study import Study

    Loader = Callable[[str], tuple[Study, NDArray[np.uint8]]]

META = "meta"  # fitted once more from the mean of the first round, whose mean is the start


def cohort_prior(
    names: Sequence[str],
    load: Loader,
    folder: Path,
    *,
    method: str = "robust",
    settings: Sound | None = None,
    say: Callable[[str], None] | None = None,
) -> Prior:
    """Register every subject and average.

    Args:
        names: of the subjects, safe as file names; tagged cine is used where a study has it.
        load: study and short-axis labels of a name.
        folder: for one file a subject; those there are not fitted again.
        method: "mean" as published, "robust", or "meta": a second round in which every fit starts from the first
            round's robust mean, which draws the silent parts of all motions together.
        settings: of the registration.
        say: told of every subject.

    Raises:
        RefusedInput: no subject could be registered.
    """
    first = "robust" if method == META else method
    found = _round(names, load, folder / "round-1", first, None, settings, say)
    if method != META:
        return found
    again = folder / f"round-2-of-{len(names)}"  # which begins from the mean of these very subjects
    return _round(names, load, again, "robust", found, settings, say)


def _round(
    names: Sequence[str],
    load: Loader,
    folder: Path,
    method: str,
    start: Prior | None,
    settings: Sound | None,
    say: Callable[[str], None] | None,
) -> Prior:
    tables, focuses, ejected, orders = [], [], [], set()
    for number, name in enumerate(names):
        path = folder / f"{name}.safetensors"
        what = "kept"
        if path.exists():
            motion = WallMotion.load(path)
        else:
            try:
                study, labels = load(name)
                motion = register(study, labels, start=start, settings=settings).motion
            except RefusedInput as refusal:
                if say:
                    say(f"  {name}: left out, {refusal.message}")
                continue
            motion = WallMotion(motion.shell, motion.coefficients, motion.ed, f"{ejected_share(labels):.4f}")
            motion.save(path)
            what = "registered"
        if say:
            say(f"  {number + 1}/{len(names)} {name} {what}")
        tables.append(motion.coefficients)
        focuses.append(motion.shell.frame.focus)
        ejected.append(float(motion.source))
        orders.add((motion.shell.orders, motion.coefficients.shape))
    if not tables:
        raise RefusedInput("nothing-registered", "no study of the cohort could be registered: no prior")
    if len(orders) > 1:
        raise RefusedInput("mixed-priors", f"{folder} holds motions of several settings; choose an empty folder")
    return population(tables, focuses, ejected, next(iter(orders))[0], method)
