import csv
import dataclasses
import html
import io
import json
import re

import numpy as np
import pytest

from cinecmr import Contrast, Facts, Findings, Flag, Measurement, Severity, View
from cinecmr.analyze import page, report, schema

EVIL = '"><script>alert(1)</script><img src=x onerror=alert(2)>{{ 7*7 }}</style>'
SAX = (View.SAX, Contrast.CINE)


def render(study, found, truth=None, **provenance):
    return page.render(schema.to_file_model(study, found, provenance=provenance, truth=truth), study, found, truth)


def visible(text):
    """Words of the page, without style, script and data."""
    body = re.sub(r"<(style|script)\b.*?</\1>", " ", text, flags=re.DOTALL)
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", body)).split())


def test_one_run_writes_four_files_that_say_the_same(heart, tmp_path):
    import nibabel

    written = report.write_outputs(tmp_path / "out", heart.study, heart.found, provenance={"model": "disc-net"})
    names = ["findings.json", "measurements.csv", "labels_sax.nii.gz", "report.html"]
    assert [path.name for path in written] == names
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(names)
    told = json.loads(written[0].read_text())["measurements"]
    rows = {row["name"]: row for row in csv.DictReader(io.StringIO(written[1].read_text()))}
    assert {n: pytest.approx(m["value"], abs=1e-5) for n, m in told.items()} == {
        n: float(r["value"]) for n, r in rows.items()
    }
    labels = nibabel.load(written[2])
    np.testing.assert_array_equal(np.asarray(labels.dataobj), heart.found.labels[SAX])
    shown = re.findall(r'<tr data-name="(\w+)">.*?<b>([^<]+)</b>', written[3].read_text(), re.DOTALL)
    assert {name: float(value) for name, value in shown} == {
        n: pytest.approx(m["value"], abs=0.05) for n, m in told.items()
    }


def test_labels_of_an_earlier_run_do_not_survive_a_refusal(heart, tmp_path):
    (tmp_path / "labels_sax.nii.gz").write_bytes(b"old")
    refused = Findings(flags=(Flag("no-lv", Severity.REFUSE, "no left ventricle was found"),))
    written = report.write_outputs(tmp_path, heart.study, refused, provenance={})
    assert "labels_sax.nii.gz" not in {path.name for path in written}
    assert not (tmp_path / "labels_sax.nii.gz").exists()


def test_the_same_findings_give_the_same_bytes(heart):
    assert render(heart.study, heart.found, heart.truth) == render(heart.study, heart.found, heart.truth)


@pytest.mark.parametrize("lead", ["=", "+", "-", "@", "\t=", "\r@", "\n-"])
def test_a_spreadsheet_finds_no_formula_in_the_table(heart, lead):
    found = Findings(measurements={f"{lead}A1": Measurement(-3.5, "ml", f"{lead}cmd()", f"{lead}HYPERLINK()")})
    text = report.measurements_csv(schema.to_file_model(heart.study, found, provenance={}))
    _, row = csv.reader(io.StringIO(text, newline=""))
    sign = lead.strip()
    assert row[:3] == [f"'{sign}A1", "-3.5", "ml"]  # a negative number stays a number
    assert (row[5], row[7]) == (f"'{sign}cmd()", f"'{sign}HYPERLINK()")


def evil_study(heart):
    study = dataclasses.replace(
        heart.study,
        subject=EVIL,
        facts=Facts(vendor=EVIL, model=EVIL),
        flags=(Flag(EVIL, Severity.FLAG, EVIL),),
        provenance={EVIL: EVIL, "phase_key": EVIL},
    )
    found = Findings(
        labels=heart.found.labels, cycle=heart.found.cycle, curves=heart.found.curves,
        measurements={EVIL: Measurement(1.0, EVIL, EVIL, EVIL), "LVEF": Measurement(1.0, "%", EVIL, EVIL)},
    )  # fmt: skip
    return study, found


def test_text_of_headers_stays_text(heart):
    study, found = evil_study(heart)
    made = render(study, found, options=EVIL, model=EVIL)
    assert visible(made).count("{{ 7*7 }}") >= 10  # it is shown, and not run by the template
    assert "alert(" in made
    assert re.search(r"<script>alert|<img|onerror=[^&]*>(?!&)", made.replace("&gt;", "")) is None
    assert made.count("<script") == 2
    assert made.count("</script") == 2


def test_data_inside_the_page_cannot_end_their_script(heart):
    text = page._json_in_html({"title": EVIL, "note": "<!--"})
    assert not set("<>&") & set(text)
    assert json.loads(text) == {"title": EVIL, "note": "<!--"}


def test_the_page_asks_for_nothing_outside_itself(heart):
    made = render(heart.study, heart.found, heart.truth)
    without_pictures = re.sub(r"data:image/\w+;base64,[A-Za-z0-9+/=]+", "", made)
    assert re.findall(r"(?:https?:)?//[\w.-]+\.\w+", without_pictures) == []
    assert re.findall(r"<(?:link|iframe|object|embed|base)\b", made) == []
    assert re.findall(r"\ssrc=|\sstyle=|\son\w+=|@import|url\(", without_pictures) == []


def test_the_policy_allows_this_style_and_script_and_nothing_else(heart):
    policy = html.unescape(
        re.search(r'Content-Security-Policy" content="([^"]+)"', render(heart.study, heart.found))[1]
    )
    rules = dict(rule.split(" ", 1) for rule in policy.split("; "))
    assert rules.pop("default-src") == "'none'"
    assert rules.pop("img-src") == "data:"
    assert rules.pop("base-uri") == rules.pop("form-action") == "'none'"
    assert all(re.fullmatch(r"'sha256-[A-Za-z0-9+/=]{44}'", rule) for rule in rules.values())
    assert set(rules) == {"script-src", "style-src"}


def test_the_banner_the_status_and_every_flag_can_be_read(heart):
    words = visible(render(heart.study, heart.found))
    assert "Research use, not for diagnosis." in words
    assert "Measured, with 1 point to check." in words
    assert "Check slice 2 is missing; its area was bridged" in words
    assert words.index("Check slice 2") < words.index("Note the basal slice")


def test_a_withheld_number_says_so_where_the_number_would_stand(heart):
    found = Findings(
        measurements={"LVEDV": heart.found.measurements["LVEDV"]},
        flags=(Flag("too-few-frames", Severity.REFUSE, "1 frame cannot show a cycle"),),
    )
    made = render(heart.study, found)
    card = re.search(r'data-name="LVEF">(.*?)</div>', made, re.DOTALL)[1]
    assert "withheld" in card
    assert "Withheld 1 frame cannot show a cycle" in visible(made)
    assert "and some numbers" not in visible(made)
    assert "Measured, with 1 point to check and with some numbers withheld for 1 reason." in visible(made)


def test_true_values_stand_beside_the_measured_and_their_difference_is_right(heart):
    made = render(heart.study, heart.found, heart.truth)
    row = re.search(r'<tr data-name="LVEDV">(.*?)</tr>', made, re.DOTALL)[1]
    value, true, difference = (
        float(text.replace("−", "-")) for text in re.findall(r'class="n"[^>]*>(?:<b>)?([−\d.]+)', row)[:3]
    )
    assert value == pytest.approx(heart.found.measurements["LVEDV"].value, abs=0.05)
    assert true == pytest.approx(heart.truth.measurements["LVEDV"].value, abs=0.05)
    assert difference == pytest.approx(value - true, abs=0.11)
    assert "True" not in re.findall(r"<th[^>]*>(\w+)</th>", render(heart.study, heart.found))


def test_a_reference_range_is_shown_with_its_citation(heart):
    words = visible(render(heart.study, heart.found, papillary="papillary_in_volume"))
    assert "within 51 to 71" in words
    assert "10.1186/s12968-017-0327-9" in words
    assert "No reference range is shown" in visible(render(heart.study, heart.found))


def test_the_convention_of_volumes_stands_once_and_every_row_keeps_its_own_method(heart):
    from cinecmr.measure.volumes import CONVENTION

    methods = {
        "LVEDV": f"LV blood pool at its largest; {CONVENTION}",
        "LVEF": f"LVSV / LVEDV; {CONVENTION}",
        "HR": "from R-R",
    }
    found = Findings(measurements={name: Measurement(50.0, "ml", method, "expert") for name, method in methods.items()})
    words = visible(render(heart.study, found))
    assert words.count(CONVENTION) == 1
    assert "LV blood pool at its largest *" in words
    assert "LVSV / LVEDV *" in words
    assert words.count(" *") == 3  # two rows and the convention itself
    assert "Source of every number: expert" in words


def test_sources_that_differ_stand_beside_their_numbers(heart):
    found = Findings(
        measurements={"LVEDV": Measurement(50.0, "ml", "m", "expert"), "LVM": Measurement(90.0, "g", "m", "net")}
    )
    rows = re.findall(r'<tr data-name="(\w+)">.*?data-label="Source">(\w+)<', render(heart.study, found), re.DOTALL)
    assert rows == [("LVEDV", "expert"), ("LVM", "net")]


def test_ventricles_that_end_systole_apart_have_their_own_buttons():
    events = page._events({"LV_ED": 0, "LV_ES": 9, "RV_ED": 0, "RV_ES": 11})
    assert [(event["title"], event["frame"]) for event in events] == [("ED", 0), ("LV ES", 9), ("RV ES", 11)]


def test_a_study_without_short_axis_still_has_a_page(heart):
    study = dataclasses.replace(heart.study, images={k: v for k, v in heart.study.images.items() if k != SAX})
    made = render(study, Findings(flags=(Flag("no-sax", Severity.REFUSE, "no short-axis cine"),)))
    assert "Not measured: no number could be given." in visible(made)
    assert "Long axis, four-chamber" in visible(made)


def test_a_stack_of_usual_size_makes_a_page_under_six_megabytes(heart):
    rng = np.random.default_rng(0)
    image = heart.study[View.SAX]
    data = rng.normal(100, 30, (110, 110, 12, 25)).astype(np.float32)  # noise: the worst case for compression
    study = dataclasses.replace(
        heart.study, images={SAX: dataclasses.replace(image, data=data, times=np.arange(25) / 25, missing_slices=())}
    )
    assert len(render(study, Findings())) < 6_000_000
