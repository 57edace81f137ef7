"""Models: their cards, and how they are made again."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cinecmr.cli.shared import ModelsDir, app, say

models_app = typer.Typer(help="List the weights, or print a model card.", rich_markup_mode=None)
app.add_typer(models_app, name="models")


@models_app.callback(invoke_without_command=True)
def models_list(context: typer.Context, models_dir: ModelsDir = None) -> None:
    """List the weights that are there, shipped and imported."""
    if context.invoked_subcommand is None:
        from cinecmr.analyze import models

        for name in models.names(models_dir):
            print(f"  {name:<16} {models.card(name, models_dir).summary}")


@models_app.command("card")
def models_card(name: str, models_dir: ModelsDir = None) -> None:
    """Print what a model learned from, what it can do and where it fails."""
    from cinecmr.analyze import models

    print(models.card(name, models_dir).model_dump_json(indent=2))


@models_app.command("import")
def models_import(
    source: Annotated[str, typer.Argument(metavar="PATH_OR_HUB_NAME", help="file, folder, or OWNER/NAME on the hub")],
    file: Annotated[str | None, typer.Option(help="which weights of it, such as segmentation/acdc_sax/0")] = None,
    name: Annotated[str | None, typer.Option(help="what to call the model; else after its file")] = None,
    kind: Annotated[str | None, typer.Option(help="of network, where no config.yaml is beside the weights")] = None,
    config: Annotated[Path | None, typer.Option(help="the published configuration", dir_okay=False)] = None,
    sha256: Annotated[str | None, typer.Option(help="what the file's checksum must be")] = None,
    licence: Annotated[str | None, typer.Option(help="of the weights, for the card")] = None,
    download: Annotated[bool, typer.Option("--download", help="let the hub be asked over the network")] = False,
    replace: Annotated[bool, typer.Option("--replace", help="a model imported before under this name")] = False,
    models_dir: ModelsDir = None,
) -> None:
    """Register published weights.

    Names, shapes and checksum are checked; weights and card are kept in the folder of imported models, where
    `--models NAME` of other commands finds them.
    """
    from cinecmr.analyze import importing

    request = importing.Request(source, file, config, kind, name, sha256, licence, download, replace)
    card = importing.bring(request, models_dir, say)
    print(f"{card.name}: {card.task} {card.parameters:,} numbers, SHA-256 {card.sha256[:12]}...")
    for warning in card.warnings:
        say(f"warning: {warning}")


@models_app.command("networks")
def models_networks(
    fill: Annotated[list[str] | None, typer.Option(help="a kind (or all) to run filled, at full size")] = None,
    rule: Annotated[str, typer.Option(help="of the weights, A or B")] = "B",
    out: Annotated[Path | None, typer.Option("--out", "-o", help="also write the table here", dir_okay=False)] = None,
) -> None:
    """Print the published networks with their sizes beside the published ones.

    With --fill, print instead what networks answer at full size whose weights are numbers made from their names:
    mean, standard deviation and first values, for comparison with any other implementation.
    """
    from cinecmr.experiments import published_networks

    print(published_networks.run(fill or (), rule, out, say), end="")


@models_app.command("calibrate")
def models_calibrate(
    name: Annotated[str, typer.Argument(help="of the model")],
    evaluations: Annotated[list[Path], typer.Argument(metavar="EVALUATION ...", help="of `cinecmr evaluate phantom`")],
    check: Annotated[list[Path] | None, typer.Option(help="evaluation of other hearts: coverage; repeatable")] = None,
    models_dir: ModelsDir = None,
) -> None:
    """Learn how sure a model's numbers are.

    From numbers measured and true, 90 % intervals of volumes, mass and ejection fractions; prints how often they hold
    the truth, and keeps them beside the weights, where `cinecmr analyze` finds them.
    """
    from cinecmr.analyze import models, sureness

    weights = models.weights_path(name, models_dir)
    sha256 = models.card(name, models_dir).sha256
    for line in sureness.calibrate(evaluations, check or [], name, sha256, models.sureness_path(weights)):
        print(line)


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
