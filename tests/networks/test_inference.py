"""Networks made ready to be asked answer as they did."""

import os
from dataclasses import replace

import pytest
import torch
from torch import nn

from cinecmr.networks import kinds
from cinecmr.networks._blocks import ConvResBlock
from cinecmr.networks.fill import fill
from cinecmr.networks.inference import BlindBlock, Ready, Way, computes_half, keep_compiled_privately
from cinecmr.networks.kinds import PublishedConfig, build


@pytest.fixture
def network(monkeypatch):
    """A published segmentation network at the narrowest size."""
    whole = kinds._multiview
    narrow = {"stem_widths": (2, 3), "stem_blocks": 1, "width": 8, "depth": 1, "heads": 2}
    monkeypatch.setattr(kinds, "_multiview", lambda config: replace(whole(config), **narrow))
    made = build(PublishedConfig("convunetr", ("sax",), 4, sizes={"sax": (32, 32, 3)}, dec_chans=(2, 3, 4, 5, 6)))
    fill(made, "B")
    return made


def test_a_network_made_ready_gives_the_same_scores(network):
    network.double()  # so that rounding, which differs between processors, hides nothing
    images = [{"sax": torch.rand(1, 1, 32, 32, 3, dtype=torch.float64)} for _ in range(3)]
    ready = Ready(network)
    assert any(isinstance(module, BlindBlock) for module in ready.modules())
    network.eval()
    for image in images:
        with torch.no_grad():
            truth = network(image)["sax"]
        torch.testing.assert_close(ready(image)["sax"], truth.float(), atol=1e-6, rtol=1e-6)  # told in single


def test_the_network_itself_stays_as_it_was_and_its_weights_are_not_copied(network):
    network.train()
    before = [type(module) for module in network.modules()]
    ready = Ready(network)
    assert [type(module) for module in network.modules()] == before
    assert network.training
    own = {p.data_ptr() for p in network.parameters()}
    assert {p.data_ptr() for p in ready.parameters()} == own
    assert not ready({"sax": torch.rand(1, 1, 32, 32, 3)})["sax"].requires_grad


@pytest.mark.parametrize("shape", [(9, 8, 7), (1, 2, 3), (4, 5, 6), (3, 9, 1), (12, 11), (1, 4)])
def test_a_branch_that_never_sees_the_image_is_the_same_at_every_size(shape):
    torch.manual_seed(3)
    block = ConvResBlock(len(shape), 1, 5).eval()
    for parameter in block.parameters():
        nn.init.normal_(parameter)
    blind = BlindBlock(block)
    with torch.no_grad():
        for _ in range(2):
            image = torch.randn(2, 1, *shape)
            torch.testing.assert_close(blind(image), block(image), atol=1e-4, rtol=1e-4)
        other = torch.randn(1, 1, *(n + 3 for n in shape))
        torch.testing.assert_close(blind(other), block(other), atol=1e-4, rtol=1e-4)


def test_a_block_that_sees_its_input_is_left_alone():
    for block in (ConvResBlock(2, 2, 3), ConvResBlock(2, 1, 3, first_norm=False), ConvResBlock(2, 1, 3, "instance")):
        ready = Ready(nn.Sequential(block))
        assert not any(isinstance(module, BlindBlock) for module in ready.modules())


def test_in_bf16_scores_come_out_in_32_bits_and_near(network):
    image = {"sax": torch.rand(1, 1, 32, 32, 3)}
    exact, half = Ready(network)(image)["sax"], Ready(network, way=Way("bf16"))(image)["sax"]
    assert half.dtype == torch.float32
    assert not torch.equal(half, exact)
    # On average: a norm over the two channels of so narrow a network is a step, and single voxels may fall over it.
    assert (half - exact).abs().mean() < 0.05 * exact.std()


def test_auto_takes_bf16_only_where_the_machine_has_it(monkeypatch):
    for has in (True, False):
        monkeypatch.setattr("cinecmr.networks.inference.computes_half", lambda device, has=has: has)
        assert Way("auto").halves("cpu") is has
        assert Way("bf16").halves("cpu")
        assert not Way().halves("cpu")
    assert computes_half("mps") is False
    with pytest.raises(ValueError, match="no precision 'fp16': there are fp32, bf16, auto"):
        Way("fp16")


def test_outputs_of_any_form_come_back_whole():
    class Several(nn.Module):
        def forward(self, image):
            return [image.half(), (image.half(), {"codes": image.int()})]

    first, (second, third) = Ready(Several())(torch.ones(2))
    assert (first.dtype, second.dtype, third["codes"].dtype) == (torch.float32, torch.float32, torch.int32)


def test_a_compiled_network_answers_alike_and_is_kept_privately(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", "elsewhere")
    monkeypatch.setenv("TRITON_CACHE_DIR", "elsewhere")
    network = nn.Sequential(nn.Linear(3, 2), nn.GELU())
    ready = Ready(network, way=Way(compiled=True, backend="eager"))
    points = torch.rand(4, 3)
    torch.testing.assert_close(ready(points), network(points).detach())
    kept = tmp_path / "cinecmr" / "compiled"
    assert os.environ["TORCHINDUCTOR_CACHE_DIR"] == str(kept)
    assert kept.stat().st_mode & 0o077 == 0


def test_compiled_code_is_not_kept_where_others_can_write(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", "elsewhere")
    open_to_all = tmp_path / "open"
    open_to_all.mkdir()
    open_to_all.chmod(0o777)
    with pytest.raises(ValueError, match="that others can write to: chmod 700"):
        keep_compiled_privately(open_to_all)
    assert os.environ["TORCHINDUCTOR_CACHE_DIR"] == "elsewhere"
