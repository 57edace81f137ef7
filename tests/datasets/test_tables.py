"""Tables as they are shipped: separators, marks, empty rows, words for unknown."""

import numpy as np
import pytest

from cinecmr.anatomy import Structure
from cinecmr.datasets._codes import LV_MYO_RV, RV_MYO_LV, from_structure, to_structure
from cinecmr.datasets.tables import metres, number, read_table, whole, write_table
from cinecmr.errors import RefusedInput


@pytest.mark.parametrize(
    "data",
    [
        b",External code,ED\n0,A1,3\n,,\n",
        b"\xef\xbb\xbf,External code,ED\r\n0,A1,3\r\n,,\r\n",
        b";External Code;ed\n0;A1;3\n;;\n",
    ],
)
def test_a_table_reads_the_same_whatever_its_separator_and_case(tmp_path, data):
    path = tmp_path / "t.csv"
    path.write_bytes(data)
    (row,) = read_table(path, ("External code", "ED"))
    assert (row["External code"], row["ED"]) == ("A1", "3")


def test_a_missing_column_a_missing_file_and_binary_data_are_refused(tmp_path):
    path = tmp_path / "t.csv"
    with pytest.raises(RefusedInput, match=r"t\.csv is missing"):
        read_table(path, ("ED",))
    path.write_text("A,B\n1,2\n")
    with pytest.raises(RefusedInput, match=r"t\.csv has no column ED: there are 'A,B'"):
        read_table(path, ("A", "ED"))
    path.write_bytes(b"A,B\n\0\0")
    with pytest.raises(RefusedInput, match="not a text file"):
        read_table(path, ("A",))


def test_what_is_written_reads_back_and_nothing_is_an_empty_cell(tmp_path):
    write_table(tmp_path / "t.csv", ("a", "b"), [(1, None), ("x,y", 2.5)])
    assert read_table(tmp_path / "t.csv", ("a", "b")) == [{"a": "1", "b": ""}, {"a": "x,y", "b": "2.5"}]


@pytest.mark.parametrize(("text", "value"), [("1e3", 1000.0), ("-2", -2.0), (".5", 0.5), ("12 ml", None), (None, None)])
def test_numbers_are_read_and_other_words_are_unknown(text, value):
    assert number(text) == value


def test_a_height_that_no_person_has_is_unknown():
    assert [metres(text) for text in ("184", "1.84", "0", "5", "999")] == [1.84, 1.84, None, None, None]


def test_a_frame_that_is_no_whole_number_is_refused(tmp_path):
    for text in ("", "1.5", "x"):
        with pytest.raises(RefusedInput, match="it should be a whole number"):
            whole(text, "ED", tmp_path / "Info.cfg")


def test_ventricles_are_numbered_the_other_way_round_by_mms(tmp_path):
    stored = np.array([[[0, 1, 2, 3]]], np.uint8)
    assert to_structure(stored, RV_MYO_LV, tmp_path).tolist() == [[[0, Structure.RV, Structure.MYO, Structure.LV]]]
    assert to_structure(stored, LV_MYO_RV, tmp_path).tolist() == [[[0, Structure.LV, Structure.MYO, Structure.RV]]]
    for codes in (RV_MYO_LV, LV_MYO_RV):
        np.testing.assert_array_equal(from_structure(to_structure(stored, codes, tmp_path), codes), stored)


def test_codes_that_are_no_words_of_the_layout_are_refused(tmp_path):
    for odd, told in ((4.0, "4"), (1.5, "2|fractions|1.5"), (-1.0, "-1")):
        with pytest.raises(RefusedInput, match=f"holds the codes ({told})"):
            to_structure(np.full((2, 2, 1), odd), {0: Structure.BACKGROUND, 1: Structure.LV}, tmp_path)
