"""A vision transformer over tokens: attention, blocks, an encoder with a class token, a decoder of queries."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from cinecmr.networks._blocks import DropPath, Mlp

if TYPE_CHECKING:
    from collections.abc import Callable


class Attention(nn.Module):
    """Attention of queries to keys, or of tokens to one another.

    Source: Vaswani et al. 2017, section 3.2.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        if width % heads:
            raise ValueError(f"{heads} heads do not share {width} channels equally")
        self.heads = heads
        self.q = nn.Linear(width, width)
        self.kv = nn.Linear(width, 2 * width)
        self.proj = nn.Linear(width, width)

    def _by_head(self, tokens: Tensor) -> Tensor:
        return tokens.reshape(*tokens.shape[:2], self.heads, -1).transpose(1, 2)

    def forward(self, queries: Tensor, keys: Tensor | None = None) -> Tensor:
        """(batch, queries, width) out; `keys` is (batch, keys, width), or None for self-attention."""
        key, value = self.kv(queries if keys is None else keys).chunk(2, -1)
        seen = nn.functional.scaled_dot_product_attention(
            self._by_head(self.q(queries)), self._by_head(key), self._by_head(value)
        )
        out: Tensor = self.proj(seen.transpose(1, 2).flatten(2))
        return out


class Block(nn.Module):
    """Attention and two dense layers, each after a norm and beside a shortcut.

    Keys from outside enter as they are: only the queries are normalised, as in the published weights.
    """

    def __init__(self, width: int, heads: int, drop_path: float = 0.0) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width)
        self.attn = Attention(width, heads)
        self.norm2 = nn.LayerNorm(width)
        self.mlp = Mlp(width)
        self.drop_path = DropPath(drop_path)

    def forward(self, queries: Tensor, keys: Tensor | None = None) -> Tensor:
        """(batch, queries, width) in and out."""
        queries = queries + self.drop_path(self.attn(self.norm1(queries), keys))
        out: Tensor = queries + self.drop_path(self.mlp(self.norm2(queries)))
        return out


class Encoder(nn.Module):
    """Transformer over a learned class token and any number of tokens.

    Args:
        drop_path: share of samples for which a branch is dropped, the same in every block.
        checkpointing: compute blocks again in the backward pass instead of keeping what they computed.
    """

    def __init__(self, width: int, depth: int, heads: int, drop_path: float = 0.0, checkpointing: bool = False) -> None:
        super().__init__()
        self.checkpointing = checkpointing
        self.cls_token = nn.Parameter(torch.zeros(1, 1, width))
        self.blocks = nn.ModuleList(Block(width, heads, drop_path) for _ in range(depth))
        self.norm = nn.LayerNorm(width)

    def forward(self, tokens: Tensor) -> Tensor:
        """(batch, tokens, width) to (batch, 1 + tokens, width): the class token comes first."""
        tokens = torch.cat([self.cls_token.expand(len(tokens), -1, -1).to(tokens.dtype), tokens], 1)
        for block in self.blocks:
            tokens = economically(block, self.checkpointing, tokens)
        out: Tensor = self.norm(tokens)
        return out


class Decoder(nn.Module):
    """Transformer of queries that see the same keys in every block and not one another; self-attention without keys."""

    def __init__(self, width: int, depth: int, heads: int, checkpointing: bool = False) -> None:
        super().__init__()
        self.checkpointing = checkpointing
        self.blocks = nn.ModuleList(Block(width, heads) for _ in range(depth))
        self.norm = nn.LayerNorm(width)

    def forward(self, queries: Tensor, keys: Tensor | None, answers: int) -> Tensor:
        """(batch, queries, width) to (batch, answers, width): the last `answers` queries, normalised."""
        for block in self.blocks:
            queries = economically(block, self.checkpointing, queries, keys)
        out: Tensor = self.norm(queries[:, queries.shape[1] - answers :])
        return out


def economically(layer: Callable[..., Tensor], checkpointing: bool, *given: Tensor | None) -> Tensor:
    """Call a layer; with `checkpointing` while gradients are wanted, keep its input only and compute it twice."""
    if checkpointing and torch.is_grad_enabled():
        out: Tensor = checkpoint(layer, *given, use_reentrant=False)
        return out
    return layer(*given)


def start_like_published(network: nn.Module) -> None:
    """Draw the weights as the published pre-training did.

    Linear layers Xavier-uniform with bias 0, tokens from N(0, 0.02); norms are 1 and 0 and convolutions keep torch's
    defaults.
    """
    for layer in network.modules():
        if isinstance(layer, nn.Linear):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)
    for name, parameter in network.named_parameters():
        if name.endswith(("cls_token", "mask_token")):
            nn.init.normal_(parameter, std=0.02)
