"""Masked autoencoding of several views together: most patches are hidden, and the network draws them from the rest.

Source: CineMA (Fu et al.), section 4.1; specification of its code, sections 4, 7 and 12 (rows 2 to 6).
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from cinecmr.learn.objective import Loss
from cinecmr.learn.recipe import Optimiser, Recipe, Schedule, hash_of
from cinecmr.learn.samples import Grid
from cinecmr.learn.warp import PRESETS, for_pretraining
from cinecmr.networks.mae import MaskedAutoencoder
from cinecmr.networks.multiview import MultiViewConfig, ViewShape
from cinecmr.pretrain._masking import hidden_patches

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from torch import Tensor, nn

    from cinecmr.learn.warp import Moved
    from cinecmr.pretrain.pool import Entry

VIEWS = ("sax", "lax_2c", "lax_3c", "lax_4c")


@dataclass(frozen=True)
class MAESettings:
    """What is hidden, and how large the network is.

    Attributes:
        preset: of the augmentation: "published", "official" or "sound"; see `learn.warp.for_pretraining`.
        views: those the network reads; a subject may have any of them.
        sax_size, sax_spacing: voxels and mm along x, y, z. lax_size, lax_spacing: of long-axis views, along x, y.
        hidden: share of the patches hidden, in every view.
        stem_widths, stem_blocks, width, depth, heads: see `networks.multiview.MultiViewConfig`.
        decoder_width, decoder_depth, decoder_heads: see `networks.mae.MaskedAutoencoder`.
        score_padding: whether drawing zeros where no image was acquired counts, as in the published code.
        normalised: draw patches of mean 0 and variance 1; not published.
        checkpointing: less memory, more time.
    """

    preset: str = "sound"
    views: tuple[str, ...] = VIEWS
    sax_size: tuple[int, int, int] = (192, 192, 16)
    sax_spacing: tuple[float, float, float] = (1.0, 1.0, 10.0)
    lax_size: tuple[int, int] = (256, 256)
    lax_spacing: float = 1.0
    hidden: float = 0.75
    stem_widths: tuple[int, ...] = (64, 128)
    stem_blocks: int = 2
    width: int = 768
    depth: int = 12
    heads: int = 12
    decoder_width: int = 512
    decoder_depth: int = 8
    decoder_heads: int = 16
    score_padding: bool = False
    normalised: bool = False
    checkpointing: bool = False

    def __post_init__(self) -> None:
        if self.preset not in PRESETS:
            raise ValueError(f"no preset {self.preset!r}: there are {', '.join(PRESETS)}")
        unknown = [view for view in self.views if view not in VIEWS]
        if unknown or not self.views:
            raise ValueError(f"views are any of {', '.join(VIEWS)}, got {self.views}")
        if not 0 < self.hidden < 1:
            raise ValueError(f"hidden is a share between 0 and 1, got {self.hidden}")

    def as_json(self) -> dict[str, object]:
        """For a `Recipe`."""
        return {"task": "mae", **asdict(self)}

    def grids(self) -> dict[str, Grid]:
        """What each view is brought to."""
        pad: Any = "end" if self.preset == "official" else "centre"
        long_axis = Grid((*self.lax_size, 1), (self.lax_spacing, self.lax_spacing, 0.0), pad=pad)
        stack = Grid(self.sax_size, self.sax_spacing, pad=pad)
        return {view: stack if view == "sax" else long_axis for view in self.views}

    def config(self) -> MultiViewConfig:
        """Of the network."""
        sizes = {view: self.sax_size if view == "sax" else self.lax_size for view in self.views}
        return MultiViewConfig(
            {view: ViewShape(size) for view, size in sizes.items()},
            stem_widths=self.stem_widths,
            stem_blocks=self.stem_blocks,
            width=self.width,
            depth=self.depth,
            heads=self.heads,
            checkpointing=self.checkpointing,
        )


@dataclass(frozen=True)
class Views:
    """Samples with the same views.

    Attributes:
        images: (samples, 1, x, y[, z]) by view, 0 to 1.
        hidden: (samples, patches) bool by view. inside: as the images, 1 where they were acquired, 0 where padded.
    """

    images: dict[str, Tensor]
    hidden: dict[str, Tensor]
    inside: dict[str, Tensor]

    def __len__(self) -> int:
        return len(next(iter(self.images.values())))


@dataclass
class MAE:
    """Learn to draw hidden patches.

    Attributes:
        entries: visits to learn from. held_out: visits of other people, for `check`.
        settings: see there.
    """

    entries: Sequence[Entry]
    held_out: Sequence[Entry]
    settings: MAESettings

    def __post_init__(self) -> None:
        self._changes = for_pretraining(self.settings.preset)
        self._config = self.settings.config()

    @property
    def size(self) -> int:
        """Visits: an epoch shows one frame of each."""
        return len(self.entries)

    def network(self) -> nn.Module:
        """A fresh autoencoder."""
        chosen = self.settings
        return MaskedAutoencoder(
            self._config, chosen.decoder_width, chosen.decoder_depth, chosen.decoder_heads, chosen.normalised
        )

    def sample(self, number: int, rng: np.random.Generator) -> Views:
        """One frame of a visit, in all its views, changed and with patches hidden."""
        return self._sample(self.entries[number], rng, changed=True)

    def _sample(self, entry: Entry, rng: np.random.Generator, changed: bool) -> Views:
        share, images, hidden, inside = rng.random(), {}, {}, {}
        shared = self._changes.draw(rng)  # by the long-axis views of the official preset
        for view in (view for view in self.settings.views if view in entry.views):
            stored = entry.frames(view)
            frame = np.asarray(stored[int(share * len(stored))], np.float32)[None] / np.float32(255)
            mask = entry.mask(view, frame.shape[1:])
            if changed:
                alike = self.settings.preset == "official" and view != "sax"
                frame, mask = self._changed(frame, mask, rng, shared if alike else self._changes.draw(rng))
            flat = self._config.views[view].size
            images[view] = torch.from_numpy(np.ascontiguousarray(frame).reshape(1, 1, *flat))
            inside[view] = torch.from_numpy(np.ascontiguousarray(mask, np.float32).reshape(1, 1, *flat))
            patches = int(np.prod(self._config.grid(view)))
            hidden[view] = torch.from_numpy(hidden_patches(rng, patches, self.settings.hidden))[None]
        return Views(images, hidden, inside)

    def _changed(
        self, frame: NDArray[np.float32], mask: NDArray[np.bool_], rng: np.random.Generator, moved: Moved | None
    ) -> tuple[NDArray[np.float32], NDArray[Any]]:
        plain = replace(self._changes, move=None)
        frame, _ = plain(frame, rng)
        if moved is None:
            return frame, mask
        return moved.image(frame), moved.labels(mask.astype(np.uint8))

    def collate(self, samples: Sequence[Views]) -> list[Views]:
        """Samples of equal views together; there is one group if no visit lacks a view."""
        groups: dict[tuple[str, ...], list[Views]] = defaultdict(list)
        for sample in samples:
            groups[tuple(sample.images)].append(sample)
        return [
            Views(*({view: torch.cat([getattr(one, part)[view] for one in alike]) for view in views}
                    for part in ("images", "hidden", "inside")))
            for views, alike in sorted(groups.items())
        ]  # fmt: skip

    def batch(self, rng: np.random.Generator, size: int) -> list[Views]:
        """Frames of visits drawn by themselves."""
        return self.collate([self.sample(int(rng.integers(self.size)), rng) for _ in range(size)])

    def loss(self, network: nn.Module, batch: list[Views]) -> Loss:
        """Mean squared error of the hidden patches, the plain mean over the views of a sample."""
        total, parts = torch.zeros(()), defaultdict[str, list[float]](list)
        samples = sum(len(views) for views in batch)
        for views in batch:
            _, error, errors = self.drawn(network, views)
            total = total.to(error.device) + error * (len(views) / samples)
            for view, told in errors.items():
                parts[f"mse_{view}"].append(float(told.detach()))
        return Loss(total, {name: float(np.mean(told)) for name, told in parts.items()})

    def drawn(self, network: nn.Module, views: Views) -> tuple[dict[str, Tensor], Tensor, dict[str, Tensor]]:
        """What the network draws, its error, and that of each view."""
        predicted: dict[str, Tensor] = network(views.images, views.hidden)
        inside = None if self.settings.score_padding else views.inside
        error, errors = network.loss(predicted, views.images, views.hidden, inside)  # type: ignore[operator]
        return predicted, error, errors

    def check(self, network: nn.Module) -> dict[str, float]:
        """Peak signal-to-noise ratio of hidden patches, dB, over held-out visits, the same patches every time."""
        errors: dict[str, list[float]] = defaultdict(list)
        device = next(network.parameters()).device
        for entry in self.held_out:
            sample = self.fixed(entry)
            there = Views(*({k: v.to(device) for k, v in getattr(sample, part).items()}
                            for part in ("images", "hidden", "inside")))  # fmt: skip
            for view, told in self.drawn(network, there)[2].items():
                errors[view].append(float(told))
        means = {view: float(np.mean(told)) for view, told in errors.items()}
        if not means:
            return {}
        return {"psnr": -10 * float(np.log10(np.mean(list(means.values())))),
                **{f"held_out_mse_{view}": told for view, told in means.items()}}  # fmt: skip

    def fixed(self, entry: Entry) -> Views:
        """A visit's frame and hidden patches that stay the same."""
        return self._sample(entry, np.random.default_rng(int(hash_of(entry.name), 16)), changed=False)


@dataclass(frozen=True)
class Plan:
    """A pre-training run before its data are counted.

    Attributes:
        settings, optimiser: see there.
        epochs: passes over the visits; 0 to count in updates.
        updates, batch, micro: see `learn.recipe.Schedule`. warm: share of the updates until the peak.
        precision: "fp32" or "bf16". frames: most frames kept of a visit; 0 for all.
        held_out: share of the people that is only checked on.
    """

    settings: MAESettings
    optimiser: Optimiser
    epochs: int = 0
    updates: int = 2000
    batch: int = 8
    micro: int = 0
    warm: float = 0.05
    precision: str = "fp32"
    frames: int = 0
    held_out: float = 0.1

    def recipe(self, entries: Sequence[Entry], seed: int) -> Recipe:
        """The run over these visits, whose names are part of it."""
        data = hash_of([entry.name for entry in entries])
        batch = min(self.batch, len(entries))
        per_epoch = -(-len(entries) // batch)
        updates = self.epochs * per_epoch or self.updates
        log_every = max(1, min(20, updates // 20))
        checks = max(1, updates // log_every // 10) * log_every
        return Recipe(
            self.settings.as_json() | {"visits": len(entries), "data": data},
            replace(self.optimiser, warmup=max(1, round(self.warm * updates))),
            Schedule(updates, batch, log_every, checks, min(self.micro, batch), by_epochs=True),
            seed,
            precision=self.precision,
        )


SCALES = ("smoke", "laptop", "gpu", "full")
_PUBLISHED = Optimiser(1e-3, 0.05, clip=5.0, average=0.0, betas=(0.9, 0.95), last_rate=1e-6, from_zero=True,
                       spare_vectors=True, fused=True)  # fmt: skip


def plan(scale: str = "laptop", preset: str = "sound") -> Plan:
    """Settings of a scale and a preset.

    "published" is what the paper says, "official" what its code does; "sound" is the paper's, without scoring what was
    padded. `laptop` is a narrow network on small grids; `gpu` the published network for a few minutes of one H100-class
    device; `full` the published run.

    Raises:
        ValueError: no such scale or preset.

    Source: specification of CineMA's code, sections 7 and 12.
    """
    full = MAESettings(preset, score_padding=preset != "sound")
    batch = 64 if preset == "official" else 128
    if scale == "full":
        return Plan(full, _PUBLISHED, epochs=800, batch=batch, micro=16, warm=10 / 800, precision="bf16")
    if scale == "gpu":
        return Plan(full, _PUBLISHED, updates=1500, batch=batch // 2, micro=16, precision="bf16")
    if scale == "laptop":
        small = replace(full, sax_size=(96, 96, 8), sax_spacing=(2.0, 2.0, 10.0), lax_size=(96, 96), lax_spacing=2.0,
                        stem_widths=(24, 48), width=192, depth=6, heads=6, decoder_width=128,
                        decoder_depth=3, decoder_heads=4)  # fmt: skip
        return Plan(small, _PUBLISHED, updates=2000, batch=8, frames=8)
    if scale == "smoke":
        tiny = replace(full, sax_size=(32, 32, 4), sax_spacing=(6.0, 6.0, 24.0), lax_size=(32, 32), lax_spacing=6.0,
                       stem_widths=(8, 16), width=24, depth=1, heads=2, decoder_width=24,
                       decoder_depth=1, decoder_heads=2)  # fmt: skip
        return Plan(tiny, replace(_PUBLISHED, rate=3e-3), updates=20, batch=4, frames=2, held_out=0.25)
    raise ValueError(f"no scale {scale!r}: there are {', '.join(SCALES)}")
