"""One study: read it, measure it, make one."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cinecmr.anatomy import Contrast, Sex
from cinecmr.cli.shared import (
    DEFAULT_MODEL,
    DONE_WITH_FLAGS,
    ERROR,
    REFUSED,
    Compiled,
    Device,
    Fault,
    KeepId,
    Kind,
    LongAxis,
    ModelName,
    ModelsDir,
    OutFolder,
    Precision,
    RRms,
    Sax,
    Study_,
    Vendor,
    app,
    progress,
    say,
)
from cinecmr.phantom.formats import Format

if TYPE_CHECKING:
    from cinecmr.study import Findings, Study


@app.callback(invoke_without_command=True)
def version(show: Annotated[bool, typer.Option("--version", help="print the version")] = False) -> None:
    """Cine cardiac MRI: read a study, measure it, report it. Research use, not for diagnosis."""
    if show:
        import cinecmr

        print(f"cinecmr {cinecmr.__version__}")


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
    long_axis: LongAxis = "lax-unet",
    labels: Annotated[Path | None, typer.Option(help="measure these labels (NIfTI) in place of the model's")] = None,
    dicom: Annotated[bool, typer.Option("--dicom", help="also SEG of ED and ES, and SR; needs a DICOM study")] = False,
    dicom_all: Annotated[bool, typer.Option("--dicom-all", help="as --dicom, and a SEG of every frame")] = False,
    pdf: Annotated[bool, typer.Option("--pdf", help="also report.pdf, one page to file")] = False,
    strain: Annotated[
        bool, typer.Option("--strain/--no-strain", help="follow the wall too: some 10 CPU-seconds")
    ] = False,
    keep_id: KeepId = False,
    seed: Annotated[int, typer.Option(help="of the phantom")] = 1,
    disease: Kind = None,
    device: Device = "cpu",
    models_dir: ModelsDir = None,
    precision: Precision = "fp32",
    compiled: Compiled = False,
) -> None:
    """Measure one study and write its report.

    Volumes, ejection fractions, mass and flags; of long-axis views excursion, shortening and atria. Writes report.html,
    findings.json, measurements.csv and labels to --out, and study.npz, with which `cinecmr view` corrects contours.
    """
    from cinecmr.analyze import dicom_out, pipeline, report, run, session, stale, strain_page
    from cinecmr.analyze import pdf as printed

    started, making = time.perf_counter(), progress("making a heart")
    with stale.setting_aside(out):  # what cannot be is refused first
        if pdf:
            printed.library()
        dicom_out.refuse_synthetic(study, asked=dicom or dicom_all)
        said = run.facts_given(height_cm=height, weight_kg=weight, sex=sex, age_y=age)
        read, truth = run.take(study, keep_id=keep_id, sax=sax, rr_ms=rr_ms, phantom=(seed, disease), progress=making)
        read = run.with_facts(read, said)
        source = dicom_out.prepare(study, read, keep_id=keep_id, sax=sax, rr_ms=rr_ms) if dicom or dicom_all else None
        segmenter = run.segmenter(models, device, labels, models_dir, precision, compiled)
        views = run.long_axis(long_axis, device, models_dir, precision, compiled)
        finding = progress("finding the heart")
        found = pipeline.analyze(read, segmenter, ed=ed, es=es, progress=finding, long_axis=views)
        options: dict[str, object] = {"height": height, "weight": weight, "sex": sex, "age": age, "ed": ed, "es": es}
        options |= {"sax": sax, "rr-ms": rr_ms, "device": device, "labels": labels and labels.name}
        options |= {"strain": strain or None}
        options |= {} if truth is None else {"seed": seed, "disease": disease}
        provenance = run.provenance(segmenter, options, views)
        found, tracked = strain_page.follow(read, found, progress("following it")) if strain else (found, None)
        stale.keep_corrections(out)
        written = report.write_outputs(out, read, found, provenance=provenance, truth=truth, strain=tracked, pdf=pdf)
        session.save(out, session.Session(read, segmenter.source, provenance, ed, es, truth, run.sureness(segmenter)))
        objects = dicom_out.write_or_remove(out, found, source, every_frame=dicom_all)
    _show_analysis(read, found, truth, [*objects[-1:], *written], time.perf_counter() - started)


@app.command()
def view(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="what `cinecmr analyze` wrote", file_okay=False)],
    port: Annotated[int, typer.Option(min=0, max=65535, help="of this computer; 0 takes a free one")] = 0,
    reader: Annotated[str, typer.Option(help="who corrects, for the log of changes")] = "",
    browser: Annotated[bool, typer.Option(help="open the page at once")] = True,
) -> None:
    """Open an analysis in the browser and correct its contours.

    Every number, curve and file of DIR follows each change; edits.jsonl lists the changes. Ctrl-C ends it.
    """
    from cinecmr.viewer import desk, server

    def ready(address: str) -> None:
        print(f"Open {address}\nThis address lets in whoever has it, on this computer only. Ctrl-C ends.", flush=True)
        if browser:
            typer.launch(address)

    server.serve(desk.Desk(folder, reader), port, ready=ready)


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
    models_dir: ModelsDir = None,
    precision: Precision = "fp32",
    compiled: Compiled = False,
    apart: Annotated[bool, typer.Option("--apart", help="read ED and ES of one heart without each other")] = False,
) -> None:
    """Write a label map for each image.

    It has the name and grid of the image: 0 background, 1 RV, 2 myocardium, 3 LV. Files of one folder named alike but
    for _ED and _ES are two frames of one heart, and read as such.
    """
    from cinecmr.analyze import run, segment_files

    pairs, model = segment_files.plan(images, out), run.segmenter(models, device, None, models_dir, precision, compiled)
    failed = segment_files.segment_all(pairs, model, apart=apart, say=say)
    segment_files.note_model(out, model)
    if failed:
        say(f"{failed} of {len(pairs)} images could not be segmented; their reasons are above")
        raise SystemExit(REFUSED)


@app.command()
def ask(
    study: Annotated[str, typer.Argument(metavar="STUDY", help="DICOM or NIfTI, or `phantom`: a synthetic heart")],
    models: Annotated[str, typer.Option("--models", help="imported weights of classes, a number or landmarks")],
    out: Annotated[Path | None, typer.Option("--out", "-o", help="also write the answers here, JSON")] = None,
    ed: Annotated[int | None, typer.Option(help="end-diastolic frame, counted from 0, not the one found")] = None,
    es: Annotated[int | None, typer.Option(help="end-systolic frame, counted from 0")] = None,
    locate: Annotated[str, typer.Option(help="model of the short axis that finds heart, ED and ES")] = DEFAULT_MODEL,
    sax: Sax = None,
    rr_ms: RRms = None,
    keep_id: KeepId = False,
    seed: Annotated[int, typer.Option(help="of the phantom")] = 1,
    disease: Kind = None,
    device: Device = "cpu",
    models_dir: ModelsDir = None,
    precision: Precision = "fp32",
) -> None:
    """Ask a model for what is no label map: landmarks, classes, a number.

    Landmarks come in patient mm, with MAPSE and shortening; classes as probabilities. Research use, not for diagnosis.
    """
    from cinecmr.analyze import asking, run, summary
    from cinecmr.analyze import models as shelf
    from cinecmr.io.files import write_text

    model = shelf.load(models, device, models_dir, precision)
    making = progress("making a heart")
    read, _ = run.take(study, keep_id=keep_id, sax=sax, rr_ms=rr_ms, phantom=(seed, disease), progress=making)
    answer, found = asking.ask(read, model, lambda: run.segmenter(locate, device, None, models_dir), ed=ed, es=es)
    print("\n".join(asking.lines(answer, found)))
    if out is not None:
        write_text(out, answer.model_dump_json(indent=2) + "\n")
    if summary.needs_a_look(found.flags):
        raise SystemExit(DONE_WITH_FLAGS)


@app.command()
def phantom(
    out: OutFolder,
    subjects: Annotated[int, typer.Option(min=1)] = 1,
    seed: Annotated[int, typer.Option(help="of the cohort; subject n has seed + n")] = 0,
    format: Annotated[Format, typer.Option(case_sensitive=False)] = Format.DICOM,  # noqa: A002 - the option's name
    disease: Kind = None,
    frames: Annotated[int | None, typer.Option(min=2, max=100, help="of a beat; else the scanner's")] = None,
    matrix: Annotated[int | None, typer.Option(min=32, max=512, help="pixels a side; else the scanner's")] = None,
    scanner: Annotated[str | None, typer.Option(help="such as siemens-3t; else drawn, or one of --vendor's")] = None,
    workers: Annotated[int, typer.Option(min=1, help="processes; the result does not depend on it")] = 1,
    vendor: Vendor = None,
    fault: Fault = None,
    syntax: Annotated[str, typer.Option(help="explicit, implicit, deflated, rle, jpeg2000 or jpeg-ls")] = "explicit",
    contrast: Annotated[list[Contrast] | None, typer.Option(help="beside the cine, repeatable")] = None,
    severity: Annotated[float | None, typer.Option(help="of the disease, 0 healthy to 1; else drawn")] = None,
    linked: Annotated[bool, typer.Option(help="scar lies where contraction is lost; unlinked: a control")] = True,
    rescan: Annotated[int, typer.Option(min=0, help="which visit of the same persons, 0 the first")] = 0,
) -> None:
    """Write synthetic hearts with known volumes.

    The volumes stand in truth.csv. Stopped and started again, it goes on where it was.
    """
    from cinecmr.phantom import cohort

    habits = (vendor, tuple(fault or ()), syntax)
    others = tuple(one for one in dict.fromkeys(contrast or ()) if one is not Contrast.CINE)
    plan = cohort.Cohort(
        subjects, seed, format, disease, frames, matrix, *habits, others, severity, linked, rescan, scanner
    )
    table = cohort.write(out, plan, workers=workers, progress=progress("making hearts"))
    print(f"{subjects} subjects in {out}, true volumes in {table}")


@app.command()
def gallery(
    out: OutFolder,
    seed: Annotated[int, typer.Option(help="of the first heart")] = 40,
) -> None:
    """Show six synthetic hearts as moving pictures, every view and contrast.

    Writes one animated picture a heart, and a page that holds them.
    """
    from cinecmr.experiments import phantom_gallery

    for line in phantom_gallery.run(out, seed, progress("making hearts")):
        print(line)


@app.command()
def doctor() -> None:
    """Check the machine and the weights."""
    from cinecmr import doctor as checkup

    lines, well = checkup.examine()
    print("\n".join(lines))
    if not well:
        raise SystemExit(ERROR)


def _show_analysis(read: Study, found: Findings, truth: Findings | None, written: list[Path], seconds: float) -> None:
    from cinecmr.analyze import summary

    print("\n".join(summary.lines(read, found, truth)))
    print(f"\n  {seconds:.0f} s -> {', '.join(str(path) for path in reversed(written))}")
    print("  research use, not for diagnosis")
    if summary.needs_a_look(found.flags):
        raise SystemExit(DONE_WITH_FLAGS)
