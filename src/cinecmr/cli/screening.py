"""Screening without contrast: ask a model, train one, make the paper's tables."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cinecmr.cli.found import evaluate_app
from cinecmr.cli.shared import DONE_WITH_FLAGS, Device, Kind, OutFolder, RRms, Sax, app, progress, say
from cinecmr.cli.training import finetune_app

Scale = Annotated[str, typer.Option(help="smoke, laptop, gpu or full")]
Subjects = Annotated[int | None, typer.Option(min=10, help="synthetic ones; the scale's when absent")]
Workers = Annotated[int, typer.Option(min=1, help="processes")]


@app.command()
def screen(
    study: Annotated[str, typer.Argument(metavar="STUDY", help="DICOM or NIfTI, or `phantom`: a synthetic heart")],
    models: Annotated[Path, typer.Option("--models", help="folder that `finetune screening` wrote; none is shipped")],
    sax: Sax = None,
    rr_ms: RRms = None,
    seed: Annotated[int, typer.Option(help="of the phantom")] = 1,
    disease: Kind = None,
) -> None:
    """Ask a screening model about a study: four-chamber and short-axis cine, no contrast agent.

    Prints probabilities, the side of the threshold, and how the model did there on subjects it never saw. Research
    triage, not a diagnosis.
    """
    from cinecmr.analyze import run
    from cinecmr.study import Severity
    from cinecmr.tasks import screening_model

    model = screening_model.load(models)
    read, _ = run.take(study, sax=sax, rr_ms=rr_ms, phantom=(seed, disease), progress=progress("making the heart"))
    answer = model.ask(read)
    print("\n".join([read.subject, *screening_model.lines(model, answer)]))
    if any(flag.severity is not Severity.NOTE for flag in answer.found.flags):
        raise SystemExit(DONE_WITH_FLAGS)


@finetune_app.command("screening")
def finetune_screening(
    data: Annotated[str, typer.Argument(metavar="DATA", help="folder with subjects.csv and images, or `phantom`")],
    out: OutFolder,
    scale: Scale = "laptop",
    subjects: Subjects = None,
    row: Annotated[
        str, typer.Option(help="way of training, a row of the tables: cc-cmr, fusion, cinema, ...")
    ] = "cc-cmr",
    start: Annotated[
        Path | None,
        typer.Option(help="weights of the encoders, safetensors; else they first learn to measure synthetic hearts"),
    ] = None,
    seed: Annotated[int, typer.Option(help="of weights, order and augmentation")] = 0,
    workers: Workers = 1,
    device: Device = "cpu",
) -> None:
    """Learn to screen: late enhancement serves training alone.

    Three fifths of the subjects are learned from, one sets the threshold, one is asked at the end. Stopped and started
    again, it goes on where it was.
    """
    from cinecmr.experiments.cc_cmr import own

    card = own.finetune(
        data, out, scale, subjects=subjects, row=row, start=start, seed=seed, workers=workers, device=device, say=say
    )
    print(f"card and weights: {card}")


@evaluate_app.command("screening")
def evaluate_screening(
    out: OutFolder,
    table: Annotated[str, typer.Option(help="t1, t2 (with the controls) or subtypes")] = "t2",
    scale: Scale = "laptop",
    rows: Annotated[list[str] | None, typer.Option("--row", help="other rows than the table's, repeatable")] = None,
    subjects: Subjects = None,
    seeds: Annotated[int | None, typer.Option(min=1, help="trainings of each fold; the scale's when absent")] = None,
    workers: Workers = 1,
    device: Device = "cpu",
    page: Annotated[
        Path | None, typer.Option(help="page that gets the figures between its marks", dir_okay=False)
    ] = None,
) -> None:
    """Make a table of screening on synthetic subjects with known scar.

    Every subject is asked by a network that never saw it. The cost is printed first; stopped and started again, it
    goes on where it was.
    """
    from cinecmr.experiments.cc_cmr import tables

    made = tables.run(
        out, table, scale, rows=rows or (), subjects=subjects, seeds=seeds, workers=workers, device=device, page=page,
        say=say,
    )  # fmt: skip
    print("\n".join(made))
