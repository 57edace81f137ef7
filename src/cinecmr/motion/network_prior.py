"""A prior of the published recipe: a network for each tagged subject, all from one start, averaged weight by weight.

Source: tagged-informed INR motion prior, section 2.2. `META` is ours: a second round that begins from the first one's
robust mean, so that weights the pictures leave free agree.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING

import torch
from safetensors.torch import load_file, save_file

from cinecmr.errors import RefusedInput
from cinecmr.io.files import write_atomically
from cinecmr.motion.cohort import META
from cinecmr.motion.published import Published, average, register_published
from cinecmr.motion.tensors import read_tensors, write_tensors

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from cinecmr.study import Image

    State = Mapping[str, Tensor]
    Loader = Callable[[str], tuple[Image, NDArray[np.uint8]]]

KIND = "cinecmr network motion prior"


@dataclass(frozen=True)
class NetworkPrior:
    """Weights that the next fit of the published recipe begins from.

    Attributes:
        weights: by name. settings: of the fits they come from; the next fit needs a network of the same size.
        subjects: how many they come from. method: how they were averaged.
    """

    weights: State
    settings: Published
    subjects: int
    method: str

    def save(self, path: Path) -> None:
        """Write a safetensors file, whole or not at all."""
        facts = {"settings": asdict(self.settings), "subjects": self.subjects, "method": self.method}
        write_tensors(path, KIND, {name: value.detach().cpu().numpy() for name, value in self.weights.items()}, facts)

    @classmethod
    def load(cls, path: Path) -> NetworkPrior:
        """Read what `save` wrote.

        Raises:
            ValueError: another kind of file.
        """
        held, facts = read_tensors(path, KIND)
        told = facts["settings"]
        settings = Published(**(told | {"widths": tuple(told["widths"])}))
        weights = {name: torch.from_numpy(value) for name, value in held.items()}
        return cls(weights, settings, facts["subjects"], facts["method"])


def networks(
    names: Sequence[str],
    load: Loader,
    folder: Path,
    settings: Published,
    *,
    start: State | None = None,
    apart: bool = False,
    device: str = "cpu",
    say: Callable[[str], None] | None = None,
) -> list[dict[str, Tensor]]:
    """A network for each subject; those in the folder are not fitted again.

    Args:
        names: of the subjects, safe as file names.
        load: short-axis image, with tagged slices where there are any, and labels of a name.
        folder: for one file a subject.
        settings: of the recipe.
        start: weights that all begin from; the seed's own when None.
        apart: each begins from weights of its own, which nobody should do: their average means nothing.
        device: where networks run.
        say: told of every subject.
    """
    found = []
    for number, name in enumerate(names):
        path = folder / f"{name}.safetensors"
        if not path.is_file():
            own = replace(settings, seed=settings.seed + 1 + number) if apart else settings
            try:
                motion = register_published(*load(name), start=start, settings=own, device=device)
            except RefusedInput as refusal:
                if say:
                    say(f"  {name}: left out, {refusal.message}")
                continue
            state = {key: value.detach().cpu().contiguous() for key, value in motion.network.state_dict().items()}
            write_atomically(path, lambda target, state=state: save_file(state, target))  # type: ignore[misc]
            if say:
                say(f"  {number + 1}/{len(names)} {name} registered")
        found.append(dict(load_file(path)))
    if not found:
        raise RefusedInput("nothing-registered", "no study of the cohort could be registered: no prior")
    return found


def network_prior(
    names: Sequence[str],
    load: Loader,
    folder: Path,
    settings: Published,
    method: str = "mean",
    *,
    apart: bool = False,
    device: str = "cpu",
    say: Callable[[str], None] | None = None,
) -> NetworkPrior:
    """Register every subject and average the networks.

    Args:
        names: see `networks`.
        load: see `networks`.
        folder: see `networks`; rounds have folders in it.
        settings: see `networks`.
        method: "mean" as published, "robust", or "meta" (two rounds).
        apart: see `networks`.
        device: see `networks`.
        say: see `networks`.

    Raises:
        RefusedInput: no subject could be registered.
    """
    first = networks(names, load, folder / "round-1", settings, apart=apart, device=device, say=say)
    if method == META:
        begun = average(first, "robust")
        again = folder / f"round-2-of-{len(names)}"  # the second round begins from the mean of these very subjects
        first = networks(names, load, again, settings, start=begun, device=device, say=say)
    return NetworkPrior(average(first, "robust" if method == META else method), settings, len(first), method)
