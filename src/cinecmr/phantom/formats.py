"""What a synthetic subject can be written as; light, for the command line names them in its help."""

from __future__ import annotations

from enum import Enum


class Format(Enum):
    """What a synthetic subject is written as."""

    DICOM = "dicom"
    NIFTI = "nifti"
