"""Learning: without labels, and again from a shipped recipe."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cinecmr.anatomy import View
from cinecmr.cli.shared import Device, OutFolder, app, say

finetune_app = typer.Typer(help="Learn from labels.", rich_markup_mode=None, no_args_is_help=True)
app.add_typer(finetune_app, name="finetune")
pretrain_app = typer.Typer(help="Learn from images without labels.", rich_markup_mode=None, no_args_is_help=True)
app.add_typer(pretrain_app, name="pretrain")

Seed = Annotated[int, typer.Option(help="of weights, order and augmentation")]
Set = Annotated[list[str] | None, typer.Option("--set", help="a setting, name=value, such as optimiser.rate=1e-3")]
Scale = Annotated[str, typer.Option(help="smoke (seconds), laptop, gpu (minutes on one), full (as published)")]
Preset = Annotated[str, typer.Option(help="published, official (what its code does) or sound (faults mended)")]
Data = Annotated[str, typer.Argument(metavar="DATA", help="folder of a data set, or `phantom`")]
Layout = Annotated[str | None, typer.Option(help="which data set DATA is, where that is not clear")]
Synthetic = Annotated[int, typer.Option(min=1, help="synthetic hearts, for `phantom`")]
Threads = Annotated[int, typer.Option(min=0, help="threads that make batches ahead of time")]
Watched = Annotated[bool, typer.Option("--tensorboard", help="also write what TensorBoard shows")]


@pretrain_app.command("mae")
def pretrain_mae(
    data: Data,
    out: OutFolder,
    scale: Scale = "laptop",
    preset: Preset = "sound",
    given: Set = None,
    layout: Layout = None,
    subjects: Synthetic = 20,
    seed: Seed = 0,
    device: Device = "cpu",
    workers: Threads = 0,
    tensorboard: Watched = False,
) -> None:
    """Pre-train a masked autoencoder on any of short axis, 2C, 3C, 4C.

    Writes a folder of the run's name with weights, log and reconstruction pictures. Stopped and started again, it
    goes on where it was. On several devices: `torchrun --nproc-per-node N -m cinecmr.cli pretrain mae ...`.
    """
    from cinecmr.pretrain import run

    cases = run.cases_of(data, layout, subjects)
    weights = run.pretrain(
        cases, out, scale, preset, given or (), seed=seed, device=device, workers=workers, watch=tensorboard, say=say
    )
    print(f"weights: {weights}")


@finetune_app.command("sax-unet")
def finetune_shipped(
    out: OutFolder,
    updates: Annotated[int | None, typer.Option(min=1, help="optimiser steps; the recipe's when absent")] = None,
    subjects: Annotated[int | None, typer.Option(min=25, help="synthetic subjects, in 25s")] = None,
    seed: Seed = 0,
    workers: Annotated[int, typer.Option(min=1, help="processes that make the synthetic stacks")] = 2,
) -> None:
    """Train the shipped short-axis model again, from synthetic hearts alone.

    Writes the stacks, log.jsonl, checkpoints, and at the end weights and card. Stopped and started again, it goes
    on where it was.
    """
    from dataclasses import replace

    from cinecmr.experiments import shipped

    plan = shipped.Shipped(seed=seed)
    if subjects:
        plan = replace(plan, pool=replace(plan.pool, subjects=subjects))
    if updates:
        plan = replace(plan, schedule=replace(plan.schedule, updates=updates))
    print(f"card and weights: {shipped.train(out, plan, workers, say)}")


@finetune_app.command("lax-unet")
def finetune_long_axis(
    out: OutFolder,
    updates: Annotated[int | None, typer.Option(min=1, help="optimiser steps; the recipe's when absent")] = None,
    subjects: Annotated[int | None, typer.Option(min=10, help="synthetic subjects, in 10s")] = None,
    start: Annotated[Path | None, typer.Option(help="weights of an earlier such training to go on from")] = None,
    seed: Seed = 0,
    workers: Annotated[int, typer.Option(min=1, help="processes that make the synthetic frames")] = 2,
) -> None:
    """Train the shipped long-axis model again, from synthetic hearts alone.

    Labels of ventricles and atria, hinges of the valves and the apex, in 2C, 3C and 4C views. Writes the frames,
    log.jsonl, checkpoints, and at the end weights and card. Stopped and started again, it goes on where it was.
    """
    from dataclasses import replace

    from cinecmr.experiments import shipped_long_axis as shipped
    from cinecmr.learn.recipe import Weights

    plan = shipped.ShippedLongAxis(seed=seed)
    if subjects:
        plan = replace(plan, pool=replace(plan.pool, subjects=subjects))
    if updates:
        plan = replace(plan, schedule=replace(plan.schedule, updates=updates))
    if start:
        plan = replace(plan, start=Weights.of(start))
    print(f"card and weights: {shipped.train(out, plan, workers, say)}")


def _teaches(task: str, what: str) -> None:
    """Add the command that learns a task."""

    def command(
        data: Data,
        out: OutFolder,
        start: Annotated[Path | None, typer.Option(help="weights to start from", exists=True, dir_okay=False)] = None,
        labelled: Annotated[int, typer.Option(min=0, help="learn from so many people only; 0 for all")] = 0,
        network: Annotated[str | None, typer.Option(help="convunetr or unet; convvit or resnet for numbers")] = None,
        view: Annotated[View | None, typer.Option(case_sensitive=False, help="that is read; the task's own")] = None,
        scale: Scale = "laptop",
        given: Set = None,
        layout: Layout = None,
        subjects: Synthetic = 20,
        seed: Seed = 0,
        device: Device = "cpu",
        workers: Threads = 0,
        tensorboard: Watched = False,
    ) -> None:
        from cinecmr.pretrain.run import cases_of
        from cinecmr.tasks import teaching

        of = teaching.lesson(task, scale, network, start is not None, view)
        weights = teaching.teach(
            task, cases_of(data, layout, subjects), out, of, given=given or (), start=start, labelled=labelled,
            seed=seed, device=device, workers=workers, watch=tensorboard, say=say,
        )  # fmt: skip
        print(f"weights: {weights}")

    command.__doc__ = f"""{what}

    Splits the people once (splits.json), learns from one part, stops by another, and tests on the third: scores.csv
    with a row a visit, summary.json with intervals, worst tenth and failures. Stopped and started again, it goes on
    where it was."""
    finetune_app.command(task)(command)


_teaches("segmentation", "Learn label maps.")
_teaches("classification", "Learn a class: disease, or with --set settings.target=sex another.")
_teaches("regression", "Learn a number straight from the pictures, such as ejection fraction.")
_teaches("landmarks", "Learn hinge points and apex of a long-axis view: heatmaps, or coordinates with a convvit.")
