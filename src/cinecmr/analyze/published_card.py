"""What a card says of imported weights: what they answer, how they are asked, and what is not known of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cinecmr.anatomy import Structure

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cinecmr.networks.kinds import Config, PublishedConfig

S = Structure
CODES: dict[str, tuple[Structure, ...]] = {  # of each class, by data set; all others are labelled as ACDC
    "acdc": (S.BACKGROUND, S.RV, S.MYO, S.LV),
    "emidec": (S.BACKGROUND, S.LV, S.MYO, S.SCAR, S.NO_REFLOW),
    "myops2020": (S.BACKGROUND, S.RV, S.LV, S.MYO, S.OEDEMA, S.SCAR),
}
DATA = {
    "acdc": "ACDC", "mnms": "M&Ms", "mnms2": "M&Ms-2", "emidec": "EMIDEC", "myops2020": "MyoPS 2020",
    "rescan": "Rescan", "landmark": "Landmark",
}  # fmt: skip
PRETRAINED_ON = "UK Biobank cine, without labels (pre-training, as its authors state)"
LIMITS = (
    "Research use only, not for diagnosis.",
    "Imported, not made here: this package has no figures of it until `cinecmr models note` puts them on this card.",
    "Arrays enter as they are stored, as in the published code: a mirrored image may be read worse.",
)
# What configurations say that were published with the weights of a kind, for weights that come without one.
BY_KIND: dict[str, dict[str, Any]] = {
    "cls_cvd_acdc_sax": {"class_column": "pathology", "pathology": ["DCM", "HCM", "MINF", "NOR", "RV"]},
    "cls_sex_mnms_sax": {"class_column": "sex", "sex": ["M", "F"]},
    "cls_cvd_mnms2_lax_4c": {
        "class_column": "pathology",
        "pathology": ["ARR", "CIA", "FALL", "HCM", "LV", "NOR"],
    },
    "cls_vendor_mnms2_lax_4c": {
        "class_column": "vendor",
        "vendor": ["GE MEDICAL SYSTEMS", "Philips Medical Systems", "SIEMENS"],
    },
    "reg_ef_acdc_sax": {
        "regression_column": "ef",
        "ef": {"mean": 27.698811590282546, "std": 10.848138374627386},
    },
    "reg_ef_mnms2_lax_4c": {
        "regression_column": "ef",
        "ef": {"mean": 37.97920801605608, "std": 10.328604573626588},
    },
}
OLD_EF = (
    "weights that regress a column called ef learned a quantity that is no ejection fraction: until January 2026 "
    "the published code summed label values (RV 1, MYO 2, LV 3) in place of LV volume. Judge published tables with "
    "them, measure no patient."
)


def describe(
    config: Config, kind: str, read: Mapping[str, Any] | None, licence: str | None, called: str
) -> dict[str, Any]:
    """Everything of a `models.Card` that follows from the configuration.

    Args:
        config: of the network.
        kind: of `networks.kinds`, "" where it was read from a file.
        read: the published configuration file, where there is one.
        licence: as the user knows it.
        called: the file, as the card names it.
    """
    from cinecmr.networks.kinds import PublishedConfig

    told: dict[str, Any] = {"family": "published", "kind": kind, "codes": {}, "reading": {}, "warnings": []}
    if isinstance(config, PublishedConfig):
        told |= _of_cinema(config, kind, (read or {}).get("data", {}))
    else:
        told |= {"task": f"Features for other stages: {type(config).__name__.removesuffix('Config')}.",
                 "trained_on": ["not stated"]}  # fmt: skip
    return told | {
        "summary": f"imported: {told['task'].rstrip('.').lower()}",
        "recipe": {key: (read or {})[key] for key in ("task", "seed", "train") if key in (read or {})},
        "scores": [],
        "limits": list(LIMITS),
        "licence": licence or f"not stated; that of its source holds ({called})",
    }


def _of_cinema(config: PublishedConfig, kind: str, data: Mapping[str, Any]) -> dict[str, Any]:
    told = _of_its_answers(config, kind, data)
    if len(config.views) > 1 or config.in_chans > 1:
        told.get("reading", {}).pop("answers", None)  # no command asks several views or sequences together
    return told


def _of_its_answers(config: PublishedConfig, kind: str, data: Mapping[str, Any]) -> dict[str, Any]:
    name = str(data.get("name") or _data_of(kind))
    trained = [DATA.get(name, name or "not stated")]
    if config.name in ("convunetr", "convvit"):
        trained.append(PRETRAINED_ON)
    found: dict[str, Any] = {"trained_on": [PRETRAINED_ON] if config.name == "mae" else trained}
    views = " and ".join(config.views)
    if config.name == "mae":
        return found | {"task": f"Pre-trained encoder of {views}, to fine-tune from."}
    view, where = config.views[0], data.get("sax" if config.views[0] == "sax" else "lax", {})
    patch = config.size(view)
    spacing = [float(s) for s in where.get("spacing", (1.0, 1.0, 10.0))][: len(patch)]
    reading: dict[str, Any] = {"view": view, "spacing": spacing, "patch": list(patch)}
    if name == "landmark" or "landmark" in kind:
        how = "heatmaps" if config.name in ("convunetr", "unet") else "coordinates"
        reading |= {"answers": how, "frames": config.n_frames}
        return found | {"task": f"Three landmarks of {views} as {how}.", "reading": reading}
    if config.name in ("convunetr", "unet"):
        return found | _labels(config, name, reading)
    return found | _numbers(config, kind, data, reading, views)


def _data_of(kind: str) -> str:
    return next((name for name in sorted(DATA, key=len, reverse=True) if f"_{name}" in kind), "")


def _labels(config: PublishedConfig, name: str, reading: dict[str, Any]) -> dict[str, Any]:
    view = reading["view"]
    codes = CODES.get(name, CODES["acdc"])
    if len(codes) != config.out_chans or config.channels != 1 or len(config.views) != 1:
        what = f"{config.out_chans} classes from {config.channels} channels of {' and '.join(config.views)}"
        return {"task": f"Labels in {what}, of which this package reads none.", "reading": reading}
    words = ", ".join(code.name for code in codes[1:])
    pieces = "largest" if view == "sax" else "nearest-rv"
    return {
        "task": f"Labels of {words} in {view}.",
        "codes": {int(code): code.name for code in codes},
        "reading": reading | {"codes": [int(code) for code in codes], "pieces": pieces},
    }


def _numbers(
    config: PublishedConfig, kind: str, data: Mapping[str, Any], reading: dict[str, Any], views: str
) -> dict[str, Any]:
    """Classes, or a number to be scaled back; unnamed where neither the configuration nor the kind names them."""
    from cinecmr.tasks.published_answers import COLUMNS

    frames = "ED and ES" if config.n_frames == 2 else "one frame"
    data = data or BY_KIND.get(kind, {})
    column = data.get("class_column")
    if column:
        classes = [str(one) for one in data[column]]
        return {
            "task": f"Probability of {', '.join(classes)} from {frames} of {views}.",
            "reading": reading | {"answers": "classes", "frames": config.n_frames, "classes": classes},
        }
    column = data.get("regression_column")
    if column:
        known = data.get(column, {})
        scale = {key: float(known[key]) for key in ("mean", "std") if key in known}
        if len(scale) == 2 and column in COLUMNS:  # else nobody knows what a z-score of 1 is
            reading |= {"answers": "number", "frames": config.n_frames}
        return {
            "task": f"{str(column).upper()} as one number from {frames} of {views}.",
            "reading": reading | {"column": str(column), **scale},
            "warnings": [OLD_EF] if column == "ef" else [],
        }
    return {"task": f"{config.out_chans} classes or numbers, unnamed, from {frames} of {views}.", "reading": reading}


def describe_run(settings: Mapping[str, Any], licence: str | None) -> dict[str, Any]:
    """Everything of a `models.Card` that follows from the settings of a run of `cinecmr finetune segmentation`."""
    codes = [S.BACKGROUND, *(S(code) for code in settings["structures"])]
    view, grid = str(settings["view"]), settings["grid"]
    axes = 3 if grid["size"][2] > 1 else 2
    task = f"Labels of {', '.join(code.name for code in codes[1:])} in {view}."
    return {
        "family": "taught",
        "network": dict(settings),
        "task": task,
        "summary": f"of an own run: {task.rstrip('.').lower()}",
        "codes": {int(code): code.name for code in codes},
        "reading": {"view": view, "spacing": grid["spacing"][:axes], "patch": grid["size"][:axes]},
        "recipe": {},
        "trained_on": ["the data of that run, which its folder names"],
        "scores": [],
        "limits": [LIMITS[0], "Its scores stand in the run's folder, not here."],
        "licence": licence or "that of its data and of the weights it started from",
    }
