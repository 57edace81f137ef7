"""Archives unpacked into a folder of ours: nothing beside it, no links, no more than an image study can be."""

from __future__ import annotations

import errno
import shutil
import stat
import tempfile
import zipfile
import zlib
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from cinecmr.errors import RefusedInput
from cinecmr.io.files import write_atomically

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

LIMIT_FILES = 20_000
LIMIT_BYTES = 4 << 30
LIMIT_RATIO = 200  # unpacked to packed; a study packs two to four times, a bomb a thousand times
SMALL_BYTES = 16 << 20  # what unpacks to less harms nobody, however well it was packed
_STAMP = (1980, 1, 1, 0, 0, 0)  # archives of equal contents are equal


def unpack(path: Path, into: Path, *, limit_bytes: int = LIMIT_BYTES) -> None:
    """Unpack an archive.

    Args:
        path: .zip.
        into: folder, made if absent.
        limit_bytes: of all files together, unpacked.

    Raises:
        RefusedInput: no archive, encrypted or damaged (`bad-archive`); entries that point outside, links, or too
            much (`unsafe-archive`).
    """
    try:
        with zipfile.ZipFile(path) as archive:
            entries = [info for info in archive.infolist() if not info.filename.endswith("/")]  # a name may be empty
            _judge(path, entries, limit_bytes)
            for info in entries:
                target = into / PurePosixPath(info.filename)
                target.parent.mkdir(parents=True, exist_ok=True)
                with archive.open(info) as source, target.open("wb") as sink:
                    shutil.copyfileobj(source, sink)
    except (zipfile.BadZipFile, RuntimeError, NotImplementedError, EOFError, ValueError, zlib.error, OSError) as error:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EACCES):
            raise  # the machine's fault, not the archive's, which may hold names that no file can have
        words = type(error).__name__ if isinstance(error, OSError) else str(error)
        raise RefusedInput("bad-archive", f"{path} cannot be unpacked ({words}); download it again") from error


@contextmanager
def unpacked(paths: Sequence[Path]) -> Iterator[Path]:
    """One folder, outside the sources, with the files of all archives; gone afterwards.

    Args:
        paths: .zip files, such as the short-axis and the long-axis archive of one visit.

    Raises:
        RefusedInput: see `unpack`; the limit of bytes holds for all of them together.
    """
    left = LIMIT_BYTES
    with tempfile.TemporaryDirectory(prefix="cinecmr-") as place:
        for number, path in enumerate(paths):
            into = Path(place) / str(number)
            unpack(path, into, limit_bytes=left)
            left -= sum(file.stat().st_size for file in into.rglob("*") if file.is_file())
        yield Path(place)


def _judge(path: Path, entries: list[zipfile.ZipInfo], limit_bytes: int) -> None:
    """Refuse before anything is written; no entry unpacks to more than it states. What points outside comes first."""
    for number, info in enumerate(entries, 1):
        name = PurePosixPath(info.filename)
        outside = not name.parts or name.is_absolute() or ".." in name.parts
        outside = outside or "\\" in info.filename or ":" in name.parts[0]
        link = stat.S_ISLNK(info.external_attr >> 16)
        if outside or link:
            what = "is a link and" if link else "has a path that leaves the archive (.., / or a drive) and"
            raise RefusedInput(
                "unsafe-archive",
                f"{path} holds an entry that points outside it; nothing was unpacked: entry {number} of {len(entries)} "
                f"{what} could write elsewhere; pack the study again, by names without a path",
            )
    total = sum(info.file_size for info in entries)
    if len(entries) > LIMIT_FILES or total > limit_bytes:
        raise RefusedInput(
            "unsafe-archive",
            f"{path} holds {len(entries)} files of {total >> 20} MB; at most {LIMIT_FILES} files of "
            f"{limit_bytes >> 20} MB are unpacked",
        )
    if total > SMALL_BYTES and total > LIMIT_RATIO * max(path.stat().st_size, 1):
        raise RefusedInput(
            "unsafe-archive", f"{path} unpacks to more than {LIMIT_RATIO} times its size, which no study does"
        )


def pack(path: Path, files: Mapping[str, bytes]) -> None:
    """Write an archive, whole or not at all; equal files make equal archives."""

    def write(temporary: Path) -> None:
        with zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, data in files.items():
                archive.writestr(zipfile.ZipInfo(name, _STAMP), data, zipfile.ZIP_DEFLATED)

    write_atomically(path, write)
