"""Cine cardiac MRI: read a study, measure it, report it; and train the models behind it.

Importing the package is cheap: torch, pydicom and matplotlib are loaded by the rooms that need them.
"""

from cinecmr.anatomy import Contrast, Disease, Landmark, Sex, Structure, View
from cinecmr.errors import RefusedInput
from cinecmr.study import Facts, Findings, Flag, Image, Measurement, Severity, Study

__version__ = "0.1.0"

__all__ = [
    "Contrast",
    "Disease",
    "Facts",
    "Findings",
    "Flag",
    "Image",
    "Landmark",
    "Measurement",
    "RefusedInput",
    "Severity",
    "Sex",
    "Structure",
    "Study",
    "View",
    "__version__",
]
