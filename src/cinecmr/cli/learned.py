"""Models: their cards, and how they are made again."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cinecmr.cli.shared import OutFolder, app, say
from cinecmr.errors import RefusedInput

models_app = typer.Typer(help="List the weights, or print a model card.", rich_markup_mode=None)
app.add_typer(models_app, name="models")


@models_app.callback(invoke_without_command=True)
def models_list(context: typer.Context) -> None:
    """List the weights that are there."""
    if context.invoked_subcommand is None:
        from cinecmr.analyze import models

        for name in models.names():
            print(f"  {name:<16}{models.card(name).summary}")


@models_app.command("card")
def models_card(name: str) -> None:
    """Print what a model learned from, what it can do and where it fails."""
    from cinecmr.analyze import models

    print(models.card(name).model_dump_json(indent=2))


@models_app.command("note")
def models_note(
    card: Annotated[Path, typer.Argument(help="the card's JSON file", exists=True, dir_okay=False)],
    result: Annotated[Path, typer.Argument(help="labels.json or evaluation.json", exists=True, dir_okay=False)],
    data: Annotated[str, typer.Option(help="what it was measured on, in words")],
    kind: Annotated[str, typer.Option(help="synthetic or real")],
) -> None:
    """Put the figures of an evaluation into a model's card."""
    from cinecmr.experiments import card_scores

    noted = card_scores.note(card, result, data, kind)
    print(f"{noted.name}: {len(noted.scores)} evaluations on its card")


@app.command()
def finetune(
    name: Annotated[str, typer.Argument(metavar="MODEL", help="sax-unet: the shipped short-axis model")],
    out: OutFolder,
    updates: Annotated[int | None, typer.Option(min=1, help="optimiser steps; the recipe's when absent")] = None,
    subjects: Annotated[int | None, typer.Option(min=25, help="synthetic subjects, in 25s")] = None,
    seed: Annotated[int, typer.Option(help="of weights, order and augmentation")] = 0,
    workers: Annotated[int, typer.Option(min=1, help="processes that make the synthetic stacks")] = 2,
) -> None:
    """Train a shipped model again, from synthetic hearts alone.

    Writes the stacks, log.jsonl, checkpoints, and at the end weights and card. Stopped and started again, it goes
    on where it was.
    """
    from dataclasses import replace

    from cinecmr.experiments import shipped

    if name != shipped.NAME:
        raise RefusedInput("no-such-model", f"no recipe for {name!r}: there is {shipped.NAME}")
    plan = shipped.Shipped(seed=seed)
    if subjects:
        plan = replace(plan, pool=replace(plan.pool, subjects=subjects))
    if updates:
        plan = replace(plan, schedule=replace(plan.schedule, updates=updates))
    print(f"card and weights: {shipped.train(out, plan, workers, say)}")
