"""What an autoencoder makes of a visit: the image, what it was shown, what it drew, and by how much it erred."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from cinecmr.io.files import write_atomically
from cinecmr.networks.patches import patchify, unpatchify

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray
    from torch import Tensor

    from cinecmr.networks.mae import MaskedAutoencoder
    from cinecmr.pretrain.mae import MAE, Views
    from cinecmr.pretrain.pool import Entry

TITLES = ("image", "shown", "drawn", "difference")
Panels = dict[str, list["NDArray[np.float32]"]]


@torch.inference_mode()
def panels(network: MaskedAutoencoder, views: Views) -> Panels:
    """The four pictures of the first sample's middle slice, (x, y) each, by view; what was hidden is NaN in `shown`."""
    drawn = network(views.images, views.hidden)
    found: Panels = {}
    for view, image in views.images.items():
        patch, grid = network.config.patch(view), network.config.grid(view)
        filled = network.reconstruct(view, drawn[view], image, views.hidden[view])
        covered = patchify(image, patch).clone()
        covered[views.hidden[view]] = float("nan")
        shown = unpatchify(covered, patch, grid)
        found[view] = [_slice(t) for t in (image, shown, filled, (filled - image).abs())]
    return found


def _slice(image: Tensor) -> NDArray[np.float32]:
    plane = image[0, 0] if image.ndim == 4 else image[0, 0, ..., image.shape[-1] // 2]
    return np.asarray(plane.float().cpu().numpy(), np.float32)


def write(path: Path, found: Panels) -> None:
    """A PNG with a row a view. Names of subjects are not in it."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 2.1 * len(found)), layout="constrained")
    axes = figure.subplots(len(found), len(TITLES), squeeze=False)
    for title, axis in zip(TITLES, axes[0], strict=True):
        axis.set_title(title, fontsize=9)
    for row, (view, pictures) in zip(axes, found.items(), strict=True):
        for axis, picture in zip(row, pictures, strict=True):
            axis.imshow(picture.T, cmap="gray", vmin=0, vmax=1, origin="lower")
            axis.set_xticks([])
            axis.set_yticks([])
            axis.set_facecolor("#335577")
        row[0].set_ylabel(view, fontsize=9)
    write_atomically(path, lambda target: figure.savefig(target, dpi=100))


def draw(network: MaskedAutoencoder, objective: MAE, entries: list[Entry], folder: Path) -> list[Path]:
    """Pictures of visits, named by their order. The network is on the CPU afterwards."""
    network = network.to("cpu").eval()
    paths = []
    for number, entry in enumerate(entries):
        paths.append(folder / f"visit-{number + 1}.png")
        write(paths[-1], panels(network, objective.fixed(entry)))
    return paths
