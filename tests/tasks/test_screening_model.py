"""A screening that was trained is read back whole, checked, and asked; a user's own subjects become samples."""

import json

import numpy as np
import pytest
import torch

from cinecmr.anatomy import Contrast, Disease, View
from cinecmr.errors import RefusedInput
from cinecmr.io import nifti
from cinecmr.networks.mae import MaskedAutoencoder
from cinecmr.networks.video_swin import VideoSwin, VideoSwinConfig
from cinecmr.study import Facts, Image, Study
from cinecmr.tasks import screening_model
from cinecmr.tasks.screening_cohort import read_cohort
from cinecmr.tasks.screening_data import Window, prepare
from cinecmr.tasks.screening_network import CinemaEncoder, ScreeningConfig, ScreeningNetwork, VitShape
from cinecmr.tasks.screening_start import encoder_weights, read_weights

WINDOW = Window(size=16, spacing_mm=2.0, frames=4, lge_slices=4)
SWIN = VideoSwinConfig(width=4, depths=(1, 1), heads=(1, 2), window=(2, 2, 2), drop_path=0.0)
CONFIG = ScreeningConfig(window=WINDOW, swin=SWIN, hidden=8)


def image(view, contrast=Contrast.CINE, slices=4, frames=9, seed=0):
    data = np.random.default_rng(seed).normal(100, 20, (18, 18, slices, frames)).astype(np.float32)
    times = np.arange(frames) * 0.1
    return Image(data, np.diag([2.0, 2.0, 8.0, 1.0]), times, view, contrast, rr_ms=900.0 if frames > 1 else None)


def study(slices=4):
    images = {
        (View.SAX, Contrast.CINE): image(View.SAX, slices=slices),
        (View.LAX_4C, Contrast.CINE): image(View.LAX_4C, slices=1, seed=1),
    }
    return Study("someone", images, Facts())


@pytest.fixture
def folder(tmp_path):
    torch.manual_seed(0)
    network = ScreeningNetwork(CONFIG)
    point = screening_model.OperatingPoint(threshold=0.3, chosen="largest sum on 9 others", tp=35, fn=2, tn=31, fp=2)
    screening_model.save(
        tmp_path / "triage",
        network,
        name="triage",
        summary="s",
        classes=["control", "cardiomyopathy"],
        diseases=["normal", None],
        temperature=0.5,
        point=point,
        scores={"auc": 0.9},
        data="70 subjects",
        trained_on=["161 subjects"],
        made={"commit": "x"},
    )
    return tmp_path / "triage", network


def test_a_saved_model_answers_as_the_network_did_and_holds_nothing_of_late_enhancement(folder):
    path, network = folder
    model = screening_model.load(path)
    assert not [name for name in model.network.state_dict() if "lge" in name]
    answer = model.ask(study())
    prepared = prepare(study(), WINDOW)
    clips = {name: torch.from_numpy(clip)[None] for name, clip in prepared.clips.items()}
    with torch.inference_mode():
        expected = (network.eval()(clips)[0].double() / 0.5).softmax(0)
    assert answer.shares == pytest.approx(dict(zip(("control", "cardiomyopathy"), expected.tolist(), strict=True)))
    assert dict(answer.found.diagnosis) == {Disease.NORMAL: pytest.approx(float(expected[0]))}
    ill = answer.found.measurements["screening"]
    assert (ill.value, ill.unit) == (pytest.approx(100 * float(expected[1])), "%")
    assert ill.source == model.source


def test_what_is_told_names_the_operating_point_with_exact_intervals_and_no_diagnosis(folder):
    model = screening_model.load(folder[0])
    told = "\n".join(screening_model.lines(model, model.ask(study(slices=2))))
    assert "threshold of 30 %" in told
    assert "sensitivity 0.95 (0.82 to 0.99), specificity 0.94 (0.80 to 0.99)" in told
    assert "research triage, not a diagnosis" in told
    assert "[slices-repeated]" in told


def test_a_changed_missing_or_foreign_model_is_refused(folder, tmp_path):
    path, _ = folder
    with pytest.raises(RefusedInput, match=r"holds no screening model.*none is shipped") as refusal:
        screening_model.load(tmp_path / "nowhere")
    assert refusal.value.code == "no-such-model"
    weights = path / screening_model.WEIGHTS
    kept = weights.read_bytes()
    weights.write_bytes(kept + b"0")
    with pytest.raises(RefusedInput, match="not the file its card speaks of"):
        screening_model.load(path)
    weights.unlink()
    with pytest.raises(RefusedInput, match="not beside their card"):
        screening_model.load(path)
    weights.write_bytes(kept)
    card = json.loads((path / screening_model.CARD).read_text())
    card["network"]["classes"] = 1
    (path / screening_model.CARD).write_text(json.dumps(card))
    with pytest.raises(RefusedInput, match="is no card of a screening") as refusal:
        screening_model.load(path)
    assert refusal.value.code == "bad-card"


def write_own(root, rows, without=()):
    for number, (name, _) in enumerate(rows):
        for key, view, slices, frames in (
            ("ch4", View.LAX_4C, 1, 9),
            ("sax", View.SAX, 4, 9),
            ("lge", View.SAX, 4, 1),
        ):
            if (name, key) not in without:
                one = image(view, slices=slices, frames=frames, seed=number)
                nifti.write_image(root / name / f"{key}.nii.gz", one.data, one.affine, one.times)
    lines = ["subject,class,vendor", *(f"{name},{kind},v" for name, kind in rows)]
    (root / "subjects.csv").write_text("\n".join(lines) + "\n")


def test_a_users_own_subjects_become_samples_whatever_sequence_they_lack(tmp_path):
    rows = [("a", "hcm"), ("b", "control"), ("c", "hcm"), ("d", "control")]
    write_own(tmp_path, rows, without={("b", "lge"), ("c", "ch4"), ("d", "ch4"), ("d", "sax"), ("d", "lge")})
    read = read_cohort(tmp_path, WINDOW)
    assert read.classes == ("control", "hcm")
    assert read.samples.names == ("a", "b", "c")
    assert read.samples.classes.tolist() == [1, 0, 1]
    assert {name: there.tolist() for name, there in read.samples.there.items()} == {
        "ch4": [True, True, False],
        "sax": [True, True, True],
        "lge": [True, False, True],
    }
    assert [line.split(":")[0] for line in read.left_out] == ["row 4 of subjects.csv"]
    one = nifti.read_image(tmp_path / "a" / "sax.nii.gz")
    alone = prepare(Study("a", {(View.SAX, Contrast.CINE): one}, Facts()), WINDOW, needed=())
    np.testing.assert_allclose(read.samples.clips["sax"][0], alone.clips["sax"], atol=5e-3)


@pytest.mark.parametrize(
    ("table", "code", "said"),
    [
        (None, "missing-file", "names the subjects"),
        ("subject,group\na,b\n", "bad-table", "columns subject and class"),
        ("subject,class\na,ill\nb,\n", "bad-table", "filled in every row"),
        ("subject,class\n../a,ill\n", "bad-table", "row 1 of .* no name of a folder"),
        ("subject,class,person\na,ill,p\nb,control,p\n", "same-person-twice", "one person in two rows"),
        ("subject,class\na,ill\nb,healthy\n", "no-controls", "classes healthy and ill"),
        ("subject,class\na,ill\nb,ill\n", "one-class", "nothing to tell apart"),
        ("subject,class\na,ill\nb,control\n", "nothing-to-learn", "no subject of"),
    ],
)
def test_tables_that_cannot_be_learned_from_are_refused(tmp_path, table, code, said):
    if table is not None:
        (tmp_path / "subjects.csv").write_text(table)
    with pytest.raises(RefusedInput, match=said) as refusal:
        read_cohort(tmp_path, WINDOW)
    assert refusal.value.code == code


def test_encoders_start_from_published_video_swin_weights(tmp_path):
    torch.manual_seed(1)
    published = VideoSwin(SWIN)
    tensors = {f"backbone.{name}": value for name, value in published.state_dict().items()}
    found = encoder_weights(CONFIG, tensors)
    network = ScreeningNetwork(CONFIG)
    network.load_state_dict(found, strict=False)
    clip = torch.randn(1, 3, 4, 16, 16)
    for name in ("ch4", "sax", "lge"):
        torch.testing.assert_close(network.eval().features(name, clip), published.eval()(clip))
    with pytest.raises(RefusedInput, match="cannot start from these weights") as refusal:
        encoder_weights(ScreeningConfig(window=WINDOW), tensors)
    assert refusal.value.code == "weights-do-not-fit"
    with pytest.raises(RefusedInput, match="no file"):
        read_weights(CONFIG, tmp_path / "none.safetensors")
    (tmp_path / "half.safetensors").write_bytes(b"12")
    with pytest.raises(RefusedInput, match="not a whole safetensors file"):
        read_weights(CONFIG, tmp_path / "half.safetensors")


def test_encoders_start_from_cinemas_autoencoder_and_answer_equal_moments_as_it_did():
    from cinecmr.networks.multiview import MultiViewConfig, ViewShape

    vit = VitShape((4, 8), 12, 1, 2)
    config = ScreeningConfig(window=WINDOW, encoder="cinema", vit=vit)
    views = {"sax": ViewShape((16, 16, 3)), "lax_4c": ViewShape((16, 16))}
    torch.manual_seed(2)
    mae = MaskedAutoencoder(MultiViewConfig(views, vit.stem_widths, width=12, depth=1, heads=2))
    found = encoder_weights(config, mae.state_dict())
    assert {name.split(".")[1] for name in found} == {"ch4", "sax", "lge"}
    encoder = CinemaEncoder("sax", config)
    encoder.load_state_dict(
        {name.removeprefix("encoders.sax."): value for name, value in found.items() if ".sax.backbone" in name},
        strict=False,
    )
    first = encoder.backbone.state_dict()["enc_down_dict.sax.conv_blocks.0.patch_embed.conv.weight"]
    own = mae.state_dict()["enc_down_dict.sax.conv_blocks.0.patch_embed.conv.weight"]
    torch.testing.assert_close(first.sum(1, keepdim=True), own)  # two equal moments answer as one did
    with pytest.raises(RefusedInput, match="no view sax"):
        encoder_weights(config, {k: v for k, v in mae.state_dict().items() if ".sax." not in k})
