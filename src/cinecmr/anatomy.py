"""The words of the field as types: views, contrasts, structures, landmarks, diseases.

Every data set's own codes are turned into these at its border (an adapter, a reader) and nowhere else.
"""

from enum import Enum, IntEnum


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
