"""How a trained long-axis network reads a cine: find the heart, label it, find hinges and apex, go back.

Pixels in; `Structure` codes on the image's own grid and landmarks in patient mm out. Nothing here depends on how the
picture is turned or mirrored; which hinge is which follows from where they lie in the patient.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from scipy import ndimage

from cinecmr.anatomy import Landmark, Structure, View
from cinecmr.geometry import apply_affine
from cinecmr.measure.hinges import POINTS, TRICUSPID, lateral_end, mitral_ends, ordered, valve_ends
from cinecmr.tasks.hinge_paths import followed
from cinecmr.tasks.long_axis import CODES, KINDS, MARKS, summits
from cinecmr.tasks.reading import Asking, over_time, over_turns, percentile_scaled
from cinecmr.tasks.segmentation import standardised
from cinecmr.tasks.window import Window

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray
    from torch import Tensor, nn

    from cinecmr.study import Image

    Array = NDArray[np.float64]

_APART_MM = 9.0  # the hinges of one valve are never nearer
_CANDIDATES = 4  # places that may be one valve's hinges
_GAP_PX = 3
_VENTRICLE = {Structure.LA: Structure.LV, Structure.RA: Structure.RV}  # below each atrium
_BULK_MM = 20.0  # over which the heart's mass is gathered where it is looked for


@dataclass(frozen=True)
class LongAxisReadingSettings(Asking):
    """How a long-axis network is asked; see `Asking`."""

    pixel_mm: float = 1.6
    pixels: int = 128


class LongAxisReader:
    """A network and the way it is asked.

    Args:
        network: scores (batch, classes, 1, x, y) from (batch, 1, 1, x, y), as `tasks.long_axis` trains them.
        settings: see there.
        device: where the network runs.
    """

    def __init__(
        self, network: nn.Module, settings: LongAxisReadingSettings | None = None, device: str = "cpu"
    ) -> None:
        self.network = network.to(device).eval()
        self.settings = settings or LongAxisReadingSettings()
        self.device = device

    def labels(self, image: Image, progress: Callable[[float], None] | None = None) -> NDArray[np.uint8]:
        """(x, y, 1, t) `Structure` codes on the image's own grid; see `read`."""
        return self.read(image, progress)[0]

    def read(
        self, image: Image, progress: Callable[[float], None] | None = None
    ) -> tuple[NDArray[np.uint8], dict[Landmark, Array]]:
        """Label every frame and mark its points.

        Args:
            image: one long-axis plane.
            progress: called with the share done, 0 to 1.

        Returns:
            (x, y, 1, t) `Structure` codes, and of a two- or four-chamber view (t, 3) patient RAS mm of each landmark,
            NaN at frames where the network saw none.

        Raises:
            ValueError: the image is a stack.
        """
        if image.slices != 1:
            raise ValueError(f"a long-axis image has one slice, not {image.slices}")
        with torch.inference_mode():
            window = self._locate(image)
            shares = []
            for t in range(image.frames):
                plane = window.sample(_frame(image, t))
                shares.append(over_turns(self._scores, plane, self.settings.turns)[:, 0].half())
                if progress:
                    progress((t + 1) / image.frames)
            means = [over_time(shares, t, self.settings.smooth_time) for t in range(image.frames)]
        codes = np.stack([self._codes(mean, window, image) for mean in means], axis=-1)[:, :, None]
        return codes, self._marks(means, window, image, codes)

    def _locate(self, image: Image) -> Window:
        """The window on the heart, found in the whole picture at the network's pixel size."""
        whole = Window.whole(image, self.settings.pixel_mm)
        total = torch.zeros(whole.pixels)
        frames = np.linspace(0, image.frames, self.settings.locate_frames, endpoint=False).astype(int)
        for t in np.unique(frames):
            heart = self._scores(whole.sample(_frame(image, int(t))))[1 : len(CODES), 0].sum(0)
            total += heart.clamp(min=0.3) - 0.3
        centre = whole.bulk(total, _BULK_MM / self.settings.pixel_mm) or whole.centre
        return Window(centre, whole.step, (self.settings.pixels,) * 2)

    def _scores(self, plane: Tensor) -> Tensor:
        """(1, x, y) intensities -> (classes, 1, x, y) shares of `KINDS`, and heights of the hills."""
        eaten = torch.from_numpy(standardised(percentile_scaled(plane.numpy())))[None, None].to(self.device)
        scores: Tensor = self.network(eaten)[0].float().cpu()
        return torch.cat([scores[:KINDS].softmax(0), scores[KINDS:].sigmoid()])

    def _codes(self, mean: Tensor, window: Window, image: Image) -> NDArray[np.uint8]:
        """(x, y) codes on the image's own grid."""
        shape = image.data.shape[0], image.data.shape[1]
        found = window.spread(mean[:KINDS, None], shape)[:, 0].argmax(0).to(torch.uint8).numpy()
        return tidy(np.where(found < len(CODES), found, Structure.BACKGROUND).astype(np.uint8))

    def _marks(
        self, means: list[Tensor], window: Window, image: Image, codes: NDArray[np.uint8]
    ) -> dict[Landmark, Array]:
        if image.view not in POINTS:
            return {}
        apart = _APART_MM / self.settings.pixel_mm
        heats = dict(zip(MARKS, np.stack([mean[KINDS:].numpy() for mean in means], axis=1), strict=True))
        first, second, apex = POINTS[image.view]
        borders = valve_ends(codes, image.affine), mitral_ends(codes, image.affine)
        ends = _hinges(heats["mitral"], apart, window, image, borders)
        seen = np.where((codes == Structure.RV).any(axis=3), Structure.RV, Structure.BACKGROUND)  # in any frame
        both = np.stack([
            ordered(two, codes[..., t] if (codes[..., t] == Structure.RV).any() else seen, image.affine, image.view)
            for t, two in enumerate(ends)
        ])  # fmt: skip
        tops = [summits(heat, 1, apart) for heat in heats["apex"]]
        marks = {
            first: both[:, 0],
            second: both[:, 1],
            apex: np.concatenate([_on_image(t, window, image) for t in tops]),
        }
        if image.view is View.LAX_4C:
            border = valve_ends(codes, image.affine, Structure.RV, Structure.RA)
            ends = _hinges(heats["tricuspid"], apart, window, image, (border,))
            lateral = lateral_end(ends, codes, image.affine)
            marks |= dict(zip(TRICUSPID, (ends.sum(axis=1) - lateral, lateral), strict=True))
        return marks


def _hinges(heats: NDArray[np.float32], apart: float, window: Window, image: Image, ends: tuple[Array, ...]) -> Array:
    """(t, 2, 3) patient RAS mm of one valve's hinges, from its hills (t, x, y) and where labels say that they are."""
    tops = [summits(heat, _CANDIDATES, apart) for heat in heats]
    tops = [top[np.isfinite(top).all(axis=1)] for top in tops]
    heights = [
        heat[tuple(np.rint(top).astype(int).T)].astype(np.float64) for heat, top in zip(heats, tops, strict=True)
    ]
    return followed([_on_image(top, window, image) for top in tops], heights, ends)


def tidy(codes: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """One heart: the largest piece of all that is labelled, of each structure its own largest piece, holes filled.

    Of an atrium the piece that borders most on its ventricle, for one atrium may be taken for the other.

    Gaps as wide as leaflets do not part a heart.

    Args:
        codes: (x, y) `Structure` codes.

    Returns:
        A cleaned copy. A hole within the left ventricle is cavity where cavity borders on it, else muscle.
    """
    heart = _largest(ndimage.binary_dilation(codes > 0, iterations=_GAP_PX))
    result = np.where(heart, codes, 0).astype(np.uint8)
    for structure in CODES[1:]:
        there = result == structure
        kept = _beside(there, result == _VENTRICLE[structure]) if structure in _VENTRICLE else _largest(there)
        result[there & ~kept] = Structure.BACKGROUND
    left = np.isin(result, (Structure.LV, Structure.MYO))
    holes, count = ndimage.label(ndimage.binary_fill_holes(left) & ~left)
    for number in range(1, count + 1):
        hole = holes == number
        beside = result[ndimage.binary_dilation(hole) & ~hole]
        result[hole] = Structure.LV if (beside == Structure.LV).mean() >= 0.5 else Structure.MYO
    return result


def _beside(where: NDArray[np.bool_], ventricle: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The piece with most pixels within a leaflet of a ventricle; the largest where none is so near."""
    near = where & ndimage.binary_dilation(ventricle, iterations=_GAP_PX)
    pieces, count = ndimage.label(where)
    return (
        np.asarray(pieces == 1 + np.bincount(pieces[near])[1:].argmax())
        if near.any() and count > 1
        else _largest(where)
    )


def _largest(where: NDArray[np.bool_]) -> NDArray[np.bool_]:
    pieces, count = ndimage.label(where)
    return where if count <= 1 else np.asarray(pieces == 1 + np.bincount(pieces[where])[1:].argmax())


def _frame(image: Image, t: int) -> Tensor:
    """(1, x, y)."""
    return torch.from_numpy(np.ascontiguousarray(image.data[None, :, :, 0, t], dtype=np.float32))


def _on_image(at: Array, window: Window, image: Image) -> Array:
    """(n, 3) patient RAS mm of places in the window, (n, 2) pixels."""
    middle = (np.array(window.pixels) - 1) / 2
    index = np.array(window.centre) + (at - middle) * np.array(window.step)
    return apply_affine(image.affine, np.column_stack([index, np.zeros(len(index))]))
