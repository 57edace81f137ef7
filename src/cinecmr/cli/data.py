"""Data sets: what is where, what is wrong with it, and synthetic subjects in its layout."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cinecmr.cli.shared import DONE_WITH_FLAGS, OutFolder, app, progress

datasets_app = typer.Typer(help="Public data and your own: list, check, write synthetic.", rich_markup_mode=None)
app.add_typer(datasets_app, name="datasets")


@datasets_app.callback(invoke_without_command=True)
def datasets_list(
    context: typer.Context,
    under: Annotated[Path | None, typer.Option(help="look in this folder for those that are there")] = None,
) -> None:
    """List the data sets that can be read: licence, how to obtain them, where they were found."""
    if context.invoked_subcommand is None:
        from cinecmr.datasets import run

        print("\n".join(run.catalogue(under)))


@datasets_app.command("check")
def datasets_check(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="as it was unpacked")],
    name: Annotated[str | None, typer.Option(help="what it should be; found out when absent")] = None,
) -> None:
    """Say what is wrong with a data set, by file."""
    from cinecmr.datasets import run

    found, visits, problems = run.check(folder, name, progress("reading visits"))
    print("\n".join([*map(str, problems), f"{found}: {visits} visits, {len(problems)} problems"]))
    if problems:
        raise SystemExit(DONE_WITH_FLAGS)


@datasets_app.command("write")
def datasets_write(
    name: Annotated[str, typer.Argument(metavar="NAME", help="`cinecmr datasets` lists them")],
    out: OutFolder,
    subjects: Annotated[int, typer.Option(min=1)] = 5,
    seed: Annotated[int, typer.Option(help="of the first; subject n has seed + n")] = 0,
    frames: Annotated[int, typer.Option(min=8, max=100)] = 25,
    matrix: Annotated[int | None, typer.Option(min=32, max=512, help="pixels a side; else the scanner's")] = None,
    workers: Annotated[int, typer.Option(min=1, help="processes; the files do not depend on it")] = 1,
) -> None:
    """Write synthetic hearts in the layout of a data set; a stopped run goes on when started again."""
    from cinecmr.datasets import run

    hearts = progress("making hearts")
    made = run.write(name, out, subjects, seed, frames=frames, matrix=matrix, workers=workers, progress=hearts)
    print("\n".join([*run.tree(out), f"{len(made)} visits in {out}: {', '.join(made[:5])}{', ...' * (len(made) > 5)}"]))


@app.command()
def deidentify(
    source: Annotated[Path, typer.Argument(metavar="SOURCE", help="DICOM folder, file or .zip")],
    out: OutFolder,
    private: Annotated[Path | None, typer.Option(help="for key and names [OUT-private]", file_okay=False)] = None,
    characteristics: Annotated[bool, typer.Option(help="keep sex, age, height and weight")] = False,
) -> None:
    """Write copies of DICOM files without what tells who was imaged (PS3.15, basic profile).

    Pictures that may show writing are not copied but listed in --private, which must not be passed on. No program
    can tell that the others show none: look at them first.
    """
    from cinecmr.io import deidentify as sharing
    from cinecmr.io.naming import private_folder

    apart = private_folder(out, private)
    found = sharing.share(source, out, apart, characteristics=characteristics, progress=progress("writing"))
    print(f"{found.written} files of {len(found.subjects)} people in {out}; {found.passed_over} were no DICOM")
    for reason, count in found.quarantined.most_common():
        print(f"  held back, {count}: {reason}")
    print(f"key, names and held back files: {apart}  (keep it to yourself; look at the pictures before you share them)")
    if found.quarantined:
        raise SystemExit(DONE_WITH_FLAGS)


@app.command()
def licences(
    extra: Annotated[list[str] | None, typer.Option(help="of the package, such as cluster, repeatable")] = None,
    sbom: Annotated[Path | None, typer.Option(help="also write them as CycloneDX to this .json file")] = None,
) -> None:
    """List what the package is made of: every package it needs, with version and licence."""
    from cinecmr import bill
    from cinecmr.io.files import write_text

    found = bill.parts(tuple(extra or ()))
    print("\n".join(bill.lines(found)))
    if sbom is not None:
        write_text(sbom, bill.cyclonedx(found))
