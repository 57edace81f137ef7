"""Equal outputs: tiny networks filled by rule, against what CineMA's own code gave with the same weights."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from cinecmr.networks.convunetr import ConvUNetR
from cinecmr.networks.convvit import ConvViT
from cinecmr.networks.fill import fill
from cinecmr.networks.kinds import KINDS, published, read_config
from cinecmr.networks.mae import MaskedAutoencoder
from cinecmr.networks.multiview import MultiViewConfig, ViewShape
from cinecmr.networks.patches import patchify, unpatchify
from cinecmr.networks.positions import sincos_table
from cinecmr.networks.pretrained import start_from

HERE = Path(__file__).resolve()
WHOLE, PART = HERE.parents[3] / "shared" / "fixtures" / "cinema", HERE.parents[1] / "fixtures" / "cinema"
FOLDER = WHOLE if WHOLE.is_dir() else PART  # a checkout has a part of the recording; every case where all of it is

close = torch.testing.assert_close
TINY = json.loads((FOLDER / "tiny_parity.json").read_text("utf-8"))
CASES = {name: case for name, case in TINY["cases"].items() if case["class"] in ("CineMA", "ConvViT", "ConvUNetR")}
FILLED = [(name, rule) for name, case in CASES.items() for rule in case["fills"]]


@cache
def tensors(file):
    return load_file(FOLDER / file)


def recorded(case, what):
    start = f"{case}/{what}/"
    return {k[len(start) :]: v for k, v in tensors("tiny_parity.safetensors").items() if k.startswith(start)}


def by_view(found, start):
    """Tensors whose names start so, by view, in the order in which the views were fed."""
    order = ["sax", "lax_2c", "lax_3c", "lax_4c"]
    return {view: found[f"{start}_{view}"] for view in order if f"{start}_{view}" in found}


def built(case):
    """The network of a case, by the published constructor's arguments."""
    given = CASES[case]["constructor"]
    frames = given.get("n_frames", 1)
    config = MultiViewConfig(
        {
            view: ViewShape(tuple(s), frames * given["in_chans_dict"][view])
            for view, s in given["image_size_dict"].items()
        },
        stem_widths=tuple(given["enc_conv_chans"]),
        stem_blocks=given["enc_conv_n_blocks"],
        width=given["enc_embed_dim"],
        depth=given["enc_depth"],
        heads=given["enc_n_heads"],
        drop_path=given.get("drop_path", 0.0),
    )
    if CASES[case]["class"] == "ConvViT":
        return ConvViT(config, given["out_chans"])
    if CASES[case]["class"] == "ConvUNetR":
        return ConvUNetR(config, given["out_chans"], tuple(given["dec_chans"]), given["dropout"], image_norm=True)
    return MaskedAutoencoder(
        config,
        given["dec_embed_dim"],
        given["dec_depth"],
        given["dec_n_heads"],
        normalised_target=given.get("norm_target", False),
        cross_attention=given.get("cross_attn", True),
    )


def answers(network, given):
    """What a network answers, under the names of the recording."""
    images = by_view(given, "image")
    if isinstance(network, ConvUNetR):
        return {f"logits_{view}": scores for view, scores in network(images).items()}
    summary, tokens = network.features(images)
    found = {"feat_cls": summary, **{f"feat_{view}": part for view, part in tokens.items()}}
    if isinstance(network, ConvViT):
        return found | {f"logits_{reduce}": network(images, reduce) for reduce in ("all", "patch", "cls")}
    hidden = {view: mask.bool() for view, mask in by_view(given, "mask").items()}
    if not hidden:
        return found
    predicted = network(images, hidden)
    total, errors = network.loss(predicted, images, hidden)
    found = {"loss": total[None]}
    for view, drawn in predicted.items():
        drawn_back = network.reconstruct(view, drawn, images[view], hidden[view])
        found |= {f"pred_{view}": drawn, f"mse_{view}": errors[view][None], f"reconstruction_{view}": drawn_back}
    return found


@pytest.mark.parametrize("case", CASES)
def test_names_and_shapes_of_a_tiny_network_are_the_published_ones(case):
    with torch.device("meta"):
        network = built(case)
    assert {k: list(v.shape) for k, v in network.state_dict().items()} == CASES[case]["state_dict_shapes"]
    assert sum(p.numel() for p in network.parameters()) == CASES[case]["n_params"]


@pytest.mark.parametrize(("case", "rule"), FILLED, ids=[f"{name}-{rule}" for name, rule in FILLED])
def test_a_tiny_network_answers_as_cinemas_own_code(case, rule):
    network = built(case).eval()
    fill(network, rule)
    with torch.no_grad():
        found = answers(network, recorded(case, "in"))
    truth = recorded(case, f"out_{rule}")
    assert found.keys() == truth.keys() == set(CASES[case]["outputs"])
    for name, wanted in truth.items():
        close(found[name], wanted, atol=1e-4, rtol=1e-4, msg=lambda text, name=name: f"{name}: {text}")


@pytest.mark.parametrize(
    ("name", "grid", "rows"),
    [
        ("768_12x12x16", (12, 12, 16), [0, 1, 15, 16, 17, 191, 192, 193, 1000, 2303]),
        ("512_16x16", (16, 16), [0, 1, 15, 16, 17, 100, 255]),
    ],
)
def test_positions_are_those_of_cinemas_code(name, grid, rows):
    wanted = tensors("values.safetensors")[f"pos_embed/{name}"]
    close(sincos_table(grid, wanted.shape[-1])[:, rows], wanted, atol=1e-5, rtol=0)


def test_on_a_grid_that_is_not_square_the_reference_holds_the_table_of_the_transposed_grid():
    scrambled = tensors("values.safetensors")["pos_embed/nonsquare_24_2x3"]
    close(sincos_table((3, 2), 24), scrambled, atol=1e-6, rtol=0)
    assert (sincos_table((2, 3), 24) - scrambled).abs().max() > 0.1


def test_tables_of_the_tiny_networks_are_those_of_cinemas_code():
    network = built("mae_4views").state_dict()
    wanted = {k[10:]: v for k, v in tensors("tiny_parity.safetensors").items() if k.startswith("pos_embed/")}
    assert len(wanted) == 4
    close({k: network[k] for k in wanted}, wanted, atol=1e-6, rtol=0)


@pytest.mark.parametrize(("name", "patch"), [("2d/out_p2x3", (2, 3)), ("3d/out_p2x2x1", (2, 2, 1))])
def test_patches_are_cut_as_in_cinemas_code(name, patch):
    values = tensors("values.safetensors")
    image, wanted = values[f"patchify{len(patch)}d/in"], values[f"patchify{name}"]
    close(patchify(image, patch), wanted, atol=0, rtol=0)
    grid = [n // p for n, p in zip(image.shape[2:], patch, strict=True)]
    close(unpatchify(wanted, patch, grid), image, atol=0, rtol=0)


LIKE = {"convvit_sax_edes": "convvit_sax_edes_5cls", "convvit_lax_2c_1frame": "convvit_coord_lax_2c"}


@pytest.mark.parametrize("name", TINY["mapping"])
def test_fine_tuning_starts_from_the_same_pretrained_tensors_as_cinemas_code(name):
    pretrained, network = built("mae_4views"), built(LIKE.get(name, name)).eval()
    fill(pretrained, "B")
    fill(network, "B")
    started = start_from(network, pretrained.state_dict())
    wanted = TINY["mapping"][name]
    assert set(started.loaded) == set(wanted["loaded"])
    assert list(started.tiled) == wanted["channel_repeated"]
    assert set(started.fresh) == set(wanted["not_loaded"])
    assert set(started.dropped) == set(wanted["dropped_from_pretrain"])
    with torch.no_grad():
        found = network(by_view(recorded(LIKE.get(name, name), "in"), "image"))
    found = next(iter(found.values())) if isinstance(found, dict) else found
    close(found, tensors("tiny_parity.safetensors")[f"mapping/{name}/out"], atol=1e-4, rtol=1e-4)


MANIFEST = json.loads((FOLDER / "manifest.json").read_text("utf-8"))


@cache
def on_paper(kind):
    """A full-size network without memory for its weights."""
    with torch.device("meta"):
        return published(kind)


def test_there_are_all_published_kinds_and_no_others():
    assert set(MANIFEST) <= set(KINDS)
    assert len(KINDS) == 20


@pytest.mark.parametrize("kind", MANIFEST)
def test_names_shapes_types_and_counts_of_a_published_network(kind):
    network, wanted = on_paper(kind), MANIFEST[kind]
    parameters = dict(network.named_parameters())
    found = {
        name: {
            "shape": list(tensor.shape),
            "dtype": str(tensor.dtype).removeprefix("torch."),
            "kind": "parameter" if name in parameters else "buffer",
            "trainable": name in parameters and parameters[name].requires_grad,
        }
        for name, tensor in network.state_dict().items()
    }
    assert found == wanted["tensors"]
    assert sum(p.numel() for p in parameters.values()) == wanted["n_params_total"]
    assert sum(p.numel() for p in parameters.values() if p.requires_grad) == wanted["n_params_trainable"]


def as_published(kind):
    """The configuration file of a kind: the manifest keeps all of it but the columns of the data set."""
    given = MANIFEST[kind]["hyperparameters"]
    data = dict(given["data_views"])
    if kind != "pretrain_mae" and given["model"]["out_chans"] is None:
        data |= {"class_column": "pathology", "pathology": ["a group"] * KINDS[kind].out_chans}
    return {"model": given["model"], "data": data}


@pytest.mark.parametrize("kind", MANIFEST)
def test_a_published_configuration_file_gives_the_network_of_its_kind(kind):
    config, wanted = read_config(as_published(kind)), KINDS[kind]
    assert replace(config, sizes=None) == wanted
    assert {view: config.size(view) for view in config.views} == {view: wanted.size(view) for view in wanted.views}
