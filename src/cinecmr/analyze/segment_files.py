"""Label maps for many NIfTI images, one model loaded once; a bad file is reported and the rest go on.

Data sets often keep end-diastole and end-systole of one heart in two files. A model that sees both knows which is
which, and where a ventricle ends in one from where it ended in the other; so such files are read as one image.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from cinecmr import __version__
from cinecmr.errors import RefusedInput
from cinecmr.io import nifti, nifti_study
from cinecmr.io.files import write_text
from cinecmr.io.label_files import write_labels_like

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

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


def beats(pairs: Sequence[tuple[Path, Path]]) -> list[list[tuple[Path, Path]]]:
    """Put the two phases of one heart together: files of one folder, named alike but for `_ED` and `_ES`.

    Args:
        pairs: (image, labels), as `plan` gives.

    Returns:
        Every pair once, one or two in a group, end-diastole first; groups in the order of their first image.
    """
    groups: dict[tuple[Path, str], list[tuple[Path, Path]]] = {}
    for pair in pairs:
        heart, phase = nifti_study.heart_and_phase(pair[0])
        groups.setdefault((pair[0].parent, heart if phase else pair[0].name), []).append(pair)
    result = []
    for group in groups.values():
        named = {nifti_study.heart_and_phase(pair[0])[1]: pair for pair in group}
        whole = len(group) == len(named) == 2
        result += [[named["ED"], named["ES"]]] if whole else [[pair] for pair in group]
    return result


def segment_all(
    pairs: Sequence[tuple[Path, Path]], model: Segmenter, *, apart: bool = False, say: Callable[[str], None] = print
) -> int:
    """Segment every image.

    Args:
        pairs: (image, labels), as `plan` gives.
        model: finds the structures.
        apart: every file by itself, end-diastole and end-systole of one heart too.
        say: told one line a file.

    Returns:
        How many failed.
    """
    done = failed = 0
    for group in [[pair] for pair in pairs] if apart else beats(pairs):
        together = _together([image for image, _ in group], model)
        for frame, (image, target) in enumerate(group):
            done += 1
            try:
                if together is None:
                    segment_one(image, target, model)
                else:
                    write_labels_like(target, together[..., frame : frame + 1], image)
                say(f"[{done}/{len(pairs)}] {target}{'' if together is None else ', read with its other phase'}")
            except RefusedInput as refusal:
                failed += 1
                say(f"[{done}/{len(pairs)}] refused: {refusal.message}  [{refusal.code}]")
            except (OSError, ValueError) as error:
                failed += 1
                say(f"[{done}/{len(pairs)}] error: {image}: {error}")
    return failed


def segment_one(image: Path, target: Path, model: Segmenter) -> None:
    """Segment one image and write its labels on the same grid, 3-D for 3-D.

    Raises:
        RefusedInput: the image cannot be read as a short-axis stack.
    """
    write_labels_like(target, model.segment(nifti.read_image(image)), image)


def _together(files: Sequence[Path], model: Segmenter) -> NDArray[np.uint8] | None:
    """Labels (x, y, z, files) of several files read as one image.

    None where they are no single frames of one grid, or one cannot be read: then each is read by itself, and the bad
    one reported.
    """
    if len(files) < 2:
        return None
    try:
        image = nifti_study.read_two_frames(*files)[0]
        return model.segment(image)
    except (RefusedInput, OSError, ValueError):
        return None


def note_model(out: Path, model: Segmenter) -> None:
    """Write into a folder of label maps which model made them: provenance.json, which `evaluate labels` repeats.

    Args:
        out: as given to `plan`; beside a single file nothing is written.
        model: that found the structures.
    """
    if out.is_dir():
        told = {"model": model.source, "weights_sha256": getattr(model, "sha256", None), "cinecmr": __version__}
        write_text(out / "provenance.json", json.dumps(told, indent=1) + "\n")
