"""One peer of `benchmarks/motion.py`, in a process of its own: frames of a stack registered to end-diastole.

    python benchmarks/motion_peers.py elastix frames.npz fields.npz

In: `frames` (t, x, y, z) grey values of 0 to 1, end-diastole first, and `spacing` (3,) mm. Out: `fields`
(t - 1, x, y, z, 3), mm along the axes of the array, from where tissue is at end-diastole to where it is in each other
frame; `cpu_s`, processor-seconds of the registrations alone; `version`. Needs the extra `bench`, nothing of cinecmr:
itk-elastix and SimpleITK do not live in one process.
"""

from __future__ import annotations

import sys
import time
from importlib.metadata import version

import numpy as np

GRID_MM = 12.0  # of elastix's splines


def elastix(fixed, moving, spacing):
    """B-splines, normalised correlation, three levels that never smooth across slices."""
    import itk

    def held(array):
        image = itk.image_from_array(np.ascontiguousarray(array.T, dtype=np.float32))
        image.SetSpacing([float(step) for step in spacing])
        return image

    chosen = itk.ParameterObject.New()
    table = chosen.GetDefaultParameterMap("bspline", 3, GRID_MM)
    table["Metric"] = ["AdvancedNormalizedCorrelation"]
    table["ImagePyramidSchedule"] = ["4", "4", "1", "2", "2", "1", "1", "1", "1"]
    table["MaximumNumberOfIterations"] = ["200"]
    table["NumberOfSpatialSamples"] = ["3000"]
    table["RandomSeed"] = ["1"]
    chosen.AddParameterMap(table)
    _, found = itk.elastix_registration_method(
        held(fixed), held(moving), parameter_object=chosen, log_to_console=False, number_of_threads=1
    )
    field = itk.transformix_deformation_field(held(moving), found)
    return itk.array_from_image(field).transpose(2, 1, 0, 3)


def greedy(fixed, moving, spacing):
    """Stationary velocities, normalised correlation, two levels: three need more slices than a stack has."""
    import SimpleITK as sitk  # noqa: N813 - its usual name
    from picsl_greedy import Greedy3D

    def held(array):
        image = sitk.GetImageFromArray(np.ascontiguousarray(array.T, dtype=np.float32))
        image.SetSpacing([float(step) for step in spacing])
        return image

    tool = Greedy3D()
    tool.execute(
        "-d 3 -threads 1 -i fixed moving -o warp -m NCC 3x3x1 -sv -n 60x40 -s 2.0vox 0.7vox -V 0",
        fixed=held(fixed),
        moving=held(moving),
        warp=None,
    )
    return sitk.GetArrayFromImage(tool["warp"]).transpose(2, 1, 0, 3)


def ants(fixed, moving, spacing):
    """SyN with squared differences, from where the frames lie: one heart, one machine, the same grey values."""
    import ants as tool

    def held(array):
        return tool.from_numpy(np.ascontiguousarray(array, dtype=np.float32), spacing=tuple(map(float, spacing)))

    found = tool.registration(
        held(fixed),
        held(moving),
        type_of_transform="SyNOnly",
        initial_transform="Identity",
        syn_metric="meansquares",
        reg_iterations=(40, 40, 20),
        random_seed=1,
    )
    warps = [path for path in found["fwdtransforms"] if "Warp" in path]
    return tool.image_read(warps[0]).numpy()


PEERS = {"elastix": (elastix, "itk-elastix"), "greedy": (greedy, "picsl-greedy"), "ants": (ants, "antspyx")}


def main() -> None:
    """Register every frame and write the fields."""
    name, given, out = sys.argv[1:]
    register, package = PEERS[name]
    with np.load(given) as held:
        frames, spacing = held["frames"], held["spacing"]
    warm = frames[:, :16, :16]  # what a package does when it is used first is not what a registration costs
    if name == "ants":
        register(warm[0], warm[0], spacing)
    started = time.process_time()
    fields = np.stack([register(frames[0], frame, spacing) for frame in frames[1:]]).astype(np.float32)
    np.savez(out, fields=fields, cpu_s=time.process_time() - started, version=f"{package} {version(package)}")


if __name__ == "__main__":
    main()
