"""One run on several devices or machines, started by `torchrun`: gradients are summed, everything else is repeated.

Each process takes some passes of every update (`loading.Pass`); the sum of their weighted gradients is that of one
process that takes them all, up to rounding. The first process alone writes files and checks.
"""

from __future__ import annotations

import json
import os
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import torch
import torch.distributed as dist

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from torch import nn

PATIENCE = timedelta(hours=6)  # of processes that wait for the first one's check
BUCKET = 2**24  # numbers summed in one message


@dataclass(frozen=True)
class World:
    """The processes of a run.

    Attributes:
        rank: of this one. size: how many. device: where this one's network runs.
    """

    rank: int
    size: int
    device: str

    @property
    def first(self) -> bool:
        """Whether this process writes."""
        return self.rank == 0

    def wait(self) -> None:
        """Until every process is here."""
        if self.size > 1:
            dist.barrier()

    def sum_gradients(self, network: nn.Module) -> None:
        """Put the sum over the processes in place of every gradient; weights that got none anywhere keep none."""
        if self.size == 1:
            return
        learning = [parameter for parameter in network.parameters() if parameter.requires_grad]
        touched = torch.tensor([p.grad is not None for p in learning], dtype=torch.int32, device=self.device)
        dist.all_reduce(touched)
        mine = [p for p, anywhere in zip(learning, touched.tolist(), strict=True) if anywhere]
        for parameter in mine:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
        for bucket in _buckets(mine):
            gradients = [p.grad for p in bucket if p.grad is not None]
            flat = torch.cat([gradient.flatten() for gradient in gradients])
            dist.all_reduce(flat)
            for gradient, summed in zip(gradients, torch.split(flat, [g.numel() for g in gradients]), strict=True):
                gradient.copy_(summed.view_as(gradient))

    def share_buffers(self, network: nn.Module) -> None:
        """Give every process the first one's buffers, such as the running means of batch norms."""
        if self.size > 1:
            for buffer in network.buffers():
                dist.broadcast(buffer, 0)

    def gathered(self, told: Any) -> list[Any]:
        """What every process tells, as JSON, in the order of the processes."""
        if self.size == 1:
            return [told]
        text = torch.frombuffer(bytearray(json.dumps(told).encode()), dtype=torch.uint8).to(self.device)
        length = torch.tensor([len(text)], device=self.device)
        lengths = [torch.zeros_like(length) for _ in range(self.size)]
        dist.all_gather(lengths, length)
        longest = max(int(n) for n in lengths)
        padded = torch.nn.functional.pad(text, (0, longest - len(text)))
        texts = [torch.zeros_like(padded) for _ in range(self.size)]
        dist.all_gather(texts, padded)
        return [
            json.loads(bytes(text[: int(n)].cpu().tolist()).decode()) for text, n in zip(texts, lengths, strict=True)
        ]


def _buckets(parameters: Iterable[nn.Parameter]) -> Iterator[list[nn.Parameter]]:
    bucket: list[nn.Parameter] = []
    held = 0
    for parameter in parameters:
        if bucket and (held + parameter.numel() > BUCKET or parameter.dtype != bucket[0].dtype):
            yield bucket
            bucket, held = [], 0
        bucket.append(parameter)
        held += parameter.numel()
    if bucket:
        yield bucket


@contextmanager
def joined(device: str = "cpu") -> Iterator[World]:
    """The processes that `torchrun` started; this one alone where it did not.

    Args:
        device: "cpu", "cuda" or "mps"; with several processes "cuda" is the process's own device of its machine.
    """
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        yield World(0, 1, device)
        return
    if device == "cuda":
        device = f"cuda:{os.environ.get('LOCAL_RANK', '0')}"
        torch.cuda.set_device(device)
    started = not dist.is_initialized()
    if started:
        dist.init_process_group("nccl" if device.startswith("cuda") else "gloo", timeout=PATIENCE)
    try:
        yield World(dist.get_rank(), dist.get_world_size(), device)
        if started:
            dist.barrier()  # one that leaves while another still writes may take gloo's threads down with it
    finally:
        if started:
            dist.destroy_process_group()
