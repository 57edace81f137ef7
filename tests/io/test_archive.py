"""Archives never write outside their folder, and never more than a study can be."""

import stat
import zipfile

import numpy as np
import pytest

from cinecmr.anatomy import View
from cinecmr.errors import RefusedInput
from cinecmr.io import nifti, reading
from cinecmr.io.archive import pack, unpack, unpacked


def test_what_is_packed_unpacks_and_equal_files_make_equal_archives(tmp_path):
    files = {"manifest.csv": b"a,b\n", "1.2.3.dcm": bytes(range(256)) * 9}
    pack(tmp_path / "a.zip", files)
    pack(tmp_path / "b.zip", files)
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()
    unpack(tmp_path / "a.zip", tmp_path / "out")
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == files


@pytest.mark.parametrize("name", ["../evil.dcm", "/evil.dcm", "a/../../evil.dcm", "..\\evil.dcm", "C:/evil.dcm", "."])
@pytest.mark.parametrize("limit", [2 << 20, 1])
def test_an_entry_that_points_outside_is_refused_by_its_cause_and_nothing_is_unpacked(tmp_path, name, limit):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("good.dcm", b"x")
        archive.writestr(name, b"x")
    with pytest.raises(RefusedInput, match="outside it; nothing was unpacked: entry 2 of 2 has a path that leaves"):
        unpack(tmp_path / "a.zip", tmp_path / "in" / "out", limit_bytes=limit)
    assert [path.name for path in tmp_path.rglob("*")] == ["a.zip"]


def test_an_entry_without_a_name_is_refused(tmp_path):
    pack(tmp_path / "a.zip", {"Qq.dcm": b"x"})
    (tmp_path / "a.zip").write_bytes(
        (tmp_path / "a.zip").read_bytes().replace(b"Qq.dcm", b"\0q.dcm")
    )  # ends at the zero
    with pytest.raises(RefusedInput, match="outside it; nothing was unpacked: entry 1 of 1"):
        unpack(tmp_path / "a.zip", tmp_path / "out")


def test_a_folder_of_nothing_but_archives_is_what_they_hold(tmp_path, tiny_heart):
    image = tiny_heart.image
    (tmp_path / "study").mkdir()
    nifti.write_image(tmp_path / "heart.nii.gz", image.data, image.affine, image.times)
    whole = {"heart.nii.gz": (tmp_path / "heart.nii.gz").read_bytes()}
    pack(tmp_path / "study" / "sax.zip", whole)
    np.testing.assert_array_equal(reading.read(tmp_path / "study")[View.SAX].data, image.data)
    pack(tmp_path / "study" / "sax.zip", {f"../../{name}": data for name, data in whole.items()})
    with pytest.raises(RefusedInput, match=r"sax\.zip holds an entry that points outside it"):
        reading.read(tmp_path / "study")
    (tmp_path / "study" / "notes.txt").write_text("an archive beside other files is not opened")
    with pytest.raises(RefusedInput, match="1 zip archive, not opened"):
        reading.read(tmp_path / "study")


def test_a_link_is_refused(tmp_path):
    link = zipfile.ZipInfo("link")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr(link, "/etc")
    with pytest.raises(RefusedInput, match="points outside"):
        unpack(tmp_path / "a.zip", tmp_path / "out")


def test_a_small_archive_that_unpacks_to_much_is_refused_before_it_does(tmp_path):
    pack(tmp_path / "a.zip", {"zeros.dcm": bytes(3 << 20)})
    assert (tmp_path / "a.zip").stat().st_size < 10_000
    with pytest.raises(RefusedInput, match="1 files of 3 MB; at most 20000 files of 2 MB"):
        unpack(tmp_path / "a.zip", tmp_path / "out", limit_bytes=2 << 20)
    assert not (tmp_path / "out").exists()


def test_what_is_no_archive_or_a_damaged_one_is_refused(tmp_path):
    path = tmp_path / "a.zip"
    path.write_bytes(b"not a zip")
    with pytest.raises(RefusedInput, match="cannot be unpacked"):
        unpack(path, tmp_path / "out")
    pack(path, {"a.dcm": bytes(range(256))})
    path.write_bytes(path.read_bytes().replace(bytes(range(60, 90)), bytes(30)))
    with pytest.raises(RefusedInput, match="cannot be unpacked"):
        unpack(path, tmp_path / "out")


def test_an_archive_that_unpacks_to_hundreds_of_times_its_size_is_no_study(tmp_path):
    pack(tmp_path / "bomb.zip", {f"{n}.dcm": bytes(4 << 20) for n in range(5)})
    with pytest.raises(RefusedInput, match="more than 200 times its size"):
        unpack(tmp_path / "bomb.zip", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_archives_of_one_visit_lie_in_one_folder_that_is_gone_afterwards(tmp_path):
    pack(tmp_path / "sax.zip", {"1.dcm": b"short"})
    pack(tmp_path / "lax.zip", {"1.dcm": b"long"})
    with unpacked([tmp_path / "sax.zip", tmp_path / "lax.zip"]) as place:
        assert sorted(path.read_bytes() for path in place.rglob("*.dcm")) == [b"long", b"short"]
        assert tmp_path not in place.parents, "nothing is written beside the source"
    assert not place.exists()


def test_the_limit_holds_for_all_archives_of_a_visit_together(tmp_path, monkeypatch):
    from cinecmr.io import archive

    monkeypatch.setattr(archive, "LIMIT_BYTES", 100)
    for name in ("a.zip", "b.zip"):
        pack(tmp_path / name, {"x.dcm": bytes(60)})
    with pytest.raises(RefusedInput, match="at most 20000 files"), unpacked([tmp_path / "a.zip", tmp_path / "b.zip"]):
        pass


def test_a_name_that_no_file_can_have_and_a_file_that_is_also_a_folder_are_refused(tmp_path):
    for number, names in enumerate([["x" * 300], ["a", "a/b"]]):
        with zipfile.ZipFile(tmp_path / f"{number}.zip", "w") as archive:
            for name in names:
                archive.writestr(name, b"x")
        with pytest.raises(RefusedInput, match=r"cannot be unpacked \((OSError|NotADirectoryError|FileExistsError)\)"):
            unpack(tmp_path / f"{number}.zip", tmp_path / f"out{number}")


def test_a_stream_that_is_damaged_in_the_middle_is_refused(tmp_path):
    pack(tmp_path / "a.zip", {"a.dcm": bytes(range(256)) * 40})
    data = bytearray((tmp_path / "a.zip").read_bytes())
    data[40:60] = b"\xff" * 20
    (tmp_path / "a.zip").write_bytes(data)
    with pytest.raises(RefusedInput, match="cannot be unpacked"):
        unpack(tmp_path / "a.zip", tmp_path / "out")
