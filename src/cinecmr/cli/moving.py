"""Motion and strain."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cinecmr.cli.shared import (
    DEFAULT_MODEL,
    DONE_WITH_FLAGS,
    Device,
    Kind,
    ModelName,
    OutFolder,
    RRms,
    Sax,
    app,
    progress,
    say,
)


@app.command()
def motion(
    study: Annotated[str, typer.Argument(metavar="STUDY", help="DICOM or NIfTI, or `phantom`: a synthetic heart")],
    out: OutFolder,
    preset: Annotated[str, typer.Option(help="sound, or published: the network of the paper, minutes")] = "sound",
    prior: Annotated[
        str | None, typer.Option(metavar="NAME|FILE|none", help="a shipped prior or a file of motion-prior; none")
    ] = None,
    ed: Annotated[int | None, typer.Option(help="end-diastolic frame, counted from 0")] = None,
    labels: Annotated[Path | None, typer.Option(help="use these labels (NIfTI) in place of the model's")] = None,
    models: ModelName = DEFAULT_MODEL,
    sax: Sax = None,
    rr_ms: RRms = None,
    seed: Annotated[int, typer.Option(help="of the phantom")] = 1,
    disease: Kind = None,
    device: Device = "cpu",
) -> None:
    """Follow the left ventricle over the beat and tell its strain.

    Writes motion.json, strain.csv, strain.svg and field.safetensors to --out.
    """
    from cinecmr.analyze import motion as moving
    from cinecmr.analyze import motion_prior as priors
    from cinecmr.analyze import run

    start = priors.named(prior)
    read, _ = run.take(study, sax=sax, rr_ms=rr_ms, phantom=(seed, disease), progress=progress("making a heart"))
    found = moving.tracked_by(read, run.segmenter(models, device, labels), ed, preset, start, progress)
    written = moving.write(out, found)
    print(moving.told(found))
    for flag in found.flags:
        say(f"{flag.severity.value}: {flag.message}  [{flag.code}]")
    say("wrote " + ", ".join(path.name for path in written) + f" to {out}")
    if moving.flagged(found):
        raise SystemExit(DONE_WITH_FLAGS)


@app.command("motion-prior")
def motion_prior(
    cohort: Annotated[str, typer.Argument(metavar="COHORT", help="folder of studies, or `phantom`")],
    out: Annotated[Path, typer.Option("--out", "-o", help="the prior's file, .safetensors", dir_okay=False)],
    preset: Annotated[
        str, typer.Option(help="whose fits it starts: sound, or published (minutes a subject)")
    ] = "sound",
    method: Annotated[str, typer.Option(help="mean (clipped, as published), robust, or meta (two rounds)")] = "robust",
    subjects: Annotated[int, typer.Option(min=1, help="synthetic subjects, for `phantom`")] = 20,
    seed: Annotated[int, typer.Option(help="of the first synthetic subject")] = 700_000,
    models: ModelName = DEFAULT_MODEL,
    device: Device = "cpu",
) -> None:
    """Learn from the motion of many hearts where the next one's begins.

    Every subject is kept in a folder beside --out: stopped and started again, it goes on where it was.
    """
    from cinecmr.analyze import motion_prior as priors
    from cinecmr.analyze import run

    found = priors.build(
        cohort,
        out,
        preset=preset,
        method=method,
        subjects=subjects,
        seed=seed,
        segmenter=lambda: run.segmenter(models, device),
        say=say,
    )
    print(f"{out}: prior of {found.subjects} subjects ({found.method}), its card beside it")
