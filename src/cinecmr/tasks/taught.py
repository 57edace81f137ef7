"""A network that `cinecmr finetune segmentation` left, asked on single images as it learned.

From a run's recipe to the task, and from an image to its labels.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import torch

from cinecmr.anatomy import Contrast, Structure, View
from cinecmr.learn.recipe import restored
from cinecmr.networks.inference import Way
from cinecmr.study import Facts, Image, Study
from cinecmr.tasks.published_grid import bridged
from cinecmr.tasks.published_pieces import kept
from cinecmr.tasks.volume_segmentation import VolumeSegmentation, VolumeSegmentationSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray
    from torch import nn

    from cinecmr.tasks._learner import ViewSettings

S = TypeVar("S", bound="ViewSettings")
_OF_DATA = {"task", "samples", "data"}  # what `teaching.Lesson.recipe` tells beside the settings


def task_of(told: Mapping[str, Any]) -> VolumeSegmentation:
    """The task of a run, from the settings in its recipe.

    Args:
        told: "objective" of recipe.json.

    Raises:
        ValueError: a run of something else than label maps from one cine, or settings of another version.
    """
    if told.get("task") != VolumeSegmentationSettings.__name__:
        raise ValueError(f"a run of {told.get('task', 'something else')} draws no labels; those of segmentation do")
    if list(told["contrasts"]) != [Contrast.CINE.value]:
        raise ValueError(f"the run read {', '.join(told['contrasts'])} together; a model of one cine is needed")
    return VolumeSegmentation(settings_of(VolumeSegmentationSettings(), told))


def settings_of(like: S, told: Mapping[str, Any]) -> S:
    """Settings of a task as a run's recipe tells them, which also tells of its data.

    Args:
        like: default settings of that task.
        told: the recipe's "objective".

    Raises:
        ValueError: settings of another version.
    """
    return restored(like, {name: value for name, value in told.items() if name not in _OF_DATA})


class TaughtReader:
    """A network of a run and the way it is asked.

    Of a stack one left and one right ventricle are kept; missing slices are bridged from their neighbours.

    Args:
        network: with the run's weights.
        task: see `task_of`.
        device: where the network runs.
        way: its precision counts; compiled networks are for published ones.
    """

    def __init__(
        self, network: nn.Module, task: VolumeSegmentation, device: str = "cpu", way: Way | None = None
    ) -> None:
        self.network, self.task = network.to(device).eval(), task
        self.kind, self.half = device.split(":")[0], (way or Way()).halves(device)

    def labels(self, image: Image, progress: Callable[[float], None] | None = None) -> NDArray[np.uint8]:
        """(x, y, z, t) `Structure` codes on the image's own grid; `UNSEEN` in missing slices."""
        settings = self.task.settings
        whole = Image(bridged(image), image.affine, image.times, settings.view)
        study = Study("image", {settings.key: whole}, Facts())
        labels = np.full(image.data.shape, Structure.UNSEEN, np.uint8)
        with torch.inference_mode(), torch.autocast(self.kind, torch.bfloat16, enabled=self.half):
            for t in range(image.frames):
                found = self.task.predict(self.network, study, {"LV_ED": t}).labels[settings.key][..., t]
                labels[..., t] = _heart(found) if settings.view is View.SAX else found
                if progress:
                    progress((t + 1) / image.frames)
        labels[:, :, list(image.missing_slices)] = Structure.UNSEEN
        return labels


def _heart(found: NDArray[np.uint8]) -> NDArray[np.uint8]:
    seen = found != Structure.UNSEEN
    return np.where(seen, kept(np.where(seen, found, Structure.BACKGROUND).astype(np.uint8), "largest"), found)
