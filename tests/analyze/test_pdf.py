"""report.pdf: one sheet that says what the report says, in which no text of a header can do anything."""

import dataclasses
import io
import subprocess
import sys

import numpy as np
import pytest

from cinecmr import Findings, Flag, Severity, View
from cinecmr.analyze import pdf, report, schema, words
from cinecmr.errors import RefusedInput

pytest.importorskip("pypdf", reason="pypdf is not installed (extra: dev)")
try:
    pdf.library()
except RefusedInput as refusal:
    pytest.skip(refusal.message, allow_module_level=True)

EVIL = '"><script>alert(1)</script><img src="https://example.org/x.png" onerror=alert(2)>{{ 7*7 }}</style>'
A4 = (595.28, 841.89)


def read(data):
    from pypdf import PdfReader

    return PdfReader(io.BytesIO(data))


def text(data):
    return " ".join(read(data).pages[0].extract_text().split())


def made(study, found, truth=None, **provenance):
    return pdf.render(schema.to_file_model(study, found, provenance=provenance, truth=truth), study, found, truth)


@pytest.fixture(scope="module")
def sheet(heart):
    return made(heart.study, heart.found, heart.truth)


def test_it_is_one_sheet_of_a4_with_every_number_of_both_ventricles(heart, sheet):
    assert len(read(sheet).pages) == 1
    assert [float(side) for side in read(sheet).pages[0].mediabox[2:]] == pytest.approx(A4, abs=0.1)
    said = text(sheet)
    for name, one in heart.found.measurements.items():
        number = f"{words.number(one.value, one.unit, fine=True)} {words.unit(one.unit)}"
        assert number in said, name
    assert "Research use, not for diagnosis." in said
    assert heart.study.subject in said
    assert "slice 2 is missing; its area was bridged" in said
    assert "95 to 108" in said  # the interval of the mass


def test_numbers_beyond_the_ventricles_stand_below_the_table_and_none_is_left_out(heart):
    more = {
        name: dataclasses.replace(heart.found.measurements["LVM"], value=value, unit=unit)
        for name, value, unit in (("SVdiff", 27.0, "ml"), ("HR", 66.6, "bpm"), ("MAPSE", 12.3, "mm"), ("odd", 7.0, "g"))
    }
    said = text(made(heart.study, dataclasses.replace(heart.found, measurements={**heart.found.measurements, **more})))
    for told in ("LV minus RV stroke volume 27 ml", "Heart rate 67 /min", "12.3 mm", "odd 7 g"):
        assert told in said


def test_contours_lie_on_three_slices_at_end_diastole_and_end_systole(heart):
    drawn = dict(pdf.pictures(heart.study, heart.found))
    assert list(drawn) == [f"{phase}, {place}" for phase in ("ED", "ES") for place in ("base", "middle", "apex")]
    widest = {}
    for title, picture in drawn.items():
        endo = next(part for part in picture.split("<polygon") if "#ffa726" in part)
        x = [float(pair.split(",")[0]) for pair in endo.split('points="')[1].split('"')[0].split()]
        widest[title] = max(x) - min(x)
    assert widest["ED, base"] == pytest.approx(48.0, abs=4.0)  # twice 24 mm; the stack was made so
    assert widest["ES, base"] < 0.75 * widest["ED, base"]
    assert widest["ED, apex"] < widest["ED, base"]


def test_true_values_stand_beside_those_of_a_synthetic_heart_and_of_no_other(heart, sheet):
    true = words.number(heart.truth.measurements["LVEDV"].value, "ml", fine=True)
    assert f"{true}" in text(sheet)
    assert "Synthetic heart" in text(sheet)
    assert "Synthetic heart" not in text(made(heart.study, heart.found))


def test_text_of_headers_stays_text_and_nothing_is_loaded_or_run(heart):
    study = dataclasses.replace(
        heart.study,
        subject=EVIL,
        facts=dataclasses.replace(heart.study.facts, vendor=EVIL),
        flags=(Flag("odd", Severity.FLAG, EVIL),),
    )
    page = schema.to_file_model(study, heart.found, provenance={})
    source = pdf.html(page, study, heart.found, None, 12)
    assert "<script" not in source
    assert "<img" not in source
    assert "49" not in source.partition("</style>")[2].partition("<table")[0]  # 7*7 was not worked out
    document = read(pdf.render(page, study, heart.found))
    assert "<script>alert(1)</script>" in document.pages[0].extract_text().replace("\n", "")
    everything = str([document.get_object(n) for n in range(1, len(document.xref[0]) if document.xref else 1)])
    for word in ("/JavaScript", "/JS", "/URI", "/Launch", "/EmbeddedFile", "/OpenAction"):
        assert word not in everything
        assert word not in str(document.trailer["/Root"])
    assert "/Annots" not in document.pages[0]


def test_a_page_that_asks_for_a_picture_from_elsewhere_gets_none(heart, monkeypatch):
    asked = []
    monkeypatch.setattr("socket.socket.connect", lambda self, address: asked.append(address))
    source = '<p>before</p><img src="http://127.0.0.1:9/x.png"><img src="file:///etc/hostname"><p>after</p>'
    monkeypatch.setattr(pdf, "html", lambda *_: source)
    assert "before" in text(made(heart.study, heart.found))
    assert asked == []


def test_many_long_flags_leave_one_sheet_the_gravest_first_and_the_rest_counted(heart):
    many = tuple(Flag(f"note-{n}", Severity.NOTE, f"note {n} " + "and so on " * 60) for n in range(40))
    grave = Flag("grave", Severity.REFUSE, "the right ventricle is withheld")
    data = made(dataclasses.replace(heart.study, flags=(*many, grave)), heart.found)
    assert len(read(data).pages) == 1
    said = text(data)
    assert "the right ventricle is withheld" in said
    assert said.index("the right ventricle is withheld") < said.index("note 0")
    told = sum(f"note-{n} " in said for n in range(40))
    assert f"and {42 - 1 - told} more: see report.html" in said  # 40 notes, the grave one, one of `found`
    assert "Date" in said  # the foot is still there


def test_a_study_of_which_nothing_was_measured_says_why(heart):
    refused = Findings(flags=(Flag("no-lv", Severity.REFUSE, "no left ventricle was found"),))
    said = text(made(heart.study, refused))
    assert "no left ventricle was found" in said
    assert "No number was measured" in said


def test_a_study_without_short_axis_still_has_a_sheet(heart):
    images = {key: image for key, image in heart.study.images.items() if key[0] is not View.SAX}
    study = dataclasses.replace(heart.study, images=images)
    found = dataclasses.replace(heart.found, labels={}, curves={})
    assert len(read(made(study, found)).pages) == 1


def test_the_same_findings_give_the_same_bytes(heart, sheet):
    assert made(heart.study, heart.found, heart.truth) == sheet


def test_the_file_names_neither_when_nor_by_whom_it_was_made(sheet):
    assert set(read(sheet).metadata) <= {"/Title", "/Producer"}
    assert read(sheet).metadata["/Title"] == "Cine cardiac MRI report"


def test_a_sheet_follows_later_changes_and_goes_where_it_is_not_wanted(heart, tmp_path):
    about = {"provenance": {"model": "disc-net"}}
    written = report.write_outputs(tmp_path, heart.study, heart.found, **about, pdf=True)
    assert [path.name for path in written[-2:]] == ["report.pdf", "report.html"]
    edv = heart.found.measurements["LVEDV"]
    other = dataclasses.replace(
        heart.found, measurements={**heart.found.measurements, "LVEDV": dataclasses.replace(edv, value=321.4)}
    )
    report.write_page(tmp_path, heart.study, other, **about)
    assert "321.4 ml" in text((tmp_path / "report.pdf").read_bytes())
    report.write_outputs(tmp_path, heart.study, heart.found, **about, pdf=False)
    assert not (tmp_path / "report.pdf").exists()
    report.write_page(tmp_path, heart.study, heart.found, **about)
    assert not (tmp_path / "report.pdf").exists()


def test_without_the_library_it_is_refused_by_what_to_install_and_an_old_sheet_does_not_stay(
    heart, tmp_path, monkeypatch
):
    (tmp_path / "report.pdf").write_bytes(b"of an earlier run")
    monkeypatch.setitem(sys.modules, "weasyprint", None)
    with pytest.raises(RefusedInput, match=r"pip install 'cinecmr\[pdf\]'") as refused:
        pdf.library()
    assert refused.value.code == "no-pdf"
    report.write_page(tmp_path, heart.study, heart.found, provenance={})
    assert not (tmp_path / "report.pdf").exists()


def test_a_library_that_the_system_lacks_is_named(monkeypatch):
    class Finder:
        def find_spec(self, name, *_):
            if name == "weasyprint":
                raise OSError("cannot load library 'libpango-1.0-0'")

    monkeypatch.delitem(sys.modules, "weasyprint")
    monkeypatch.setattr(sys, "meta_path", [Finder(), *sys.meta_path])
    with pytest.raises(RefusedInput, match="install Pango"):
        pdf.library()


def test_a_pixel_lies_where_its_contour_does():
    from cinecmr.analyze.pdf import _points

    line = np.array([[0.0, 0.0], [3.0, 1.0]])
    assert _points(line, np.array([2.0, 1.5])) == "0.8,1.0 5.2,3.0"


def test_half_a_picture_of_a_data_set_is_still_refused_after_a_sheet_was_laid_out():
    asked = "from cinecmr.analyze import pdf; pdf.library(); import PIL.ImageFile as f; print(f.LOAD_TRUNCATED_IMAGES)"
    told = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "False"
