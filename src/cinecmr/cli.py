"""The commands, each a few lines; everything heavy is imported inside the command that needs it.

Exit codes: 0 done, 1 error, 2 usage, 3 refused (the input cannot be measured), 4 done with flags.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cinecmr.anatomy import Disease, Sex
from cinecmr.errors import RefusedInput
from cinecmr.phantom import dicom_words
from cinecmr.phantom.formats import Format

if TYPE_CHECKING:
    from collections.abc import Callable

    from cinecmr.study import Findings, Study

DONE, ERROR, REFUSED, DONE_WITH_FLAGS = 0, 1, 3, 4
DEFAULT_MODEL = "sax-unet"


app = typer.Typer(
    help="Cine cardiac MRI: read a study, measure it, report it. Research use, not for diagnosis.",
    epilog="Try: cinecmr analyze phantom --out demo   (no data needed; prints measured beside true values)",
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    no_args_is_help=True,
    add_completion=False,
)
models_app = typer.Typer(help="List the weights, or print a model card.", rich_markup_mode=None)
evaluate_app = typer.Typer(help="Found against true.", rich_markup_mode=None, no_args_is_help=True)
app.add_typer(models_app, name="models")
app.add_typer(evaluate_app, name="evaluate")
datasets_app = typer.Typer(help="Public data and your own: list, check, write synthetic.", rich_markup_mode=None)
app.add_typer(datasets_app, name="datasets")

Study_ = Annotated[str, typer.Argument(metavar="STUDY", help="DICOM or NIfTI file or folder")]

OutFolder = Annotated[Path, typer.Option("--out", "-o", help="folder for what is written", file_okay=False)]
ModelName = Annotated[str, typer.Option("--models", help="weights to use; `cinecmr models` lists them")]
Device = Annotated[str, typer.Option(help="cpu, cuda or mps")]
Sax = Annotated[str | None, typer.Option(help="the series to use as short axis, where the choice is wrong")]
RRms = Annotated[float | None, typer.Option(min=200, max=3000, help="R-R interval, ms, where the files lack it")]
KeepId = Annotated[bool, typer.Option("--keep-id", help="keep the subject's identifier instead of a hash")]
Kind = Annotated[Disease | None, typer.Option(case_sensitive=False, help="every subject has it; else a mixture")]
Vendor = Annotated[str | None, typer.Option(help=dicom_words.VENDOR)]
Fault = Annotated[list[str] | None, typer.Option(help=dicom_words.FAULT, callback=dicom_words.listed, is_eager=True)]


def main(arguments: list[str] | None = None) -> None:
    """Run a command and end the process with its exit code; a traceback only with `--debug`."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in given
    try:
        app([word for word in given if word != "--debug"])
    except RefusedInput as refusal:
        if debug:
            raise
        _say(f"refused: {refusal.message}  [{refusal.code}]")
        raise SystemExit(REFUSED) from None
    except Exception as error:
        if debug:
            raise
        _say(f"error: {error or type(error).__name__}\nadd --debug to see where")
        raise SystemExit(ERROR) from None


@app.command()
def analyze(
    study: Annotated[str, typer.Argument(metavar="STUDY", help="DICOM or NIfTI, or `phantom`: a synthetic heart")],
    out: OutFolder,
    height: Annotated[float | None, typer.Option(help="cm, 50 to 250")] = None,
    weight: Annotated[float | None, typer.Option(help="kg, 2 to 400")] = None,
    sex: Annotated[Sex | None, typer.Option(case_sensitive=False)] = None,
    age: Annotated[float | None, typer.Option(help="years")] = None,
    ed: Annotated[int | None, typer.Option(help="end-diastolic frame, counted from 0, not the one found")] = None,
    es: Annotated[int | None, typer.Option(help="end-systolic frame, counted from 0")] = None,
    sax: Sax = None,
    rr_ms: RRms = None,
    models: ModelName = DEFAULT_MODEL,
    labels: Annotated[Path | None, typer.Option(help="measure these labels (NIfTI) in place of the model's")] = None,
    keep_id: KeepId = False,
    seed: Annotated[int, typer.Option(help="of the phantom")] = 1,
    disease: Kind = None,
    device: Device = "cpu",
) -> None:
    """Measure one study and write its report.

    Volumes, ejection fractions, mass and flags. Writes report.html, findings.json, measurements.csv and
    labels_sax.nii.gz to --out.
    """
    from cinecmr.analyze import pipeline, report, run, stale

    started, making = time.perf_counter(), _progress("making a heart")
    with stale.setting_aside(out):  # what cannot be is refused first
        said = run.facts_given(height_cm=height, weight_kg=weight, sex=sex, age_y=age)
        read, truth = run.take(study, keep_id=keep_id, sax=sax, rr_ms=rr_ms, phantom=(seed, disease), progress=making)
        read = run.with_facts(read, said)
        segmenter = run.segmenter(models, device, labels)
        found = pipeline.analyze(read, segmenter, ed=ed, es=es, progress=_progress("finding the heart"))
        options: dict[str, object] = {"height": height, "weight": weight, "sex": sex, "age": age, "ed": ed, "es": es}
        options |= {"sax": sax, "rr-ms": rr_ms, "device": device, "labels": labels and labels.name}
        provenance = run.provenance(segmenter, options | ({} if truth is None else {"seed": seed, "disease": disease}))
        written = report.write_outputs(out, read, found, provenance=provenance, truth=truth)
    _show_analysis(read, found, truth, written, time.perf_counter() - started)


@app.command()
def inspect(
    study: Study_,
    json: Annotated[bool, typer.Option("--json", help="print JSON instead of a table")] = False,
    sax: Sax = None,
    rr_ms: RRms = None,
    keep_id: KeepId = False,
) -> None:
    """Show what would be used of a study, what not, and why."""
    from cinecmr import io
    from cinecmr.analyze import run

    seen = io.inspect(run.existing(study), keep_id=keep_id, sax=sax, rr_ms=rr_ms)
    print(seen.to_json() if json else seen.to_table())
    if seen.refusal is not None:
        raise SystemExit(REFUSED)


@app.command()
def segment(
    images: Annotated[list[Path], typer.Argument(metavar="IMAGE ...", help="NIfTI, 3-D or 4-D, short axis")],
    out: Annotated[Path, typer.Option("--out", "-o", help="folder, or for one image a .nii or .nii.gz file")],
    models: ModelName = DEFAULT_MODEL,
    device: Device = "cpu",
) -> None:
    """Write a label map for each image.

    It has the name and grid of the image: 0 background, 1 RV, 2 myocardium, 3 LV.
    """
    from cinecmr.analyze import run, segment_files

    pairs, model = segment_files.plan(images, out), run.segmenter(models, device)
    failed = segment_files.segment_all(pairs, model, say=_say)
    segment_files.note_model(out, model)
    if failed:
        _say(f"{failed} of {len(pairs)} images could not be segmented; their reasons are above")
        raise SystemExit(REFUSED)


@app.command()
def phantom(
    out: OutFolder,
    subjects: Annotated[int, typer.Option(min=1)] = 1,
    seed: Annotated[int, typer.Option(help="of the cohort; subject n has seed + n")] = 0,
    format: Annotated[Format, typer.Option(case_sensitive=False)] = Format.DICOM,  # noqa: A002 - the option's name
    disease: Kind = None,
    frames: Annotated[int, typer.Option(min=2, max=100)] = 25,
    matrix: Annotated[int | None, typer.Option(min=32, max=512, help="pixels a side; else the scanner's")] = None,
    workers: Annotated[int, typer.Option(min=1, help="processes; the result does not depend on it")] = 1,
    vendor: Vendor = None,
    fault: Fault = None,
    syntax: Annotated[str, typer.Option(help="explicit, implicit, deflated, rle, jpeg2000 or jpeg-ls")] = "explicit",
) -> None:
    """Write synthetic hearts with known volumes.

    The volumes stand in truth.csv. Stopped and started again, it goes on where it was.
    """
    from cinecmr.phantom import cohort

    habits = (vendor, tuple(fault or ()), syntax)
    plan = cohort.Cohort(subjects, seed, format, disease, frames, matrix, *habits)
    table = cohort.write(out, plan, workers=workers, progress=_progress("making hearts"))
    print(f"{subjects} subjects in {out}, true volumes in {table}")


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

    found, visits, problems = run.check(folder, name)
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
) -> None:
    """Write synthetic hearts in the layout of a data set."""
    from cinecmr.datasets import run

    made = run.write(name, out, subjects, seed, frames=frames, matrix=matrix, progress=_progress("making hearts"))
    print("\n".join([*run.tree(out), f"{len(made)} visits in {out}: {', '.join(made[:5])}{', ...' * (len(made) > 5)}"]))


@evaluate_app.command("phantom")
def evaluate_phantom(
    out: OutFolder,
    subjects: Annotated[int, typer.Option(min=1)] = 20,
    seed: Annotated[int, typer.Option(help="first seed; choose seeds no training used")] = 9000,
    models: ModelName = DEFAULT_MODEL,
    device: Device = "cpu",
    workers: Annotated[int, typer.Option(min=1, help="processes that make the studies")] = 1,
) -> None:
    """Measure synthetic studies, print the errors.

    Each is written as DICOM, read back, measured and compared with its true volumes.
    """
    from cinecmr.experiments import phantom_studies

    for line in phantom_studies.run(out, subjects, seed, models, device, workers, _progress("making studies")):
        print(line)


@evaluate_app.command("shapes")
def evaluate_shapes(
    real: Annotated[Path, typer.Argument(metavar="REAL", help="label maps, SUBJECT/SUBJECT_ED_gt.nii.gz and _ES_")],
    out: OutFolder,
    subjects: Annotated[int, typer.Option(min=1, help="synthetic hearts, in the mix of diseases of REAL")] = 60,
    seed: Annotated[int, typer.Option(help="of the first synthetic heart")] = 5000,
) -> None:
    """Put the shapes of synthetic hearts beside real ones.

    By phase and disease group: medians, and how many interquartile ranges lie between them.
    """
    from cinecmr.experiments import phantom_shapes

    for line in phantom_shapes.run(real, out, subjects, seed, _progress("making hearts")):
        print(line)


@evaluate_app.command("realism")
def evaluate_realism(
    real: Annotated[Path, typer.Argument(metavar="REAL", help="images and labels in ACDC's layout")],
    out: OutFolder,
    subjects: Annotated[int, typer.Option(min=1, help="synthetic hearts, in the mix of diseases of REAL")] = 30,
    seed: Annotated[int, typer.Option(help="of the first synthetic heart")] = 6000,
) -> None:
    """Put synthetic pictures beside real ones.

    A contact sheet, the figures of contrast, grain, noise and edges that tell them apart, and healthy volumes
    against published ranges.
    """
    from cinecmr.experiments import phantom_realism

    for line in phantom_realism.run(real, out, subjects, seed, _progress("making hearts")):
        print(line)


@evaluate_app.command("truth")
def evaluate_truth(
    out: OutFolder,
    subjects: Annotated[int, typer.Option(min=1, help="hearts of each disease")] = 1,
    seed: Annotated[int, typer.Option(help="of the first heart of each disease")] = 9000,
    step: Annotated[float, typer.Option(min=0.4, max=3.0, help="of the grid that labels are sampled on, mm")] = 0.9,
) -> None:
    """Check the truth of synthetic hearts.

    Volumes, mass, strain, twist and MAPSE from the geometry, beside the same measured from fine labels and motion.
    """
    from cinecmr.experiments import phantom_truth

    for line in phantom_truth.run(out, subjects, seed, step, progress=_progress("measuring hearts")):
        print(line)


@evaluate_app.command("labels")
def evaluate_labels(
    found: Annotated[Path, typer.Argument(metavar="FOUND", help="SUBJECT_ED.nii.gz, SUBJECT_ES.nii.gz, ...")],
    truth: Annotated[Path, typer.Argument(metavar="TRUTH", help="SUBJECT/SUBJECT_ED_gt.nii.gz and so on, or as FOUND")],
    out: OutFolder,
    no_spacing: Annotated[bool, typer.Option("--no-spacing", help="the spacing stated is not true: no mm")] = False,
) -> None:
    """Score label maps against true ones.

    Dice, HD95, gross failures and ejection fraction errors, over all and by phase and disease group.
    """
    from cinecmr.experiments import label_scores

    for line in label_scores.run(found, truth, out, spacing=not no_spacing, progress=_progress("scoring")):
        print(line)


@app.command()
def gallery(
    out: OutFolder,
    seed: Annotated[int, typer.Option(help="of the first heart")] = 40,
) -> None:
    """Show six synthetic hearts as moving pictures, every view and contrast.

    Writes one animated picture a heart, and a page that holds them.
    """
    from cinecmr.experiments import phantom_gallery

    for line in phantom_gallery.run(out, seed, _progress("making hearts")):
        print(line)


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
    print(f"card and weights: {shipped.train(out, plan, workers, _say)}")


@app.command()
def doctor() -> None:
    """Check the machine and the weights."""
    from cinecmr import doctor as checkup

    lines, well = checkup.examine()
    print("\n".join(lines))
    if not well:
        raise SystemExit(ERROR)


@app.callback(invoke_without_command=True)
def version(show: Annotated[bool, typer.Option("--version", help="print the version")] = False) -> None:
    """Cine cardiac MRI: read a study, measure it, report it. Research use, not for diagnosis."""
    if show:
        import cinecmr

        print(f"cinecmr {cinecmr.__version__}")


def _show_analysis(read: Study, found: Findings, truth: Findings | None, written: list[Path], seconds: float) -> None:
    from cinecmr.analyze import summary

    print("\n".join(summary.lines(read, found, truth)))
    print(f"\n  {seconds:.0f} s -> {', '.join(str(path) for path in reversed(written))}")
    print("  research use, not for diagnosis")
    if summary.needs_a_look(found.flags):
        raise SystemExit(DONE_WITH_FLAGS)


def _say(message: str) -> None:
    print(message, file=sys.stderr)


def _progress(what: str) -> Callable[[float], None] | None:
    """A line that counts up, on a terminal only; nothing in logs and pipes."""
    if not sys.stderr.isatty():
        return None

    def show(share: float) -> None:
        end = "\r" if share < 1 else "\n"
        print(f"  {what}: {100 * share:3.0f} %", end=end, file=sys.stderr, flush=True)

    return show


if __name__ == "__main__":
    main()
