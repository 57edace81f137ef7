"""Every network, forward and training step, as ratios to a plain eager fp32 run of itself in the same run.

python benchmarks/networks.py                             # small sizes, a minute or two on one core
python benchmarks/networks.py --networks unet_3d --size published --repeats 1
python benchmarks/networks.py --compile --device cuda
python benchmarks/networks.py --where --networks seg_sax --size published --out results/networks/work.md

Runs of the variants alternate, and the fastest of each counts, so that a busy machine slows all of them alike. Where
MONAI has the same network and is installed, it is timed too, with the same weights, once its output is equal.

`--where` tells instead how much of the arithmetic and of the time lies in which layers, and how much faster the whole
could be if all of it ran as fast as the fastest layer: a bound for any way of asking that does the same arithmetic.
Seconds there are those of the process, which other work on the machine does not change.
"""

from __future__ import annotations

import argparse
import copy
import importlib.util
import time
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from cinecmr.experiments import provenance
from cinecmr.io.files import write_text
from cinecmr.networks.inference import Ready, computes_half
from cinecmr.networks.kinds import published
from cinecmr.networks.resnet import ResNet, ResNetConfig
from cinecmr.networks.siren import Siren, SirenConfig
from cinecmr.networks.ssp_unet import SSPUNet, SSPUNetConfig
from cinecmr.networks.stack_unet import StackUNet
from cinecmr.networks.unet import UNet, UNetConfig
from cinecmr.networks.video_swin import VideoSwin, VideoSwinConfig
from cinecmr.networks.video_swin_weights import INDEX, other_name
from cinecmr.networks.vit import Attention

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass
class Case:
    """A network and what it is given."""

    network: nn.Module
    inputs: tuple[Any, ...]


@dataclass
class Variant:
    """One way of running a network."""

    name: str
    network: nn.Module
    inputs: tuple[Any, ...]
    half: bool = False
    learns: bool = True  # whether it can be trained as well


def _view(kind: str, small: dict[str, tuple[int, ...]], size: str) -> Case:
    network = published(kind, **({"sizes": small} if size == "small" else {}))
    nominal = {"sax": (192, 192, 16), "lax_4c": (256, 256)}
    shapes = small if size == "small" else {view: nominal[view] for view in small}
    channels = 2 if kind.startswith("cls") else 1
    return Case(network, ({view: torch.rand(1, channels, *shape) for view, shape in shapes.items()},))


def _plain(
    small: tuple[Callable[[], nn.Module], tuple[int, ...]], full: tuple[Any, tuple[int, ...]], size: str
) -> Case:
    make, shape = small if size == "small" else full
    return Case(make(), (torch.rand(shape),))


SMALL_SWIN = VideoSwinConfig(width=24, depths=(2, 2, 2, 2), sliced_bias=True)
CASES: dict[str, Callable[[str], Case]] = {
    "stack_unet": lambda size: _plain((StackUNet, (1, 1, 4, 64, 64)), (StackUNet, (1, 1, 16, 192, 192)), size),
    "siren": lambda size: _plain(
        (lambda: Siren(SirenConfig((4, 64, 64, 64, 3))), (4096, 4)), (Siren, (10_000, 4)), size
    ),
    "unet_2d": lambda size: _plain(
        (lambda: UNet(UNetConfig(2, widths=(16, 32, 64))), (1, 1, 96, 96)),
        (lambda: UNet(UNetConfig(2)), (1, 1, 256, 256)),
        size,
    ),
    "unet_3d": lambda size: _plain(
        (lambda: UNet(UNetConfig(3, widths=(16, 32, 64))), (1, 1, 48, 48, 8)),
        (lambda: UNet(UNetConfig(3)), (1, 1, 192, 192, 16)),
        size,
    ),
    "resnet50_2d": lambda size: _plain(
        (lambda: ResNet(ResNetConfig(2, widths=(16, 32, 64, 128))), (2, 1, 96, 96)),
        (lambda: ResNet(ResNetConfig(2, 2, 6)), (2, 2, 256, 256)),
        size,
    ),
    "resnet50_3d": lambda size: _plain(
        (lambda: ResNet(ResNetConfig(3, widths=(16, 32, 64, 128))), (2, 1, 64, 64, 8)),
        (lambda: ResNet(ResNetConfig(3, 2, 5)), (2, 2, 192, 192, 16)),
        size,
    ),
    "ssp_unet": lambda size: _plain(
        (lambda: SSPUNet(SSPUNetConfig(widths=(16, 32, 64, 64, 64))), (2, 1, 96, 96)),
        (SSPUNet, (2, 1, 256, 256)),
        size,
    ),
    "video_swin": lambda size: _plain(
        (lambda: VideoSwin(SMALL_SWIN), (1, 3, 16, 64, 64)),
        (VideoSwin, (1, 3, 25, 224, 224)),
        size,
    ),
    "seg_sax": lambda size: _view("seg_sax", {"sax": (64, 64, 2)}, size),
    "cls_cvd_acdc_sax": lambda size: _view("cls_cvd_acdc_sax", {"sax": (64, 64, 2)}, size),
}


def tensors(output: object) -> list[Tensor]:
    """Every tensor of what a network gives: one, several, or one a view."""
    if isinstance(output, Tensor):
        return [output]
    return list(output.values()) if isinstance(output, dict) else list(output)  # type: ignore[call-overload]


def _moved(inputs: tuple[Any, ...], device: str, memory: torch.memory_format | None = None) -> tuple[Any, ...]:
    def move(one: Tensor) -> Tensor:
        return one.to(device, memory_format=memory) if memory is not None else one.to(device)

    return tuple({k: move(v) for k, v in one.items()} if isinstance(one, dict) else move(one) for one in inputs)


def convolution_axes(network: nn.Module) -> int:
    """2 or 3 where all convolutions have so many axes, else 0: then there is no one order of channels."""
    found = {2 if isinstance(m, nn.Conv2d) else 3 for m in network.modules() if isinstance(m, nn.Conv2d | nn.Conv3d)}
    return found.pop() if len(found) == 1 else 0


def variants(case: Case, device: str, half: bool, compiled: bool) -> list[Variant]:
    """The plain run first."""
    network, inputs = case.network.to(device), _moved(case.inputs, device)
    found = [Variant("eager fp32", network, inputs)]
    found.append(Variant("as asked", Ready(network, device), inputs, learns=False))
    if half:
        found.append(Variant("bf16", network, inputs, half=True))
    axes = convolution_axes(network)
    ranks = {t.ndim for one in inputs for t in (one.values() if isinstance(one, dict) else [one])}
    if axes and ranks == {axes + 2}:
        memory = torch.channels_last if axes == 2 else torch.channels_last_3d
        other = copy.deepcopy(network).to(memory_format=memory)  # type: ignore[call-overload]
        turned = _moved(inputs, device, memory)
        found.append(Variant("channels last", other, turned))
        if half:
            found.append(Variant("channels last, bf16", other, turned, half=True))
    if compiled:
        found.append(Variant("compiled", torch.compile(network), inputs))  # type: ignore[arg-type]
    return found


def forward(variant: Variant) -> list[Tensor]:
    """Without gradients, as in use."""
    device = next(variant.network.parameters()).device.type
    mixed = torch.autocast(device, torch.bfloat16) if variant.half else nullcontext()
    variant.network.eval()
    with torch.inference_mode(), mixed:
        return tensors(variant.network(*variant.inputs))


def train(variant: Variant) -> None:
    """Forward, backward and an update that changes nothing, so that every run does the same work."""
    device = next(variant.network.parameters()).device.type
    mixed = torch.autocast(device, torch.bfloat16) if variant.half else nullcontext()
    variant.network.train()
    optimiser = torch.optim.SGD(variant.network.parameters(), lr=0.0)
    with mixed:
        loss = sum((one.float().square().mean() for one in tensors(variant.network(*variant.inputs))), torch.zeros(()))
    loss.backward()
    optimiser.step()
    optimiser.zero_grad(set_to_none=True)


def fastest(run: Callable[[Variant], Any], ways: list[Variant], repeats: int, device: str) -> list[float]:
    """Seconds of each variant, the fastest of alternating runs after one that does not count."""
    best = [float("inf")] * len(ways)
    for repeat in range(repeats + 1):
        for number, way in enumerate(ways):
            if run is train and not way.learns:
                continue
            started = time.perf_counter()
            run(way)
            if device == "cuda":
                torch.cuda.synchronize()
            if repeat:
                best[number] = min(best[number], time.perf_counter() - started)
    return best


class MonaiSwin(nn.Module):
    """MONAI's Swin with the merging and the last norm of Video Swin, which it lacks, and our weights."""

    def __init__(self, ours: VideoSwin) -> None:
        super().__init__()
        from monai.networks.nets.swin_unetr import SwinTransformer

        config = ours.config
        self.body = SwinTransformer(
            config.channels_in, config.width, config.window, config.patch, list(config.depths), list(config.heads),
            patch_norm=True, downsample=_merging(),
        )  # fmt: skip
        self.norm = copy.deepcopy(ours.norm)
        self.body.layers4[0].downsample = None  # it merges once more after the last stage
        named = {other_name(n, "monai"): t for n, t in ours.state_dict().items()}
        told = self.body.load_state_dict({n: t for n, t in named.items() if n}, strict=False)
        assert not told.unexpected_keys
        assert all(n.endswith(INDEX) for n in told.missing_keys)

    def forward(self, clip: Tensor) -> Tensor:
        """(batch, features)."""
        features = self.body(clip, normalize=False)[-1]
        pooled: Tensor = self.norm(features.movedim(1, -1)).mean((1, 2, 3))
        return pooled


def _merging() -> type[nn.Module]:
    from cinecmr.networks.video_swin import PatchMerging

    class Merging(PatchMerging):
        def __init__(self, dim: int, norm_layer: object = None, spatial_dims: int = 3) -> None:  # noqa: ARG002
            super().__init__(dim)

    return Merging


def peers(name: str, case: Case, device: str) -> list[Variant]:
    """MONAI's own network, where there is one, it is installed, and it gives our output."""
    if name != "video_swin" or not all(map(importlib.util.find_spec, ("monai", "einops"))):
        return []
    assert isinstance(case.network, VideoSwin)
    other = Variant("MONAI", MonaiSwin(case.network).to(device), _moved(case.inputs, device))
    mine = forward(Variant("", case.network.to(device), other.inputs))[0]
    torch.testing.assert_close(forward(other)[0], mine, atol=1e-4, rtol=1e-4)
    return [other]


def report(name: str, size: str, device: str, repeats: int, half: bool, compiled: bool) -> None:
    """One line a variant: times, ratios to the first, and how far the output moved in units of its spread."""
    torch.manual_seed(0)
    case = CASES[name](size)
    others = peers(name, case, device)
    ways = [*variants(case, device, half, compiled), *others]
    exact = forward(ways[0])
    moved = [
        max(((a.float() - b).abs().max() / b.std()).item() for a, b in zip(forward(way), exact, strict=True))
        for way in ways
    ]
    seen, learned = (fastest(run, ways, repeats, device) for run in (forward, train))
    for way, a, b, change in zip(ways, seen, learned, moved, strict=True):
        step = f"{1e3 * b:9.1f} ms {learned[0] / b:7.2f} x" if way.learns else f"{'-':>12} {'-':>9}"
        ratios = f"{seen[0] / a:7.2f} x {step}"
        print(f"{name:<17}{way.name:<20}{1e3 * a:9.1f} ms {ratios} {change:10.1e}", flush=True)


TRANSPOSED = (nn.ConvTranspose2d, nn.ConvTranspose3d)


def layer_of(module: nn.Module, given: Tensor) -> str:
    """What a layer is called in the table of work, by the size of what enters."""
    if isinstance(module, nn.Linear):
        return "linear layers"
    if isinstance(module, Attention):
        return "attention of tokens"
    size = " x ".join(map(str, given.shape[2:]))
    wide = isinstance(module, nn.Conv2d | nn.Conv3d) and max(module.kernel_size) == 3
    return f"convolutions of 3 at {size}" if wide else "other convolutions"


def arithmetic(module: nn.Module, given: Tensor, answer: Tensor) -> float:
    """Additions and multiplications of a layer, in thousand millions."""
    if isinstance(module, Attention):
        return 4e-9 * given.shape[0] * given.shape[1] ** 2 * given.shape[2]
    many = given.numel() if isinstance(module, TRANSPOSED) else answer.numel()
    return 2e-9 * many * module.get_parameter("weight")[0].numel()


def work(network: nn.Module, inputs: tuple[Any, ...]) -> tuple[dict[str, list[float]], float]:
    """Arithmetic and seconds by kind of layer, and seconds of the whole, in one forward run after another."""
    parts: dict[str, list[float]] = {}
    begun: list[tuple[float, float]] = []  # when a layer began, and the seconds of the layers inside it

    def before(_module: nn.Module, _given: tuple[Any, ...]) -> None:
        begun.append((time.process_time(), 0.0))

    def after(module: nn.Module, given: tuple[Any, ...], answer: Any) -> None:
        started, inner = begun.pop()
        took = time.process_time() - started
        if begun:
            begun[-1] = (begun[-1][0], begun[-1][1] + took)
        part = parts.setdefault(layer_of(module, given[0]), [0.0, 0.0])
        part[0] += arithmetic(module, given[0], answer)
        part[1] += took - inner

    network.eval()
    with torch.inference_mode():
        network(*inputs)
        hooks = []
        for module in network.modules():
            if isinstance(module, (nn.Linear, nn.Conv2d, nn.Conv3d, Attention, *TRANSPOSED)):
                hooks += [module.register_forward_pre_hook(before), module.register_forward_hook(after)]
        started = time.process_time()
        network(*inputs)
        took = time.process_time() - started
    for hook in hooks:
        hook.remove()
    return parts, took


def where(name: str, size: str) -> list[str]:
    """Table of the work of a network on a processor."""
    torch.manual_seed(0)
    case = CASES[name](size)
    parts, took = work(case.network, case.inputs)
    parts["norms, activations, sums, way of data"] = [0.0, took - sum(seconds for _, seconds in parts.values())]
    lines = [f"| {name}: layers | GFLOP | seconds | GFLOP/s |", "|---|---:|---:|---:|"]
    for part, (flops, seconds) in sorted(parts.items(), key=lambda item: -item[1][1]):
        lines.append(f"| {part} | {flops:.0f} | {seconds:.2f} | {flops / seconds:.0f} |")
    total = sum(flops for flops, _ in parts.values())
    # Of layers with a fiftieth of the work or more: smaller ones say little.
    best = max(flops / seconds for flops, seconds in parts.values() if flops > total / 50)
    lines.append(f"| all | {total:.0f} | {took:.2f} | {total / took:.0f} |")
    bound = f"{total / best:.2f} s, {took / (total / best):.2f} times as fast"
    return [*lines, "", f"All of it at the rate of the fastest layer ({best:.0f} GFLOP/s), nothing else: {bound}."]


def main() -> None:
    """Read the options and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--networks", nargs="+", default=list(CASES), choices=list(CASES))
    parser.add_argument("--size", default="small", choices=["small", "published"])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--compile", action="store_true", help="also torch.compile, which takes minutes")
    parser.add_argument("--half", action="store_true", help="bf16 even where this machine has to emulate it")
    parser.add_argument("--where", action="store_true", help="which layers the work lies in, on a processor")
    parser.add_argument("--out", type=Path, default=None, help="also write the table of --where here")
    given = parser.parse_args()
    if given.where:
        started = time.perf_counter()
        rows = [line for name in given.networks for line in (*where(name, given.size), "")]
        about = provenance.about(started, "torch", threads=torch.get_num_threads(), size=given.size)
        table = "\n".join([*provenance.as_lines(about), *rows])
        print(table, end="")
        if given.out is not None:
            write_text(given.out, table)
        return
    half = given.half or computes_half(given.device)
    threads = torch.get_num_threads()
    print(f"torch {torch.__version__}, {given.device}, {threads} threads, {given.size} sizes, best of {given.repeats}")
    if not half:
        print("no bf16 arithmetic on this machine: left out (--half runs it all the same, emulated)")
    print(f"{'network':<17}{'variant':<20}{'forward':>12} {'ratio':>9} {'step':>12} {'ratio':>9} {'change/SD':>10}")
    for name in given.networks:
        report(name, given.size, given.device, given.repeats, half, given.compile)


if __name__ == "__main__":
    main()
