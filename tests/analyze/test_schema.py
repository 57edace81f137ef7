import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from cinecmr import Findings, Flag, Measurement, Severity
from cinecmr.analyze import schema

PROVENANCE = {"model": "disc-net", "weights_sha256": "cd", "papillary": "papillary_in_volume", "basal_slice": "rule"}


def test_a_file_read_back_says_the_same(heart):
    file = schema.to_file_model(heart.study, heart.found, provenance=PROVENANCE, truth=heart.truth)
    assert schema.FindingsFile.model_validate_json(file.to_json()) == file


def test_every_measurement_keeps_value_unit_frame_and_source(heart):
    read = json.loads(schema.to_file_model(heart.study, heart.found, provenance=PROVENANCE).to_json())
    for name, m in heart.found.measurements.items():
        told = read["measurements"][name]
        assert (told["value"], told["unit"], told["frame"], told["source"]) == (m.value, m.unit, m.frame, m.source)
    assert read["measurements"]["LVM"]["interval"] == [95.0, 108.0]


def test_a_frame_nobody_looked_at_is_null_and_never_nan(heart):
    curve = np.array(heart.found.curves["LV"], copy=True)
    curve[3] = np.nan
    found = dataclasses.replace(heart.found, curves={"LV": curve})
    text = schema.to_file_model(heart.study, found, provenance={}).to_json()
    assert "NaN" not in text
    assert json.loads(text)["curves"]["LV"]["volume_ml"][3] is None


def test_a_measurement_that_is_not_finite_is_a_fault_and_not_a_number(heart):
    found = Findings(measurements={"LVEF": Measurement(float("nan"), "%", "m", "s")})
    with pytest.raises(ValidationError, match="finite number"):
        schema.to_file_model(heart.study, found, provenance={})


def test_an_unknown_key_is_refused(heart):
    read = json.loads(schema.to_file_model(heart.study, heart.found, provenance={}).to_json())
    read["measurements"]["LVEF"]["grade"] = "severe"
    with pytest.raises(ValidationError, match="Extra inputs are not permitted"):
        schema.FindingsFile.model_validate(read)


@pytest.mark.parametrize(
    ("severities", "measured", "status"),
    [
        ((), True, "done"),
        ((Severity.NOTE,), True, "done"),
        ((Severity.FLAG,), True, "flags"),
        ((Severity.REFUSE,), True, "flags"),
        ((Severity.REFUSE, Severity.NOTE), False, "refused"),
        ((), False, "refused"),  # nothing measured is never "done"
    ],
)
def test_the_status_follows_the_gravest_flag(heart, severities, measured, status):
    flags = tuple(Flag("some-code", severity, "words") for severity in severities)
    study = dataclasses.replace(heart.study, flags=())
    found = Findings(flags=flags, measurements=heart.found.measurements if measured else {})
    assert schema.to_file_model(study, found, provenance={}).status == status


def test_a_reference_range_stands_only_where_the_papillary_convention_is_the_ranges_own(heart):
    same = schema.to_file_model(heart.study, heart.found, provenance=PROVENANCE).measurements["LVEF"].reference
    other = PROVENANCE | {"papillary": "not stated"}
    assert same is not None
    assert same.doi.startswith("10.")
    assert schema.to_file_model(heart.study, heart.found, provenance=other).measurements["LVEF"].reference is None


def test_flags_of_reading_come_first_and_none_is_told_twice(heart):
    found = Findings(flags=(*heart.study.flags, Flag("late", Severity.NOTE, "later")))
    told = schema.to_file_model(heart.study, found, provenance={}).flags
    assert [flag.code for flag in told] == ["missing-slice-bridged", "late"]


def test_the_reference_page_is_the_one_the_model_writes():
    page = Path(__file__).parents[2] / "docs" / "reference" / "findings_json.md"
    assert page.read_text("utf-8") == schema.document(), (
        "run: python -m cinecmr.analyze.schema docs/reference/findings_json.md"
    )
    assert all(f"`{key}`" in schema.document() for key in schema.FindingsFile.model_fields)
