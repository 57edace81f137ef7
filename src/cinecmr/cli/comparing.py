"""What pre-training is worth, on a user's own data."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cinecmr.cli.shared import Device, OutFolder, app, say
from cinecmr.errors import RefusedInput


def listed(text: str) -> tuple[str, ...]:
    """Words between commas."""
    return tuple(word.strip() for word in text.split(",") if word.strip())


@app.command()
def compare(
    data: Annotated[list[str], typer.Argument(metavar="DATA...", help="data sets, a folder of your own, or `phantom`")],
    out: OutFolder = Path("comparison"),
    init: Annotated[
        str, typer.Option(help="what trainings start from; nnunet is nnU-Net's way from scratch")
    ] = "scratch,simclr,pcl,dino,mim",
    labels: Annotated[str, typer.Option(help="numbers of labelled subjects, such as 5,10,20")] = "10",
    seeds: Annotated[int, typer.Option(min=1, help="of pre-training, training and choice of subjects")] = 3,
    budget: Annotated[str, typer.Option(help="time on the clock, such as 20min or 2h")] = "20min",
    protocol: Annotated[str, typer.Option(help="updates: as many for any number of labels; epochs: fewer")] = "updates",
    scale: Annotated[str, typer.Option(help="smoke, hour, laptop, gpu or full")] = "hour",
    preset: Annotated[str, typer.Option(help="sound, published, official or nnunet")] = "sound",
    table: Annotated[str | None, typer.Option(help="of the paper instead: t1, t2, t3, t4 or supplement_b")] = None,
    layout: Annotated[str | None, typer.Option(help="the data set DATA is; found out when absent")] = None,
    test_share: Annotated[float, typer.Option(min=0.05, max=0.9, help="of the people, to test on")] = 1 / 3,
    subjects: Annotated[int, typer.Option(min=4, help="synthetic ones, where DATA is `phantom`")] = 60,
    workers: Annotated[int, typer.Option(min=1, help="trainings at a time, a thread each")] = 2,
    device: Device = "cpu",
    results: Annotated[Path | None, typer.Option(help="folder of tables and figure; --out when absent")] = None,
    page: Annotated[Path | None, typer.Option(help="page that gets them between its marks", dir_okay=False)] = None,
    dry: Annotated[bool, typer.Option("--dry", help="only print what would be trained, and how long it takes")] = False,
) -> None:
    """Find out which pre-training helps with few labels.

    Writes a table with paired intervals, a figure of Dice against labelled subjects, and prints the answer in words.
    Stopped and started again, it goes on where it was.
    """
    from cinecmr.experiments.ssp import compare as question
    from cinecmr.experiments.ssp.plan import Plan

    try:
        counts = tuple(sorted({int(word) for word in listed(labels)}))
    except ValueError as error:
        raise RefusedInput("bad-number", f"--labels {labels!r} holds no whole numbers; give such as 5,10,20") from error
    plan = Plan(scale, preset, listed(init), counts, seeds, listed(protocol))
    request = question.Request(
        tuple(data), out, budget, layout, test_share, subjects, workers, device, dry, results, page
    )
    answer = question.reproduce(table, request, plan, say) if table else question.compare(request, plan, say)
    for line in answer:
        print(line)
