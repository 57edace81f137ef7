"""Which studies a cohort has, each once, under names that nobody can turn back without its key."""

import os
from pathlib import Path

import pytest

from cinecmr.cohort.studies import listed
from cinecmr.errors import RefusedInput
from cinecmr.io.archive import pack
from cinecmr.io.naming import Names, open_key, write_names

NAMES = Names(bytes(range(32)))


def test_a_folder_holds_one_study_for_each_folder_image_and_archive(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    for name in ("c.nii.gz", "d.zip", "truth.csv", ".hidden.nii", "readme.txt"):
        (tmp_path / name).touch()
    found = listed(tmp_path, NAMES)
    assert {Path(entry.paths[0]).name for entry in found.entries} == {"a", "b", "c.nii.gz", "d.zip"}
    assert found.repeats == 0


def test_a_text_list_may_have_comments_and_a_study_listed_twice_is_measured_once(tmp_path):
    (tmp_path / "list.txt").write_text("# ward 7\na/1\n\na/2\n./a/1\n")
    found = listed(tmp_path / "list.txt", NAMES)
    assert sorted(entry.paths[0] for entry in found.entries) == [f"{tmp_path}/a/1", f"{tmp_path}/a/2"]
    assert found.repeats == 1


def test_a_table_gives_site_facts_and_labels(tmp_path):
    (tmp_path / "list.csv").write_text("study;site;sex;height;labels\nx;Leeds;F;172;x_gt.nii.gz\n")
    (entry,) = listed(tmp_path / "list.csv", NAMES).entries
    assert (entry.site, dict(entry.said)) == ("Leeds", {"sex": "F", "height": "172"})
    assert entry.labels == str(tmp_path / "x_gt.nii.gz")


def test_archives_of_one_biobank_visit_are_one_study_and_tagged_slices_are_left(tmp_path):
    for eid, field, visit in ((9000001, 20208, 2), (9000001, 20209, 2), (9000001, 20211, 2), (9000001, 20209, 3)):
        pack(tmp_path / f"{eid}_{field}_{visit}_0.zip", {"a": b""})
    found = listed(tmp_path, NAMES)
    names = sorted([Path(path).name for path in entry.paths] for entry in found.entries)
    assert names == [["9000001_20208_2_0.zip", "9000001_20209_2_0.zip"], ["9000001_20209_3_0.zip"]]
    assert found.repeats == 0


def test_names_stay_when_the_whole_cohort_moves(tmp_path):
    for place in ("here", "there"):
        (tmp_path / place / "a").mkdir(parents=True)
    assert listed(tmp_path / "here", NAMES).entries[0].name == listed(tmp_path / "there", NAMES).entries[0].name


def test_what_names_no_study_is_refused(tmp_path):
    with pytest.raises(RefusedInput, match="there is no folder or list"):
        listed(tmp_path / "nowhere", NAMES)
    (tmp_path / "empty.txt").write_text("# none yet\n")
    with pytest.raises(RefusedInput, match="names no study: give a folder"):
        listed(tmp_path / "empty.txt", NAMES)
    (tmp_path / "list.xlsx").touch()
    with pytest.raises(RefusedInput, match="is no list of studies"):
        listed(tmp_path / "list.xlsx", NAMES)


def test_a_name_tells_nothing_without_the_key_and_other_keys_make_other_names():
    other = Names(bytes(32))
    assert NAMES.study("1234567") != other.study("1234567")
    assert NAMES.subject("1234567").removeprefix("sub-") != NAMES.study("1234567").removeprefix("study-")
    assert "1234567" not in NAMES.study("1234567")


def test_the_key_is_made_once_and_only_its_owner_can_read_it_and_the_names(tmp_path):
    key = open_key(tmp_path / "private")
    assert open_key(tmp_path / "private") == key
    assert len(key) == 32
    path = write_names(tmp_path / "private", [("study-b", "x/Smith"), ("study-a", "y")])
    assert path.read_text() == "study,path\nstudy-a,y\nstudy-b,x/Smith\n"
    if os.name == "posix":
        assert {p.stat().st_mode & 0o077 for p in (tmp_path / "private", path, tmp_path / "private" / "key")} == {0}


def test_a_damaged_key_is_refused_rather_than_made_again(tmp_path):
    (tmp_path / "key").write_text("abc")
    with pytest.raises(RefusedInput, match="holds no key of 32 bytes"):
        open_key(tmp_path)
