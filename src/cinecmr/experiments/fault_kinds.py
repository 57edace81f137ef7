"""What is done to healthy studies for the corrupted corpus: to their pictures, their headers, their files.

The faults of headers and file sets are the phantom's own (`phantom.dicom_faults`), those of pictures stand in
`fault_pictures`, those of bytes on disk here. A kind that says nothing of its form writes DICOM.
"""

from __future__ import annotations

import zipfile
from dataclasses import dataclass, replace
from io import BytesIO
from typing import TYPE_CHECKING, Any

import numpy as np

from cinecmr.anatomy import Contrast, View
from cinecmr.experiments.fault_pictures import PICTURES
from cinecmr.phantom.dicom_words import WORDS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from numpy.typing import NDArray

    from cinecmr.experiments.fault_pictures import Pictured
    from cinecmr.study import Image, Study

    Filed = Callable[[Path, np.random.Generator], None]  # the folder that was written

SAX = View.SAX, Contrast.CINE
ENHANCED = ("dimension-order-swapped", "dimension-order-contradicts", "no-dimension-values", "shared-place",
            "no-frame-place", "frame-groups-lost")  # fmt: skip
OF_LONG_AXES = ("no-sax", "fewer-long-axis-frames", "outflow", "second-4ch", "mixed-objects")
SYNTAXES = ("implicit", "deflated", "rle", "jpeg2000", "jpeg-ls")


@dataclass(frozen=True)
class Kind:
    """One fault.

    Attributes:
        words: what it is.
        picture: changes the short axis before it is written.
        header: a fault of `phantom.dicom_faults`.
        syntax: of the DICOM files.
        vendor: whose habits; the heart's own when None.
        files: changes what was written.
        nifti: written as NIfTI in place of DICOM: "4d", or "pair" for the stills of ED and ES.
        long_axes: needs the long axes too.
    """

    words: str
    picture: Pictured | None = None
    header: str | None = None
    syntax: str = "explicit"
    vendor: str | None = None
    files: Filed | None = None
    nifti: str | None = None
    long_axes: bool = False

    def write(self, study: Study, folder: Path, other: Study, seed: int, frames: tuple[int, int]) -> None:
        """Write a healthy study with the fault in it.

        Args:
            study: healthy.
            folder: made.
            other: another heart, for kinds that mix two.
            seed: of all that is drawn.
            frames: of ED and ES, for "pair".
        """
        rng = np.random.default_rng(seed)
        if self.picture is not None:
            changed = self.picture(study[View.SAX], rng, other[View.SAX])
            study = replace(study, images={**study.images, SAX: changed})
        if not self.long_axes:
            study = replace(study, images={SAX: study[View.SAX]})
        if self.nifti:
            _write_nifti(folder, study[View.SAX], frames if self.nifti == "pair" else None)
        else:
            from cinecmr.phantom.dicom_files import write_dicom

            faults = () if self.header is None else (self.header,)
            write_dicom(study, folder, seed=seed, vendor=self.vendor, faults=faults, syntax=self.syntax)
        if self.files is not None:
            self.files(folder, rng)


def _write_nifti(folder: Path, image: Image, frames: tuple[int, int] | None) -> None:
    from cinecmr.io import nifti

    if frames is None:
        nifti.write_image(folder / "heart.nii.gz", image.data, image.affine, image.times)
        return
    for phase, t in zip(("ED", "ES"), frames, strict=True):
        nifti.write_image(folder / f"heart_{phase}.nii.gz", image.data[..., t : t + 1], image.affine, image.times[:1])


# Files: each changes what lies in the folder


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _some(folder: Path, rng: np.random.Generator, share: float) -> Iterable[Path]:
    files = _files(folder)
    return [files[i] for i in rng.choice(len(files), max(1, round(share * len(files))), replace=False)]


def _lose(share: float) -> Filed:
    def files(folder: Path, rng: np.random.Generator) -> None:
        for path in _some(folder, rng, share):
            path.unlink()

    return files


def _rewrite(share: float, change: Callable[[bytes, np.random.Generator], bytes]) -> Filed:
    def files(folder: Path, rng: np.random.Generator) -> None:
        for path in _some(folder, rng, share):
            path.write_bytes(change(path.read_bytes(), rng))

    return files


def _scratched(start: float, end: float, bytes_: int) -> Callable[[bytes, np.random.Generator], bytes]:
    """Random bytes at random places of a part of the file."""

    def change(data: bytes, rng: np.random.Generator) -> bytes:
        array = np.frombuffer(data, np.uint8).copy()
        at = rng.integers(int(start * len(array)), max(int(end * len(array)), 1), bytes_)
        array[at] = rng.integers(0, 256, bytes_)
        return array.tobytes()

    return change


def _packed(folder: Path, *, times: int = 1, cut: bool = False, name: str = "{}") -> None:
    """The folder's files in a zip archive in their place."""
    content = {name.format(path.relative_to(folder).as_posix()): path.read_bytes() for path in _files(folder)}
    for path in _files(folder):
        path.unlink()
    for _ in range(times):
        buffer = BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            for inner, data in content.items():
                archive.writestr(zipfile.ZipInfo(inner), data)
        content = {"study.zip": buffer.getvalue()}
    data = content["study.zip"]
    (folder / "study.zip").write_bytes(data[: len(data) // 2] if cut else data)


def _only_one(folder: Path, _rng: np.random.Generator) -> None:
    for path in _files(folder)[1:]:
        path.unlink()


def _emptied(folder: Path, _rng: np.random.Generator) -> None:
    for path in _files(folder):
        path.unlink()


FILES: dict[str, tuple[str, Filed]] = {
    "files-lost": ("a tenth of the files is lost", _lose(0.1)),
    "half-of-files-lost": ("half of the files is lost", _lose(0.5)),
    "one-file": ("one file is left", _only_one),
    "no-files": ("the folder is empty", _emptied),
    "files-of-nothing": ("a twentieth of the files is empty", _rewrite(0.05, lambda _d, _r: b"")),
    "files-of-text": ("every file is a text", _rewrite(1.0, lambda _d, _r: b"the study could not be exported\n" * 9)),
    "cut-files": ("a third of the files ends in the middle", _rewrite(0.33, lambda d, _r: d[: len(d) // 2])),
    "scratched-headers": ("random bytes in a tenth of the headers", _rewrite(0.1, _scratched(0, 0.1, 25))),
    "scratched-pixels": ("random bytes in a tenth of the pictures", _rewrite(0.1, _scratched(0.3, 1, 2000))),
    "scratched-all": ("a few random bytes in every file", _rewrite(1.0, _scratched(0, 1, 12))),
    "zipped": ("the study in a zip archive", lambda f, _r: _packed(f)),
    "zipped-thrice": ("an archive in an archive in an archive", lambda f, _r: _packed(f, times=3)),
    "cut-zip": ("an archive that ends in the middle", lambda f, _r: _packed(f, cut=True)),
    "climbing-zip": ("an archive whose names climb out of it", lambda f, _r: _packed(f, name="../../{}")),
}


# NIfTI: header and voxels


def _nifti(change: Callable[[Any], Any]) -> Filed:
    """Open the one file, change it, write it again."""

    def files(folder: Path, _rng: np.random.Generator) -> None:
        import nibabel as nib

        path = _files(folder)[0]
        image = nib.Nifti1Image.from_bytes(_unzipped(path))
        path.write_bytes(_zipped(change(image).to_bytes()))

    return files


def _unzipped(path: Path) -> bytes:
    import gzip

    return gzip.decompress(path.read_bytes())


def _zipped(data: bytes) -> bytes:
    import gzip

    return gzip.compress(data, 1)


def _with_data(change: Callable[[NDArray[np.float32]], NDArray[np.float32]]) -> Filed:
    def again(image: Any) -> Any:
        made = type(image)(np.ascontiguousarray(change(np.asarray(image.dataobj, np.float32))), image.affine)
        made.header["pixdim"], made.header["xyzt_units"] = image.header["pixdim"], image.header["xyzt_units"]
        return made

    return _nifti(again)


def _entry(name: str, value: Any) -> Filed:
    def again(image: Any) -> Any:
        image.header[name] = value(image.header[name]) if callable(value) else value
        return image

    return _nifti(again)


def _sform_of_nothing(image: Any) -> Any:
    image.set_qform(image.affine, 1)
    image.set_sform(np.eye(4), 1)
    return image


def _stood(data: NDArray[np.float32], at: Any, value: float) -> NDArray[np.float32]:
    data[at] = value
    return data


def _exchanged(folder: Path, _rng: np.random.Generator) -> None:
    first, second = _files(folder)
    one, other = first.read_bytes(), second.read_bytes()
    first.write_bytes(other)
    second.write_bytes(one)


def _twice(folder: Path, _rng: np.random.Generator) -> None:
    path = _files(folder)[0]
    path.with_name("another.nii.gz").write_bytes(path.read_bytes())


NIFTI: dict[str, tuple[str, str, Filed | None]] = {
    "nifti": ("as NIfTI, whole", "4d", None),
    "nifti-pair": ("NIfTI stills of ED and ES", "pair", None),
    "nifti-pair-exchanged": ("NIfTI stills of ED and ES under each other's name", "pair", _exchanged),
    "nifti-twice": ("two NIfTI files that may be the short axis", "4d", _twice),
    "nifti-cut": ("a NIfTI file that ends in the middle", "4d", _rewrite(1.0, lambda d, _r: d[: len(d) // 2])),
    "nifti-scratched": ("random bytes in a NIfTI file", "4d", _rewrite(1.0, _scratched(0, 1, 40))),
    "nifti-not-a-number": ("a slice of NaN", "4d", _with_data(lambda d: _stood(d, np.s_[:, :, 2], np.nan))),
    "nifti-infinite": ("infinite voxels", "4d", _with_data(lambda d: _stood(d, np.s_[:9, :9], np.inf))),
    "nifti-sform-unset": ("sform says nothing, qform is right", "4d", _nifti(_sform_of_nothing)),
    "nifti-no-place": ("neither sform nor qform", "4d",
                       _nifti(lambda i: (i.header.__setitem__("sform_code", 0), i.header.__setitem__("qform_code", 0),
                                         i)[-1])),
    "nifti-no-time": ("no time between frames", "4d",
                      _entry("pixdim", lambda p: np.where(np.arange(8) == 4, 0, p))),
    "nifti-no-spacing": ("voxels without size", "4d",
                         _entry("pixdim", lambda p: np.where((np.arange(8) > 0) & (np.arange(8) < 4), 0, p))),
    "nifti-axes-exchanged": ("frames where slices should be", "4d", _with_data(lambda d: np.swapaxes(d, 2, 3))),
    "nifti-one-frame": ("one frame", "4d", _with_data(lambda d: d[..., :1])),
    "nifti-below-zero": ("intensities below zero", "4d", _with_data(lambda d: d - 1000)),
}  # fmt: skip


def kinds() -> dict[str, Kind]:
    """Every fault by name."""
    found = {name: _of_headers(name) for name in WORDS}
    found |= {f"coded-{name}": Kind(f"pixels coded as {name}, without loss", syntax=name) for name in SYNTAXES}
    found |= {name: Kind(words, picture=change) for name, (words, change) in PICTURES.items()}
    found |= {name: Kind(words, files=change) for name, (words, change) in FILES.items()}
    found |= {name: Kind(words, nifti=form, files=change) for name, (words, form, change) in NIFTI.items()}
    return found


def _of_headers(name: str) -> Kind:
    enhanced = "philips-enhanced" if name in ENHANCED else None
    return Kind(WORDS[name], header=name, vendor=enhanced, long_axes=name in OF_LONG_AXES)
