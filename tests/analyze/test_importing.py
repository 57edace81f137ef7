"""Published weights become models: checked, kept with a card, and used on a study's own grid."""

import importlib
import json
import sys
import types
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file

from cinecmr import cli
from cinecmr.analyze import hub, importing, models, run
from cinecmr.analyze.importing import Request, bring
from cinecmr.errors import RefusedInput
from cinecmr.networks import kinds
from cinecmr.networks.kinds import PublishedConfig, build
from cinecmr.networks.video_swin import VideoSwin, VideoSwinConfig
from cinecmr.study import Image
from cinecmr.tasks.published_reading import PublishedReader, PublishedReadingSettings

FILE = "finetuned/segmentation/acdc_sax/acdc_sax_1.safetensors"
UNET = {
    "task": "segmentation", "seed": 1, "grad_ckpt": True, "train": {"lr": 1e-3},
    "data": {"name": "acdc", "dir": "/home/somebody",
             "sax": {"spacing": [2.0, 2.0, 10.0], "patch_size": [8, 8, 2], "in_chans": 1}},
    "model": {"name": "unet", "views": "sax", "out_chans": 4, "unet": {"chans": [2, 3], "dropout": 0.1}},
}  # fmt: skip


def published(folder, read=UNET, file=FILE, **changed):
    """A tiny network as its authors publish it: safetensors and config.yaml in the hub's folders."""
    torch.manual_seed(7)
    network = build(kinds.read_config(read)).eval()
    weights = folder / file
    weights.parent.mkdir(parents=True, exist_ok=True)
    save_file(dict(network.state_dict()) | changed, weights)
    (weights.parent / "config.yaml").write_text(yaml.safe_dump(read))
    return network, weights


@pytest.fixture
def shelf(tmp_path_factory, monkeypatch):
    """An empty folder of imported models, which every command finds."""
    folder = tmp_path_factory.mktemp("kept") / "models"
    monkeypatch.setenv(models.FOLDER, str(folder))
    return folder


def an_image(shape=(8, 8, 2, 2)):
    data = np.random.default_rng(2).random(shape).astype(np.float32)
    return Image(data, np.diag([2.0, 2.0, 10.0, 1.0]), 0.1 * np.arange(shape[3]))


def refused(code, request, match):
    with pytest.raises(RefusedInput, match=match) as told:
        bring(request, say=lambda _: None)
    assert told.value.code == code


def test_published_weights_are_registered_byte_for_byte_and_asked_as_published(shelf, tmp_path):
    network, weights = published(tmp_path / "hub")
    told = []
    card = bring(Request(str(tmp_path / "hub")), say=told.append)
    assert card.name == "cinema-segmentation-acdc-sax-1"
    assert card.sha256 == models.checksum(weights)
    assert (shelf / f"{card.name}.safetensors").read_bytes() == weights.read_bytes()
    assert card == models.card(card.name)
    assert card.codes == {0: "BACKGROUND", 1: "RV", 2: "MYO", 3: "LV"}
    assert card.recipe == {"task": "segmentation", "seed": 1, "train": {"lr": 1e-3}}
    assert "somebody" not in card.model_dump_json()
    assert "ACDC" in card.trained_on
    model = models.load(card.name)
    asked = PublishedReadingSettings("sax", (2.0, 2.0, 10.0), (8, 8, 2))
    truth = PublishedReader(network, asked).labels(an_image())
    np.testing.assert_array_equal(model.segment(an_image()), truth)
    assert len(np.unique(truth)) > 1
    assert model.source == f"{card.name}@{card.sha256[:8]}"
    assert card.parameters == sum(v.numel() for v in model.network.state_dict().values())


def test_a_multi_view_network_comes_back_with_its_tables_and_options(shelf, tmp_path, monkeypatch):
    whole = kinds._multiview
    narrow = {"stem_widths": (2, 3), "stem_blocks": 1, "width": 8, "depth": 1, "heads": 2}
    monkeypatch.setattr(kinds, "_multiview", lambda config: replace(whole(config), **narrow))
    read = json.loads(json.dumps(UNET))
    read["data"]["sax"]["patch_size"] = [32, 32, 2]
    read["model"] = {"name": "convunetr", "views": ["sax"], "out_chans": 4, "convunetr": {"dec_chans": [2, 3, 4, 5, 6]}}
    network, _ = published(tmp_path, read)
    card = bring(Request(str(tmp_path / FILE), name="mine"), say=lambda _: None)
    assert card.network["dec_chans"] == [2, 3, 4, 5, 6]
    again = models.load("mine").network.eval()
    image = {"sax": torch.rand(1, 1, 32, 32, 2)}
    with torch.no_grad():
        torch.testing.assert_close(again(image)["sax"], network(image)["sax"], atol=0, rtol=0)


def test_every_command_that_measures_takes_an_imported_model_by_name(shelf, tmp_path, capsys):
    import nibabel

    network, _ = published(tmp_path / "hub")
    with pytest.raises(SystemExit) as end:
        cli.main(["models", "import", str(tmp_path / "hub"), "--name", "mine"])
    assert not end.value.code
    assert "mine: Labels of RV, MYO, LV in sax." in capsys.readouterr().out
    image = an_image()
    nibabel.save(nibabel.Nifti1Image(image.data[..., 0], image.affine), tmp_path / "heart.nii.gz")
    with pytest.raises(SystemExit) as end:
        cli.main(["segment", str(tmp_path / "heart.nii.gz"), "--models", "mine", "--out", str(tmp_path / "out")])
    assert not end.value.code
    found = np.asarray(nibabel.load(tmp_path / "out" / "heart.nii.gz").dataobj)
    asked = PublishedReadingSettings("sax", (2.0, 2.0, 10.0), (8, 8, 2))
    np.testing.assert_array_equal(found, PublishedReader(network, asked).labels(image)[..., 0])
    assert run.segmenter("mine", "cpu").source.startswith("mine@")
    with pytest.raises(SystemExit):
        cli.main(["models"])
    listed = capsys.readouterr().out
    assert "mine" in listed
    assert "sax-unet" in listed
    with pytest.raises(SystemExit):
        cli.main(["models", "card", "mine"])
    assert json.loads(capsys.readouterr().out)["family"] == "published"


def test_the_folder_of_models_is_the_one_given_or_of_the_environment_or_the_users(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.delenv(models.FOLDER, raising=False)
    assert models.folder_of_models() == tmp_path / "data" / "cinecmr" / "models"
    monkeypatch.setenv(models.FOLDER, str(tmp_path / "env"))
    assert models.folder_of_models() == tmp_path / "env"
    assert models.folder_of_models(tmp_path / "given") == tmp_path / "given"
    monkeypatch.delenv(models.FOLDER)
    monkeypatch.delenv("XDG_DATA_HOME")
    assert models.folder_of_models() == Path.home() / ".local" / "share" / "cinecmr" / "models"


def test_a_plane_is_read_by_a_long_axis_model_and_a_stack_is_refused(shelf, tmp_path):
    read = json.loads(json.dumps(UNET))
    read["data"] = {"name": "mnms2", "lax": {"spacing": [2.0, 2.0], "patch_size": [8, 8], "in_chans": 1}}
    read["model"]["views"] = "lax_4c"
    published(tmp_path, read)
    card = bring(Request(str(tmp_path)), say=lambda _: None)
    assert card.reading["pieces"] == "nearest-rv"
    model = models.load(card.name)
    assert model.segment(an_image((8, 8, 1, 1))).shape == (8, 8, 1, 1)
    with pytest.raises(RefusedInput, match=r"reads one plane \(lax_4c\), the image has 2 slices") as told:
        model.segment(an_image())
    assert told.value.code == "other-view"


def test_seeds_joined_by_plus_are_averaged(shelf, tmp_path):
    made = []
    for seed in (0, 1, 2):
        network, weights = published(
            tmp_path / str(seed), file=f"finetuned/segmentation/acdc_sax/acdc_sax_{seed}.safetensors"
        )
        changed = {name: tensor * (1 + 0.3 * seed) for name, tensor in network.state_dict().items()}
        save_file(changed, weights)
        network.load_state_dict(changed)
        made.append(network)
        bring(Request(str(weights), name=f"seed-{seed}"), say=lambda _: None)

    class Mean(torch.nn.Module):
        def forward(self, image):
            return torch.stack([network(image).softmax(1) for network in made]).mean(0).log()

    truth = PublishedReader(Mean(), PublishedReadingSettings("sax", (2.0, 2.0, 10.0), (8, 8, 2))).labels(an_image())
    together = run.segmenter("seed-0+seed-1+seed-2", "cpu")
    np.testing.assert_array_equal(together.segment(an_image()), truth)
    assert not np.array_equal(models.load("seed-0").segment(an_image()), truth)
    assert [part.split("@")[0] for part in together.source.split("+")] == ["seed-0", "seed-1", "seed-2"]
    with pytest.raises(RefusedInput, match="seed-0 and sax-unet cannot be averaged") as told:
        run.segmenter("seed-0+sax-unet", "cpu")
    assert told.value.code == "not-alike"


CONVVIT = {"model": {"name": "resnet", "views": "sax", "n_frames": 2, "out_chans": None,
                     "resnet": {"depth": 18, "layer_inplanes": [2, 2, 2, 2]}},
           "data": {"name": "acdc", "sax": {"patch_size": [32, 32, 4]}}}  # fmt: skip


def with_data(**more):
    read = json.loads(json.dumps(CONVVIT))
    read["data"] |= more
    return read


def test_old_weights_of_the_ejection_fraction_warn_whenever_they_are_loaded(shelf, tmp_path, capsys):
    read = with_data(regression_column="ef", ef={"mean": 27.7, "std": 10.8})
    published(tmp_path, read, "finetuned/regression_ef/acdc_sax/acdc_sax_0.safetensors")
    with pytest.raises(SystemExit):
        cli.main(["models", "import", str(tmp_path)])
    assert "learned a quantity that is no ejection fraction" in capsys.readouterr().err
    name = "cinema-regression-ef-acdc-sax-0"
    with pytest.warns(UserWarning, match="learned a quantity that is no ejection fraction"):
        model = models.load(name)
    assert (model.card.reading["mean"], model.card.reading["std"]) == (27.7, 10.8)
    with pytest.raises(
        RefusedInput, match=r"draws no labels of a cine: EF as one number from ED and ES of sax"
    ) as told:
        model.segment(an_image())
    assert told.value.code == "no-labels"


def test_weights_of_a_true_ejection_fraction_or_of_age_do_not_warn(shelf, tmp_path):
    for column in ("lv_ef", "age"):
        read = with_data(regression_column=column, **{column: {"mean": 50, "std": 9}})
        published(tmp_path / column, read, "a.safetensors")
        assert bring(Request(str(tmp_path / column), name=column.replace("_", "-")), say=lambda _: None).warnings == []


def test_classes_keep_the_order_of_the_configuration(shelf, tmp_path):
    classes = ["DCM", "HCM", "MINF", "NOR", "RV"]
    published(tmp_path, with_data(class_column="pathology", pathology=classes), "a.safetensors")
    card = bring(Request(str(tmp_path)), say=lambda _: None)
    assert card.reading["classes"] == classes
    assert card.network["out_chans"] == 5
    assert models.load(card.name).network.fc.out_features == 5


def test_weights_of_another_network_say_what_is_missing_and_what_is_too_much(shelf, tmp_path):
    _, weights = published(tmp_path)
    tensors = load_file(weights)
    tensors["other"] = tensors.pop("out_conv.bias")
    tensors["out_conv.weight"] = tensors["out_conv.weight"][:3].contiguous()
    save_file(tensors, weights)
    refused(
        "foreign-weights",
        Request(str(tmp_path)),
        r"1 missing, such as out_conv\.bias; 1 unexpected, such as other; out_conv\.weight has shape \(3,",
    )
    assert not shelf.exists()


def test_without_a_configuration_the_kind_is_named_or_found_by_what_fits(shelf, tmp_path):
    network = kinds.published("siren")
    save_file(dict(network.state_dict()), tmp_path / "prior.safetensors")
    card = bring(Request(str(tmp_path / "prior.safetensors")), say=lambda _: None)
    assert card.kind == "siren"
    again = models.load("prior").network
    points = torch.rand(3, 4)
    torch.testing.assert_close(again(points), network(points), atol=0, rtol=0)
    refused("foreign-weights", Request(str(tmp_path / "prior.safetensors"), kind="seg_sax", name="x"), "603|missing")
    refused(
        "foreign-weights",
        Request(str(tmp_path / "prior.safetensors"), kind="seg-sax", name="x"),
        "did you mean seg_sax",
    )
    save_file({"weight": torch.zeros(2)}, tmp_path / "none.safetensors")
    refused("foreign-weights", Request(str(tmp_path / "none.safetensors")), "give --config, or their --kind")


SWIN = VideoSwinConfig(width=4, depths=(1, 2), heads=(1, 2), patch=(1, 2, 2), window=(2, 3, 3), sliced_bias=True)


def test_a_pickle_of_video_swin_becomes_safetensors_once(shelf, tmp_path, monkeypatch):
    monkeypatch.setitem(kinds.OTHERS, "video_swin_tiny", SWIN)
    torch.manual_seed(0)
    network = VideoSwin(SWIN).eval()
    state = {f"backbone.{name}": tensor for name, tensor in network.state_dict().items()}
    state["cls_head.fc_cls.weight"] = torch.zeros(400, 8)
    torch.save({"meta": {"epoch": 30}, "state_dict": state}, tmp_path / "swin_tiny.pth")
    card = bring(Request(str(tmp_path / "swin_tiny.pth"), kind="video_swin_tiny"), say=lambda _: None)
    assert card.name == "swin-tiny"
    assert set(load_file(shelf / "swin-tiny.safetensors")) == set(network.state_dict())
    clip = torch.rand(1, 3, 4, 12, 12)
    with torch.no_grad():
        torch.testing.assert_close(models.load("swin-tiny").network.eval()(clip), network(clip), atol=0, rtol=0)


class Harmful:
    def __reduce__(self):
        return Path.touch, (Path("harmed"),)


def test_a_pickle_that_would_run_code_is_refused_and_runs_none(shelf, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"state_dict": {"a": torch.zeros(1), "b": Harmful()}}, tmp_path / "evil.pth")
    refused(
        "foreign-weights",
        Request(str(tmp_path / "evil.pth"), kind="video_swin_tiny"),
        "safe loader does not read evil.pth",
    )
    assert not (tmp_path / "harmed").exists()
    torch.save({"state_dict": {"a": 1}}, tmp_path / "empty.pth")
    refused("foreign-weights", Request(str(tmp_path / "empty.pth"), kind="video_swin_tiny"), "holds no tensors by name")


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("a: [1", "no configuration in YAML"),
        ("- 1", "it has no sections"),
        ("!!python/object/apply:os.system [touch harmed]", "no configuration in YAML"),
        ("x: " + "a" * 1_000_001, "too large for a configuration"),
    ],
)
def test_a_configuration_that_is_none_is_refused(shelf, tmp_path, text, match):
    _, weights = published(tmp_path)
    (weights.parent / "config.yaml").write_text(text)
    refused("bad-config", Request(str(tmp_path)), match)


def test_a_configuration_of_an_unknown_network_is_refused(shelf, tmp_path):
    _, weights = published(tmp_path)
    (weights.parent / "config.yaml").write_text(yaml.safe_dump(UNET | {"model": {"name": "mamba", "views": "sax"}}))
    refused("foreign-weights", Request(str(tmp_path)), "no published network is called 'mamba'")
    (weights.parent / "config.yaml").write_text(yaml.safe_dump(with_data(class_column="pathology")))
    refused("foreign-weights", Request(str(tmp_path)), "pathology")


def test_damaged_weights_and_other_checksums_are_refused(shelf, tmp_path):
    _, weights = published(tmp_path)
    refused(
        "other-checksum", Request(str(tmp_path), sha256="0" * 64), r"has SHA-256 .* 000000000000\.\.\. was asked for"
    )
    assert bring(Request(str(tmp_path), sha256=models.checksum(weights).upper()), say=lambda _: None)
    published(tmp_path / "nan", **{"out_conv.bias": torch.tensor([0.0, np.nan, 0.0, 0.0])})
    refused(
        "damaged-weights",
        Request(str(tmp_path / "nan"), name="nan"),
        r"out_conv\.bias holds values that are not finite",
    )
    weights.write_bytes(weights.read_bytes()[:-9])
    refused("damaged-weights", Request(str(weights), name="cut"), "is no whole safetensors file")
    assert models.names() == sorted({"cinema-segmentation-acdc-sax-1", "lax-unet", "sax-unet"})


def test_a_name_is_plain_and_free(shelf, tmp_path):
    published(tmp_path)
    refused("bad-name", Request(str(tmp_path), name="../up"), "small letters, digits")
    refused(
        "name-taken", Request(str(tmp_path), name="sax-unet", replace=True), "there is a model sax-unet already: choose"
    )
    bring(Request(str(tmp_path), name="mine"), say=lambda _: None)
    refused("name-taken", Request(str(tmp_path), name="mine"), "choose another --name, or --replace it")
    assert bring(Request(str(tmp_path), name="mine", replace=True), say=lambda _: None).name == "mine"


def test_one_file_of_several_has_to_be_named(shelf, tmp_path):
    for seed in (0, 1):
        published(tmp_path, file=f"finetuned/segmentation/acdc_sax/acdc_sax_{seed}.safetensors")
    refused("no-file-named", Request(str(tmp_path)), r"name one file of weights with --file: there are finetuned/")
    card = bring(Request(str(tmp_path), file="segmentation/acdc_sax/0"), say=lambda _: None)
    assert card.name == "cinema-segmentation-acdc-sax-0"
    refused("no-weights", Request(str(tmp_path), file="segmentation/acdc_sax/2"), "check --file")
    refused("no-such-path", Request("nowhere"), "there is no file or folder nowhere")
    (tmp_path / "x.txt").write_text("x")
    refused("no-weights", Request(str(tmp_path / "x.txt")), "neither safetensors nor one of")


def test_a_change_after_the_import_is_noticed(shelf, tmp_path):
    published(tmp_path)
    name = bring(Request(str(tmp_path)), say=lambda _: None).name
    path = shelf / f"{name}.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(RefusedInput, match=r"its card says .*import them again"):
        models.load(name)


def test_files_of_the_hub_are_those_the_authors_list():
    files = hub.files()
    assert len(files) == len(set(files)) == 1 + 3 * (4 + 4 + 1 + 2 + 4 + 1 + 1 + 2 + 2)
    assert "finetuned/landmark_heatmap/lax_2c/lax_2c_2.safetensors" in files
    for file in files[1:]:
        task, data, last = file.split("/")[1:]
        seed = last.removesuffix(".safetensors")[-1]
        assert hub.full_name(f"{task}/{data}/{seed}") == hub.full_name(file) == file
    assert len({hub.name_of(file) for file in files}) == len(files)


@pytest.fixture
def client(monkeypatch):
    """A client of the hub that gives files of a folder, and says how it was asked."""
    asked, given = [], {}

    def hf_hub_download(repository, file, local_files_only):
        asked.append((repository, file, local_files_only))
        if file not in given:
            raise OSError(f"no {file}\nand more")
        return str(given[file])

    module = types.ModuleType("huggingface_hub")
    module.hf_hub_download = hf_hub_download
    monkeypatch.setitem(sys.modules, "huggingface_hub", module)
    return asked, given


def test_the_hub_is_asked_only_when_the_user_says_so(shelf, tmp_path, client):
    asked, given = client
    request = Request(hub.CINEMA, file="segmentation/acdc_sax/1")
    refused("not-downloaded", request, "nothing is fetched unless you add --download")
    assert asked == [(hub.CINEMA, FILE, True)]
    refused("download-failed", replace(request, download=True), f"the hub did not give {FILE} of .*: no {FILE}$")
    _, weights = published(tmp_path)
    given |= {FILE: weights, "finetuned/segmentation/acdc_sax/config.yaml": weights.with_name("config.yaml")}
    told = []
    card = bring(replace(request, download=True), say=told.append)
    assert asked[-1] == (hub.CINEMA, "finetuned/segmentation/acdc_sax/config.yaml", False)
    assert told[0] == f"fetching {FILE} of {hub.CINEMA} from the Hugging Face hub"
    assert card.source.startswith(f"{hub.CINEMA}: {FILE}, SHA-256 {card.sha256}")
    refused("no-file-named", Request(hub.CINEMA), r"there are pretrained/cinema\.safetensors, .* more")


def test_without_the_hubs_client_the_way_out_is_told(shelf, monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    refused(
        "no-hub-client", Request(hub.CINEMA, file="pretrained"), r"pip install 'cinecmr\[hub\]', or fetch pretrained/"
    )


def test_importing_the_importer_reads_no_yaml_and_no_torch():
    assert "yaml" not in vars(importlib.import_module("cinecmr.analyze.importing"))
    assert not hasattr(importing, "torch")
    assert PublishedConfig("unet", ("sax",), 4).channels == 1
