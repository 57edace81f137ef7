"""Synthetic subjects that pose as the paper's: UK Biobank, tagged and not, and patients who are to get an ICD.

The first are mostly healthy, seen by one machine; the others have HCM, DCM or an old infarct (ICM), and were seen
elsewhere. Nobody is in two cohorts.

Source: tagged-informed INR motion prior, section 2.3.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cinecmr.anatomy import Contrast, Disease, View
from cinecmr.motion.tagged import tagged_cine
from cinecmr.phantom.scanner import machine
from cinecmr.phantom.study import synthetic_study

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from cinecmr.experiments.tagged_prior.scales import Scale
    from cinecmr.study import Findings, Image, Study

TAGGED, TEST_1, TEST_2, HCM, DCM, ICM = "ukb-tagged", "ukb-1", "ukb-2", "icd-hcm", "icd-dcm", "icd-icm"
TITLES = {
    TAGGED: "UK Biobank, tagged",
    TEST_1: "UK Biobank test 1",
    TEST_2: "UK Biobank test 2",
    HCM: "ICD: HCM",
    DCM: "ICD: DCM",
    ICM: "ICD: ICM",
}
ICD = {HCM: Disease.HCM, DCM: Disease.DCM, ICM: Disease.INFARCT}
_FIRST = {TAGGED: 710_000, TEST_1: 720_000, TEST_2: 730_000, HCM: 740_000, DCM: 750_000, ICM: 760_000}
_GENERAL = (*(Disease.NORMAL,) * 7, Disease.HYPERTENSIVE, Disease.ATHLETE, Disease.INFARCT)  # in turn
_UKB, _ICD = "ukb-1.5t", ("siemens-1.5t", "philips-1.5t")
_SAX = (View.SAX, Contrast.CINE)


@dataclass(frozen=True)
class Subject:
    """One synthetic person.

    Attributes:
        name: of the subject.
        study: short axis alone, as in the paper; of the tagged cohort with tagged slices.
        labels: (x, y, z, t) of the short axis.
        truth: what is known from the geometry.
    """

    name: str
    study: Study
    labels: NDArray[np.uint8]
    truth: Findings

    @property
    def image(self) -> Image:
        """The short-axis cine; of the tagged cohort with the tagged slices in the places of its own."""
        cine = self.study[View.SAX]
        tags = (View.SAX, Contrast.TAGGED)
        return tagged_cine(cine, self.study[tags]) if tags in self.study else cine


def name_of(cohort: str, number: int) -> str:
    """Of a subject."""
    return f"{cohort}-{number:04d}"


def subject(cohort: str, number: int, scale: Scale) -> Subject:
    """Make one person; the number and the cohort decide everything but the size of the images."""
    seed = _FIRST[cohort] + number
    disease = ICD.get(cohort, _GENERAL[number % len(_GENERAL)])
    scanner = machine(_ICD[number % 2] if cohort in ICD else _UKB)
    contrasts = (Contrast.CINE, Contrast.TAGGED) if cohort == TAGGED else (Contrast.CINE,)
    study, truth = synthetic_study(
        seed, disease, frames=scale.frames, long_axis=False, contrasts=contrasts, scanner=scanner,
        matrix=(scale.matrix, scale.matrix) if scale.matrix else None,
    )  # fmt: skip
    return Subject(name_of(cohort, number), study, truth.labels[_SAX], truth)
