"""Label maps for many NIfTI images, one model loaded once; a bad file is reported and the rest go on."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from cinecmr import __version__
from cinecmr.errors import RefusedInput
from cinecmr.io.files import write_text

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from cinecmr.analyze.pipeline import Segmenter

ENDINGS = (".nii.gz", ".nii")


def plan(images: Sequence[Path], out: Path) -> list[tuple[Path, Path]]:
    """Where the labels of each image go.

    Args:
        images: NIfTI files.
        out: a folder, or for one image a file that ends in .nii or .nii.gz.

    Returns:
        (image, labels) pairs.

    Raises:
        RefusedInput: a file would overwrite an image, or two images would write to the same file.
    """
    if out.name.endswith(ENDINGS) and not out.is_dir():
        if len(images) > 1:
            raise RefusedInput(
                "one-file-for-many", f"{out} is one file for {len(images)} images; give a folder to --out"
            )
        targets = [out]
    else:
        targets = [out / image.name for image in images]
    inputs = {image.resolve() for image in images}
    owners: dict[Path, Path] = {}
    for image, target in zip(images, targets, strict=True):
        if target.resolve() in inputs:
            raise RefusedInput("would-overwrite", f"the labels of {image} would overwrite an image; give another --out")
        if target in owners:
            raise RefusedInput("same-name", f"{owners[target]} and {image} have one name and would both write {target}")
        owners[target] = image
    return list(zip(images, targets, strict=True))


def segment_all(pairs: Sequence[tuple[Path, Path]], model: Segmenter, *, say: Callable[[str], None] = print) -> int:
    """Segment every image.

    Args:
        pairs: (image, labels), as `plan` gives.
        model: finds the structures.
        say: told one line a file.

    Returns:
        How many failed.
    """
    failed = 0
    for number, (image, target) in enumerate(pairs, 1):
        try:
            segment_one(image, target, model)
            say(f"[{number}/{len(pairs)}] {target}")
        except RefusedInput as refusal:
            failed += 1
            say(f"[{number}/{len(pairs)}] refused: {refusal.message}  [{refusal.code}]")
        except (OSError, ValueError) as error:
            failed += 1
            say(f"[{number}/{len(pairs)}] error: {image}: {error}")
    return failed


def segment_one(image: Path, target: Path, model: Segmenter) -> None:
    """Segment one image and write its labels on the same grid, 3-D for 3-D.

    Raises:
        RefusedInput: the image cannot be read as a short-axis stack.
    """
    from cinecmr.io import nifti
    from cinecmr.io.label_files import write_labels_like

    labels = model.segment(nifti.read_image(image))
    write_labels_like(target, labels, image)


def note_model(out: Path, model: Segmenter) -> None:
    """Write into a folder of label maps which model made them: provenance.json, which `evaluate labels` repeats.

    Args:
        out: as given to `plan`; beside a single file nothing is written.
        model: that found the structures.
    """
    if out.is_dir():
        told = {"model": model.source, "weights_sha256": getattr(model, "sha256", None), "cinecmr": __version__}
        write_text(out / "provenance.json", json.dumps(told, indent=1) + "\n")
