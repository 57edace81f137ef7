import base64
import dataclasses
import io

import numpy as np
import pytest
from PIL import Image as Picture

from cinecmr import Contrast, Findings, Structure, View
from cinecmr.analyze import player
from cinecmr.analyze.display import display_axes, heart_box

SAX = (View.SAX, Contrast.CINE)


def decode(tile):
    """(frame, row, column) of a tile's picture."""
    head, _, text = tile["source"].partition(",")
    sheet = np.asarray(Picture.open(io.BytesIO(base64.b64decode(text))))
    width, height = tile["cell"]
    frames = []
    for t in range(tile["frames"]):
        top, left = t // tile["columns"] * height, t % tile["columns"] * width
        frames.append(sheet[top : top + tile["height"], left : left + tile["width"]])
    return head, np.array(frames)


def test_the_picture_of_a_slice_holds_its_frames_in_order(heart):
    tile = player.tiles(heart.study, heart.found)[1]
    head, frames = decode(tile)
    image, labels = heart.study[View.SAX], heart.found.labels[SAX]
    x, y = heart_box(labels, image)
    turned = display_axes(image.affine).apply(image.data[x, y, 1])
    assert head == "data:image/png;base64"
    for t in range(image.frames):
        assert np.corrcoef(frames[t].ravel(), turned[..., t].ravel())[0, 1] > 0.99


def test_bright_fat_under_the_coil_does_not_leave_the_heart_dark(heart):
    data = heart.study[View.SAX].data.copy()
    plain = decode(player.tiles(heart.study, heart.found)[0])[1]
    data[:6] *= 20  # a strip at the edge, away from the heart
    image = dataclasses.replace(heart.study[View.SAX], data=data)
    tile = player.tiles(dataclasses.replace(heart.study, images={SAX: image}), Findings())[0]
    shown = decode(tile)[1][0]
    assert np.percentile(shown[20:50, 24:56], 95) > 0.8 * np.percentile(plain[0], 95)


def test_jpeg_keeps_neighbouring_frames_apart(heart, monkeypatch):
    monkeypatch.setattr(player, "LOSSLESS_PIXELS", 0)
    rng = np.random.default_rng(3)
    image = dataclasses.replace(
        heart.study[View.SAX],
        data=np.where(np.arange(10) % 2, 200.0, 20.0) + rng.normal(0, 1, heart.study[View.SAX].data.shape),
        missing_slices=(),
    )
    study = dataclasses.replace(heart.study, images={SAX: image})
    head, frames = decode(player.tiles(study, heart.found)[0])
    assert head == "data:image/jpeg;base64"
    assert frames[0::2].max() < frames[1::2].min() - 100


def test_large_frames_are_reduced_but_keep_their_place(heart, monkeypatch):
    monkeypatch.setattr(player, "MOST_PIXELS", 50_000)
    full = player.tiles(heart.study, heart.found)[0]
    assert full["shrink"] > 1
    assert full["cell"][0] * full["shrink"] >= full["width"]
    assert full["cell"][0] < full["width"]


def rings(tile, name, t):
    for line in tile["contours"][name][t]:
        yield np.cumsum(np.reshape(line, (-1, 2)), axis=0) / player.COORDINATE


def test_contours_lie_on_the_border_of_the_labels_they_were_drawn_from(heart):
    image, labels = heart.study[View.SAX], heart.found.labels[SAX]
    x, y = heart_box(labels, image)
    tile = player.tiles(heart.study, heart.found)[1]
    for t in (0, 4):
        inside = display_axes(image.affine).apply(labels[x, y, 1, t]) == Structure.LV
        rows, columns = np.nonzero(inside)
        (ring,) = rings(tile, "endo", t)
        np.testing.assert_allclose(ring[:-1].mean(axis=0), (columns.mean(), rows.mean()), atol=0.2)
        np.testing.assert_allclose(np.ptp(ring, axis=0), (np.ptp(columns) + 1, np.ptp(rows) + 1), atol=1.0)


def test_a_slice_never_acquired_says_so_and_has_no_picture(heart):
    tile = player.tiles(heart.study, heart.found)[2]
    assert tile["note"] == "not acquired"
    assert "source" not in tile


def test_nobody_looked_is_not_the_same_as_nothing_there(heart):
    labels = heart.found.labels[SAX].copy()
    labels[..., 1:] = Structure.UNSEEN
    labels[:, :, 5, 0] = 0
    tile = player.tiles(heart.study, Findings(labels={SAX: labels}))[5]
    assert tile["contours"]["endo"][0] == []
    assert tile["contours"]["endo"][1:] == [None] * 9


def test_slices_go_from_base_to_apex_and_long_axes_come_last(heart):
    tiles = player.tiles(heart.study, heart.found)
    assert [tile["title"] for tile in tiles] == [*(f"Slice {z}" for z in range(6)), "Four-chamber"]
    assert tiles[-1]["note"] == "no contours"


def test_a_long_axis_cine_is_cut_around_the_heart_of_the_short_axis(heart, monkeypatch):
    monkeypatch.setattr(player, "_LAX_WINDOW_MM", 60.0)
    tile = player.tiles(heart.study, heart.found)[-1]
    assert tile["width"] == pytest.approx(30, abs=1)  # pixels of 2 mm


def test_a_study_without_labels_is_shown_whole(heart):
    tile = player.tiles(heart.study, Findings())[0]
    assert (tile["width"], tile["height"]) == (72, 72)
    assert "contours" not in tile
