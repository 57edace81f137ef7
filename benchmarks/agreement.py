"""Whether faster ways of asking a short-axis segmentation network draw the same labels, and how much faster they are.

python benchmarks/agreement.py                                     # a narrow network, half a minute of learning
python benchmarks/agreement.py --size published --minutes 10 --subjects 200 --device cuda --ask-on cpu

The network first learns from synthetic stacks for the minutes given, because labels of random weights flip at a touch.
Then every way of asking draws labels of held-out stacks; the table tells its time as a ratio to the plain eager fp32
run of the same network, and its Dice against the labels of that run, mean and worst stack.
"""

from __future__ import annotations

import argparse
import copy
import time
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from cinecmr.learn.losses import dice_and_cross_entropy, hard_dice
from cinecmr.networks.convunetr import ConvUNetR
from cinecmr.networks.inference import Ready, Way, computes_half
from cinecmr.networks.kinds import published
from cinecmr.networks.multiview import MultiViewConfig, ViewShape
from cinecmr.phantom.stacks import StackRecipe, training_stacks

if TYPE_CHECKING:
    from collections.abc import Callable

SIZES = {"small": (64, 64, 8), "published": (192, 192, 16)}


def made(size: str) -> nn.Module:
    """The published network, or one of its shape at a fraction of its widths."""
    if size == "published":
        return published("seg_sax")
    config = MultiViewConfig(
        {"sax": ViewShape(SIZES[size])}, stem_widths=(16, 32), stem_blocks=1, width=96, depth=2, heads=4
    )
    return ConvUNetR(config, 4, (8, 16, 32, 48, 64), image_norm=True)


def stacks(size: str, subjects: int, first: int) -> tuple[Tensor, Tensor]:
    """Images (n, 1, x, y, z) from 0 to 1 and labels (n, x, y, z) of synthetic subjects, two of each."""
    pixels, _, slices = SIZES[size]
    recipe = StackRecipe(pixels=pixels, pixel_mm=192 / pixels, slices=slices)
    pairs = [pair for n in range(subjects) for pair in training_stacks(first + n, recipe)]
    images, labels = (np.stack([np.moveaxis(pair[k], 0, 2) for pair in pairs]) for k in (0, 1))
    return torch.from_numpy(images)[:, None].float() / 255, torch.from_numpy(labels)


def learned(network: nn.Module, pool: tuple[Tensor, Tensor], minutes: float, device: str) -> nn.Module:
    """The network after so many minutes of Dice and cross-entropy."""
    network = network.to(device).train()
    optimiser = torch.optim.AdamW(network.parameters(), lr=3e-4)
    rng, started, steps = np.random.default_rng(0), time.perf_counter(), 0
    while time.perf_counter() - started < 60 * minutes:
        chosen = rng.integers(len(pool[0]), size=4 if device != "cpu" else 2)
        images, labels = (part[chosen].to(device) for part in pool)
        with torch.autocast(device, torch.bfloat16, enabled=computes_half(device)):
            scores = network({"sax": images})["sax"]
        loss = sum(dice_and_cross_entropy(scores.float(), labels), torch.zeros((), device=device))
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 5.0)
        optimiser.step()
        steps += 1
    print(f"learned for {steps} updates, last loss {float(loss.detach()):.3f}")
    return network.eval()


def drawn(
    ways: dict[str, Callable[[dict[str, Tensor]], dict[str, Tensor]]], images: Tensor, repeats: int = 3
) -> tuple[dict[str, Tensor], dict[str, float]]:
    """Labels that each way draws of every stack, and its shortest seconds a stack; the ways take turns."""
    labels: dict[str, list[Tensor]] = {name: [] for name in ways}
    best = dict.fromkeys(ways, float("inf"))
    with torch.inference_mode():
        for ask in ways.values():
            ask({"sax": images[:1]})  # what is done once is not timed
        for image in images:
            for repeat in range(repeats):
                for name, ask in ways.items():
                    started = time.perf_counter()
                    scores = ask({"sax": image[None]})["sax"]
                    if image.device.type == "cuda":
                        torch.cuda.synchronize()
                    best[name] = min(best[name], time.perf_counter() - started)
                    if repeat == 0:
                        labels[name].append(scores[0].float().argmax(0).cpu())
    return {name: torch.stack(found) for name, found in labels.items()}, best


def main() -> None:
    """Read the options, learn, print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", default="small", choices=list(SIZES))
    parser.add_argument("--minutes", type=float, default=0.5)
    parser.add_argument("--subjects", type=int, default=12, help="synthetic subjects to learn from")
    parser.add_argument("--device", default="cpu", help="where it learns")
    parser.add_argument("--ask-on", default=None, help="where it is asked; else where it learned")
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--half", action="store_true", help="bf16 even where this machine has to emulate it")
    given = parser.parse_args()
    torch.manual_seed(0)
    network = learned(made(given.size), stacks(given.size, given.subjects, 0), given.minutes, given.device)
    device = given.ask_on or given.device
    network = copy.deepcopy(network).to(device)
    images, truth = stacks(given.size, 4, 100_000)
    images = images.to(device)
    ways = {"as asked": Way()}
    if given.half or computes_half(device):
        ways["bf16"] = Way("bf16")
    if given.compile:
        ways["compiled"] = Way(compiled=True)
    asked = {"plain fp32": network, **{name: Ready(network, device, way) for name, way in ways.items()}}
    labels, seconds = drawn(asked, images)
    plain = labels["plain fp32"]
    print(f"torch {torch.__version__}, {device}, {torch.get_num_threads()} threads, {given.size} size, "
          f"{sum(p.numel() for p in network.parameters()):,} parameters")  # fmt: skip
    print(f"Dice {np.mean(hard_dice(plain, truth, 4)):.3f} against the truth of held-out hearts")
    print(f"{'way':<12}{'seconds':>9}{'ratio':>8}{'Dice to plain':>15}{'worst':>9}")
    for name, found in labels.items():
        dice = [min(hard_dice(a, b, 4)) for a, b in zip(found, plain, strict=True)]
        took = f"{seconds[name]:9.2f}{seconds['plain fp32'] / seconds[name]:7.2f}x"
        print(f"{name:<12}{took}{np.mean(dice):15.5f}{min(dice):9.5f}")


if __name__ == "__main__":
    main()
