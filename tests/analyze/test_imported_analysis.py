"""An imported model serves the whole of `cinecmr analyze`, from a file to the numbers in the report."""

import json

import nibabel
import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import save_file

from cinecmr import cli
from cinecmr.analyze import models
from cinecmr.anatomy import Structure
from cinecmr.networks.kinds import build, read_config
from cinecmr.tasks.published_pieces import kept

GREY = {Structure.BACKGROUND: 0, Structure.MYO: 70, Structure.RV: 140, Structure.LV: 250}  # darkest first
EDGES = np.array([0.0, 1.2, 2.6])  # between them, in standard deviations from the mean of any frame
CONFIG = {
    "data": {"name": "acdc", "sax": {"spacing": [2.0, 2.0, 10.0], "patch_size": [32, 32, 8], "in_chans": 1}},
    "model": {"name": "unet", "views": "sax", "out_chans": 4, "unet": {"chans": [2, 3], "dropout": 0.1}},
}


def painted(labels):
    """The heart with one grey value a structure, and a little noise."""
    grey = np.zeros(256)
    grey[list(GREY)] = list(GREY.values())
    return (grey[labels] + np.random.default_rng(9).integers(0, 6, labels.shape)).astype(np.int16)


def reading_grey_values():
    """A published U-Net whose weights tell structures by their grey value alone.

    Its first convolution passes the picture and its negative, the norm makes them n and -n, and GELU(n) - GELU(-n) is
    n. All blocks hand on what they got, three skips add up, and the scores 3 (k n - t_1 - ... - t_k) have the class k
    on top between the edges t_k and t_(k + 1).
    """
    network = build(read_config(CONFIG)).eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.zero_()
        network.encoder.in_conv.conv.weight[:, 0, 1, 1, 1] = torch.tensor([1.0, -1.0])
        for k, code in enumerate(GREY):
            network.out_conv.weight[code, :, 0, 0, 0] = torch.tensor([k, -k])
            network.out_conv.bias[code] = -3 * EDGES[:k].sum()
    return network


def run(*words):
    with pytest.raises(SystemExit) as end:
        cli.main([str(word) for word in words])
    assert end.value.code in (None, 0, 4)


@pytest.fixture
def truth(tiny_heart):
    """Labels of one left and one right ventricle, which is all that is kept of what a published network draws."""
    return np.stack([kept(frame, "largest") for frame in np.moveaxis(tiny_heart.labels, 3, 0)], axis=3)


@pytest.fixture
def hub(tmp_path, tiny_heart, truth, monkeypatch):
    """Weights and configuration as published, and the heart they read as NIfTI with its true labels."""
    monkeypatch.setenv(models.FOLDER, str(tmp_path / "models"))
    data, header = painted(tiny_heart.labels), tiny_heart.image
    folder = tmp_path / "finetuned" / "segmentation" / "acdc_sax"
    folder.mkdir(parents=True)
    save_file(dict(reading_grey_values().state_dict()), folder / "acdc_sax_0.safetensors")
    (folder / "config.yaml").write_text(yaml.safe_dump(CONFIG))
    for name, array in (("heart", data), ("truth", truth)):
        made = nibabel.Nifti1Image(array, header.affine)
        made.header.set_zooms((2.0, 2.0, 10.0, 0.075))
        made.header.set_xyzt_units("mm", "sec")
        nibabel.save(made, tmp_path / f"{name}.nii.gz")
    return tmp_path


def test_imported_weights_measure_a_heart_as_its_true_labels_do(hub, truth):
    run("models", "import", hub / "finetuned", "--name", "mine")
    run("analyze", hub / "heart.nii.gz", "--models", "mine", "--out", hub / "by-model")
    run("analyze", hub / "heart.nii.gz", "--labels", hub / "truth.nii.gz", "--out", hub / "by-truth")
    found, known = (json.loads((hub / name / "findings.json").read_text()) for name in ("by-model", "by-truth"))
    labels = np.asarray(nibabel.load(hub / "by-model" / "labels_sax.nii.gz").dataobj)
    np.testing.assert_array_equal(labels, truth)
    assert found["cycle"] == known["cycle"]
    assert (found["cycle"]["LV_ED"], found["cycle"]["LV_ES"]) == (0, 4)
    values = [{name: one["value"] for name, one in file["measurements"].items()} for file in (found, known)]
    assert {"LVEDV", "LVESV", "LVEF", "LVM"} <= values[0].keys()
    assert values[0] == pytest.approx(values[1])
    card = models.card("mine")
    assert found["provenance"]["model"] == "mine"
    assert found["provenance"]["weights_sha256"] == card.sha256
    assert found["measurements"]["LVEF"]["source"] == f"labels of mine@{card.sha256[:8]}"
    assert "mine" in (hub / "by-model" / "report.html").read_text()
