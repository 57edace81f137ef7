"""The papers' tables, made again."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cinecmr.cli.shared import Device, app, say
from cinecmr.errors import RefusedInput

SCALES = ("smoke", "hour", "laptop", "gpu", "full")


@app.command()
def reproduce(
    name: Annotated[str, typer.Argument(metavar="[TABLE]", help="which table; none lists them")] = "",
    out: Annotated[Path, typer.Option("--out", "-o", help="folder for runs and tables", file_okay=False)] = Path("out"),
    scale: Annotated[
        str, typer.Option(help="smoke (seconds), hour (of one core), laptop, gpu, full (as published)")
    ] = ("laptop"),
    data: Annotated[
        list[str] | None, typer.Option(metavar="NAME=FOLDER", help="data you have; else synthetic hearts stand in")
    ] = None,
    preset: Annotated[str, typer.Option(help="published, official (what its code does) or sound (faults mended)")] = (
        "sound"
    ),
    updates: Annotated[int | None, typer.Option(min=1, help="of each fine-tuning; the scale's when absent")] = None,
    seeds: Annotated[int | None, typer.Option(min=1, help="trainings of one kind; the table's when absent")] = None,
    only_list: Annotated[bool, typer.Option("--list", help="only tell what would be trained, and its cost")] = False,
    results: Annotated[
        Path | None, typer.Option(help="folder of the table; --out when absent", file_okay=False)
    ] = None,
    subjects: Annotated[int | None, typer.Option(min=2, help="tested of each cohort, for tagged_prior tables")] = None,
    device: Device = "cpu",
    workers: Annotated[int, typer.Option(min=0, help="threads that make batches ahead of time")] = 0,
) -> None:
    """Make a paper's table again, ours beside the published figures.

    Tells what has to be trained and about how long it takes, trains, tests, and writes Markdown, CSV and JSON.
    Tables share their trainings; stopped and started again, it goes on where it was.
    """
    from cinecmr.experiments import cinema, tagged_prior

    if not name:
        for one in cinema.names():
            table = cinema.table(one)
            print(f"  {one:<12}{table.title} ({len(table.trainings)} trainings a seed)")
        for one, title in tagged_prior.titles().items():
            print(f"  {one:<30}{title}")
        return
    if name in tagged_prior.names():
        if data:
            raise RefusedInput("no-such-dataset", f"{name} is made of hearts whose motion is known; leave --data")
        from cinecmr.experiments.tagged_prior.study import reproduce as make_motion

        page = make_motion(name, scale, out, preset=preset, device=device, only_list=only_list, subjects=subjects,
                           results=results, say=say)  # fmt: skip
        if page is not None:
            print(page.read_text("utf-8"))
        return
    table = cinema.table(name)
    given = given_folders(data or [], cinema.GIVEN)
    if scale not in SCALES:
        raise RefusedInput("no-such-setting", f"no scale {scale!r}: there are {', '.join(SCALES)}")
    if preset not in ("sound", "published", "official"):
        raise RefusedInput("no-such-setting", f"no preset {preset!r}: there are sound, published, official")
    from cinecmr.experiments.cinema.bench import bench
    from cinecmr.experiments.run import reproduce as make

    of = bench(scale, out, given, preset, say, updates, seeds)
    page = make(table, of, out, device=device, workers=workers, only_list=only_list, results=results, say=say)
    if page is not None:
        print(page.read_text("utf-8"))


def given_folders(given: list[str], names: tuple[str, ...]) -> dict[str, Path]:
    """NAME=FOLDER as a dictionary.

    Raises:
        RefusedInput: another form (`no-such-setting`), no such data set (`no-such-dataset`), or no such folder
            (`no-such-path`).
    """
    found: dict[str, Path] = {}
    for word in given:
        name, equals, folder = word.partition("=")
        if not equals:
            raise RefusedInput("no-such-setting", f"--data takes NAME=FOLDER, such as acdc=/data/ACDC, got {word!r}")
        if name not in names:
            raise RefusedInput("no-such-dataset", f"--data knows {', '.join(names)}, not {name!r}")
        if not Path(folder).is_dir():
            raise RefusedInput("no-such-path", f"there is no folder {folder} for {name}; check the path")
        found[name] = Path(folder)
    return found
