"""Learning: without labels, and again from a shipped recipe."""

from __future__ import annotations

from typing import Annotated

import typer

from cinecmr.cli.shared import Device, OutFolder, app, say

pretrain_app = typer.Typer(help="Learn from images without labels.", rich_markup_mode=None, no_args_is_help=True)
app.add_typer(pretrain_app, name="pretrain")

Seed = Annotated[int, typer.Option(help="of weights, order and augmentation")]
Set = Annotated[list[str] | None, typer.Option("--set", help="a setting, name=value, such as optimiser.rate=1e-3")]
Scale = Annotated[str, typer.Option(help="smoke (seconds), laptop, gpu (minutes on one), full (as published)")]
Preset = Annotated[str, typer.Option(help="published, official (what its code does) or sound (faults mended)")]
Threads = Annotated[int, typer.Option(min=0, help="threads that make batches ahead of time")]


@pretrain_app.command("mae")
def pretrain_mae(
    data: Annotated[str, typer.Argument(metavar="DATA", help="folder of a data set, or `phantom`: synthetic hearts")],
    out: OutFolder,
    scale: Scale = "laptop",
    preset: Preset = "sound",
    given: Set = None,
    layout: Annotated[str | None, typer.Option(help="which data set DATA is, where that is not clear")] = None,
    subjects: Annotated[int, typer.Option(min=1, help="synthetic hearts, for `phantom`")] = 20,
    seed: Seed = 0,
    device: Device = "cpu",
    workers: Threads = 0,
    tensorboard: Annotated[bool, typer.Option("--tensorboard", help="also write what TensorBoard shows")] = False,
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
