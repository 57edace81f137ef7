"""Files made to harm: they are refused, quickly and in little memory, and never with a traceback."""

import struct
import tracemalloc
import zlib
from dataclasses import replace

import nibabel as nib
import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from cinecmr import io
from cinecmr.anatomy import View
from cinecmr.errors import RefusedInput
from cinecmr.io import entries
from cinecmr.io.deidentify import share
from cinecmr.phantom.dicom_files import write_dicom


@pytest.fixture
def a_file(tmp_path, short_ball):
    """One DICOM file of a study."""
    write_dicom(short_ball.study, tmp_path / "dicom", seed=3)
    return next(path for path in sorted((tmp_path / "dicom").rglob("*")) if path.is_file())


def alone(tmp_path, data):
    """A folder with one file of these bytes."""
    (tmp_path / "alone").mkdir()
    (tmp_path / "alone" / "x.dcm").write_bytes(data)
    return tmp_path / "alone"


def test_a_nifti_header_that_claims_more_voxels_than_there_is_memory_is_refused(tmp_path):
    nib.save(nib.Nifti1Image(np.zeros((4, 4, 4, 8), np.int16), np.eye(4)), tmp_path / "bomb.nii")
    data = bytearray((tmp_path / "bomb.nii").read_bytes())
    data[40:56] = struct.pack("<8h", 4, 32000, 32000, 500, 30000, 1, 1, 1)
    (tmp_path / "bomb.nii").write_bytes(data)
    tracemalloc.start()
    with pytest.raises(RefusedInput, match=r"claims 32000 x 32000 x 500 x 30000 voxels") as refused:
        io.read(tmp_path / "bomb.nii")
    assert tracemalloc.get_traced_memory()[1] < 50e6
    tracemalloc.stop()
    assert refused.value.code == "too-large"


def deflated(path, filling):
    """A DICOM file, deflated, with so many zeros in it."""
    ds = pydicom.dcmread(path)
    ds.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.1.99"
    ds.add_new(0x00420011, "OB", bytes(filling))
    ds.save_as(path)
    return path.read_bytes()


def test_a_deflated_file_that_unpacks_to_too_much_is_not_opened(tmp_path, a_file, monkeypatch):
    monkeypatch.setattr(entries, "MOST_UNPACKED", 8 << 20)
    small = alone(tmp_path, deflated(a_file, 32 << 20))
    assert (small / "x.dcm").stat().st_size < 1 << 20
    tracemalloc.start()
    with pytest.raises(RefusedInput, match="1 unpacks to more than a picture can hold"):
        io.read(small)
    assert tracemalloc.get_traced_memory()[1] < 16e6, "it was not unpacked to find out"
    tracemalloc.stop()
    with pytest.raises(RefusedInput, match="no DICOM file"):
        share(small, tmp_path / "out", tmp_path / "private")


def test_an_honest_deflated_file_does_not_swell(a_file):
    deflated(a_file, 100)
    with a_file.open("rb") as handle:
        assert not entries.swells(handle)
        assert handle.tell() == 0


def test_a_deflated_file_cut_short_ends(a_file):
    data = deflated(a_file, 1000)
    a_file.write_bytes(data[: len(data) * 3 // 4] + zlib.compress(b"x"))
    with a_file.open("rb") as handle:
        assert not entries.swells(handle)


def test_sequences_in_sequences_without_end_are_refused_and_never_passed_on(tmp_path, a_file):
    ds = pydicom.dcmread(a_file)
    inner = Dataset()
    inner.PatientName = "Qwertzman"
    for _ in range(200):
        outer = Dataset()
        outer.SourceImageSequence = Sequence([inner])
        inner = outer
    ds.SourceImageSequence = Sequence([inner])
    ds.save_as(a_file)
    folder = alone(tmp_path, a_file.read_bytes())
    with pytest.raises(RefusedInput, match=r"no whole DICOM picture|no short-axis|no plane|frame"):
        io.read(folder)
    share(folder, tmp_path / "out", tmp_path / "private")
    assert b"Qwertzman" not in b"".join(path.read_bytes() for path in (tmp_path / "out").rglob("*.dcm"))


def test_a_header_that_claims_a_giant_picture_is_refused_before_any_memory_is_taken(tmp_path, a_file):
    ds = pydicom.dcmread(a_file)
    ds.Rows = ds.Columns = 65535
    ds.NumberOfFrames = 1000000
    ds.save_as(a_file)
    folder = alone(tmp_path, a_file.read_bytes())
    with pytest.raises(RefusedInput, match="end too early or are damaged"):
        io.read(folder)


def test_a_quaternion_that_is_none_is_refused_or_the_sform_is_taken(tmp_path):
    path = tmp_path / "x.nii"
    for sform, code in ((None, 0), (np.diag([2.0, 2.0, 8.0, 1.0]), 1)):
        image = nib.Nifti1Image(np.arange(512, dtype=np.int16).reshape(4, 4, 4, 8), None)
        image.header["pixdim"][:5] = (1, 2, 2, 8, 0.05)
        image.header.set_sform(sform, code)
        image.header["qform_code"], image.header["quatern_b"] = 1, 900.0
        path.write_bytes(image.header.binaryblock + bytes(4) + image.dataobj.tobytes(order="F"))
        data = bytearray(path.read_bytes())
        data[108:112], data[344:348] = struct.pack("<f", 352.0), b"n+1\0"
        path.write_bytes(data)
        if sform is None:
            with pytest.raises(RefusedInput, match="cannot be read as NIfTI"):
                io.read(path)
        else:
            np.testing.assert_allclose(io.read(path)[View.SAX].affine, sform)


@pytest.mark.parametrize(
    "keyword", ["PatientAge", "PatientSize", "PatientSex", "Manufacturer", "MagneticFieldStrength"]
)
def test_an_entry_of_a_kind_that_does_not_exist_is_as_one_that_is_not_there(tmp_path, short_ball, keyword):
    """A million damaged files held nine of these; the reader of facts ended in a traceback."""
    write_dicom(short_ball.study, tmp_path / "dicom", seed=3)
    whole = io.read(tmp_path / "dicom").facts
    tag = pydicom.tag.Tag(keyword)
    for path in sorted(p for p in (tmp_path / "dicom").rglob("*") if p.is_file()):
        data = path.read_bytes()
        key = struct.pack("<HH", tag.group, tag.elem)
        at = data.index(key, 132)
        path.write_bytes(data[: at + 4] + b"A\xff" + data[at + 6 :])
    told = io.read(tmp_path / "dicom").facts
    of = {"PatientAge": "age_y", "PatientSize": "height_m", "PatientSex": "sex", "Manufacturer": "vendor"}
    name = of.get(keyword, "field_t")
    assert getattr(whole, name) is not None
    assert told == replace(whole, **{name: None}) or keyword == "PatientAge"  # which the birth date tells as well
