"""From what a user names to what the pipeline needs: the study, the facts, the model, the provenance."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cinecmr.errors import RefusedInput
from cinecmr.measure import body

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from cinecmr.analyze.long_axis import LongAxisModel
    from cinecmr.analyze.pipeline import Segmenter
    from cinecmr.analyze.sureness import Sureness
    from cinecmr.anatomy import Disease, Sex
    from cinecmr.study import Facts, Findings, Study

PHANTOM = "phantom"
LONG_AXIS, NO_MODEL = "lax-unet", "none"  # the shipped model of the long axis, and the word for going without
PAPILLARY = "papillary_in_volume"
BASAL_SLICE = "counted where labelled as ventricle; rule of the labels: myocardium around at least 50 % of the ring"
ANSWERS: dict[str, tuple[str, ...]] = {  # flags of reading, and the facts that answer them when the user gives them
    "no-indexing": ("height_m", "weight_kg"),
    "no-sex": ("sex",),
    "height-unit": ("height_m",),
    "implausible-height": ("height_m",),
    "implausible-weight": ("weight_kg",),
}


def take(
    study: str,
    *,
    keep_id: bool = False,
    sax: str | None = None,
    rr_ms: float | None = None,
    phantom: tuple[int, Disease | None] = (1, None),
    progress: Callable[[float], None] | None = None,
) -> tuple[Study, Findings | None]:
    """The study a user named, and its truth where it is synthetic.

    Args:
        study: a path, or the word `phantom`.
        keep_id: see `cinecmr.io.read`.
        sax: see `cinecmr.io.read`.
        rr_ms: see `cinecmr.io.read`.
        phantom: seed and disease of the synthetic heart; None draws a disease.
        progress: told the share of the synthetic heart that is made.

    Raises:
        RefusedInput: nothing there, or nothing that can be measured.
    """
    if study == PHANTOM:
        from cinecmr.phantom.study import synthetic_study

        return synthetic_study(*phantom, progress=progress)
    path = existing(study)
    from cinecmr import io

    return io.read(path, keep_id=keep_id, sax=sax, rr_ms=rr_ms), None


def existing(study: str) -> Path:
    """The path of that name.

    Raises:
        RefusedInput: there is none.
    """
    path = Path(study)
    if not path.exists():
        raise RefusedInput("no-such-path", f"there is no file or folder {study}; check the path")
    return path


def facts_given(
    *,
    height_cm: float | None = None,
    weight_kg: float | None = None,
    sex: Sex | None = None,
    age_y: float | None = None,
) -> dict[str, Any]:
    """What the user says of the person, under the names of `Facts`; what was not said is absent.

    Raises:
        RefusedInput: a height, weight or age no person has.
    """
    said: dict[str, Any] = {}
    if height_cm is not None:
        said["height_m"] = body.check_fact("height", height_cm, body.HEIGHT_CM, "cm") / 100
    if weight_kg is not None:
        said["weight_kg"] = body.check_fact("weight", weight_kg, body.WEIGHT_KG, "kg")
    if age_y is not None:
        said["age_y"] = body.check_fact("age", age_y, body.AGE_Y, "years")
    if sex is not None:
        said["sex"] = sex
    return said


def with_facts(study: Study, said: Mapping[str, Any]) -> Study:
    """The study with what the user says of the person; it wins over the header and answers flags that asked for it.

    Args:
        study: as read.
        said: see `facts_given`.
    """
    facts = replace(study.facts, **said)
    flags = tuple(flag for flag in study.flags if not _answered(flag.code, facts, said))
    return replace(study, facts=facts, flags=flags)


def _answered(code: str, facts: Facts, said: Mapping[str, Any]) -> bool:
    """Whether the user gave a fact the flag asks for, and all of them are known now."""
    asked = ANSWERS.get(code, ())
    return any(name in said for name in asked) and all(getattr(facts, name) is not None for name in asked)


def segmenter(
    name: str,
    device: str,
    labels: Path | None = None,
    folder: Path | None = None,
    precision: str = "fp32",
    compiled: bool = False,
) -> Segmenter:
    """The model of that name, shipped or imported, several joined by "+", or the labels of a file in their place."""
    if labels is not None:
        from cinecmr.analyze.given import GivenLabels

        return GivenLabels(labels)
    from cinecmr.analyze import models

    members = [models.load(one, device, folder, precision, compiled) for one in name.split("+")]
    return models.Ensemble(members) if len(members) > 1 else members[0]


def long_axis(
    name: str, device: str, folder: Path | None = None, precision: str = "fp32", compiled: bool = False
) -> LongAxisModel | None:
    """The model of that name that reads 2C, 3C and 4C views.

    Args:
        name: as `cinecmr models` lists it; "none" for none, and so is the shipped one where it is not installed.
        device: see `models.load`.
        folder: see there.
        precision: see there.
        compiled: see there.

    Raises:
        RefusedInput: no such model, or it reads something else (`other-view`).
    """
    from cinecmr.analyze import models

    if not reads_long_axis(name, folder):
        return None
    model = models.load(name, device, folder, precision, compiled)
    if model.card.family != "long-axis":
        raise RefusedInput("other-view", f"{name} does not read 2C, 3C and 4C views; name another, or {NO_MODEL}")
    return model


def reads_long_axis(name: str, folder: Path | None = None) -> bool:
    """Whether that name stands for a model: "none" does not, nor does the shipped one where it is not installed."""
    from cinecmr.analyze import models

    return name != NO_MODEL and (name != LONG_AXIS or name in models.names(folder))


def sureness(model: Segmenter) -> Sureness | None:
    """The intervals of a model's numbers, where they were calibrated; a person's labels have none."""
    found: Sureness | None = getattr(model, "sureness", None)
    return found


def provenance(
    model: Segmenter, options: Mapping[str, object], long_axis: LongAxisModel | None = None
) -> dict[str, str]:
    """What the report says of how the numbers came to be.

    Args:
        model: what found the labels.
        options: of the command; those left at None are not told.
        long_axis: what read the long-axis views.
    """
    told = " ".join(f"--{key} {getattr(value, 'value', value)}" for key, value in options.items() if value is not None)
    sure = sureness(model)
    return {
        **({} if sure is None else {"intervals": sure.words()}),
        **({} if long_axis is None else {"long_axis_model": long_axis.source}),
        "model": str(getattr(model, "name", model.source)),
        "weights_sha256": str(getattr(model, "sha256", "")),
        "options": told,
        "papillary": PAPILLARY,
        "basal_slice": BASAL_SLICE,
    }
