"""Found against true."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cinecmr.cli.shared import DEFAULT_MODEL, Device, ModelName, ModelsDir, OutFolder, app, progress, say

evaluate_app = typer.Typer(help="Found against true.", rich_markup_mode=None, no_args_is_help=True)
app.add_typer(evaluate_app, name="evaluate")


@evaluate_app.command("phantom")
def evaluate_phantom(
    out: OutFolder,
    subjects: Annotated[int, typer.Option(min=1)] = 20,
    seed: Annotated[int, typer.Option(help="first seed; choose seeds no training used")] = 9000,
    models: ModelName = DEFAULT_MODEL,
    device: Device = "cpu",
    workers: Annotated[int, typer.Option(min=1, help="processes that make the studies")] = 1,
    small: Annotated[bool, typer.Option("--small", help="no files, ED and ES alone: six times faster")] = False,
) -> None:
    """Measure synthetic studies, print the errors.

    Each is written as DICOM, read back, measured and compared with its true volumes.
    """
    from cinecmr.experiments import phantom_studies

    told = progress("making studies")
    for line in phantom_studies.run(out, subjects, seed, models, device, workers, told, small=small):
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

    for line in phantom_shapes.run(real, out, subjects, seed, progress("making hearts")):
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

    for line in phantom_realism.run(real, out, subjects, seed, progress("making hearts")):
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

    for line in phantom_truth.run(out, subjects, seed, step, progress=progress("measuring hearts")):
        print(line)


@evaluate_app.command("long-axis")
def evaluate_long_axis(
    out: OutFolder,
    subjects: Annotated[int, typer.Option(min=1)] = 20,
    seed: Annotated[int, typer.Option(help="first seed; no training used any of this space")] = 9000,
    models: Annotated[str, typer.Option("--models", help="weights that read 2C, 3C and 4C views")] = "lax-unet",
    models_dir: ModelsDir = None,
    device: Device = "cpu",
) -> None:
    """Read long-axis views of synthetic hearts.

    Distances of hinges and apex from the true ones, errors of MAPSE, TAPSE, shortening, strain and atrial volumes,
    Dice of every structure.
    """
    from cinecmr.analyze import run as runs
    from cinecmr.experiments import long_axis_studies

    model = runs.long_axis(models, device, models_dir)
    for line in long_axis_studies.run(out, subjects, seed, model, progress=progress("reading views")):
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

    for line in label_scores.run(found, truth, out, spacing=not no_spacing, progress=progress("scoring")):
        print(line)


@evaluate_app.command("runs")
def evaluate_runs(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN ...", help="folders that `cinecmr finetune` left")],
    data: Annotated[str, typer.Option(help="the data they learned from, or others; a folder, or `phantom`")],
    out: OutFolder,
    layout: Annotated[str | None, typer.Option(help="which data set it is, where that is not clear")] = None,
    by: Annotated[list[str] | None, typer.Option(help="also by disease, sex or vendor; repeatable")] = None,
    subjects: Annotated[int, typer.Option(min=1, help="synthetic hearts, for `phantom`")] = 20,
    seed: Annotated[int, typer.Option(help="of the first synthetic heart")] = 9000,
    device: Device = "cpu",
) -> None:
    """Score own runs on people that none of them learned from.

    A table with intervals, worst tenth and failures, paired differences of the last run to the others, and agreement
    of ejection fractions. People of the parts train and val are left out by themselves.
    """
    from cinecmr.experiments import own_runs
    from cinecmr.pretrain.run import cases_of

    cases = cases_of(data, layout, subjects, seed)
    print(own_runs.run(runs, cases, out, by=by or (), device=device, say=say).read_text("utf-8"))


@evaluate_app.command("faults")
def evaluate_faults(
    out: OutFolder,
    studies: Annotated[int, typer.Option(min=1, help="each with one fault; some 145 faults are known")] = 200,
    seed: Annotated[int, typer.Option(help="of the first heart")] = 7700,
    only: Annotated[str | None, typer.Option(help="this fault alone")] = None,
    models: ModelName = DEFAULT_MODEL,
    time_limit: Annotated[float, typer.Option(min=1, help="seconds of one analysis")] = 300.0,
) -> None:
    """Analyse small synthetic studies with something wrong in each.

    None may end in an error, or in a number that is wrong and not flagged. Stopped, it goes on where it was.
    """
    from cinecmr.experiments import faults

    for line in faults.run(out, studies, seed, models, time_limit, only):
        print(line, flush=True)


@evaluate_app.command("quality")
def evaluate_quality(
    real: Annotated[Path, typer.Argument(metavar="REAL", help="images and labels in ACDC's layout")],
    out: OutFolder,
) -> None:
    """Put gross failures into expert label maps and count what the checks catch.

    Flags on the maps as experts drew them are false alarms.
    """
    from cinecmr.experiments import quality

    for line in quality.run(real, out, progress=progress("looking at label maps")):
        print(line)


@evaluate_app.command("coverage")
def evaluate_coverage(
    evaluations: Annotated[list[Path], typer.Argument(metavar="EVALUATION ...", help="of `cinecmr evaluate phantom`")],
    out: OutFolder,
    models: ModelName = DEFAULT_MODEL,
    real: Annotated[Path | None, typer.Option(help="labels.json of `cinecmr evaluate labels`: its EF")] = None,
) -> None:
    """Count how often the truth lies in a model's intervals.

    On hearts that they were not learned from, with the exact interval of each share.
    """
    from cinecmr.experiments import interval_coverage

    for line in interval_coverage.run(models, evaluations, out, real):
        print(line)


@evaluate_app.command("confidence")
def evaluate_confidence(
    out: OutFolder,
    subjects: Annotated[int, typer.Option(min=1)] = 20,
    seed: Annotated[int, typer.Option(help="first seed; choose seeds no training used")] = 9300,
    models: ModelName = DEFAULT_MODEL,
) -> None:
    """Compare how sure the model is of each slice with how right it is.

    Synthetic stacks at ED and ES: rank correlation of expected and true Dice, and the gain without the least sure.
    """
    from cinecmr.experiments import slice_confidence

    for line in slice_confidence.run(out, subjects, seed, models, progress=progress("labelling stacks")):
        print(line)


@evaluate_app.command("shifts")
def evaluate_shifts(
    out: OutFolder,
    subjects: Annotated[int, typer.Option(min=1)] = 10,
    seed: Annotated[int, typer.Option(help="first seed; choose seeds no training used")] = 9400,
    models: ModelName = DEFAULT_MODEL,
    long_axis_models: Annotated[str, typer.Option(help="weights for 2C, 3C and 4C views")] = "lax-unet",
) -> None:
    """Compare breath-hold shifts of slices, told by the long-axis views that cross them, with the true ones.

    Synthetic studies of few frames, told from the labels of the models and from the true labels.
    """
    from cinecmr.experiments import slice_shifts

    for line in slice_shifts.run(out, subjects, seed, (models, long_axis_models), progress("making and reading")):
        print(line)
