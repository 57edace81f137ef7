"""The published recipe: a SIREN of space and time for each study, NCC and Jacobian, one frame a step.

What is mended: exact voxel centres; millimetres on all axes, centred on the left ventricle and turned with it;
end-diastole named, not the last frame, and time counted from it; the Jacobian on the myocardium alone. The rest is as
published: 4-256-256-256-3, omega 45, 10 000 points and one frame a step, Adam at 1e-5, 500 steps, weight 0.25; the
field moves a point of end-diastole to its place in a frame, and is not bound to rest at end-diastole.

Source: tagged-informed INR motion prior; specification, sections 1, 2 and 6.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from cinecmr.anatomy import Structure
from cinecmr.errors import RefusedInput
from cinecmr.geometry import apply_affine
from cinecmr.measure.clock import beat_shares
from cinecmr.motion import beat
from cinecmr.motion.shell import HeartFrame
from cinecmr.motion.similarity import correlation, volume_penalty
from cinecmr.networks.siren import Siren, SirenConfig

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import ArrayLike, NDArray
    from torch import Tensor

    from cinecmr.study import Image

    Array = NDArray[np.float64]

SIREN, XAVIER = "siren", "xavier"  # what a network without a prior begins with; the paper says the second
PADDING = (15, 10, 5)  # voxels beyond the labels of end-diastole on each axis
_CHUNK = 20_000


@dataclass(frozen=True)
class Published:
    """Settings of the recipe.

    Attributes:
        widths, omega: of the network.
        steps: one frame each. points: of each.
        rate: of Adam.
        volume: weight of the penalty on changes of volume in the myocardium.
        first: `SIREN`, as the published program begins, or `XAVIER`, as the paper says.
        seed: of the first weights, the same for every subject, and of the order.
    """

    widths: tuple[int, ...] = (4, 256, 256, 256, 3)
    omega: float = 45.0
    steps: int = 500
    points: int = 10_000
    rate: float = 1e-5
    volume: float = 0.25
    first: str = SIREN
    seed: int = 0

    def network(self) -> Siren:
        """A network with its first weights.

        Raises:
            ValueError: no such start.
        """
        torch.manual_seed(self.seed)
        made = Siren(SirenConfig(self.widths, self.omega))
        if self.first == XAVIER:
            for layer in made.layers:
                assert isinstance(layer, torch.nn.Linear)  # noqa: S101 - for the type checker
                torch.nn.init.xavier_uniform_(layer.weight)
                torch.nn.init.zeros_(layer.bias)
        elif self.first != SIREN:
            raise ValueError(f"a network begins as {SIREN} or {XAVIER}, not as {self.first!r}")
        return made


@dataclass(frozen=True)
class NetworkMotion:
    """A motion held by a network of (x, y, z, t), each about -1 to 1.

    Attributes:
        network: to displacements in units of `scale`.
        origin: (3,) patient mm. scale: mm a unit.
        turn: (3, 3) from patient axes to those of the heart, which networks of all subjects share.
        ed: share of the cycle from which time is counted: t is -1 there and 1 a beat later.
    """

    network: Siren
    origin: Array
    scale: float
    turn: Array
    ed: float = 0.0

    def _inputs(self, points: Array, time: float) -> Tensor:
        inside = (points - self.origin) @ self.turn.T / self.scale
        since = np.full(len(points), 2 * ((time - self.ed) % 1.0) - 1)
        where = next(self.network.parameters()).device
        return torch.as_tensor(np.column_stack([inside, since]), dtype=torch.float32, device=where)

    def displacement(self, points: Array, time: float) -> Array:
        """(n, 3) displacement, mm, of points at end-diastole, (n, 3) patient RAS mm, at a share of the cycle."""
        with torch.no_grad():
            found = [self.network(part) for part in torch.split(self._inputs(points, time), _CHUNK)]
        return np.asarray(torch.cat(found).double().cpu().numpy() @ self.turn * self.scale)

    def gradient(self, points: Array, time: float) -> Array:
        """(n, 3, 3) deformation gradient at the same points and time."""
        with torch.no_grad():
            found = [self.network.with_gradient(part)[1] for part in torch.split(self._inputs(points, time), _CHUNK)]
        return np.asarray(np.eye(3) + self.turn.T @ torch.cat(found).double().cpu().numpy() @ self.turn)


def register_published(
    image: Image,
    labels: NDArray[np.uint8],
    *,
    ed: int | None = None,
    start: Mapping[str, Tensor] | None = None,
    settings: Published | None = None,
    watch: Callable[[int, NetworkMotion], None] | None = None,
    device: str = "cpu",
    progress: Callable[[float], None] | None = None,
) -> NetworkMotion:
    """Fit one short-axis cine.

    Args:
        image: short-axis cine.
        labels: (x, y, z, t) `Structure` codes; only those of end-diastole are used.
        ed: reference frame; the largest cavity when None.
        start: weights of a prior, by name; every name must fit.
        settings: see `Published`.
        watch: shown the motion before the first step and after each, with the number of steps; it may not change it.
        device: where the network runs.
        progress: told the share of the steps done.

    Raises:
        RefusedInput: as `beat.check` and `beat.end_diastole`.
    """
    settings = settings or Published()
    beat.check(image, labels)
    reference = beat.end_diastole(labels, image) if ed is None else beat.given(ed, labels, image)
    network = settings.network()
    if start is not None:
        network.load_state_dict(dict(start))
    network = network.to(device)
    scene = _Scene(image, labels[..., reference], reference, device)
    motion = NetworkMotion(network, scene.origin, scene.scale, scene.turn, float(scene.shares[reference]))
    optimiser = torch.optim.Adam(network.parameters(), lr=settings.rate)
    rng = np.random.default_rng(settings.seed)
    if watch:
        watch(0, motion)
    for done in range(settings.steps):
        loss = scene.loss(motion, rng, settings)
        optimiser.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        optimiser.step()
        if watch:
            watch(done + 1, motion)
        if progress:
            progress((done + 1) / settings.steps)
    return motion


class _Scene:
    """A study as the recipe sees it: a box about the heart, all grey values between 0 and 1."""

    def __init__(self, image: Image, labels: NDArray[np.uint8], ed: int, device: str) -> None:
        seen = np.argwhere((labels != Structure.BACKGROUND) & (labels != Structure.UNSEEN))
        size = np.array(labels.shape)
        low = np.maximum(seen.min(axis=0) - PADDING, 0)
        high = np.minimum(seen.max(axis=0) + np.array(PADDING) + 1, size)
        cut = tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
        frames = image.data[cut].astype(np.float32)
        edges = np.percentile(frames, (1, 99), axis=(0, 1, 2))
        frames = np.clip((frames - edges[0]) / np.maximum(edges[1] - edges[0], 1e-6), 0, 1)
        self.device = torch.device(device)
        self.frames = self._held(np.ascontiguousarray(np.moveaxis(frames, 3, 0)))
        self.ed, self.shares = ed, beat_shares(image)
        self.index = np.argwhere(np.ones(frames.shape[:3], bool)).astype(np.float64)
        self.muscle = (labels[cut] == Structure.MYO).ravel()
        affine = image.affine.copy()
        affine[:3, 3] = apply_affine(image.affine, low.astype(np.float64))
        self.places = apply_affine(affine, self.index)
        pool = (labels[cut] == Structure.LV).ravel()
        self.origin = self.places[pool].mean(axis=0)
        self.scale = float(np.abs(self.places - self.origin).max())
        self.turn = _upright(labels, image)
        self.to_index = self._held(np.linalg.inv(affine[:3, :3]) @ self.turn.T)
        self.size = self._held(frames.shape[:3])

    def _held(self, values: ArrayLike) -> Tensor:
        return torch.as_tensor(np.asarray(values, np.float32), device=self.device)

    def loss(self, motion: NetworkMotion, rng: np.random.Generator, settings: Published) -> Tensor:
        """Of one frame and a draw of voxels."""
        frame = int(rng.integers(len(self.shares)))
        chosen = rng.choice(len(self.index), min(settings.points, len(self.index)), replace=False)
        inputs = motion._inputs(self.places[chosen], float(self.shares[frame]))
        muscle = torch.as_tensor(self.muscle[chosen], device=self.device)
        if settings.volume and bool(muscle.any()):
            inner, slopes = motion.network.with_gradient(inputs[muscle])
            moved = torch.empty(len(inputs), 3, device=self.device)
            moved = moved.index_put((torch.nonzero(muscle)[:, 0],), inner)
            moved = moved.index_put((torch.nonzero(~muscle)[:, 0],), motion.network(inputs[~muscle]))
            penalty = settings.volume * volume_penalty(slopes)
        else:
            moved, penalty = motion.network(inputs), torch.zeros((), device=self.device)
        here = self._held(self.index[chosen])
        there = here + (moved * self.scale) @ self.to_index.T
        x, y, z = here.long().unbind(1)
        fixed = self.frames[self.ed][x, y, z]
        return -correlation(self._sampled(frame, there), fixed) + penalty

    def _sampled(self, frame: int, places: Tensor) -> Tensor:
        """Linear interpolation at (n, 3) indices, the border going on outside."""
        unit = 2 * places / (self.size - 1).clamp_min(1) - 1
        grid = unit.flip(-1)[None, None, None]
        volume = self.frames[frame][None, None]
        return torch.nn.functional.grid_sample(volume, grid, padding_mode="border", align_corners=True)[0, 0, 0, 0]


def _upright(labels: NDArray[np.uint8], image: Image) -> Array:
    """The heart's own axes; the patient's where its labels do not tell them."""
    try:
        return HeartFrame.of(labels, image.affine).turn
    except RefusedInput:
        return np.eye(3)


def average(networks: Sequence[Mapping[str, Tensor]], method: str = "mean") -> dict[str, Tensor]:
    """A prior from networks of single subjects.

    All must come from one start (`Published.seed`): only then do weights of one place mean the same.

    Args:
        networks: state of each subject's network.
        method: "mean": each weight clipped to its quantiles across subjects, then the mean, as published; or "robust":
            networks far from the others weigh less, each as a whole.

    Raises:
        ValueError: no network, networks of different sizes, or no such method.
    """
    from cinecmr.motion.prior import METHODS

    if not networks:
        raise ValueError("a prior needs at least one subject")
    if method not in METHODS:
        raise ValueError(f"no method {method!r}: there are {', '.join(METHODS)}")
    shapes = {name: tuple(value.shape) for name, value in networks[0].items()}
    if any({name: tuple(value.shape) for name, value in other.items()} != shapes for other in networks[1:]):
        raise ValueError("networks of different sizes cannot be averaged")
    flat = np.stack([np.concatenate([one[name].numpy().ravel() for name in shapes]) for one in networks])
    found = torch.as_tensor(METHODS[method](flat.astype(np.float64)), dtype=torch.float32)
    parts = torch.split(found, [math.prod(shape) for shape in shapes.values()])
    return {name: part.reshape(shape).clone() for (name, shape), part in zip(shapes.items(), parts, strict=True)}
