"""A name for a subject that can be printed: a hash of the identifier, never the identifier."""

from __future__ import annotations

import hashlib
import re

_SALT = "cinecmr subject name, version 1: "


def subject_name(identifier: str, *, keep_id: bool = False) -> str:
    """Name of a subject in outputs.

    The hash keeps identifiers out of reports that are passed round and gives one subject one name. It is not
    anonymisation: whoever can guess an identifier can check the guess, because the salt is public.

    Args:
        identifier: patient identifier, or the file's name where there is none.
        keep_id: use the identifier itself, with only characters that are safe in a file's name.

    >>> subject_name("4711")
    'sub-d77756c79e'
    >>> subject_name("ward 7/4711", keep_id=True)
    'ward_7_4711'
    """
    if keep_id:
        return re.sub(r"[^\w.-]+", "_", identifier).strip("._") or "unnamed"
    return "sub-" + hashlib.sha256((_SALT + identifier).encode("utf-8")).hexdigest()[:10]
