"""Every data set: a phantom cohort written in its layout reads back equal in all that the layout can hold.

What each layout can hold stands in `EXPECTED`, written here again and not taken from the adapters.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from cinecmr.anatomy import Contrast, Landmark, Structure, View
from cinecmr.datasets import Case, dataset, names, page, run
from cinecmr.errors import RefusedInput

if TYPE_CHECKING:
    from cinecmr.study import Findings, Image, Study

CINE, LGE, T2, TAGGED = Contrast.CINE, Contrast.LGE, Contrast.T2, Contrast.TAGGED
SAX, TWO, THREE, FOUR = View.SAX, View.LAX_2C, View.LAX_3C, View.LAX_4C
BASIC = {Structure.BACKGROUND, Structure.RV, Structure.MYO, Structure.LV}
PAGE = Path(__file__).resolve().parents[2] / "docs" / "reference" / "datasets.md"
HINGES = {
    TWO: (Landmark.MITRAL_2C_ANTERIOR, Landmark.MITRAL_2C_INFERIOR, Landmark.APEX_2C),
    FOUR: (Landmark.MITRAL_4C_SEPTAL, Landmark.MITRAL_4C_LATERAL, Landmark.APEX_4C),
}


@dataclass(frozen=True)
class Holds:
    """What a layout can hold.

    Attributes:
        images: by view and contrast.
        labels: structures its labels can name, by image; the rest is drawn as a reader would.
        every_frame: labels of all frames; else of ED and ES (of stills, the one).
        facts, measured, cycle, disease: likewise.
        timed: frame times are kept.
        depth: the distance or thickness of slices is kept for long axes too.
        turned: slices come back from base to apex, whatever their order was.
        split: parts are kept.
    """

    images: tuple[tuple[View, Contrast], ...]
    labels: dict[tuple[View, Contrast], set[Structure]] = field(default_factory=dict)
    every_frame: bool = False
    facts: tuple[str, ...] = ()
    measured: tuple[str, ...] = ()
    cycle: bool = False
    disease: bool = False
    timed: bool = True
    depth: bool = True
    turned: bool = False
    split: bool = True


PERSON = ("sex", "age_y", "height_m", "weight_kg")
MACHINE = ("vendor", "model", "field_t")
EXPECTED = {
    "acdc": Holds(((SAX, CINE),), {(SAX, CINE): BASIC}, facts=("height_m", "weight_kg"), cycle=True, disease=True),
    "mnms": Holds(((SAX, CINE),), {(SAX, CINE): BASIC}, facts=(*PERSON, "vendor"), cycle=True, disease=True),
    "mnms2": Holds(
        ((SAX, CINE), (FOUR, CINE)),
        {(SAX, CINE): BASIC, (FOUR, CINE): BASIC},
        facts=MACHINE,
        cycle=True,
        disease=True,
    ),
    "kaggle": Holds(
        ((SAX, CINE), (TWO, CINE), (FOUR, CINE)),
        facts=(*PERSON, *MACHINE),
        measured=("LVEDV", "LVESV"),
        turned=True,
    ),
    "rescan": Holds(((SAX, CINE), (TWO, CINE), (FOUR, CINE)), measured=("LVEDV", "LVESV"), timed=False, depth=False),
    "emidec": Holds(
        ((SAX, LGE),),
        {(SAX, LGE): {Structure.BACKGROUND, Structure.LV, Structure.MYO, Structure.SCAR, Structure.NO_REFLOW}},
        facts=("sex", "age_y"),
        measured=("LVEF",),
        disease=True,
        split=False,
    ),
    "ukb": Holds(
        ((SAX, CINE), (TWO, CINE), (THREE, CINE), (FOUR, CINE), (SAX, TAGGED)),
        facts=(*PERSON, *MACHINE),
        turned=True,
        split=False,
    ),
    "folder": Holds(
        ((SAX, CINE),),
        {(SAX, CINE): set(Structure)},
        every_frame=True,
        facts=(*PERSON, *MACHINE),
        measured=("LVEDV", "LVESV", "RVEDV", "RVESV", "LVEF", "RVEF", "LVM"),
        cycle=True,
        disease=True,
    ),
}  # myops and landmark change what they store, and have tests of their own below
DRAWN_AS = {
    Structure.RV: Structure.BACKGROUND,
    Structure.LA: Structure.BACKGROUND,
    Structure.RA: Structure.BACKGROUND,
    Structure.RV_WALL: Structure.BACKGROUND,
    Structure.NO_REFLOW: Structure.SCAR,
    Structure.SCAR: Structure.MYO,
    Structure.OEDEMA: Structure.MYO,
}


def marked(study: Study, truth: Findings) -> tuple[Study, Findings]:
    """A study in whose late enhancement and T2 every code of damaged muscle is seen, however small the heart."""
    labels = dict(truth.labels)
    for contrast, codes in ((LGE, (Structure.SCAR, Structure.NO_REFLOW)), (T2, (Structure.OEDEMA,))):
        drawn = labels[SAX, contrast].copy()
        wall = np.argwhere(drawn == Structure.MYO)
        for number, code in enumerate(codes):
            drawn[tuple(wall[number :: len(codes) + 1].T)] = code
        labels[SAX, contrast] = drawn
    return study, replace(truth, labels=labels)


@pytest.fixture(scope="session")
def visits() -> list[tuple[Study, Findings]]:
    """Two small hearts with every image that a layout holds, the first with an infarct."""
    return [marked(*visit) for visit in page.example_visits()]


@pytest.fixture(scope="session")
def cohorts(visits, tmp_path_factory):
    """Folder and given names of each layout, written once."""
    made = {}

    def cohort(name: str) -> tuple[Path, list[Case], list[str]]:
        if name not in made:
            root = tmp_path_factory.mktemp(name) / "cohort"
            cases = page.example(name, visits)
            made[name] = root, cases, dataset(name).write(root, cases)
        return made[name]

    return cohort


def base_first(image: Image) -> Image:
    """The same slices from base to apex, which lies to the left, in front and below."""
    if image.slices == 1 or image.affine[:3, 2] @ [-0.65, 0.55, -0.50] > 0:
        return image
    affine = image.affine.copy()
    affine[:3, 3] += (image.slices - 1) * affine[:3, 2]
    affine[:3, 2] *= -1
    return replace(image, data=image.data[:, :, ::-1], affine=affine)


def drawn(labels: np.ndarray, allowed: set[Structure], frames: set[int]) -> np.ndarray:
    """Labels as a reader with these words would have drawn them, unseen in other frames."""
    out = np.full_like(labels, Structure.UNSEEN)
    for frame in frames:
        for code in np.unique(labels[..., frame]):
            structure = Structure(int(code))
            while structure not in allowed:
                structure = DRAWN_AS[structure]
            out[..., frame][labels[..., frame] == code] = structure
    return out


def assert_same_image(found: Image, true: Image, holds: Holds) -> None:
    np.testing.assert_array_equal(found.data, true.data)
    across = slice(None) if holds.depth or true.slices > 1 else [0, 1, 3]
    np.testing.assert_allclose(found.affine[:, across], true.affine[:, across], atol=2e-3)
    assert (found.view, found.contrast) == (true.view, true.contrast)
    if holds.timed:
        np.testing.assert_allclose(found.times, true.times, atol=1e-4)


def assert_same_facts(found: Study, true: Study, facts: tuple[str, ...]) -> None:
    for name in facts:
        value = getattr(true.facts, name)
        if name == "age_y":
            assert int(getattr(found.facts, name)) == int(value)
        elif isinstance(value, float):
            assert getattr(found.facts, name) == pytest.approx(value, abs=0.06)
        elif name == "vendor":  # M&Ms has a word of its own for each
            assert value.lower().startswith(getattr(found.facts, name).lower()[:2])
        else:
            assert getattr(found.facts, name) == value


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_a_phantom_cohort_in_this_layout_reads_back_equal(cohorts, name):
    root, cases, given = cohorts(name)
    holds = EXPECTED[name]
    found = {case.subject: case for case in dataset(name).cases(root)}
    assert sorted(found) == sorted(given)
    for case, called in zip(cases, given, strict=True):
        study, truth = found[called].load()
        assert set(study.images) == set(holds.images)
        for key in holds.images:
            true = base_first(case.study.images[key]) if holds.turned else case.study.images[key]
            assert_same_image(study.images[key], true, holds)
        assert_same_facts(study, case.study, holds.facts)
        assert set(truth.labels) == set(holds.labels)
        for key, allowed in holds.labels.items():
            true = case.truth.labels[key]
            looked = {case.truth.cycle["LV_ED"], case.truth.cycle["LV_ES"]}
            looked = set(range(true.shape[3])) if holds.every_frame or true.shape[3] == 1 else looked
            np.testing.assert_array_equal(truth.labels[key], drawn(true, allowed, looked))
        for measure in holds.measured:
            assert truth.measurements[measure].value == pytest.approx(case.truth.measurements[measure].value, abs=0.6)
        assert dict(truth.cycle) == (
            {k: v for k, v in case.truth.cycle.items() if k[:2] == "LV"} if holds.cycle else {}
        )
        assert (found[called].disease is case.disease) is (holds.disease or case.disease is None)
        assert dict(truth.diagnosis) == ({case.disease: 1.0} if holds.disease else {})
        assert (found[called].split == case.split) or not holds.split


def test_all_layouts_are_compared_with_what_they_can_hold():
    assert set(EXPECTED) | {"myops", "landmark"} == set(names())


def test_myops_holds_one_map_for_three_contrasts_in_which_scar_wins_over_oedema(cohorts):
    root, (case, _), (called, _) = cohorts("myops")
    unlabelled = next(dataset("myops").cases(root, "test"))
    assert (unlabelled.subject, dict(unlabelled.truth.labels)) == ("201", {})
    study, truth = next(dataset("myops").cases(root)).load()
    true, known = case.load()
    assert (study.subject, called) == ("101", "101")
    for contrast in (LGE, T2):
        np.testing.assert_array_equal(study[SAX, contrast].data, true[SAX, contrast].data)
    ed = known.cycle["LV_ED"]
    np.testing.assert_array_equal(study[SAX].data, true[SAX].data[..., ed : ed + 1])
    late, wet = known.labels[SAX, LGE], known.labels[SAX, T2]
    expected = drawn(late, {*BASIC, Structure.SCAR}, {0})
    expected[(wet == Structure.OEDEMA) & (expected == Structure.MYO)] = Structure.OEDEMA
    assert {Structure.SCAR, Structure.OEDEMA} <= set(np.unique(expected))
    for contrast in (CINE, LGE, T2):
        np.testing.assert_array_equal(truth.labels[SAX, contrast], expected)


def test_landmark_holds_both_frames_and_the_points_to_half_a_stored_pixel(cohorts):
    root, cases, given = cohorts("landmark")
    for case, called, found in zip(cases, given, dataset("landmark").cases(root), strict=True):
        assert found.subject == called
        frames = [case.truth.cycle["LV_ED"], case.truth.cycle["LV_ES"]]
        for view, points in HINGES.items():
            grey = case.study[view].data[:, :, :, frames]
            top = case.study[view].data.max()
            np.testing.assert_allclose(found.study[view].data[::4, ::4], grey * (255 / top), atol=0.51)
            for point in points:
                inverse = np.linalg.inv(case.study[view].affine)
                true = np.c_[case.truth.landmarks[point][frames], np.ones(2)] @ inverse.T
                pixels = found.truth.landmarks[point][:, :2] / 0.25
                np.testing.assert_allclose(pixels, true[:, :2] * 4 + 1.5, atol=0.51)


def test_rescan_holds_labels_of_every_frame_in_its_training_part(visits, tmp_path):
    case = replace(page.example("rescan", visits)[0], split="train")
    (called,) = dataset("rescan").write(tmp_path, [case])
    (found,) = dataset("rescan").cases(tmp_path, "train")
    assert called == found.subject == "A/s_0000"
    labels = case.truth.labels[SAX, CINE]
    np.testing.assert_array_equal(found.truth.labels[SAX, CINE], drawn(labels, BASIC, set(range(labels.shape[3]))))


@pytest.mark.parametrize("name", names())
def test_a_cohort_as_written_has_no_problems(cohorts, name):
    root, cases, _ = cohorts(name)
    assert run.check(root) == (name, len(cases), [])


@pytest.mark.parametrize("name", names())
def test_a_layout_is_recognised_and_taken_for_no_other(cohorts, name):
    root, _, _ = cohorts(name)
    assert run.recognised(root) == [name]
    assert run.recognised(root.parent) == [name]  # the folder it was unpacked into


@pytest.mark.parametrize("name", names())
def test_an_adapter_pointed_at_a_wrong_folder_says_what_it_looked_for_and_what_it_saw(name, tmp_path):
    (tmp_path / "holiday.jpg").write_bytes(b"")
    (tmp_path / "letters").mkdir()
    for what in (dataset(name).splits, lambda root: list(dataset(name).cases(root)), dataset(name).check):
        with pytest.raises(RefusedInput, match=r"looked for .*saw holiday\.jpg, letters/") as refused:
            what(tmp_path)
        assert refused.value.code == "other-layout"
        assert dataset(name).WANTED in refused.value.message
    with pytest.raises(RefusedInput, match="there is no folder"):
        dataset(name).splits(tmp_path / "nowhere")


@pytest.mark.parametrize("name", names())
def test_a_file_that_is_gone_or_damaged_is_named(cohorts, name, tmp_path):
    """Of every kind of file of one subject: images, labels, masks, text."""
    root, _, _ = cohorts(name)
    copy = tmp_path / "copy"
    shutil.copytree(root, copy)
    case = next(iter(dataset(name).cases(copy)))
    kinds = {(path.parent.name, path.suffix, path.name.count("_gt")): path for path in case.files if path.is_file()}
    for path in kinds.values():
        whole = path.read_bytes()
        path.write_bytes(whole[: len(whole) // 3])
        assert str(path.relative_to(copy)) in {problem.where for problem in dataset(name).check(copy)}
        path.write_bytes(whole)
    folder = next((path for path in case.files if path.is_dir()), None)
    if folder is not None:
        shutil.rmtree(folder)
        assert [problem.where for problem in dataset(name).check(copy)] == [str(folder.relative_to(copy))]


@pytest.mark.parametrize("name", names())
def test_an_unknown_part_is_refused_with_those_that_are_there(cohorts, name):
    with pytest.raises(
        RefusedInput, match=f"no split 'trian': there are .*{dataset(name).splits(cohorts(name)[0])[0]}"
    ):
        list(dataset(name).cases(cohorts(name)[0], "trian"))


@pytest.mark.parametrize("name", names())
def test_the_page_shows_the_tree_that_is_written_and_says_what_is_kept_and_lost(cohorts, name):
    if not PAGE.is_file():
        pytest.skip("installed without the documentation")
    text, layout = PAGE.read_text("utf-8"), dataset(name)
    flowing = " ".join(text.split())
    for words in (layout.TITLE, layout.LICENCE, layout.OBTAIN, layout.KEEPS, layout.LOSES):
        assert " ".join(words.split()) in flowing
    assert page.section(name, run.tree(cohorts(name)[0])) in text, "write it anew: python -m cinecmr.datasets.page"


def test_a_name_that_is_no_data_set_is_refused_with_those_that_are():
    with pytest.raises(RefusedInput, match=r"no 'acd' in datasets: there are acdc, emidec"):
        dataset("acd")
