"""Quirks of each data set, on files made by hand: what its own people got wrong, and what others read wrongly."""

import shutil
import zipfile
from functools import partial
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from cinecmr import io
from cinecmr.anatomy import Contrast, Disease, Sex, Structure, View
from cinecmr.datasets import Case, acdc, dataset, label_maps, names, run
from cinecmr.datasets._pickles import pickled
from cinecmr.errors import RefusedInput
from cinecmr.study import Facts, Findings, Image, Study

REAL = Path(__file__).resolve().parents[3] / "shared" / "real"
AFFINE = np.array([[1.2, 0.3, 1.0, 5], [-0.3, 1.2, 2.0, -7], [0.1, -0.2, 7.5, 40], [0, 0, 0, 1]])
SAX, CINE = View.SAX, Contrast.CINE
RNG = np.random.default_rng(4)


def save(path: Path, data: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(data, AFFINE), path)


def grey(*shape: int) -> np.ndarray:
    return RNG.integers(1, 900, shape).astype(np.int16)


def heart(shape=(6, 5, 3, 9), view=SAX, **more) -> tuple[Study, Findings]:
    """A cine with labels of every code at every frame."""
    image = Image(grey(*shape), AFFINE, np.arange(shape[3]) * 0.1, view, rr_ms=100.0 * shape[3], thickness_mm=7.0)
    labels = RNG.integers(0, 4, shape).astype(np.uint8)
    return Study("heart", {(view, CINE): image}, **more), Findings(
        {(view, CINE): labels}, cycle={"LV_ED": 0, "LV_ES": 4}
    )


def test_acdc_counts_frames_from_one(tmp_path):
    folder = tmp_path / "database" / "training" / "patient007"
    cine = grey(5, 6, 3, 12)
    save(folder / "patient007_4d.nii.gz", cine)
    (folder / "Info.cfg").write_text("ED: 1\nES: 12\nGroup: MINF\nHeight: 184.0\nNbFrame: 12\nWeight: 95.0\n")
    for frame, code in ((1, Structure.LV), (12, Structure.RV)):
        save(folder / f"patient007_frame{frame:02d}.nii.gz", cine[..., frame - 1])
        save(folder / f"patient007_frame{frame:02d}_gt.nii.gz", np.full((5, 6, 3), code, np.uint8))
    (case,) = dataset("acdc").cases(tmp_path)
    assert (case.subject, case.split, case.group, case.disease) == ("patient007", "train", "MINF", Disease.INFARCT)
    assert dict(case.truth.cycle) == {"LV_ED": 0, "LV_ES": 11}
    labels = case.truth.labels[SAX, CINE]
    assert [np.unique(labels[..., t]).tolist() for t in (0, 5, 11)] == [[Structure.LV], [255], [Structure.RV]]
    assert (case.study.facts.height_m, case.study.facts.weight_kg) == (1.84, 95.0)
    (folder / "Info.cfg").write_text("ED: 1\nES: 13\nGroup: MINF\n")
    shutil.copy(folder / "patient007_frame12_gt.nii.gz", folder / "patient007_frame13_gt.nii.gz")
    shutil.copy(folder / "patient007_frame12.nii.gz", folder / "patient007_frame13.nii.gz")
    told = [str(problem) for problem in dataset("acdc").check(tmp_path)]
    assert told[0] == "training/patient007/Info.cfg: does not state Height, NbFrame, Weight"
    assert "has 12 frames, and its table names number 13, counted from 1" in told[1]


def mnms(root: Path, part: str, row: str, labels: np.ndarray) -> None:
    save(root / part / "A1B2C3" / "A1B2C3_sa.nii.gz", grey(*labels.shape))
    save(root / part / "A1B2C3" / "A1B2C3_sa_gt.nii.gz", labels)
    head = ",External code,VendorName,Vendor,Centre,ED,ES,Age,Pathology,Sex,Height,Weight\n"
    (root / "211230_M&Ms_Dataset_information_diagnosis_opendataset.csv").write_text(head + row)


def test_mms_counts_frames_from_zero_and_numbers_the_ventricles_the_other_way_round(tmp_path):
    labels = np.zeros((4, 5, 3, 6), np.uint8)
    labels[..., 2], labels[..., 5] = 1, 3
    mnms(tmp_path, "Validation", "0,A1B2C3,Siemens,A,1,2,5,63,LVNC,F,N/A,70\n", labels)
    (case,) = dataset("mnms").cases(tmp_path, "val")
    found = case.truth.labels[SAX, CINE]
    assert [np.unique(found[..., t]).tolist() for t in (0, 2, 5)] == [[255], [Structure.LV], [Structure.RV]]
    assert (case.group, case.disease, dict(case.truth.diagnosis)) == ("LVNC", None, {})
    assert case.study.facts == Facts(None, 70.0, 63.0, Sex.FEMALE, "Siemens")


def test_labels_of_the_unlabelled_part_of_mms_are_nobodys(tmp_path):
    """Its files are there, zero throughout: taken for labels they would say that there is no heart."""
    mnms(tmp_path, "Training/Unlabeled", "0,A1B2C3,Siemens,A,1,0,3,50,DCM,M,180,80\n", np.zeros((4, 5, 3, 6), np.uint8))
    (case,) = dataset("mnms").cases(tmp_path)
    assert (case.split, dict(case.truth.labels), dict(case.truth.cycle)) == ("unlabeled", {}, {})
    assert dataset("mnms").check(tmp_path) == []


def test_a_subject_without_folder_and_a_folder_without_row_are_told(tmp_path):
    labels = np.ones((4, 5, 3, 6), np.uint8)
    mnms(tmp_path, "Testing", "0,Z9Z9Z9,GE,C,3,0,3,50,DCM,M,180,80\n", labels)
    told = [problem.message for problem in dataset("mnms").check(tmp_path)]
    assert told == ["lists Z9Z9Z9, which has no folder", "does not list A1B2C3, which has a folder"]


def mnms2(root: Path, cines: dict[str, np.ndarray], frames=(0, 3)) -> None:
    for view, cine in cines.items():
        save(root / "dataset" / "161" / f"161_{view}_CINE.nii.gz", cine)
        for phase, frame in zip(("ED", "ES"), frames, strict=True):
            save(root / "dataset" / "161" / f"161_{view}_{phase}.nii.gz", cine[..., frame])
            save(root / "dataset" / "161" / f"161_{view}_{phase}_gt.nii.gz", np.full(cine.shape[:3], 1, np.uint8))
    rows = "SUBJECT_CODE,DISEASE,VENDOR,SCANNER,FIELD\n161,TRI,GE MEDICAL SYSTEMS,SIGNA EXCITE,1.5\n,,,,\n,,,,\n"
    (root / "dataset_information.csv").write_text(rows)


def test_mms2_finds_the_drawn_frames_by_their_pixels_and_passes_over_empty_rows(tmp_path):
    mnms2(tmp_path, {"SA": grey(5, 4, 3, 7), "LA": grey(6, 6, 1, 7)}, frames=(6, 2))
    assert dataset("mnms2").splits(tmp_path) == ("val",)
    (case,) = dataset("mnms2").cases(tmp_path)
    assert dict(case.truth.cycle) == {"LV_ED": 6, "LV_ES": 2}
    for view in (SAX, View.LAX_4C):
        seen = (case.truth.labels[view, CINE] != 255).any(axis=(0, 1, 2))
        assert np.flatnonzero(seen).tolist() == [2, 6]
    assert (case.group, case.disease) == ("TRI", None)
    assert case.study.facts.field_t == 1.5


def test_a_cine_of_mms2_that_lacks_the_drawn_frames_gives_way_to_the_stills(tmp_path):
    mnms2(tmp_path, {"SA": grey(5, 4, 3, 7), "LA": grey(6, 6, 1, 7)})
    save(tmp_path / "dataset" / "161" / "161_SA_CINE.nii.gz", grey(5, 4, 3, 7))
    (case,) = dataset("mnms2").cases(tmp_path)
    assert (case.study[SAX].frames, case.study[View.LAX_4C].frames) == (2, 7)
    assert {flag.code for flag in case.study.flags} >= {"two-frames", "cine-left-out"}


EMIDEC = """Case N006\n\nGap between slices\xa0: 10 mm\nSex\xa0: F\nAge : 70\nTobacco : 3\nOverweight : N
Familial history of coronary artery disease: Y\nECG (ST +) : Y\nTroponin : 1.1\nKillip Max: 1\nFEVG : 60\nNTProBNP : 248
"""


def test_emidecs_text_reads_with_its_odd_spaces_in_either_encoding(tmp_path):
    folder = tmp_path / "Case_N006"
    save(folder / "Images" / "Case_N006.nii.gz", grey(5, 6, 4))
    save(folder / "Contours" / "Case_N006.nii.gz", np.arange(120).reshape(5, 6, 4).astype(np.float64) % 5)
    for encoding in ("latin-1", "utf-8"):
        (tmp_path / "Case N006.txt").write_text(EMIDEC, encoding)
        (case,) = dataset("emidec").cases(tmp_path)
        assert (case.study.facts.sex, case.study.facts.age_y) == (Sex.FEMALE, 70.0)
        assert case.metadata["ECG (ST +)"] == "Y"
        assert case.metadata["Familial history of coronary artery disease"] == "Y"
        assert case.truth.measurements["LVEF"].value == 60.0
    codes = [Structure.BACKGROUND, Structure.LV, Structure.MYO, Structure.SCAR, Structure.NO_REFLOW]
    assert case.truth.labels[SAX, Contrast.LGE].ravel()[:5].tolist() == codes


def test_emidec_is_parted_as_cinema_parts_it(tmp_path):
    """The published code again: each letter by itself, sorted by number, shuffled with seed 0, the end held out."""
    numbers = {"N": [6, 12, 31, 5, 88, 40, 71], "P": [1, 2, 3, 10, 22, 33, 44, 55, 66, 77, 99, 100]}
    expected = {"train": [], "val": [], "test": []}
    for letter, held in (("N", 1), ("P", 2)):
        ids = [f"{letter}{number:03d}" for number in sorted(numbers[letter])]
        np.random.default_rng(0).shuffle(ids)
        expected["train"] += ids[: -2 * held]
        expected["val"] += ids[-2 * held : -held]
        expected["test"] += ids[-held:]
        for name in ids:
            (tmp_path / f"Case {name}.txt").write_text(f"Case {name}\nSex : M\n")
            save(tmp_path / f"Case_{name}" / "Images" / f"Case_{name}.nii.gz", grey(2, 2, 1))
    for part, ids in expected.items():
        assert [case.subject for case in dataset("emidec").cases(tmp_path, part)] == sorted(ids)


def test_real_pictures_in_no_official_layout_are_not_taken_for_emidec():
    folder = REAL / "emidec_png"
    if not folder.is_dir():
        pytest.skip("the development images are not on this computer")
    with pytest.raises(RefusedInput, match="is not laid out as EMIDEC"):
        dataset("emidec").splits(folder)


def test_real_label_maps_of_acdc_read_with_their_groups():
    folder = REAL / "acdc"
    if not folder.is_dir():
        pytest.skip("the development images are not on this computer")
    found = label_maps.cases(folder)
    assert len(found) == 60
    assert {disease: sum(case.disease is disease for case in found) for disease in acdc.GROUPS.values()} == (
        dict.fromkeys(acdc.GROUPS.values(), 12)
    )
    labels, _ = label_maps.read_labels(found[0].labels["ED"])
    assert set(np.unique(labels)) == {Structure.BACKGROUND, Structure.RV, Structure.MYO, Structure.LV}
    with pytest.raises(RefusedInput, match=r"looked for training/patientNNN/Info\.cfg .*saw patient001/"):
        dataset("acdc").splits(folder)


def test_real_stills_of_acdc_read_as_a_folder_of_ones_own(tmp_path):
    folder = REAL / "acdc" / "patient001"
    if not folder.is_dir():
        pytest.skip("the development images are not on this computer")
    for what, end in (("images", ""), ("labels", "_gt")):
        (tmp_path / what).mkdir()
        for phase in ("ED", "ES"):
            (tmp_path / what / f"one_{phase}.nii.gz").symlink_to(folder / f"patient001_{phase}{end}.nii.gz")
    assert dataset("folder").check(tmp_path) == []
    (case,) = dataset("folder").cases(tmp_path)
    labels = case.truth.labels[SAX, CINE]
    assert labels.shape == case.study[SAX].data.shape
    ml = [(labels[..., t] == Structure.LV).sum() for t in (0, 1)]
    assert 0.1 < 1 - ml[1] / ml[0] < 0.4  # dilated cardiomyopathy


def test_a_real_siemens_study_reads_the_same_in_kaggles_folders(tmp_path):
    """Its series under the names of that layout; read without any guess at what they show."""
    import pydicom

    source = REAL / "siemens_study"
    if not source.is_dir():
        pytest.skip("the development images are not on this computer")
    kinds = {17001: "2ch_17", 14001: "4ch_14"} | {1000 * n + 1: f"sax_{n}" for n in range(7, 13)}
    for series in source.glob("Se*"):
        files = sorted(series.glob("*.dcm"))
        number = pydicom.dcmread(files[0], specific_tags=["SeriesNumber"]).SeriesNumber
        if number in kinds:
            place = tmp_path / "train" / "train" / "1" / "study" / kinds[number]
            place.mkdir(parents=True)
            for count, file in enumerate(files):
                (place / f"IM-0001-{count:04d}.dcm").symlink_to(file)
    (case,) = dataset("kaggle").cases(tmp_path)
    plain = io.read(source)
    for view in (SAX, View.LAX_2C, View.LAX_4C):
        np.testing.assert_array_equal(case.study[view].data, plain[view].data)
        np.testing.assert_allclose(case.study[view].affine, plain[view].affine)
        np.testing.assert_allclose(case.study[view].times, plain[view].times)


def test_the_black_subject_of_kaggle_is_left_out(tmp_path):
    for name in ("760", "761"):
        (tmp_path / "test" / "test" / name / "study" / "sax_5").mkdir(parents=True)
    lines = "Id,Volume,Usage\n760_Diastole,150.5,Private\n760_Systole,60,Public\n761_Diastole,1,Private\n"
    (tmp_path / "solution.csv").write_text(lines)
    (case,) = dataset("kaggle").cases(tmp_path)
    assert (case.subject, case.split, dict(case.metadata)) == ("760", "test", {"Diastole": "150.5", "Systole": "60"})


def rescan(folder: Path, voxels: np.ndarray, **entries) -> None:
    """Visit 7 with all three views, the short axis as given."""
    place = {"ImageOrientationPatient": np.array([1.0, 0, 0, 0, 1, 0]), "PixelSpacing": np.array([2.0, 1.5])}
    slices = len(voxels)
    positions = np.c_[np.full(slices, 10.0), np.full(slices, 20.0), 30.0 - 8.0 * np.arange(slices)]
    sax = {"image_voxels": voxels, "ImagePositionPatient": positions, "SliceSpacing": 8.0, **place, **entries}
    flat = {"image_voxels": voxels[0], "ImagePositionPatient": positions[0], **place}
    (folder / "7").mkdir(parents=True)
    for name, held in (("SAX", sax), ("2C", flat), ("4C", flat)):
        (folder / "7" / f"{name}.pickle").write_bytes(pickled(held))
    (folder / "labels.csv").write_text("A,B1,B2,EDV_A,EDV_B1,EDV_B2,ESV_A,ESV_B1,ESV_B2\n7,7,,150,152,,60,61,\n")


def test_rescans_pixel_spacing_is_rows_first_and_its_positions_are_dicoms(tmp_path):
    """A pixel is 2 mm high and 1.5 mm wide; left in DICOM is minus right here."""
    voxels = grey(3, 8, 4, 5)  # z, t, y, x
    rescan(tmp_path / "test_retest_100", voxels)
    first, second = dataset("rescan").cases(tmp_path)
    assert (first.subject, second.subject, first.person) == ("scan_00_A", "scan_00_B1", "scan_00")
    image = first.study[SAX]
    np.testing.assert_array_equal(image.data[4, 1, 2, 6], voxels[2, 6, 1, 4])
    np.testing.assert_allclose(image.affine @ [4, 1, 2, 1], [-(10 + 4 * 1.5), -(20 + 1 * 2.0), 30 - 2 * 8.0, 1])
    assert first.truth.measurements["LVEDV"].value == 150.0
    assert second.truth.measurements["LVESV"].value == 61.0
    assert "frame-times-unknown" in {flag.code for flag in first.study.flags}


def test_a_pickle_that_lacks_an_entry_is_refused_with_those_it_has(tmp_path):
    rescan(tmp_path / "test_retest_100", grey(3, 8, 4, 5))
    path = tmp_path / "test_retest_100" / "7" / "SAX.pickle"
    path.write_bytes(pickled({"voxels": grey(3, 8, 4, 5)}))
    with pytest.raises(RefusedInput, match=r"SAX\.pickle has no entry image_voxels: there are voxels"):
        next(dataset("rescan").cases(tmp_path)).load()


def test_a_person_scanned_once_cannot_be_written_as_rescan(tmp_path):
    case = Case("a", heart, "test_retest_100")
    with pytest.raises(RefusedInput, match="two or three visits of each person, and a has 1"):
        dataset("rescan").write(tmp_path, [case])


def landmark(root: Path, uids: list[str], places=((10, 12), (20, 12), (15, 28))) -> None:
    from PIL import Image as Picture

    lines = []
    for view in ("lax_2c", "lax_4c"):
        lines = []
        for uid in uids:
            mask = np.zeros((40, 30), np.uint8)  # y, x
            for grey_value, (x, y) in zip((85, 170, 255), places, strict=True):
                mask[y - 1 : y + 2, x - 1 : x + 2] = grey_value
            for what, pixels in (("images", np.full((40, 30), 99, np.uint8) + mask // 9), ("masks", mask)):
                path = root / view / what / f"{uid}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                Picture.fromarray(pixels).save(path)
            lines += [f"ucl,{uid},{view},{n},{x},{y}" for n, (x, y) in enumerate(places, 1)]
        (root / f"{view}.csv").write_text("\n".join(lines) + "\n")


def test_landmarks_lie_in_the_middle_of_their_marks(tmp_path):
    landmark(tmp_path, ["0001__00", "0001__09"])
    (case,) = dataset("landmark").cases(tmp_path)
    assert case.study[View.LAX_2C].data.shape == (30, 40, 1, 2)
    for points, (x, y) in zip(
        ("mitral_4c_septal", "mitral_4c_lateral", "apex_4c"), ((10, 12), (20, 12), (15, 28)), strict=True
    ):
        (found,) = [value for key, value in case.truth.landmarks.items() if key.value == points]
        np.testing.assert_allclose(found, [[x * 0.25, y * 0.25, 0]] * 2)


def test_landmark_is_parted_as_cinema_parts_it_and_by_whole_patients_otherwise(tmp_path):
    uids = [f"{n:04d}__{frame}" for n in (3, 1, 2, 9, 8, 7, 4, 5, 6, 10) for frame in ("00", "07")]
    landmark(tmp_path, uids)
    pids = np.array(list(dict.fromkeys(uid.split("_")[0] for uid in uids)), dtype=object)
    np.random.default_rng(0).shuffle(pids)
    expected = {"train": pids[:6], "val": pids[6:8], "test": pids[8:]}
    layout = dataset("landmark")
    for part, ids in expected.items():
        found = list(layout.cases(tmp_path, f"lax_4c/{part}"))
        assert [case.subject for case in found] == sorted(ids)
    assert set(found[0].study.images) == {(View.LAX_4C, CINE)}
    whole = [{case.subject for case in layout.cases(tmp_path, part)} for part in expected]
    assert [len(part) for part in whole] == [6, 2, 2]
    assert len(set.union(*whole)) == 10


def test_a_table_that_contradicts_the_masks_and_a_mask_without_a_mark_are_told(tmp_path):
    from PIL import Image as Picture

    landmark(tmp_path, ["0001__00"])
    table = tmp_path / "lax_4c.csv"
    table.write_text(table.read_text().replace(",3,15,28", ",3,15,38"))
    Picture.fromarray(np.zeros((40, 30), np.uint8)).save(tmp_path / "lax_2c" / "masks" / "0001__00.png")
    told = {problem.where: problem.message for problem in dataset("landmark").check(tmp_path)}
    assert told["lax_4c.csv"] == "landmark 3 of 0001__00 lies 10 pixels from its mask"
    assert "has no mark of landmark 1, 2, 3" in told["lax_2c/masks/0001__00.png"]


@pytest.fixture(scope="module")
def biobank(tmp_path_factory) -> Path:
    """One participant with a short axis of 4 slices and 9 frames."""
    root = tmp_path_factory.mktemp("ukb")
    dataset("ukb").write(root, [Case("a", partial(heart, (6, 5, 4, 9)), "all")])
    return root


def test_a_biobank_archive_reads_without_its_number_in_any_name(biobank):
    (case,) = dataset("ukb").cases(biobank)
    assert case.study[SAX].data.shape == (6, 5, 4, 9)
    told = (case.subject, case.person, case.study.subject, repr(case.study), str(case.metadata))
    assert not any("9000001" in words for words in told)
    assert case.subject.endswith("-2")


def repacked(source: Path, target: Path, change) -> None:
    """An archive again, its entries changed."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        for name, data in change({name: old.read(name) for name in old.namelist()}).items():
            new.writestr(name, data)


def test_the_scanners_own_contours_are_left_out_and_a_date_with_a_comma_does_no_harm(biobank, tmp_path):
    archive = "9000001_20209_2_0.zip"

    def change(files: dict[str, bytes]) -> dict[str, bytes]:
        lines = files["manifest.csv"].decode().splitlines()
        assert "Jan 5, 2024" in lines[1]
        first = lines[1].split(",")[0]
        contours = b"".join([files[first][:200], files[first][200:]])
        lines.append(lines[1].replace(first, "drawn.dcm").replace("SAX_b1", "SAX_InlineVF"))
        return {**files, "drawn.dcm": contours, "manifest.csv": "\n".join(lines).encode()}

    repacked(biobank / archive, tmp_path / archive, change)
    (plain,), (with_contours,) = dataset("ukb").cases(biobank), dataset("ukb").cases(tmp_path)
    np.testing.assert_array_equal(with_contours.study[SAX].data, plain.study[SAX].data)


@pytest.mark.parametrize("manifest", ["manifest.csv", "manifest.cvs", ""])
def test_a_biobank_folder_reads_unpacked_with_either_manifest_or_none(biobank, tmp_path, manifest):
    folder = tmp_path / "20209" / "9000001_20209_2_0"
    with zipfile.ZipFile(biobank / "9000001_20209_2_0.zip") as archive:
        folder.mkdir(parents=True)
        for name in archive.namelist():
            to = manifest if name.startswith("manifest") else name
            if to:
                (folder / to).write_bytes(archive.read(name))
    (packed,), (found,) = dataset("ukb").cases(biobank), dataset("ukb").cases(tmp_path)
    np.testing.assert_array_equal(found.study[SAX].data, packed.study[SAX].data)


def test_two_visits_of_a_person_are_two_instances_of_one_participant(tmp_path):
    given = dataset("ukb").write(tmp_path, [Case(name, heart, "all", person="a") for name in ("a", "b")])
    found = list(dataset("ukb").cases(tmp_path))
    assert [case.subject for case in found] == given
    assert len({case.person for case in found}) == 1
    assert [case.metadata["instance"] for case in found] == ["2", "3"]


def test_a_folder_of_ones_own_may_hold_two_stills_and_no_table(tmp_path):
    ed, es = grey(5, 4, 3), grey(5, 4, 3)
    save(tmp_path / "images" / "anna_ED.nii.gz", ed)
    save(tmp_path / "images" / "anna_ES.nii.gz", es)
    save(tmp_path / "labels" / "anna_ES.nii.gz", np.full((5, 4, 3), 3, np.uint8))
    (case,) = dataset("folder").cases(tmp_path)
    np.testing.assert_array_equal(case.study[SAX].data, np.stack([ed, es], axis=-1))
    assert dict(case.truth.cycle) == {"LV_ED": 0, "LV_ES": 1}
    labels = case.truth.labels[SAX, CINE]
    assert [np.unique(labels[..., t]).tolist() for t in (0, 1)] == [[255], [Structure.LV]]
    assert dataset("folder").splits(tmp_path) == ("all",)


def test_a_folder_of_ones_own_says_its_view_and_its_codes(tmp_path):
    save(tmp_path / "images" / "b.nii.gz", grey(5, 4, 1, 8))
    save(tmp_path / "labels" / "b.nii.gz", np.full((5, 4, 1, 8), 7, np.int16))
    (tmp_path / "dataset.toml").write_text('view = "lax_4c"\n[labels]\n7 = "LA"\n')
    (tmp_path / "subjects.csv").write_text("Subject,split,Sex,height,LVEF\nb,val,f,1.62,55\n")
    (case,) = dataset("folder").cases(tmp_path, "val")
    assert np.unique(case.truth.labels[View.LAX_4C, CINE]).tolist() == [Structure.LA]
    assert case.truth.measurements["LVEF"].value == 55.0
    (tmp_path / "dataset.toml").write_text('view = "side"\n')
    with pytest.raises(RefusedInput, match=r"dataset\.toml is not as it should be .*view is one of sax, lax_2c"):
        list(dataset("folder").cases(tmp_path))


def test_a_cohort_is_not_written_into_a_folder_that_holds_something(tmp_path):
    (tmp_path / "thesis.tex").write_text("")
    with pytest.raises(RefusedInput, match="is not empty"):
        run.write("acdc", tmp_path, 1, 0)


def test_a_disease_without_a_word_in_the_layout_is_refused_with_those_that_have_one(tmp_path):
    case = Case("a", heart, "train", disease=Disease.AMYLOID)
    with pytest.raises(RefusedInput, match=r"no group for amyloid \(subject a\): there are DCM, HCM, MINF, NOR, RV"):
        dataset("acdc").write(tmp_path, [case])


def test_a_study_without_the_image_a_layout_holds_is_refused(tmp_path):
    with pytest.raises(RefusedInput, match="holds SAX LGE, and the study heart has none"):
        dataset("emidec").write(tmp_path, [Case("a", heart, "train", disease=Disease.NORMAL)])


def test_the_list_names_every_data_set_with_licence_and_source(tmp_path):
    save(tmp_path / "mine" / "images" / "b.nii.gz", grey(5, 4, 1, 8))
    lines = run.catalogue(tmp_path)
    assert [line.split()[0] for line in lines[::4]] == list(names())
    assert all("licence: " in line for line in lines[1::4])
    assert all("obtain: " in line for line in lines[2::4])
    found = {line.split()[0]: below.split()[1] for line, below in zip(lines[::4], lines[3::4], strict=True)}
    assert found.pop("folder") == str(tmp_path / "mine")
    assert set(found.values()) == {"not"}


def test_a_tree_shows_two_of_a_kind_and_opens_the_first(tmp_path):
    for n in range(1, 12):
        save(tmp_path / f"sub{n}" / f"sub{n}_4d.nii.gz", grey(2, 2, 1))
    (tmp_path / "table.csv").write_text("")
    assert run.tree(tmp_path) == ["table.csv", "sub1/, sub2/, ...", "    sub1_4d.nii.gz"]


@pytest.mark.parametrize("name", ["acdc", "mnms", "mnms2", "landmark", "rescan"])
def test_a_case_without_truth_cannot_be_written_where_the_layout_is_made_of_it(tmp_path, name):
    study, _ = heart()
    images = {(view, CINE): Image(grey(6, 6, 1, 9), AFFINE, np.arange(9) * 0.1, view) for view in View}
    study = Study("heart", {**images, **study.images})
    case = Case("a", lambda: (study, Findings()), "train", disease=Disease.NORMAL)
    with pytest.raises(RefusedInput, match=r"and a case (has none|does not know them)"):
        dataset(name).write(tmp_path, [case])
