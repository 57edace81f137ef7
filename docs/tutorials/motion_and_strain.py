"""Motion and strain

Where does each point of the wall go, and how is it stretched? `cinecmr motion STUDY --out DIR` and `cinecmr analyze --strain` answer for a
study; here it is done step by step, on a heart whose motion is known in closed form, so that the answer can be checked.
"""

# A synthetic heart with its true labels and its true motion.
from cinecmr.anatomy import Contrast, Disease, View
from cinecmr.phantom.study import synthetic_study

study, truth = synthetic_study(101, Disease.NORMAL, frames=8, matrix=(64, 64))
labels = truth.labels[View.SAX, Contrast.CINE]

# The fit moves a few hundred functions around, along and through the wall until the pictures of every frame agree with those of
# end-diastole. Fewer pixels than the default make it quicker and less exact.
from cinecmr.motion.register import Sound, register

quick = Sound(pixels=700, face_points=300, tissue_points=200, levels=((2.0, 3),))
fitted = register(study, labels, settings=quick)
print(f"folded muscle: {fitted.folding:.1%}; volume of muscle changed by {fitted.volume_change:.1%}")

# A motion says where the points of end-diastole are at any share of the beat, in patient millimetres; the truth is of the same type, so
# the two can be compared point by point.
import numpy as np

from cinecmr.evaluate.deformation import end_point_errors
from cinecmr.phantom.wall import wall_points

wall = wall_points(truth.motion.heart, truth.motion.affine, cells=(18, 12, 2))
time = truth.cycle["LV_ES"] / study[View.SAX].frames
way = np.linalg.norm(truth.motion.displacement(wall.points, time), axis=1).mean()
error = end_point_errors(fitted.motion, truth.motion, wall.points, [time]).mean()
print(f"at end-systole the wall has moved {way:.1f} mm; the fit misses it by {error:.1f} mm on average")

# Strain is the stretch of the wall along its own directions; a shortening is negative.
from cinecmr.measure.strain import strain

for name in ("GCS", "GLS", "GRS"):
    found, true = (strain(motion, wall, [time]).whole()[name][0] for motion in (fitted.motion, truth.motion))
    print(f"{name}: {found:5.1f} %, true {true:5.1f} %")

# A true motion is known of synthetic hearts alone. How far the figures may be trusted on real ones, which strain is hardly to be seen in
# cine, and how other programs do on the same heart: [motion](../explanation/motion.md).
