"""Torch modules: they know shapes, not hearts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import nn

__all__ = ["published"]


def published(kind: str, **config: Any) -> nn.Module:
    """A published network by name: see `cinecmr.networks.kinds.published`. Torch is imported by the call."""
    from cinecmr.networks.kinds import published as build

    return build(kind, **config)
