"""Names of studies and subjects that nobody can turn back without the cohort's own key.

The package's usual subject name is a hash with a public salt: whoever has a list of identifiers can look for the one
that fits, and participants' numbers of a biobank are few enough to try them all. A cohort therefore hashes with a
secret key, kept in a folder of its own beside the results, together with the list of which study has which name.
"""

from __future__ import annotations

import csv
import hashlib
import hmac
import io
import os
import secrets
from typing import TYPE_CHECKING

from cinecmr.errors import RefusedInput
from cinecmr.io.files import write_bytes

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

KEY_BYTES = 32
KEY_FILE, NAMES_FILE = "key", "names.csv"


class Names:
    """Names under one key.

    Args:
        key: secret bytes; equal keys give equal names, which is how two runs over the same studies can be compared.

    >>> names = Names(b"k" * 32)
    >>> names.study("ward 7/0042") == names.study("ward 7/0042") != Names(b"l" * 32).study("ward 7/0042")
    True
    """

    def __init__(self, key: bytes) -> None:
        self._key = key

    def study(self, identity: str) -> str:
        """Name of a study, such as "study-0c1d2e3f4a5b"."""
        return f"study-{self._digest('study', identity)[:12]}"

    def subject(self, name: str) -> str:
        """Name of a subject from the reader's own name for it."""
        return f"sub-{self._digest('subject', name)[:12]}"

    def _digest(self, what: str, text: str) -> str:
        return hmac.new(self._key, f"{what}: {text}".encode(), hashlib.sha256).hexdigest()


def private_folder(out: Path, given: Path | None = None) -> Path:
    """Where key and names are: the folder given, else one beside the results, never among them."""
    return given if given is not None else out.parent / f"{out.name}-private"


def open_key(folder: Path) -> bytes:
    """The key of a folder, made where there is none; both readable by their owner only.

    Raises:
        RefusedInput: the file holds no key (`bad-key`).
    """
    path = folder / KEY_FILE
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o700)
        made = folder / f".{KEY_FILE}-{os.getpid()}"
        made.write_text(secrets.token_hex(KEY_BYTES), "ascii")
        made.chmod(0o600)
        try:
            os.link(made, path)  # of several runs that start together one wins, and all read its key
        except FileExistsError:
            pass
        except OSError:  # a file system without links
            made.replace(path)
        made.unlink(missing_ok=True)
    try:
        key = bytes.fromhex(path.read_text("ascii").strip())
    except ValueError:
        key = b""
    if len(key) != KEY_BYTES:
        raise RefusedInput("bad-key", f"{path} holds no key of {KEY_BYTES} bytes; bring back the one of the first run")
    return key


def write_names(folder: Path, pairs: Iterable[tuple[str, str]]) -> Path:
    """The list of which study has which name, beside the key; it alone leads from a result back to its study."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(("study", "path"))
    writer.writerows(sorted(pairs))
    path = folder / NAMES_FILE
    write_bytes(path, buffer.getvalue().encode("utf-8", "surrogateescape"))
    path.chmod(0o600)
    return path
