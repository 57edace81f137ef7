"""Analyze a study

From a folder of DICOM files to a report, in Python. The command line does the same: `cinecmr analyze STUDY --out DIR`.
"""

# A study is needed. If you have none at hand, make one: a synthetic heart, written as a Philips scanner would. Its true volumes are
# known from its geometry. Twenty-five frames are usual; eight are quicker.
from pathlib import Path

from cinecmr.anatomy import Disease
from cinecmr.phantom.dicom_files import write_dicom
from cinecmr.phantom.study import synthetic_study

made, truth = synthetic_study(seed=2, disease=Disease.NORMAL, frames=8, matrix=(96, 96), long_axis=False)
write_dicom(made, Path("study"), seed=2)

# Look before you measure: what of the folder would be used, what not, and why.
from cinecmr import io

print(io.inspect(Path("study")).to_table())

# Read it. One acquisition of one view is an `Image`: an array of x, y, slice and frame, and an affine that takes voxels to patient
# millimetres. Where the slices lie comes from their positions, never from the thickness.
from cinecmr.anatomy import View

study = io.read(Path("study"))
sax = study[View.SAX]
print(sax.data.shape, "slices every", sax.spacing[2], "mm")

# The shipped model draws the labels, and the stages of the pipeline measure them.
from cinecmr.analyze import models
from cinecmr.analyze.pipeline import analyze

model = models.load()
found = analyze(study, model)

# Every number carries its unit, its convention and its source; a number that could not be believed is withheld, and a flag says why.
for name in ("LVEDV", "LVESV", "LVEF", "RVEDV", "RVEF", "LVM"):
    true = truth.measurements[name].value
    if name in found.measurements:
        one = found.measurements[name]
        print(f"{name:6} {one.value:6.1f} {one.unit:3} true {true:6.1f}")
for flag in found.flags:
    print(flag.severity.value, flag.code, flag.message)

# The report is one page for any browser, with `findings.json`, a table of the numbers, and the labels beside it.
from cinecmr.analyze import report, run

written = report.write_outputs(Path("report"), study, found, provenance=run.provenance(model, {}), truth=truth)
print([path.name for path in written])

# Nothing of it names the person: the subject is a hash, and names, dates and numbers of the header were left behind. Next:
# [your own study](../howto/run_on_your_study.md), and [what the flags mean](../howto/read_the_flags.md).
