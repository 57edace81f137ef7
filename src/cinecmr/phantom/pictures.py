"""The pictures of a visit and what is true on them: cine of every view, tagged, late-enhancement and T2 short axes.

Images come in the integers that DICOM holds, labels as a reader draws them on the acquired planes.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from cinecmr.anatomy import Contrast, View
from cinecmr.phantom import late, tagging
from cinecmr.phantom.film import Film
from cinecmr.phantom.scanner import Exposure, expose, layers
from cinecmr.phantom.scene import Scene
from cinecmr.phantom.views import short_axis
from cinecmr.study import Image

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from cinecmr.phantom.film import Beats
    from cinecmr.phantom.views import Planes
    from cinecmr.phantom.visit import Visit

Key = tuple[View, Contrast]
Shot = tuple[NDArray[np.float32], NDArray[np.uint8]]  # (x, y, t) of one slice: picture and labels
_STILLS = {Contrast.LGE: late.lge, Contrast.T2: late.t2}


def take(
    visit: Visit,
    beats: Beats,
    planes: Mapping[View, Planes],
    contrasts: Sequence[Contrast],
    progress: Callable[[float], None] | None = None,
) -> tuple[dict[Key, Image], dict[Key, NDArray[np.uint8]]]:
    """Every picture of a visit and its labels.

    Args:
        visit: heart, chest, machine.
        beats: of the same visit: the moments of the cine.
        planes: where; the short axis serves all contrasts, the others the cine alone.
        contrasts: which. Tagged images have three slices; late enhancement and T2 are stills in mid-diastole.
        progress: called with the share of slices done.
    """
    shots = _shots(visit, beats, planes, contrasts)
    images, labels, done, count = {}, {}, 0, sum(len(slices) for _, _, slices in shots.values())
    for key, (one, times, slices) in shots.items():
        pictures, found = [], []
        for shoot in slices:
            picture, codes = shoot()
            pictures.append(picture)
            found.append(codes)
            done += 1
            if progress:
                progress(done / count)
        images[key] = _image(visit, one, np.stack(pictures, axis=2), times, key[1])
        labels[key] = np.stack(found, axis=2)
    return images, labels


def _shots(
    visit: Visit, beats: Beats, planes: Mapping[View, Planes], contrasts: Sequence[Contrast]
) -> dict[Key, tuple[Planes, NDArray[np.float64], list[Callable[[], Shot]]]]:
    """For every image its planes, its times as shares of the cycle, and what makes each slice, in order."""
    shots: dict[Key, tuple[Planes, NDArray[np.float64], list[Callable[[], Shot]]]] = {}
    stack = planes[View.SAX]
    for contrast in contrasts:
        views = planes if contrast is Contrast.CINE else {View.SAX: stack}
        for view, one in views.items():
            rng, times = visit.noise(view, contrast), beats.times
            if contrast is Contrast.TAGGED:
                one, shoot = _tagged_planes(visit, stack), partial(_tagged, visit, beats, rng)
            elif contrast is Contrast.CINE:
                shoot = partial(_cine, visit, beats, rng)
            else:
                scene = Scene(visit.heart, visit.chest, late.moment(visit.heart))
                shoot, times = partial(_still, visit, contrast, scene, rng), np.zeros(1)
            shots[view, contrast] = one, times, [partial(shoot, one, z) for z in range(one.shape[2])]
    return shots


def _cine(visit: Visit, beats: Beats, rng: np.random.Generator, planes: Planes, z: int) -> Shot:
    points, brightness = planes.points(z), np.float32(np.exp(rng.normal(0, 0.04)))
    film = Film(beats, points, planes.normal, planes.thickness, visit.look)
    frames = range(len(beats.times))
    pictures = [expose(film.signal(t), points, visit.machine, visit.look, rng) * brightness for t in frames]
    labels = [film.labels(t, reader=planes.view is View.SAX) for t in frames]
    return np.stack(pictures, axis=-1), np.stack(labels, axis=-1)


def _tagged_planes(visit: Visit, stack: Planes) -> Planes:
    """Three slices parallel to the stack's, with breath-holds of their own."""
    heights = np.array(tagging.slice_heights(visit.heart))
    rng = visit.noise(View.SAX, Contrast.TAGGED).spawn(1)[0]
    return short_axis(visit.heart, visit.machine, visit.placing, rng, stack.shape[:2], heights)


def _tagged(visit: Visit, beats: Beats, rng: np.random.Generator, planes: Planes, z: int) -> Shot:
    points, normal = planes.points(z), planes.normal.astype(np.float32)
    behind = layers(beats.scenes[0], points, normal, visit.machine.slice_mm)
    how = Exposure(points, normal, visit.machine, visit.look, rng, behind)
    pictures, labels = [], []
    for scene in beats.scenes:
        pictures.append(tagging.tagged(scene, how))
        labels.append(visit.heart.reader_labels(points, scene.surfaces))
    return np.stack(pictures, axis=-1), np.stack(labels, axis=-1)


def _still(visit: Visit, contrast: Contrast, scene: Scene, rng: np.random.Generator, planes: Planes, z: int) -> Shot:
    """One slice in mid-diastole; its labels hold scar, core and oedema where they are."""
    points = planes.points(z)
    how = Exposure(points, planes.normal.astype(np.float32), visit.machine, visit.look, rng)
    shown = _STILLS[contrast](scene, how)
    codes = visit.heart.reader_labels(points, scene.surfaces)
    return shown[..., None], late.scar_labels(codes, scene, points)[..., None]


def _image(
    visit: Visit, planes: Planes, picture: NDArray[np.float32], times: NDArray[np.float64], contrast: Contrast
) -> Image:
    """An image as DICOM holds it: 12 bits, seconds."""
    scale = 1200.0 / max(float(np.percentile(picture, 99.5)), 1e-6)
    data = np.clip(np.rint(picture * scale), 0, 4095).astype(np.int16)
    rr = visit.heart.beat.rr_s
    return Image(
        data,
        planes.affine,
        times * rr,
        planes.view,
        contrast,
        rr_ms=1000 * rr,
        thickness_mm=planes.thickness,
        slice_shift_mm=planes.shifts if planes.view is View.SAX else None,
    )
