"""The words of the field as types: views, contrasts, structures, landmarks, diseases.

Every data set's own codes are turned into these at its border (an adapter, a reader) and nowhere else.
"""

from __future__ import annotations

from enum import Enum, IntEnum
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


class View(Enum):
    """How the plane lies to the heart."""

    SAX = "sax"
    LAX_2C = "lax_2c"
    LAX_3C = "lax_3c"
    LAX_4C = "lax_4c"

    @property
    def title(self) -> str:
        """The name a clinician reads, such as "long axis, four-chamber"."""
        return {
            "sax": "short axis",
            "lax_2c": "long axis, two-chamber",
            "lax_3c": "long axis, three-chamber",
            "lax_4c": "long axis, four-chamber",
        }[self.value]


class Contrast(Enum):
    """What the sequence makes visible."""

    CINE = "cine"
    TAGGED = "tagged"
    LGE = "lge"
    T2 = "t2"


class Structure(IntEnum):
    """Label codes of every label map this package reads into memory or writes (ACDC order first)."""

    BACKGROUND = 0
    RV = 1  # right ventricular blood pool
    MYO = 2  # left ventricular myocardium
    LV = 3  # left ventricular blood pool
    LA = 4
    RA = 5
    RV_WALL = 6
    SCAR = 7
    NO_REFLOW = 8
    OEDEMA = 9
    UNSEEN = 255  # nobody looked here: scorers skip it


class Landmark(Enum):
    """Points a reader marks on long-axis and short-axis frames."""

    MITRAL_2C_ANTERIOR = "mitral_2c_anterior"
    MITRAL_2C_INFERIOR = "mitral_2c_inferior"
    APEX_2C = "apex_2c"
    MITRAL_4C_SEPTAL = "mitral_4c_septal"
    MITRAL_4C_LATERAL = "mitral_4c_lateral"
    APEX_4C = "apex_4c"
    TRICUSPID_4C_SEPTAL = "tricuspid_4c_septal"
    TRICUSPID_4C_LATERAL = "tricuspid_4c_lateral"
    RV_INSERTION_ANTERIOR = "rv_insertion_anterior"
    RV_INSERTION_INFERIOR = "rv_insertion_inferior"


class Disease(Enum):
    """What a phantom subject has, and what a classifier may say of a real one."""

    NORMAL = "normal"
    DCM = "dcm"  # dilated cardiomyopathy
    HCM = "hcm"  # hypertrophic cardiomyopathy
    INFARCT = "infarct"
    ABNORMAL_RV = "abnormal_rv"
    ARVC = "arvc"  # arrhythmogenic right ventricular cardiomyopathy
    HYPERTENSIVE = "hypertensive"  # concentric left ventricular hypertrophy
    ATHLETE = "athlete"  # large and healthy: what a classifier must not call ill
    AMYLOID = "amyloid"


class Sex(Enum):
    """Sex as the study's header or the user states it; reference ranges depend on it."""

    FEMALE = "F"
    MALE = "M"


AHA_SEGMENTS = {
    1: "basal anterior",
    2: "basal anteroseptal",
    3: "basal inferoseptal",
    4: "basal inferior",
    5: "basal inferolateral",
    6: "basal anterolateral",
    7: "mid anterior",
    8: "mid anteroseptal",
    9: "mid inferoseptal",
    10: "mid inferior",
    11: "mid inferolateral",
    12: "mid anterolateral",
    13: "apical anterior",
    14: "apical septal",
    15: "apical inferior",
    16: "apical lateral",
    17: "apex",
}
# Sixths start at the middle of the septum and turn to the anterior wall; quarters start an eighth before it.
_SIXTHS = np.array([2, 1, 6, 5, 4, 3], np.uint8)
# The lowest twentieth of the cavity is no open ring on any slice: its wall counts as the cap.
_CAP_SHARE = 0.05
_QUARTERS = np.array([14, 13, 16, 15], np.uint8)


def aha_segments(share: NDArray[np.float64], angle: NDArray[np.float64]) -> NDArray[np.uint8]:
    """AHA segment of points of the left ventricular wall.

    Args:
        share: height as a share of the cavity's length, 0 at its apical end, 1 at the base; below 0.05 is the apex.
        angle: about the long axis from the middle of the septum towards the anterior wall, rad. Same shape.

    Returns:
        1 to 17 (`AHA_SEGMENTS`), thirds of the cavity's length being basal, mid and apical.

    Source: Cerqueira et al., Circulation 2002;105:539.

    >>> aha_segments(np.array([0.9, 0.5, 0.1, -0.1]), np.array([1.57, 3.0, 0.0, 0.0]))
    array([ 1, 12, 14, 17], dtype=uint8)
    """
    share, turn = np.broadcast_arrays(share, np.mod(angle, 2 * np.pi))
    basal = _SIXTHS[(turn / (np.pi / 3)).astype(np.intp) % 6]
    apical = _QUARTERS[((turn + np.pi / 4) / (np.pi / 2)).astype(np.intp) % 4]
    ring = np.where(share >= 2 / 3, basal, np.where(share >= 1 / 3, basal + np.uint8(6), apical))
    return np.asarray(np.where(share < _CAP_SHARE, 17, ring), np.uint8)
