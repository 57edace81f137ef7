"""A small made study for the tests of the report: discs that beat, so that every area has a closed form."""

from dataclasses import dataclass

import numpy as np
import pytest

from cinecmr import Contrast, Facts, Findings, Flag, Image, Measurement, Severity, Sex, Structure, Study, View

SIZE, SLICES, FRAMES, SPACING = 72, 6, 10, 2.0


@dataclass(frozen=True)
class MadeHeart:
    study: Study
    found: Findings
    truth: Findings


def beating_discs():
    """Labels (x, y, z, t): LV radius 24 mm at ED and 15 mm at frame 4; a wall of 9 mm; an RV to the patient's right."""
    x, y = np.meshgrid(np.arange(SIZE), np.arange(SIZE), indexing="ij")
    labels = np.zeros((SIZE, SIZE, SLICES, FRAMES), np.uint8)
    for t in range(FRAMES):
        share = np.sin(np.pi * min(t / 8, 1.0)) ** 2
        for z in range(SLICES - 1):  # the last slice lies beyond the apex
            radius = (12 - 4.5 * share) * (1 - 0.08 * z)
            lv = np.hypot(x - 40, y - 36)
            rv = np.hypot(x - 27, y - 35)
            labels[..., z, t][(rv < (15 - 3 * share) * (1 - 0.1 * z))] = Structure.RV
            labels[..., z, t][lv < radius + 4.5] = Structure.MYO
            labels[..., z, t][lv < radius] = Structure.LV
    return labels


def make_heart(subject="synthetic-7", missing=(2,)):
    labels = beating_discs()
    rng = np.random.default_rng(0)
    grey = np.array([60.0, 190.0, 80.0, 210.0])[labels] + rng.normal(0, 12, labels.shape)
    for z in missing:
        grey[:, :, z], labels[:, :, z] = 0, Structure.UNSEEN
    affine = np.diag([-SPACING, -SPACING, -10.0, 1.0])
    affine[:3, 3] = 70, 70, 30
    sax = Image(
        grey.astype(np.float32),
        affine,
        np.linspace(0, 0.9, FRAMES, endpoint=False),
        rr_ms=900.0,
        missing_slices=missing,
    )
    long_affine = np.array([[-2.0, 0, 0, 70], [0, 0, -2.0, 0], [0, -2.0, 0, 40], [0, 0, 0, 1]])
    long_axis = Image(
        rng.normal(100, 20, (SIZE, 60, 1, 5)).astype(np.float32), long_affine, np.arange(5) * 0.18, View.LAX_4C
    )
    study = Study(
        subject,
        {(View.SAX, Contrast.CINE): sax, (View.LAX_4C, Contrast.CINE): long_axis},
        Facts(1.72, 70.0, 61.0, Sex.FEMALE, "Made", "Disc", 1.5),
        (Flag("missing-slice-bridged", Severity.FLAG, "slice 2 is missing; its area was bridged"),),
        {"phase_key": "TriggerTime", "input_sha256": "ab" * 32, "source_format": "DICOM"},
    )
    volumes = {side: (labels == code).sum(axis=(0, 1, 2)) * 0.04 for side, code in (("LV", 3), ("RV", 1))}
    return MadeHeart(
        study, _findings(labels, volumes, "labels of disc-net@0000", 1.0), _findings(None, volumes, "phantom", 1.04)
    )


def _findings(labels, volumes, source, factor):
    measurements = {}
    for side, volume in volumes.items():
        edv, esv = volume.max() * factor, volume.min() * factor
        for name, value, unit, frame in (
            (f"{side}EDV", edv, "ml", 0), (f"{side}EDVi", edv / 1.83, "ml/m2", 0), (f"{side}ESV", esv, "ml", 4),
            (f"{side}SV", edv - esv, "ml", None), (f"{side}EF", 100 * (edv - esv) / edv, "%", None),
        ):  # fmt: skip
            measurements[name] = Measurement(float(value), unit, "slice summation", source, frame=frame)
    measurements["LVM"] = Measurement(101.2, "g", "myocardium at ED, 1.05 g/ml", source, (95.0, 108.0), 0)
    return Findings(
        labels={} if labels is None else {(View.SAX, Contrast.CINE): labels},
        measurements=measurements,
        cycle={"LV_ED": 0, "LV_ES": 4, "RV_ED": 0, "RV_ES": 4},
        curves={side: volume * factor for side, volume in volumes.items()},
        flags=() if source == "phantom" else (Flag("basal-note", Severity.NOTE, "the basal slice counts"),),
    )


@pytest.fixture(scope="session")
def heart():
    return make_heart()
