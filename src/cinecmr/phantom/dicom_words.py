"""What each fault of a DICOM file set is, in a line: the list that `cinecmr phantom --fault list` prints."""

from __future__ import annotations

VENDOR = "how DICOM is written: siemens, siemens-xa, ge, philips, philips-enhanced or legacy-converted; else drawn"
FAULT = "what goes wrong with the DICOM files, repeatable; `--fault list` names them all"
WORDS: dict[str, str] = {
    # slices and stacks
    "missing-slice": "the middle slice is lost",
    "missing-neighbours": "two neighbouring slices are lost",
    "three-slices": "only three slices are left",
    "no-sax": "the short axis is lost",
    "repeated-slice": "the middle slice was acquired again, the first try is dark",
    "repeated-within-series": "the same, both tries in one series",
    "repeated-stack": "the whole stack was acquired again, a tenth brighter",
    "shifted-stack": "the whole stack was acquired again 3 mm further along, one slice short",
    "half-way-slice": "one more slice half-way between two others",
    "mixed-matrix": "the last slice has rows and columns exchanged and a border",
    "apex-first": "names, series and instances run from apex to base",
    "tilted-slice": "the middle slice is tilted by 8 degrees",
    "badly-tilted-slice": "the middle slice is tilted by 20 degrees",
    # frames and times
    "single-frame": "one frame of one slice is left",
    "five-frames": "five frames a slice are left",
    "missing-phase": "one frame of one slice is lost",
    "fewer-frames": "one slice has four fifths of the frames, over the same beat",
    "fewer-long-axis-frames": "the two-chamber cine has half the frames",
    "prospective": "the last 14 % of the beat were not acquired",
    "slow-beat": "one slice was acquired at a beat 30 % longer",
    "irregular-beat": "every slice was acquired at a beat of its own length, as in atrial fibrillation",
    "real-time": "real-time imaging over two beats",
    "no-trigger-time": "no TriggerTime",
    "zero-trigger-time": "TriggerTime is 0 everywhere",
    "tied-trigger-time": "two frames have one TriggerTime",
    "trigger-is-dynamic": "TriggerTime counts dynamics, one a second",
    "reversed-in-time": "instances and names run against time",
    "shuffled": "instances and names in no order",
    "no-clock": "no acquisition, content or series time",
    "no-rr": "neither NominalInterval nor HeartRate",
    # what the header says
    "wrong-spacing-tag": "SpacingBetweenSlices says 5 mm",
    "wrong-thickness": "SliceThickness says 3 mm",
    "no-descriptions": "series have no descriptions",
    "foreign-descriptions": "descriptions in another script",
    "trap-descriptions": "descriptions sound like a localiser, a map and a navigator",
    "no-series-uid": "no SeriesInstanceUID",
    "no-series-identity": "neither UID nor number nor description of a series",
    "spacing-in-groups": "pixel spacing only in a functional group",
    "imager-spacing-only": "pixel spacing only as of a detector",
    "skew-small": "image axes a little off perpendicular",
    "skew-large": "image axes far off perpendicular",
    "no-facts": "neither sex nor height nor weight",
    "zero-weight": "weight 0",
    "height-in-cm": "height in centimetres",
    "said-to-be-lossy": "the pixels are said to have been compressed with loss",
    # pixels
    "inverted": "black is the largest value (MONOCHROME1)",
    "signed-with-slope": "12 signed bits with slope and intercept",
    "overlay-in-pixels": "an old overlay in a bit above the picture",
    "empty-slice": "one slice is all zero",
    "shifted-slice": "the anatomy of the middle slice lies three pixels off",
    "metal-artefact": "a void with a bright rim in the middle slice",
    "banding": "dark bands across the middle slice",
    "dark-slice": "the middle slice is five times darker",
    "video-coded": "the short axis claims a video coding",
    # objects and files
    "stored-twice": "every series as classic files and as enhanced objects",
    "mixed-objects": "the short axis enhanced, the long axes classic",
    "scrambled-export": "one classic series, numbered in no order, one clock for all",
    "mosaic": "all slices of a moment tiled into one picture",
    "mosaic-private": "the same, told by a private entry only",
    "dimension-order-swapped": "enhanced: time before slice",
    "dimension-order-contradicts": "enhanced: index values in another order than stated",
    "no-dimension-values": "enhanced: no dimension indices",
    "shared-place": "enhanced: the position stands in the shared group only",
    "no-frame-place": "enhanced: no frame says where it lies",
    "frame-groups-lost": "enhanced: the last frame has no group",
    "bare-names": "files without endings, with odd ones, in deep folders",
    "duplicates": "a tenth of the files twice",
    "conflicting-files": "one identifier, two pictures",
    "one-truncated": "one file is cut off",
    "all-truncated": "every file is cut off",
    # strangers in the folder
    "other-series": "localiser, late enhancement, maps, perfusion, flow, tagging, derived series, screenshot",
    "outflow": "planes through the outflow tract and the aortic valve",
    "second-4ch": "another plane called 4CH",
    "second-patient": "files of somebody else",
    "second-study": "files of another day",
}


def listed(asked: list[str] | None) -> list[str] | None:
    """Print the list and end where "list" stands among the faults asked for; a callback of the command line."""
    if "list" not in (asked or ()):
        return asked
    import typer

    typer.echo("\n".join(lines()))
    raise typer.Exit


def lines() -> list[str]:
    """One line a fault."""
    width = max(map(len, WORDS))
    return [f"  {name:<{width}}  {said}" for name, said in WORDS.items()]
