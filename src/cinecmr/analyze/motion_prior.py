"""Motion priors by name: those in the package, and those made from a cohort, each with a card beside it."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING

from cinecmr import __version__
from cinecmr.anatomy import Contrast, Disease, View
from cinecmr.errors import RefusedInput
from cinecmr.io.files import write_text

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

    from cinecmr.analyze.pipeline import Segmenter
    from cinecmr.motion.network_prior import NetworkPrior
    from cinecmr.motion.prior import Prior
    from cinecmr.study import Image, Study

    Labelled = tuple[Study, NDArray[np.uint8]]

PHANTOM, NONE = "phantom", "none"
FRAMES = 13  # of a synthetic subject: enough for the waves of a fit
KINDS = (Disease.NORMAL, Disease.DCM, Disease.HCM, Disease.INFARCT)  # in turn, for a synthetic cohort
_SUFFIX = ".safetensors"


def shelf() -> Path:
    """Where the package keeps its priors."""
    from importlib.resources import files

    return Path(str(files("cinecmr"))) / "motion" / "priors"


def names() -> tuple[str, ...]:
    """Of the priors in the package."""
    return tuple(sorted(path.stem for path in shelf().glob(f"*{_SUFFIX}")))


def named(name: str | None) -> Prior | NetworkPrior | None:
    """A prior of the package, or of a file; none for None and for "none".

    Raises:
        RefusedInput: there is no such prior (`no-such-path`), it is not what its card says (`weights-changed`), or the
            file holds none (`no-prior`).
    """
    if name is None or name == NONE:
        return None
    path = shelf() / (name + _SUFFIX) if name in names() else Path(name)
    if not path.is_file():
        known = ", ".join((*names(), NONE))
        raise RefusedInput(
            "no-such-path", f"there is no prior {name}; give {known} or a file of `cinecmr motion-prior`"
        )
    card = path.with_suffix(".json")
    if card.is_file() and json.loads(card.read_text("utf-8")).get("sha256") != _checksum(path):
        raise RefusedInput(
            "weights-changed", f"{path.name} is not the file that its card {card.name} tells of; make the prior again"
        )
    return _loaded(path)


def _loaded(path: Path) -> Prior | NetworkPrior:
    from safetensors import SafetensorError, safe_open

    from cinecmr.motion import network_prior
    from cinecmr.motion.prior import Prior

    try:
        with safe_open(path, "np") as file:
            kind = json.loads((file.metadata() or {}).get("facts", "{}")).get("kind")
        return network_prior.NetworkPrior.load(path) if kind == network_prior.KIND else Prior.load(path)
    except (ValueError, KeyError, TypeError, OSError, SafetensorError) as error:
        raise RefusedInput("no-prior", f"{path.name} is no motion prior: {error}") from None


def _checksum(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def synthetic(name: str) -> Labelled:
    """One tagged synthetic heart, "phantom-SEED"; its disease follows from the seed.

    Raises:
        RefusedInput: the phantom finds no origin of some tagged tissue.
    """
    from cinecmr.phantom.study import synthetic_study

    seed = int(name.rsplit("-", 1)[1])
    kind = KINDS[seed % len(KINDS)]
    try:
        study, truth = synthetic_study(seed, kind, frames=FRAMES, contrasts=(Contrast.CINE, Contrast.TAGGED))
    except ArithmeticError as error:
        raise RefusedInput("no-motion", f"this synthetic heart cannot be tagged: {error}") from error
    return study, truth.labels[View.SAX, Contrast.CINE]


def build(
    cohort: str,
    out: Path,
    *,
    preset: str = "sound",
    method: str = "robust",
    subjects: int = 20,
    seed: int = 700_000,
    segmenter: Callable[[], Segmenter] | None = None,
    say: Callable[[str], None] | None = None,
) -> Prior | NetworkPrior:
    """Register a cohort and write the prior and its card; beside them a folder with every subject, to go on from.

    Args:
        cohort: a folder of studies, one a folder or file, or the word `phantom`.
        out: the prior's file; its card is the same with .json.
        preset: "sound" or "published", whose registration begins from it.
        method: see `motion.cohort.cohort_prior`.
        subjects: of the synthetic cohort, with seeds from `seed` on.
        seed: first seed of the synthetic cohort.
        segmenter: makes the model that labels studies of a folder; called once, when the first one is needed.
        say: told of every subject.

    Raises:
        RefusedInput: no such folder, preset or method, or no subject that could be registered.
    """
    from cinecmr.motion.cohort import META, cohort_prior
    from cinecmr.motion.prior import METHODS

    if method not in (*METHODS, META):
        raise RefusedInput("no-such-setting", f"no method {method!r}: there are {', '.join((*METHODS, META))}")
    if preset not in ("sound", "published"):
        raise RefusedInput("no-such-setting", f"no preset {preset!r}: there are sound, published")
    load: Callable[[str], Labelled] = synthetic
    if cohort == PHANTOM:
        people = [f"phantom-{seed + number:06d}" for number in range(subjects)]
    else:
        people, load = _folder(Path(cohort), segmenter)
    folder = out.with_suffix(".subjects")
    found: Prior | NetworkPrior
    if preset == "published":
        from cinecmr.motion.network_prior import network_prior
        from cinecmr.motion.published import Published

        found = network_prior(people, lambda name: _with_tags(*load(name)), folder, Published(), method, say=say)
    else:
        found = cohort_prior(people, load, folder, method=method, say=say)
    found.save(out)
    made_from = (
        f"{len(people)} synthetic tagged hearts from seed {seed}" if cohort == PHANTOM else "a folder of studies"
    )
    card = {
        "name": out.stem, "preset": preset, "method": method, "subjects": found.subjects, "made_from": made_from,
        "sha256": _checksum(out), "version": __version__,
        "warnings": ["not for clinical use"] + ["learned from synthetic hearts alone"] * (cohort == PHANTOM),
    }  # fmt: skip
    write_text(out.with_suffix(".json"), json.dumps(card, indent=1) + "\n")
    return found


def _with_tags(study: Study, labels: NDArray[np.uint8]) -> tuple[Image, NDArray[np.uint8]]:
    """The short axis, with tagged slices in the places of its own where a study has them."""
    from cinecmr.motion.tagged import tagged_cine

    tags = (View.SAX, Contrast.TAGGED)
    image = study[View.SAX]
    return (tagged_cine(image, study[tags]) if tags in study else image), labels


def _folder(folder: Path, segmenter: Callable[[], Segmenter] | None) -> tuple[list[str], Callable[[str], Labelled]]:
    """Numbered studies of a folder: its entries' own names may tell who somebody is."""
    if not folder.is_dir():
        raise RefusedInput("no-such-path", f"there is no folder {folder}; give a folder of studies, or `phantom`")
    places = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    if not places or segmenter is None:
        raise RefusedInput("no-such-path", f"{folder} is empty: a prior needs studies")
    models: list[Segmenter] = []

    def load(name: str) -> Labelled:
        from cinecmr import io

        study = io.read(places[int(name.rsplit("-", 1)[1])])
        if View.SAX not in study:
            raise RefusedInput("no-sax", "no short-axis cine in it")
        if not models:
            models.append(segmenter())
        return study, models[0].segment(study[View.SAX], None)

    return [f"study-{number:04d}" for number in range(len(places))], load
