"""What a network says of an image that does not fit it: which axis, what it has, what fits."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor


def check_image(
    image: Tensor, channels: int, multiples: Sequence[int], axes: str = "xyz", smallest: Sequence[int] | None = None
) -> None:
    """Refuse an image that a network cannot take.

    Args:
        image: should be (batch, channels, one axis for each of `multiples`).
        channels: how many the network was built for.
        multiples: each axis must have a multiple of so many voxels.
        axes: their letters, for the message.
        smallest: fewest voxels along each axis; the multiple itself where not given.

    Raises:
        ValueError: names the axis, its size, and the sizes that fit.
    """
    letters = axes[: len(multiples)]
    if image.ndim != 2 + len(multiples):
        wanted = ", ".join(("batch", "channel", *letters))
        raise ValueError(f"the network takes ({wanted}), got {image.ndim} axes: {tuple(image.shape)}")
    if image.shape[1] != channels:
        raise ValueError(f"the network was built for {channels} channels, the image has {image.shape[1]}")
    for letter, size, multiple, least in zip(letters, image.shape[2:], multiples, smallest or multiples, strict=True):
        if size < least:
            raise ValueError(f"axis {letter} has {size} voxels; the network needs {least} or more: pad the image")
        if size % multiple:
            below, above = size // multiple * multiple, (size // multiple + 1) * multiple
            fits = f"{below} or {above}" if below >= least else f"{above}"
            raise ValueError(f"axis {letter} has {size} voxels; it must be a multiple of {multiple}: {fits} fit")
