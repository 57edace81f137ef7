"""Encoders from published weights: Video Swin's, one copy a sequence, or CineMA's transformer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cinecmr.errors import RefusedInput
from cinecmr.networks.pretrained import start_from
from cinecmr.networks.video_swin_weights import published_tensors
from cinecmr.tasks.screening_data import SEQUENCES
from cinecmr.tasks.screening_network import CinemaEncoder

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from torch import Tensor

    from cinecmr.tasks.screening_network import ScreeningConfig


def encoder_weights(config: ScreeningConfig, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights of every sequence's encoder, under the names of `ScreeningNetwork`.

    Args:
        config: says which encoder.
        tensors: of a published Video Swin, under any of its known names, or of CineMA's masked autoencoder, whose
            first convolutions are shared out over the two moments.

    Raises:
        RefusedInput: they are of another network or size (`weights-do-not-fit`); what differs is named.
    """
    found: dict[str, Tensor] = {}
    try:
        for name in SEQUENCES:
            if config.encoder == "video_swin":
                own = published_tensors(tensors, config.swin).tensors
            else:
                encoder = CinemaEncoder(name, config)
                loaded = start_from(encoder.backbone, tensors, share_channels=True).loaded
                own = {key: value for key, value in encoder.backbone.state_dict().items() if key in loaded}
            found |= {f"encoders.{name}.backbone.{key}": value.detach().clone() for key, value in own.items()}
    except ValueError as error:
        raise RefusedInput("weights-do-not-fit", f"screening cannot start from these weights: {error}") from None
    return found


def read_weights(config: ScreeningConfig, path: Path) -> dict[str, Tensor]:
    """`encoder_weights` of a safetensors file.

    Raises:
        RefusedInput: no such file (`no-start`), or weights that do not fit.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    if not path.is_file():
        raise RefusedInput("no-start", f"there is no file {path} to start from")
    try:
        tensors = load_file(path)
    except SafetensorError:
        raise RefusedInput("weights-do-not-fit", f"{path} is not a whole safetensors file") from None
    return encoder_weights(config, tensors)
