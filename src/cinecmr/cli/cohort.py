"""Many studies: run, look how far it is, tables, oddities, and what changed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from cinecmr.cli.shared import (
    DEFAULT_MODEL,
    ERROR,
    Device,
    LongAxis,
    ModelsDir,
    OutFolder,
    Precision,
    RRms,
    Sax,
    app,
    progress,
    say,
)

cohort_app = typer.Typer(help="Measure many studies.", rich_markup_mode=None, no_args_is_help=True)
app.add_typer(cohort_app, name="cohort")

Cohort = Annotated[Path, typer.Argument(metavar="DIR", help="folder of a cohort", exists=True, file_okay=False)]
Private = Annotated[Path | None, typer.Option(help="folder of key and names [DIR-private]", file_okay=False)]


@cohort_app.command("run")
def cohort_run(
    studies: Annotated[Path, typer.Argument(metavar="STUDIES", help="folder of studies, or a list (.txt, .csv)")],
    out: OutFolder,
    workers: Annotated[int | None, typer.Option(min=1, help="processes; one a core or GPU when absent")] = None,
    scheduler: Annotated[str | None, typer.Option(help="address of a Dask scheduler that is there")] = None,
    slurm: Annotated[Literal["array", "jobqueue"] | None, typer.Option(help="submit to Slurm")] = None,
    slurm_option: Annotated[list[str] | None, typer.Option(help="of its jobs, such as --time=8:00:00")] = None,
    chunk: Annotated[int, typer.Option(min=1, help="studies a job of a Slurm array")] = 200,
    part: Annotated[str | None, typer.Option(help="such as 3/250: the fourth of 250 parts")] = None,
    only_refused: Annotated[str | None, typer.Option(help="again those refused for this cause alone")] = None,
    keep: Annotated[Literal["row", "findings", "report"], typer.Option(help="what is kept of a study")] = "findings",
    time_limit: Annotated[float, typer.Option(min=1, help="of a study, s")] = 900.0,
    memory_limit: Annotated[float, typer.Option(min=200, help="of a study, MB")] = 4096.0,
    threads: Annotated[int, typer.Option(min=1, help="of a study")] = 1,
    private: Private = None,
    models: Annotated[str, typer.Option(help="weights to use; `labels`: none, the list gives labels")] = DEFAULT_MODEL,
    long_axis: LongAxis = "lax-unet",
    device: Device = "cpu",
    precision: Precision = "fp32",
    models_dir: ModelsDir = None,
    sax: Sax = None,
    rr_ms: RRms = None,
) -> None:
    """Measure every study of a folder or list.

    A study that cannot be measured is entered with its cause, and the run goes on. Stopped at any moment and started
    again, it goes on where it was. Sources are only read; key and names of the studies lie apart, in --private.
    """
    from cinecmr.cohort import slurm as jobs
    from cinecmr.cohort.cluster import Where
    from cinecmr.cohort.one import Settings
    from cinecmr.cohort.run import Task, run

    folder = None if models_dir is None else str(models_dir)
    limits = time_limit, memory_limit
    settings = Settings(models, device, precision, folder, sax, rr_ms, threads, keep, *limits, long_axis)
    options = tuple(slurm_option or ())
    where = Where(workers, scheduler, slurm == "jobqueue", options, device == "cuda")
    task = Task(studies, out, settings, where, private, jobs.part_of(part), only_refused)
    if slurm == "array":
        print(jobs.submit(task, chunk, options))
        return
    done = run(task, say, progress("measuring"))
    from cinecmr.cohort.status import lines

    print("\n".join(lines(out)))
    if done.finished < done.total:
        raise SystemExit(ERROR)


@cohort_app.command("status")
def cohort_status(folder: Cohort) -> None:
    """Show how far a cohort is, and what was refused, and why."""
    from cinecmr.cohort.status import lines

    print("\n".join(lines(folder)))


@cohort_app.command("table")
def cohort_table(
    folder: Cohort,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="a .csv or .parquet file; both when absent")] = None,
) -> None:
    """Write one row a study, units in the names of the columns."""
    from cinecmr.cohort.table import write

    for path in write(folder, out):
        print(path)


@cohort_app.command("qc")
def cohort_qc(
    folder: Cohort,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="the page [DIR/qc.html]", dir_okay=False)] = None,
) -> None:
    """Write a page to look the cohort over: refusals, sites and scanners, the oddest studies with pictures."""
    from cinecmr.cohort import qc

    print(qc.write(folder, out))


@cohort_app.command("diff")
def cohort_diff(
    before: Annotated[Path, typer.Argument(metavar="BEFORE", help="folder of a cohort", exists=True)],
    after: Annotated[Path, typer.Argument(metavar="AFTER", help="another run over its studies", exists=True)],
) -> None:
    """Show what changed between two runs: outcomes, bias, agreement, and the studies that moved most."""
    from cinecmr.cohort import diff

    print("\n".join(diff.lines(diff.compare(before, after))))
