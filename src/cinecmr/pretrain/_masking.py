"""Which patches are hidden from a network that shall draw them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def hidden_patches(rng: np.random.Generator, patches: int, share: float) -> NDArray[np.bool_]:
    """Draw the patches of one image to hide.

    Args:
        rng: what is drawn from.
        patches: how many there are.
        share: of them to hide; int((1 - share) * patches) stay, as published.

    Returns:
        (patches,) True where hidden.

    Raises:
        ValueError: the share hides nothing, or everything.

    Source: He et al. 2022, section 3; specification of CineMA's code, section 4.

    >>> int(hidden_patches(np.random.default_rng(0), 16, 0.75).sum())
    12
    """
    kept = int(patches * (1 - share)) if 0 < share < 1 else patches
    if not 0 < kept < patches:
        raise ValueError(f"hiding a share of {share} of {patches} patches leaves nothing to see or nothing to draw")
    hidden = np.ones(patches, np.bool_)
    hidden[rng.random(patches).argsort()[:kept]] = False
    return hidden
