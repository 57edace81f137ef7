"""Synthetic cohorts in the layout of a data set: by many processes, stopped and gone on with, equal in the end."""

import hashlib
import json
from dataclasses import fields

import nibabel as nib
import numpy as np
import pytest

from cinecmr.anatomy import Contrast, Disease, Landmark, Sex, Structure, View
from cinecmr.datasets import _cohort, run
from cinecmr.datasets._check import check_cases
from cinecmr.datasets._store import keep, kept
from cinecmr.errors import RefusedInput
from cinecmr.study import Facts, Findings, Flag, Image, Measurement, Severity, Study

SAX = (View.SAX, Contrast.CINE)


def heart(seed, disease=Disease.DCM):
    """A study with every field filled, small and different for each seed."""
    rng = np.random.default_rng(seed)
    affine = np.diag([1.5, 1.5, 8.0, 1.0])
    data = rng.integers(0, 400, (8, 7, 3, 4)).astype(np.float32)
    image = Image(data, affine, np.arange(4) / 7, rr_ms=912.3, missing_slices=(1,), thickness_mm=7.0,
                  slice_shift_mm=rng.normal(size=(3, 2)))  # fmt: skip
    labels = np.full(data.shape, Structure.LV, np.uint8)
    facts = Facts(1.8, 71.5, 44.0, Sex.FEMALE, "a vendor", "a model", 1.5)
    flags = (Flag("slice-gap", Severity.NOTE, "one gap of 2 mm"),)
    return Study(f"heart-{seed}", {SAX: image}, facts, flags, {"format": "synthetic"}), Findings(
        labels={SAX: labels},
        landmarks={Landmark.APEX_2C: rng.normal(size=(4, 3))},
        measurements={"LVEDV": Measurement(np.float64(133.1) / 3, "ml", "exact", "phantom", (1.0, 2.0), 0)},
        diagnosis={disease: 1.0},
        cycle={"LV_ED": 0, "LV_ES": 2},
        flags=flags,
        curves={"LV": np.array([2.0, np.nan, 1.0, 1.5])},
    )


def same(one, other):
    """Whether two values are equal to the last bit, whatever they hold."""
    if isinstance(one, np.ndarray):
        return one.dtype == other.dtype and np.array_equal(one, other, equal_nan=one.dtype.kind == "f")
    if hasattr(one, "keys"):
        return list(one) == list(other) and all(same(one[key], other[key]) for key in one)
    if hasattr(one, "__dataclass_fields__"):
        return all(same(getattr(one, entry.name), getattr(other, entry.name)) for entry in fields(one))
    return (type(one) is type(other) and one == other) or (isinstance(one, float) and one == other)


def test_a_study_that_was_kept_comes_back_to_the_last_bit(tmp_path):
    study, truth = heart(3)
    keep(tmp_path / "one.npz", study, truth)
    again, known = kept(tmp_path / "one.npz")
    assert same(study, again)
    assert same(truth, known)
    assert not same(heart(4)[0], again)


@pytest.fixture
def made(monkeypatch):
    """Seeds of the hearts that were made, in order; they are small and made at once."""
    seeds = []

    def make(images, seed, disease, frames, matrix, visit):
        seeds.append(seed)
        return heart(seed, disease)

    monkeypatch.setattr(_cohort, "_make", make)
    return seeds


def sums(folder):
    """Hash of every file, by path; NIfTI by its content, for gzip writes the time."""
    found = {}
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        data = nib.load(path).dataobj if path.name.endswith(".nii.gz") else None
        content = path.read_bytes() if data is None else np.asarray(data).tobytes()
        found[str(path.relative_to(folder))] = hashlib.sha256(content).hexdigest()
    return found


class Killed(Exception):  # noqa: N818  # it is no error
    """The run was stopped."""


def test_a_stopped_cohort_goes_on_behind_the_hearts_that_are_made(made, tmp_path):
    names = run.write("acdc", tmp_path / "whole", 4, 20)
    made.clear()

    def stop_at_half(share):
        if share >= 0.4:
            raise Killed

    with pytest.raises(Killed):
        run.write("acdc", tmp_path / "out", 4, 20, progress=stop_at_half)
    assert made == [20, 21]
    heard = []
    assert run.write("acdc", tmp_path / "out", 4, 20, progress=heard.append) == names
    assert made == [20, 21, 22, 23]
    assert heard == [0.6, 0.8, 1.0]
    assert sums(tmp_path / "out") == sums(tmp_path / "whole")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["testing", "training"]


def test_a_cohort_stopped_while_it_was_written_is_written_anew(made, tmp_path, monkeypatch):
    run.write("acdc", tmp_path / "whole", 2, 20)
    once = _cohort.kept
    opened = []

    def full_disk(path):
        opened.append(path)
        if len(opened) == 2:
            raise OSError("no space left")
        return once(path)

    monkeypatch.setattr(_cohort, "kept", full_disk)
    with pytest.raises(OSError, match="no space left"):
        run.write("acdc", tmp_path / "out", 2, 20)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["unfinished"]
    run.write("acdc", tmp_path / "out", 2, 20)
    assert sums(tmp_path / "out") == sums(tmp_path / "whole")


def test_a_cohort_stopped_while_it_moved_up_is_moved_the_rest_of_the_way(made, tmp_path):
    names = run.write("acdc", tmp_path / "out", 4, 20)
    finished, place = sums(tmp_path / "out"), tmp_path / "out" / "unfinished"
    recipe = {"layout": "acdc", "subjects": 4, "seed": 20, "frames": 25, "matrix": None, "version": run.__version__}
    (place / "whole").mkdir(parents=True)
    (tmp_path / "out" / "training").rename(place / "whole" / "training")
    (place / "recipe.json").write_text(json.dumps(recipe))
    (place / "names.json").write_text(json.dumps(names))
    made.clear()
    assert run.write("acdc", tmp_path / "out", 4, 20) == names
    assert made == []
    assert sums(tmp_path / "out") == finished


def test_what_a_stopped_run_of_another_cohort_left_is_begun_anew(made, tmp_path):
    with pytest.raises(Killed):
        run.write("acdc", tmp_path, 2, 20, progress=lambda _: (_ for _ in ()).throw(Killed))
    run.write("acdc", tmp_path, 1, 30)
    assert made == [20, 30]
    assert not (tmp_path / "unfinished").exists()


@pytest.mark.parametrize("name", ["notes.txt", "unfinished/holiday.jpg"])
def test_a_folder_with_other_files_is_left_alone(name, made, tmp_path):
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text("mine")
    with pytest.raises(RefusedInput, match="is not empty; a cohort is written into a folder of its own"):
        run.write("acdc", tmp_path, 1, 0)
    assert (tmp_path / name).read_text() == "mine"
    assert made == []


@pytest.mark.slow
def test_two_processes_write_the_hearts_that_one_writes(tmp_path):
    for workers in (1, 2):
        run.write("acdc", tmp_path / str(workers), 2, 5, frames=8, matrix=32, workers=workers)
    assert sums(tmp_path / "1") == sums(tmp_path / "2")


def test_a_check_tells_how_many_visits_it_has_read(made, tmp_path):
    run.write("acdc", tmp_path, 4, 20)
    heard = []
    assert run.check(tmp_path, progress=heard.append)[:2] == ("acdc", 4)
    assert heard == [0.25, 0.5, 0.75, 1.0]
    assert check_cases([], tmp_path, progress=heard.append) == []
    assert len(heard) == 4
