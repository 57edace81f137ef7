"""Reading a long-axis cine with a network that is known."""

import numpy as np
import pytest
import torch
from torch import nn

from cinecmr.anatomy import Landmark, Structure, View
from cinecmr.geometry import apply_affine
from cinecmr.measure.hinges import POINTS, TRICUSPID
from cinecmr.study import Image
from cinecmr.tasks.long_axis import CODES
from cinecmr.tasks.long_axis_reading import LongAxisReader, LongAxisReadingSettings, tidy

GREYS = np.array([0.0, 40.0, 80.0, 120.0, 160.0, 200.0])  # of the codes
SPOTS = (15.0, 55.0, 95.0)  # of mitral hinges, apex, tricuspid hinges
MITRAL, APEX, TRICUSPID_XY = [(40.0, 52.0), (60.0, 52.0)], (50.0, 20.0), [(16.0, 54.0), (36.0, 54.0)]


class ByGrey(nn.Module):
    """Knows each structure by its grey and each point by a spot of its own grey: its answers are the truth."""

    def forward(self, stack):
        plane = stack[:, 0, 0]
        low, high = plane.amin((1, 2), keepdim=True), plane.amax((1, 2), keepdim=True)
        share = (plane - low) / (high - low) * 255
        codes = -torch.abs(share[:, None] - torch.tensor(GREYS, dtype=torch.float32)[:, None, None]) * 2
        most, least = (sign * nn.functional.max_pool2d(sign * share[:, None], 3, 1, 1)[:, 0] for sign in (1, -1))
        even = (most - least) < 8  # between two structures a picture has every grey
        spots = torch.stack([(even & ((share - grey).abs() < 3)).float() for grey in SPOTS], 1)
        for _ in range(2):  # a hill over each
            spots = nn.functional.avg_pool2d(spots, 5, 1, 2)
        spots = torch.logit(spots / spots.amax((2, 3), keepdim=True).clamp(min=1e-3), eps=1e-3)
        return torch.cat([codes, torch.full_like(codes[:, :1], -999.0), spots], 1)[:, :, None]


def four_chambers():
    """Codes (x, y): an LV that opens upwards into an LA, an RV and an RA at lower x."""
    codes = np.zeros((96, 96), np.uint8)
    codes[34:66, 16:52] = Structure.MYO
    codes[38:62, 20:52] = Structure.LV
    codes[38:62, 53:72] = Structure.LA
    codes[14:34, 24:54] = Structure.RV
    codes[14:34, 55:72] = Structure.RA
    return codes


def picture(affine, view=View.LAX_4C, frames=2):
    codes = four_chambers()
    grey = GREYS[codes]
    for grey_of, points in zip(SPOTS, (MITRAL, [APEX], TRICUSPID_XY), strict=True):
        for x, y in points:
            grey[int(x) - 2 : int(x) + 3, int(y) - 2 : int(y) + 3] = grey_of
    grey[0, :60] = 255.0  # the brightest hundredth is cut off: let it be nothing
    data = np.repeat(grey[:, :, None, None], frames, axis=3)
    return Image(data, affine, np.arange(frames) * 0.05, view), codes


AFFINES = {
    "straight": np.diag([1.6, 1.6, 8.0, 1.0]),
    "mirrored": np.array([[-1.6, 0, 0, 90], [0, 1.6, 0, -4], [0, 0, 8.0, 3], [0, 0, 0, 1.0]]),
    "upright": np.array([[0, 0, 8.0, 7], [-1.6, 0, 0, 60], [0, -1.6, 0, 20], [0, 0, 0, 1.0]]),
}


@pytest.mark.parametrize("how", AFFINES)
def test_hinges_and_apex_come_back_to_where_they_are_in_the_patient(how):
    image, _ = picture(AFFINES[how])
    reader = LongAxisReader(ByGrey(), LongAxisReadingSettings(pixels=96))
    _, marks = reader.read(image)
    assert marks.keys() == {*POINTS[View.LAX_4C], *TRICUSPID}
    septal, lateral, apex = (marks[name] for name in POINTS[View.LAX_4C])
    true = {xy: apply_affine(image.affine, np.array([*xy, 0.0])) for xy in (*MITRAL, APEX, *TRICUSPID_XY)}
    for found, xy in ((septal, MITRAL[0]), (lateral, MITRAL[1]), (apex, APEX),
                      (marks[Landmark.TRICUSPID_4C_LATERAL], TRICUSPID_XY[0])):  # fmt: skip
        np.testing.assert_allclose(found, np.repeat(true[xy][None], 2, axis=0), atol=0.8)


def test_labels_lie_where_the_structures_are():
    image, codes = picture(AFFINES["mirrored"])
    labels = LongAxisReader(ByGrey(), LongAxisReadingSettings(pixels=96)).labels(image)
    assert labels.shape == (96, 96, 1, 2)
    for code in CODES[1:]:
        found, true = labels[:, :, 0, 1] == code, codes == code
        assert 2 * (found & true).sum() / (found.sum() + true.sum()) > 0.85, code


def test_a_two_chamber_view_tells_the_anterior_hinge_by_the_patient_and_has_no_tricuspid_valve():
    image, _ = picture(AFFINES["upright"], View.LAX_2C)
    _, marks = LongAxisReader(ByGrey(), LongAxisReadingSettings(pixels=96)).read(image)
    assert marks.keys() == set(POINTS[View.LAX_2C])
    anterior, inferior = marks[Landmark.MITRAL_2C_ANTERIOR][0], marks[Landmark.MITRAL_2C_INFERIOR][0]
    assert anterior[1] > inferior[1], "anterior lies further to the front"


def test_a_plane_without_a_heart_has_no_points():
    image = Image(np.zeros((64, 64, 1, 2)), np.diag([1.6, 1.6, 8.0, 1.0]), np.arange(2) * 0.05, View.LAX_4C)

    class Nothing(nn.Module):
        def forward(self, stack):
            scores = torch.full((len(stack), 10, 1, *stack.shape[3:]), -9.0)
            scores[:, 0] = 9.0
            return scores

    labels, marks = LongAxisReader(Nothing(), LongAxisReadingSettings(pixels=32)).read(image)
    assert not labels.any()
    assert all(np.isnan(points).all() for points in marks.values())


def test_a_stack_is_no_long_axis_image():
    stack = Image(np.zeros((8, 8, 3, 1)), np.eye(4), np.zeros(1))
    with pytest.raises(ValueError, match="a long-axis image has one slice, not 3"):
        LongAxisReader(nn.Identity()).read(stack)


def test_one_heart_is_left_and_holes_in_the_left_ventricle_are_filled():
    codes = four_chambers()
    true = codes.copy()
    codes[50, 30] = codes[36, 30] = Structure.BACKGROUND  # a hole in the cavity, one in the wall
    codes[80:84, 80:84] = Structure.RV
    codes[44:46, 60:62] = Structure.RA  # inside the left atrium
    cleaned = tidy(codes)
    assert cleaned[50, 30] == Structure.LV
    assert cleaned[36, 30] == Structure.MYO
    assert not cleaned[80:84, 80:84].any()
    assert not (cleaned[44:46, 60:62] == Structure.RA).any()
    same = cleaned == true
    assert (~same).sum() == 4, "the patch in the atrium is left empty, all else is as it was"
