"""A file is whole or absent."""

import pytest

from cinecmr.io.files import write_atomically, write_text


def test_a_writer_that_fails_leaves_the_old_file_and_nothing_else(tmp_path):
    write_text(tmp_path / "a.json", "old")

    def fail(path):
        path.write_text("half")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        write_atomically(tmp_path / "a.json", fail)
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("a.json", "old")]


def test_the_temporary_file_ends_as_the_file_does(tmp_path):
    endings = []
    write_atomically(tmp_path / "new" / "a.nii.gz", lambda path: endings.append(path.name) or path.write_text("x"))
    assert endings[0].endswith(".nii.gz")
    assert (tmp_path / "new" / "a.nii.gz").read_text() == "x"
