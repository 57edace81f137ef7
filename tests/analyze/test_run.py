"""What the user says of the person, and what the report says of the run."""

from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from cinecmr.analyze import run
from cinecmr.analyze.given import GivenLabels
from cinecmr.analyze.pipeline import analyze
from cinecmr.analyze.summary import lines, needs_a_look, status
from cinecmr.anatomy import Sex
from cinecmr.errors import RefusedInput
from cinecmr.study import Facts, Flag, Severity


def test_what_the_user_says_wins_over_the_header_in_metres_and_kilograms(tiny_heart):
    study = run.with_facts(tiny_heart.study, run.facts_given(height_cm=172, weight_kg=70, sex=Sex.FEMALE, age_y=61))
    assert study.facts == replace(tiny_heart.study.facts, height_m=1.72, weight_kg=70, sex=Sex.FEMALE, age_y=61)
    assert run.with_facts(tiny_heart.study, run.facts_given()).facts == tiny_heart.study.facts


def test_a_flag_the_user_has_answered_is_gone_and_half_an_answer_keeps_it(tiny_heart):
    said = (Flag("no-indexing", Severity.FLAG, "no height, no weight"), Flag("slice-gap", Severity.FLAG, "17.7 mm"))
    study = replace(tiny_heart.study, facts=Facts(), flags=said)
    assert [flag.code for flag in run.with_facts(study, run.facts_given(height_cm=172)).flags] == [
        "no-indexing",
        "slice-gap",
    ]
    assert [flag.code for flag in run.with_facts(study, run.facts_given(height_cm=172, weight_kg=70)).flags] == [
        "slice-gap"
    ]
    assert [flag.code for flag in run.with_facts(study, run.facts_given(sex=Sex.MALE)).flags] == [
        "no-indexing",
        "slice-gap",
    ]


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({"height_cm": 1.72}, "height 1.72 cm is not between 50 and 250 cm"),
        ({"weight_kg": 4000.0}, "weight 4000 kg is not between 2 and 400 kg"),
        ({"age_y": -1.0}, "age -1 years"),
    ],
)
def test_a_body_no_person_has_is_refused(said, message):
    with pytest.raises(RefusedInput, match=message):
        run.facts_given(**said)


def test_a_path_that_does_not_exist_is_refused():
    with pytest.raises(RefusedInput, match="no file or folder nowhere/at/all"):
        run.take("nowhere/at/all")


def test_the_provenance_names_model_checksum_conventions_and_only_options_that_were_given(tiny_model):
    told = run.provenance(tiny_model, {"height": 172.0, "weight": None, "sex": Sex.FEMALE})
    assert told["model"] == "drawn"
    assert told["weights_sha256"] == tiny_model.sha256
    assert told["options"] == "--height 172.0 --sex F"
    assert told["papillary"] == "papillary_in_volume"
    assert "50 %" in told["basal_slice"]


def test_corrected_labels_are_measured_in_the_place_of_the_models(tmp_path, tiny_heart):
    path = tmp_path / "labels_sax.nii.gz"
    nib.save(nib.Nifti1Image(tiny_heart.labels, tiny_heart.image.affine), path)
    given = run.segmenter("no-such-model", "cpu", path)
    assert isinstance(given, GivenLabels)
    found = analyze(tiny_heart.study, given)
    np.testing.assert_array_equal(next(iter(found.labels.values())), tiny_heart.labels)
    assert found.measurements["LVEF"].source.startswith("labels of given-labels@")


def test_a_label_file_that_does_not_exist_is_refused():
    with pytest.raises(RefusedInput, match=r"no label file nowhere\.nii"):
        run.segmenter("sax-unet", "cpu", Path("nowhere.nii"))


def test_the_terminal_shows_the_numbers_their_convention_and_the_gravest_flag_first(tiny_heart, tiny_model):
    study = run.with_facts(tiny_heart.study, run.facts_given(sex=Sex.FEMALE, age_y=60))
    found = analyze(study, tiny_model)
    flags = (Flag("a-note", Severity.NOTE, "fine"), Flag("a-refusal", Severity.REFUSE, "withheld"))
    text = lines(study, replace(found, flags=flags))
    edv = found.measurements["LVEDV"]
    (row,) = [line for line in text if line.startswith("  LVEDV")]
    assert f"{edv.value:.0f} ml" in row
    assert f"{edv.value / 2:.1f} ml/m²" in row  # 1.80 m and 80 kg are 2 m²
    (ef,) = [line for line in text if line.startswith("  LVEF")]
    assert "51 to 71 % (Petersen 2017 UK Biobank)" in ef
    assert text[0] == "DONE WITH 1 REFUSAL"
    assert any("papillary muscles and trabeculae in the blood pool" in line for line in text)
    assert [line.split()[0] for line in text[-2:]] == ["WITHHELD", "note"]


def test_true_values_of_a_phantom_stand_beside_the_measured(tiny_heart, tiny_model):
    truth = analyze(tiny_heart.study, tiny_model)
    ten_more = {
        name: replace(m, value=m.value + 10) if name == "LVEDV" else m for name, m in truth.measurements.items()
    }
    text = lines(tiny_heart.study, replace(truth, measurements=ten_more), truth)
    (row,) = [line for line in text if line.startswith("  LVEDV")]
    assert f"true {truth.measurements['LVEDV'].value:6.1f}  difference  +10.0" in row


def test_a_withheld_number_of_a_phantom_shows_as_a_dash(tiny_heart, tiny_model):
    truth = analyze(tiny_heart.study, tiny_model)
    text = lines(tiny_heart.study, replace(truth, measurements={}), truth)
    (row,) = [line for line in text if line.startswith("  LVEF")]
    assert row.split()[1] == "-"


def test_notes_alone_do_not_change_the_status():
    assert status([Flag("x", Severity.NOTE, "")]) == "DONE"
    assert not needs_a_look([Flag("x", Severity.NOTE, "")])
    flags = [Flag("x", Severity.FLAG, ""), Flag("y", Severity.FLAG, ""), Flag("z", Severity.REFUSE, "")]
    assert status(flags) == "DONE WITH 2 FLAGS AND 1 REFUSAL"
    assert needs_a_look(flags)
