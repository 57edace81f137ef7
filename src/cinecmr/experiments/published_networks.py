"""Published networks: their sizes beside the published ones, and what each answers when filled by a rule.

The answers need no weights: every weight is a number that depends on its name (`networks.fill`), and so is every
voxel of the input. Whoever builds the same network elsewhere and fills it so must get the same figures.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, cast

from cinecmr.errors import RefusedInput
from cinecmr.experiments import provenance
from cinecmr.io.files import write_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from torch import Tensor, nn

    from cinecmr.networks.fill import Rule
    from cinecmr.networks.kinds import Config

# Millions of parameters that the paper states, appendix C, by network and whether it reads a stack.
PAPER_MILLIONS = {
    ("mae", True): 126,
    ("convunetr", True): 127,
    ("convunetr", False): 102,
    ("convvit", True): 90,
    ("convvit", False): 88,
    ("unet", True): 77,
    ("unet", False): 27,
    ("resnet", True): 46,
    ("resnet", False): 24,
}
# Millions of parameters that the other papers' own code builds; the papers state none. Of Video Swin without its head.
CODE_MILLIONS = {
    "ssp_unet": 33.474840,
    "ssp_unet_mim": 33.468833,
    "video_swin_tiny": 27.850470,
    "video_swin_base": 88.0,
    "siren": 0.133635,
}
# Of one sample: an image; a clip of three channels and time first; points.
OTHER_INPUTS: dict[str, tuple[int, ...]] = {
    "ssp_unet": (1, 256, 256),
    "ssp_unet_mim": (1, 256, 256),
    "video_swin_tiny": (3, 16, 224, 224),
    "video_swin_base": (3, 16, 224, 224),
    "siren": (4096, 4),
}
FIRST = 4  # values of an answer that are told


@dataclass(frozen=True)
class Size:
    """One kind's parameters.

    Attributes:
        kind: as in `networks.kinds.KINDS` or `OTHERS`.
        network: name of the network.
        input_shapes: (channels, x, y[, z]) of every view.
        parameters, trainable: with and without the fixed tables of positions.
        published_millions: what the paper states, tables included, or its code builds.
    """

    kind: str
    network: str
    input_shapes: dict[str, tuple[int, ...]]
    parameters: int
    trainable: int
    published_millions: float

    @property
    def agrees(self) -> bool:
        """Whether the count is within a million of one in whole millions, "approximately", or equal to an exact one."""
        whole = float(self.published_millions).is_integer()
        return abs(self.parameters / 1e6 - self.published_millions) < (1 if whole else 5e-7)


def sizes() -> list[Size]:
    """Every published kind, built without memory for its weights."""
    import torch

    from cinecmr.networks.kinds import KINDS, OTHERS, build

    found = []
    for kind, config in (*KINDS.items(), *OTHERS.items()):
        with torch.device("meta"):
            parameters = list(build(config).parameters())
        shapes = _input_shapes(kind, config)
        total = sum(p.numel() for p in parameters)
        trainable = sum(p.numel() for p in parameters if p.requires_grad)
        found.append(Size(kind, _name(config), shapes, total, trainable, _published_millions(kind, config)))
    return found


def _name(config: Config) -> str:
    return getattr(config, "name", type(config).__name__.removesuffix("Config").lower())


def _published_millions(kind: str, config: Config) -> float:
    stack = any(len(shape) == 4 for shape in _input_shapes(kind, config).values())
    return CODE_MILLIONS[kind] if kind in CODE_MILLIONS else PAPER_MILLIONS[_name(config), stack]


def _input_shapes(kind: str, config: Config) -> dict[str, tuple[int, ...]]:
    """(channels, ...) of every view; points (number, coordinates) of a SIREN."""
    from cinecmr.networks.kinds import PublishedConfig

    if isinstance(config, PublishedConfig):
        return {view: (config.channels, *config.size(view)) for view in config.views}
    return {kind: OTHER_INPUTS[kind]}


def sizes_markdown(rows: Iterable[Size]) -> str:
    """Table of kinds, inputs and parameters beside the published ones."""
    lines = [
        "| kind | network | input (channels, x, y, z) | parameters | trainable | published, millions | agrees |",
        "|---|---|---|---:|---:|---:|---|",
    ]
    for row in rows:
        inputs = "; ".join(f"{view} {' x '.join(map(str, shape))}" for view, shape in row.input_shapes.items())
        told = f"{row.parameters:,} | {row.trainable:,} | {row.published_millions} | {'yes' if row.agrees else 'no'}"
        lines.append(f"| {row.kind} | {row.network} | {inputs} | {told} |")
    return "\n".join(lines) + "\n"


@dataclass(frozen=True)
class Answer:
    """One output of a network filled by rule.

    Attributes:
        kind, rule: which network, and how it was filled.
        output: name of the output, a view's or "logits".
        shape: of the output, batch first.
        mean, deviation: over all its values.
        first: its first values in memory order.
    """

    kind: str
    rule: str
    output: str
    shape: tuple[int, ...]
    mean: float
    deviation: float
    first: tuple[float, ...]


def answers(kinds: Iterable[str], rule: Rule = "B", say: Callable[[str], None] | None = None) -> Iterator[Answer]:
    """Build networks at full size, fill them, feed them one sample and describe what comes out.

    The input of a view is `fill.drawn("KIND/VIEW", shape)`, that of a baseline `fill.drawn("KIND", shape)`. The
    autoencoder hides what `hidden_by_rule` hides.

    Args:
        kinds: names of published kinds.
        rule: of the weights.
        say: told what is being done and how long it took.

    Raises:
        ValueError: a kind that does not exist.
    """
    import torch

    from cinecmr.networks import published
    from cinecmr.networks.fill import fill
    from cinecmr.networks.kinds import config_of

    for kind in kinds:
        config = config_of(kind)
        network = published(kind).eval()
        fill(network, rule)
        started = time.perf_counter()
        with torch.no_grad():
            found = _outputs(kind, config, network)
        if say:
            say(f"{kind}: forward {time.perf_counter() - started:.1f} s")
        for name, output in found.items():
            first = tuple(output.flatten()[:FIRST].tolist())
            mean, deviation = output.double().mean().item(), output.double().std(correction=0).item()
            yield Answer(kind, rule, name, tuple(output.shape), mean, deviation, first)


def hidden_by_rule(kind: str, view: str, patches: int) -> Tensor:
    """(1, patches) bool, True where hidden: all but the quarter with the smallest `drawn("KIND/VIEW/hidden")`."""
    import torch

    from cinecmr.networks.fill import drawn

    order = torch.from_numpy(drawn(f"{kind}/{view}/hidden", (1, patches))).argsort(1)
    return order.argsort(1) >= patches // 4


def _outputs(kind: str, config: Config, network: nn.Module) -> dict[str, Tensor]:
    import torch

    from cinecmr.networks.fill import drawn
    from cinecmr.networks.mae import MaskedAutoencoder

    shapes = _input_shapes(kind, config)
    if _name(config) not in ("mae", "convunetr", "convvit"):
        (shape,) = shapes.values()
        answer = network(torch.from_numpy(drawn(kind, (1, *shape))))
        outputs = answer if isinstance(answer, list | tuple) else [answer]
        return {"logits" if len(outputs) == 1 else f"logits {n}": one for n, one in enumerate(outputs)}
    images = {view: torch.from_numpy(drawn(f"{kind}/{view}", (1, *shape))) for view, shape in shapes.items()}
    if isinstance(network, MaskedAutoencoder):
        hidden = {view: hidden_by_rule(kind, view, prod(network.config.grid(view))) for view in images}
        predicted: dict[str, Tensor] = network(images, hidden)
        return {"loss": network.loss(predicted, images, hidden)[0][None], **predicted}
    found = network(images)
    return found if isinstance(found, dict) else {"logits": found}


def answers_markdown(rows: Iterable[Answer], about: dict[str, str]) -> str:
    """Table of outputs, their mean, standard deviation and first values."""
    lines = [
        *provenance.as_lines(about),
        "| kind | rule | output | shape | mean | sd | first values |",
        "|---|---|---|---|---:|---:|---|",
    ]
    for row in rows:
        first = ", ".join(f"{value:.5f}" for value in row.first)
        shape = " x ".join(map(str, row.shape))
        told = f"{row.mean:.6f} | {row.deviation:.6f} | {first}"
        lines.append(f"| {row.kind} | {row.rule} | {row.output} | {shape} | {told} |")
    return "\n".join(lines) + "\n"


def run(kinds: Iterable[str], rule: str, out: Path | None, say: Callable[[str], None]) -> str:
    """The table of sizes, or of answers where kinds are named.

    Args:
        kinds: to be filled and run at full size, or "all"; none for the table of sizes.
        rule: "A" or "B", see `networks.fill`.
        out: a file that the table is written to as well.
        say: told what is being done.

    Raises:
        RefusedInput: a kind or a rule that does not exist.
    """
    from cinecmr.networks.kinds import KINDS, OTHERS, config_of

    wanted, started = list(kinds), time.perf_counter()
    wanted = [*KINDS, *OTHERS] if "all" in wanted else wanted
    try:
        for kind in wanted:
            config_of(kind)
        if wanted:
            found = list(answers(wanted, cast("Rule", rule), say))
            table = answers_markdown(found, provenance.about(started, "torch", rule=rule))
        else:
            table = sizes_markdown(sizes())
    except ValueError as error:
        raise RefusedInput("no-such-network", str(error)) from error
    if out is not None:
        write_text(out, table)
    return table
