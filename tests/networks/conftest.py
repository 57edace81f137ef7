"""Published answers to compare with, and the rules that fill networks with the same weights everywhere."""

from __future__ import annotations

import json
import zlib
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

if TYPE_CHECKING:
    from collections.abc import Callable


def normal(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """Standard normal numbers that depend on a name only, float64."""
    return np.random.Generator(np.random.PCG64(zlib.crc32(name.encode()))).standard_normal(shape)


def cinema_a(name: str, shape: tuple[int, ...]) -> np.ndarray:
    r = normal(name, shape).astype(np.float32) * np.float32(0.02)
    return 1 + abs(r) if name.endswith("running_var") else r


def cinema_b(name: str, shape: tuple[int, ...]) -> np.ndarray:
    n = normal(name, shape)
    if name.endswith("running_var"):
        return 1 + 0.1 * abs(n)
    if len(shape) > 1:
        return n / np.sqrt(np.prod(shape[1:]))
    return 1 + 0.1 * n if name.endswith(".weight") else 0.02 * n


def ssp(name: str, shape: tuple[int, ...]) -> np.ndarray:
    r = (normal(name, shape) * 0.05).astype(np.float32)
    if name.endswith("running_var"):
        return 1 + abs(r)
    return 1 + r if len(shape) == 1 and name.endswith("weight") else r


def sharp(name: str, shape: tuple[int, ...]) -> np.ndarray:
    z = normal(name, shape)
    if name.endswith("relative_position_bias_table"):
        return 0.5 * z
    if name.endswith(".bias"):
        return 0.1 * z
    return 1 + 0.1 * z if "norm" in name else z / np.sqrt(np.prod(shape[1:]))


def brief(name: str, shape: tuple[int, ...]) -> np.ndarray:
    return normal(name, shape) * 0.02


RULES = {"A": cinema_a, "B": cinema_b, "ssp": ssp, "sharp": sharp, "brief": brief}


@pytest.fixture(scope="session")
def filled() -> Callable[[torch.nn.Module, str], torch.nn.Module]:
    """The network itself, every tensor but position tables and counters drawn by one of `RULES`."""

    def fill(network: torch.nn.Module, rule: str, prefix: str = "") -> torch.nn.Module:
        for name, tensor in network.state_dict().items():
            if tensor.is_floating_point() and not name.endswith("pos_embed"):
                drawn = RULES[rule](prefix + name, tuple(tensor.shape)).astype(np.float32)
                tensor.copy_(torch.from_numpy(drawn))
        return network

    return fill


def entries(network: torch.nn.Module) -> dict[str, list[int]]:
    return {name: list(tensor.shape) for name, tensor in network.state_dict().items()}


@pytest.fixture(scope="session")
def answers_as_recorded(fixture_file, filled) -> Callable[[Callable[[dict], torch.nn.Module], str, str], None]:
    """Check that a baseline has the recorded names and, filled by a rule, gives the recorded answers of a case.

    The network is made from the published constructor's arguments.
    """

    def check(make: Callable[[dict], torch.nn.Module], case: str, rule: str) -> None:
        told = json.loads(fixture_file("cinema/cnn_parity.json").read_text("utf-8"))["cases"][case]
        tensors = load_file(fixture_file("cinema/cnn_parity.safetensors"))
        network = filled(make(told["constructor"]), rule).eval()
        assert entries(network) == told["state_dict_shapes"]
        with torch.no_grad():
            found = network(tensors[f"{case}/in/image"])
        torch.testing.assert_close(found, tensors[f"{case}/out_{rule}/logits"], atol=1e-5, rtol=1e-5)

    return check


@pytest.fixture(scope="session")
def has_published_names(fixture_file) -> Callable[[Callable[[], torch.nn.Module], str, int], None]:
    """Check that a baseline at full size has the published names and shapes, and so many parameters."""

    def check(make: Callable[[], torch.nn.Module], kind: str, count: int) -> None:
        told = json.loads(fixture_file("cinema/cnn_manifest.json").read_text("utf-8"))[kind]
        with torch.device("meta"):
            network = make()
        assert entries(network) == told["tensors"]
        assert sum(p.numel() for p in network.parameters()) == count == told["n_params_total"]

    return check


@pytest.fixture(scope="session")
def without_gradient() -> Callable[[torch.nn.Module, torch.Tensor], list[str]]:
    """Names of the parameters that a loss on the given output does not reach."""

    def names(network: torch.nn.Module, output: torch.Tensor) -> list[str]:
        output.square().sum().backward()
        return [name for name, p in network.named_parameters() if p.grad is None or not p.grad.abs().max() > 0]

    return names


@pytest.fixture(scope="session")
def same_gradients_computed_again() -> Callable[[Callable[[bool], torch.nn.Module], torch.Tensor], None]:
    """Check that a network made to compute blocks again gets the gradients of one that keeps what they computed."""

    def check(make: Callable[[bool], torch.nn.Module], image: torch.Tensor) -> None:
        kept, again = make(False), make(True)
        again.load_state_dict(kept.state_dict())
        for network in (kept, again):
            network(image).square().sum().backward()
        assert any(p.grad.abs().max() > 0 for p in kept.parameters() if p.grad is not None)
        for one, other in zip(kept.parameters(), again.parameters(), strict=True):
            torch.testing.assert_close(one.grad, other.grad)

    return check
