"""Where a run stands, on disk."""

import pytest
import torch
from safetensors import safe_open

from cinecmr.learn import checkpoint


def a_run(seed, updates=3):
    torch.manual_seed(seed)
    network = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4), torch.nn.Linear(4, 1))
    optimiser = torch.optim.AdamW(network.parameters(), lr=0.01)
    average = {k: v.detach().clone() for k, v in network.state_dict().items()}
    step(network, optimiser, updates)
    return network, average, optimiser


def step(network, optimiser, updates):
    for number in range(updates):
        inputs = torch.randn(8, 3, generator=torch.Generator().manual_seed(number))
        optimiser.zero_grad()
        network(inputs).square().mean().backward()
        optimiser.step()


def test_a_run_is_put_back_as_it_was_and_goes_on_the_same(tmp_path):
    network, average, optimiser = a_run(0)
    checkpoint.save(tmp_path / "state", network, average, optimiser, {"update": 3, "recipe": "abc"})
    other, other_average, other_optimiser = a_run(1, updates=0)
    assert checkpoint.load(tmp_path / "state", other, other_average, other_optimiser) == {"update": 3, "recipe": "abc"}
    for name, value in average.items():
        assert torch.equal(other_average[name], value)
    step(network, optimiser, 4)
    step(other, other_optimiser, 4)
    for name, value in network.state_dict().items():
        assert torch.equal(other.state_dict()[name], value), name


def test_the_file_holds_tensors_and_json_and_nothing_that_runs(tmp_path):
    checkpoint.save(tmp_path / "state", *a_run(0), {"update": 3})
    with safe_open(tmp_path / "state", "pt") as file:
        assert file.metadata() == {"facts": '{"update": 3}'}
        kinds = {key.split(".")[0] for key in file.keys()}  # noqa: SIM118 - not a dict
    assert kinds == {"network", "average", "optimiser"}


def test_a_save_that_fails_leaves_the_one_before(tmp_path, monkeypatch):
    network, average, optimiser = a_run(0)
    checkpoint.save(tmp_path / "state", network, average, optimiser, {"update": 3})
    before = (tmp_path / "state").read_bytes()

    def full_disk(tensors, target, metadata):
        target.write_bytes(b"half")
        raise OSError("no space left")

    monkeypatch.setattr(checkpoint, "save_file", full_disk)
    with pytest.raises(OSError, match="no space left"):
        checkpoint.save(tmp_path / "state", network, average, optimiser, {"update": 4})
    assert (tmp_path / "state").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["state"]


def test_a_checkpoint_of_another_network_is_refused(tmp_path):
    checkpoint.save(tmp_path / "state", *a_run(0), {"update": 3})
    other = torch.nn.Linear(3, 4)
    with pytest.raises(RuntimeError, match="Unexpected key"):
        checkpoint.load(tmp_path / "state", other, {}, torch.optim.AdamW(other.parameters()))
