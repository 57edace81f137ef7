import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from cinecmr import Findings, Flag, Measurement, Severity
from cinecmr.analyze import schema, schema_reference

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


REFERENCE = Path(__file__).parents[2] / "docs" / "reference"
KINDS = {"string": str, "integer": int, "number": (int, float), "object": dict, "array": list, "null": type(None)}


@pytest.mark.parametrize(
    ("name", "made"),
    [("findings_json.md", schema_reference.document), ("findings.schema.json", schema_reference.json_schema)],
)
def test_the_reference_is_that_of_the_model(name, made):
    assert (REFERENCE / name).read_text("utf-8") == made(), (
        "run: python -m cinecmr.analyze.schema_reference docs/reference"
    )
    assert all(f"`{key}`" in schema_reference.document() for key in schema.FindingsFile.model_fields)


def fits(value, rule, whole):
    """Whether a value is what a JSON Schema says, as far as ours says anything."""
    if "$ref" in rule:
        return fits(value, whole["$defs"][rule["$ref"].rpartition("/")[2]], whole)
    if "anyOf" in rule:
        return any(fits(value, one, whole) for one in rule["anyOf"])
    if ("const" in rule and value != rule["const"]) or ("enum" in rule and value not in rule["enum"]):
        return False
    if "type" in rule and (not isinstance(value, KINDS[rule["type"]]) or isinstance(value, bool)):
        return False
    if isinstance(value, list):
        items = rule.get("prefixItems", [rule.get("items", {})] * len(value))
        return len(items) == len(value) and all(fits(*pair, whole) for pair in zip(value, items, strict=True))
    if isinstance(value, dict):
        known, more = rule.get("properties", {}), rule.get("additionalProperties", {})
        if rule.get("required", []) and not set(rule["required"]) <= set(value):
            return False
        rules = {key: known.get(key, more) for key in value}
        return all(one is not False and fits(value[key], one, whole) for key, one in rules.items())
    return True


def test_a_file_fits_the_published_schema_and_a_changed_one_does_not(heart):
    whole = json.loads((REFERENCE / "findings.schema.json").read_text("utf-8"))
    told = json.loads(
        schema.to_file_model(heart.study, heart.found, provenance=PROVENANCE, truth=heart.truth).to_json()
    )
    assert fits(told, whole, whole)
    for change in (
        {"status": "well"},
        {"grade": "severe"},
        {"measurements": {"LVEF": {"value": "58"}}},
        {"flags": None},
    ):
        assert not fits(told | change, whole, whole)
    assert not fits({key: value for key, value in told.items() if key != "flags"}, whole, whole)
