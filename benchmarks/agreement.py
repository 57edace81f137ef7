"""Whether faster ways of asking a short-axis segmentation network draw the same labels, and how much faster they are.

python benchmarks/agreement.py                                  # the shipped network, and a narrow published one
python benchmarks/agreement.py --networks seg_sax --subjects 200 --device cuda --ask-on cpu
python benchmarks/agreement.py --int8 --out results/networks/agreement.md

Labels of random weights flip at a touch, so a network first learns from synthetic stacks for the minutes given; the
shipped one has learned already. Then every way of asking draws labels of held-out stacks. The table tells its time as
a ratio to the plain eager fp32 run of the same network, and its Dice against the labels of that run: the mean, and the
worst structure of the worst stack. On a processor minutes and seconds are those of this process, so that what else the
machine does changes neither; learn and ask with one thread there.
"""

from __future__ import annotations

import argparse
import copy
import time
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from cinecmr.analyze import models
from cinecmr.experiments import provenance
from cinecmr.io.files import write_text
from cinecmr.learn.losses import dice_and_cross_entropy, hard_dice
from cinecmr.networks.convunetr import ConvUNetR
from cinecmr.networks.inference import Ready, Way, computes_half
from cinecmr.networks.kinds import published
from cinecmr.networks.multiview import MultiView, MultiViewConfig, ViewShape
from cinecmr.networks.stack_unet import StackUNet
from cinecmr.networks.unet import UNet, UNetConfig
from cinecmr.phantom.stacks import StackRecipe, training_stacks
from cinecmr.tasks.segmentation import standardised

if TYPE_CHECKING:
    from collections.abc import Callable

CLASSES = 4
SMALL = (64, 64, 4)
# Hearts near the middle of windows of plain contrast, so that minutes teach something.
PLAIN = StackRecipe(zoom=(0.9, 1.1), centre_mm=8.0, clutter=0.0, wild=0.0, torso=0.0)


@dataclass(frozen=True)
class Candidate:
    """A network to be asked.

    Attributes:
        make: with its weights, where it has learned already.
        size: voxels along x, y, z of what it is asked.
        learns: whether it learns first.
    """

    make: Callable[[], nn.Module]
    size: tuple[int, int, int]
    learns: bool = True


def _narrow() -> nn.Module:
    """The published network at a fraction of its widths."""
    config = MultiViewConfig({"sax": ViewShape(SMALL)}, stem_widths=(16, 32), stem_blocks=1, width=96, depth=2, heads=4)
    return ConvUNetR(config, CLASSES, (8, 16, 32, 48, 64), image_norm=True)


CANDIDATES = {
    "sax-unet": Candidate(lambda: models.load("sax-unet").network, (112, 112, 8), learns=False),
    "unet": Candidate(lambda: UNet(UNetConfig(3, classes=CLASSES, widths=(8, 16, 32, 64))), SMALL),
    "convunetr": Candidate(_narrow, SMALL),
    "seg_sax": Candidate(lambda: published("seg_sax"), (192, 192, 16)),
}


def seconds(device: str) -> float:
    """Of this process on a processor; of the clock elsewhere, once the device is done."""
    if device != "cuda":
        return time.process_time() if device == "cpu" else time.perf_counter()
    torch.cuda.synchronize()
    return time.perf_counter()


def stacks(size: tuple[int, int, int], recipe: StackRecipe, subjects: int, first: int) -> tuple[Tensor, Tensor]:
    """Images (n, 1, x, y, z) and labels (n, x, y, z) of synthetic subjects, two of each."""
    pairs = [pair for n in range(subjects) for pair in training_stacks(first + n, recipe)]
    images, labels = (np.stack([np.moveaxis(pair[k], 0, 2) for pair in pairs]) for k in (0, 1))
    assert images.shape[1:] == size
    return torch.from_numpy(images)[:, None].float() / 255, torch.from_numpy(labels)


def scores_of(network: nn.Module, images: Tensor) -> Tensor:
    """(batch, classes, x, y, z) of any of the networks, `Ready` or not."""
    inner = getattr(network, "network", network)
    if isinstance(inner, MultiView):
        scores: Tensor = network({"sax": images})["sax"]
    elif isinstance(inner, StackUNet):
        eaten = torch.from_numpy(np.stack([standardised(one.cpu().numpy()) for one in images])).to(images)
        scores = network(eaten.movedim(-1, 2)).movedim(2, -1)
    else:
        scores = network(images)
    return scores.float()


class Asked(nn.Module):
    """A way of running a network that remembers whose it is."""

    def __init__(self, network: nn.Module, run: nn.Module) -> None:
        super().__init__()
        self.network, self.run = network, run

    def forward(self, given: object) -> object:
        """As the way runs it."""
        return self.run(given)


class Int8(nn.Module):
    """A convolution or linear layer in 8 bits: weights by output channel, what enters by its own range."""

    def __init__(self, layer: nn.Linear | nn.Conv2d | nn.Conv3d) -> None:
        super().__init__()
        weight = layer.weight.detach()
        self.layer = layer
        self.scale = (weight.abs().flatten(1).amax(1) / 127).clamp_min(1e-12)
        self.zero = torch.zeros(len(weight), dtype=torch.int)
        codes = (weight / self.scale.view(-1, *[1] * (weight.ndim - 1))).round().to(torch.int8)
        ops = torch.ops.onednn
        if isinstance(layer, nn.Linear):
            self.codes, self.run = ops.qlinear_prepack(codes, None), ops.qlinear_pointwise
            self.place: tuple[object, ...] = ()
        else:
            self.place = (*map(list, (layer.stride, layer.padding, layer.dilation)), layer.groups)
            self.codes = ops.qconv_prepack(codes, self.scale, 1.0, 0, *self.place, None)
            self.run = ops.qconv3d_pointwise if weight.ndim == 5 else ops.qconv2d_pointwise

    def forward(self, given: Tensor) -> Tensor:
        """As the layer, in 32 bits."""
        low, high = (float(edge) for edge in torch.aminmax(given))
        low, high = min(low, 0.0), max(high, 0.0)
        step = (high - low) / 255 or 1.0
        zero = round(-low / step)
        eaten = torch.quantize_per_tensor(given, step, zero, torch.quint8).int_repr()
        weights = (self.codes, self.scale, self.zero, self.layer.bias)
        out: Tensor = self.run(eaten, step, zero, *weights, *self.place, 1.0, 0, torch.float32, "none", [], "")
        return out


def in_8_bits(network: nn.Module) -> nn.Module:
    """A copy whose dense layers compute in 8 bits."""
    network = copy.deepcopy(network)
    for module in list(network.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, nn.Linear | nn.Conv2d | nn.Conv3d):
                setattr(module, name, Int8(child))
    return network


def learned(network: nn.Module, pool: tuple[Tensor, Tensor], minutes: float, device: str) -> nn.Module:
    """The network after so many minutes of Dice and cross-entropy."""
    network = network.to(device).train()
    optimiser = torch.optim.AdamW(network.parameters(), lr=1e-3)
    rng, started, steps = np.random.default_rng(0), seconds(device), 0
    loss = torch.zeros(())
    while seconds(device) - started < 60 * minutes:
        chosen = rng.integers(len(pool[0]), size=4 if device != "cpu" else 2)
        images, labels = (part[chosen].to(device) for part in pool)
        with torch.autocast(device, torch.bfloat16, enabled=computes_half(device)):
            scores = scores_of(network, images)
        loss = sum(dice_and_cross_entropy(scores, labels), torch.zeros((), device=device))
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 5.0)
        optimiser.step()
        steps += 1
    print(f"learned for {steps} updates, last loss {float(loss.detach()):.3f}", flush=True)
    return network.eval()


def drawn(ways: dict[str, Asked], images: Tensor, repeats: int = 3) -> tuple[dict[str, Tensor], dict[str, float]]:
    """Labels that each way draws of every stack, and its shortest seconds a stack; the ways take turns."""
    labels: dict[str, list[Tensor]] = {name: [] for name in ways}
    best = dict.fromkeys(ways, float("inf"))
    with torch.inference_mode():
        for way in ways.values():
            scores_of(way, images[:1])  # what is done once is not timed
        for image in images:
            for repeat in range(repeats):
                for name, way in ways.items():
                    started = seconds(image.device.type)
                    scores = scores_of(way, image[None])
                    best[name] = min(best[name], seconds(image.device.type) - started)
                    if repeat == 0:
                        labels[name].append(scores[0].argmax(0).cpu())
    return {name: torch.stack(found) for name, found in labels.items()}, best


def ways_of(network: nn.Module, device: str, given: argparse.Namespace) -> dict[str, Asked]:
    """The plain run first."""
    asked = {"plain fp32": network, "as asked": Ready(network, device)}
    if given.half or computes_half(device):
        asked["bf16"] = Ready(network, device, Way("bf16"))
    if given.compile:
        asked["compiled"] = Ready(network, device, Way(compiled=True))
    if given.int8:
        asked["int8"] = in_8_bits(network)
    return {name: Asked(network, way) for name, way in asked.items()}


def rows_of(name: str, given: argparse.Namespace) -> list[str]:
    """One line a way of asking."""
    candidate = CANDIDATES[name]
    torch.manual_seed(0)
    pixels, _, slices = candidate.size
    network, recipe = candidate.make(), StackRecipe(slices=slices, wild=0.0)
    if candidate.learns:
        plain = PLAIN.__dict__ | {"pixels": pixels, "pixel_mm": 192 / pixels, "slices": slices}
        recipe = StackRecipe(**plain)
        network = learned(network, stacks(candidate.size, recipe, given.subjects, 0), given.minutes, given.device)
    device = given.ask_on or given.device
    network = copy.deepcopy(network).to(device).eval()
    images, truth = stacks(candidate.size, recipe, 4, 100_000)
    labels, took = drawn(ways_of(network, device, given), images.to(device))
    plain_labels, rows = labels["plain fp32"], []
    of_truth = np.mean([hard_dice(a, b, CLASSES) for a, b in zip(plain_labels, truth, strict=True)])
    for way, found in labels.items():
        dice = [hard_dice(a, b, CLASSES) for a, b in zip(found, plain_labels, strict=True)]
        ratio = f"{took[way]:.3f} | {took['plain fp32'] / took[way]:.2f}"
        rows.append(f"| {name} | {of_truth:.3f} | {way} | {ratio} | {np.mean(dice):.5f} | {np.min(dice):.5f} |")
        print(rows[-1], flush=True)
    return rows


def main() -> None:
    """Read the options, learn, print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--networks", nargs="+", default=["sax-unet", "convunetr"], choices=list(CANDIDATES))
    parser.add_argument("--minutes", type=float, default=1.5, help="of learning, each")
    parser.add_argument("--subjects", type=int, default=20, help="synthetic subjects to learn from")
    parser.add_argument("--device", default="cpu", help="where it learns")
    parser.add_argument("--ask-on", default=None, help="where it is asked; else where it learned")
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--half", action="store_true", help="bf16 even where this machine has to emulate it")
    parser.add_argument("--int8", action="store_true", help="also dense layers in 8 bits, to see what that does")
    parser.add_argument("--out", type=Path, default=None, help="also write the table here")
    given = parser.parse_args()
    warnings.filterwarnings("ignore", message="torch.quantize_per_tensor")  # torch means to take it away
    started = time.perf_counter()
    rows = [row for name in given.networks for row in rows_of(name, given)]
    told = provenance.about(started, "torch", learned_minutes=given.minutes, threads=torch.get_num_threads())
    head = [
        "| network | Dice to truth | way | seconds | times plain | Dice to plain | worst |",
        "|---|---:|---|---:|---:|---:|---:|",
    ]
    table = "\n".join([*provenance.as_lines(told), *head, *rows]) + "\n"
    print(table, end="")
    if given.out is not None:
        write_text(given.out, table)


if __name__ == "__main__":
    main()
