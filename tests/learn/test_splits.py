"""Who is trained on and who is tested: no person on both sides, every part a fair mix."""

import json
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cinecmr.anatomy import Disease
from cinecmr.datasets import Case
from cinecmr.errors import RefusedInput
from cinecmr.learn.splits import Splits, by_folds, by_shares, classes_of, labelled, nested, person_of

ILL = (Disease.NORMAL, Disease.DCM, Disease.HCM, Disease.INFARCT, Disease.ABNORMAL_RV)


def visits(people=20, each=1, diseases=ILL):
    return [
        Case(f"ward7-{n}-{v}", lambda: None, disease=diseases[n % len(diseases)], person=f"ward7-{n}")
        for n in range(people)
        for v in range(each)
    ]


def mix(cases):
    return Counter(case.disease for case in cases)


@settings(max_examples=30, deadline=None)
@given(people=st.integers(3, 60), each=st.integers(1, 3), seed=st.integers(0, 9), kinds=st.integers(1, 5))
def test_no_person_is_ever_in_two_parts_and_none_is_lost(people, each, seed, kinds):
    cases = visits(people, each, ILL[:kinds])
    made = by_shares(cases, {"train": 0.6, "val": 0.2, "test": 0.2}, seed)
    parts = [made.of(cases, name) for name in made.parts]
    assert sum(map(len, parts)) == len(cases)
    assert all(len(part) >= each for part in parts)
    people_of = [{case.person for case in part} for part in parts]
    assert sum(map(len, people_of)) == len(set.union(*people_of)) == people


def test_every_part_has_the_mix_of_all():
    cases = visits(100)
    made = by_shares(cases, {"train": 0.6, "val": 0.2, "test": 0.2}, seed=3)
    for name, wanted in (("train", 12), ("val", 4), ("test", 4)):
        assert all(abs(count - wanted) <= 1 for count in mix(made.of(cases, name)).values()), name
        assert len(made.of(cases, name)) == 5 * wanted


def test_folds_are_alike_in_size_and_mix():
    cases = visits(53, 2)
    made = by_folds(cases, 5, seed=1)
    sizes = [len(people) for people in made.parts.values()]
    assert max(sizes) - min(sizes) <= 1
    for name in made.parts:
        counts = mix(made.of(cases, name))
        assert max(counts.values()) - min(counts.values()) <= 2  # visits: one person's two


def test_each_list_of_labelled_subjects_holds_the_shorter_ones_and_is_balanced():
    cases = visits(60)
    lists = nested(cases, (5, 10, 20, 40), seed=2)
    for short, long in ((5, 10), (10, 20), (20, 40)):
        assert set(lists[short]) < set(lists[long])
    disease = {person_of(case): case.disease for case in cases}
    for count, people in lists.items():
        assert set(Counter(disease[p] for p in people).values()) == {count // 5}
    assert nested(cases, (20,), seed=2)[20] == lists[20]
    assert nested(cases, (20,), seed=3)[20] != lists[20]


def test_the_order_of_the_files_changes_nothing():
    cases = visits(30, 2)
    assert by_folds(cases, 3).sha256 == by_folds(cases[::-1], 3).sha256


def test_the_file_names_itself_hides_names_and_comes_back(tmp_path):
    made = by_shares(visits(), {"train": 0.5, "test": 0.5}, seed=7)
    made.write(tmp_path / "splits.json")
    assert "ward7" not in (tmp_path / "splits.json").read_text()
    again = Splits.read(tmp_path / "splits.json")
    assert again.sha256 == made.sha256 == json.loads((tmp_path / "splits.json").read_text())["sha256"]
    assert [case.subject for case in again.of(visits(), "test")] == [c.subject for c in made.of(visits(), "test")]


def test_a_file_that_was_changed_is_refused(tmp_path):
    path = tmp_path / "splits.json"
    by_shares(visits(), {"train": 0.5, "test": 0.5}).write(path)
    told = json.loads(path.read_text())
    moved = told["parts"]["train"].pop()
    told["parts"]["test"].append(moved)
    path.write_text(json.dumps(told))
    with pytest.raises(RefusedInput, match="was changed since it was written"):
        Splits.read(path)
    told["parts"]["train"].append(moved)
    path.write_text(json.dumps(told))
    with pytest.raises(RefusedInput, match="is in several parts"):
        Splits.read(path)
    path.write_text("{}")
    with pytest.raises(RefusedInput, match="holds no split"):
        Splits.read(path)


@pytest.mark.parametrize(
    ("make", "message", "code"),
    [
        (lambda: by_folds(visits(4), 5), "4 people cannot make 5 folds", "too-few-subjects"),
        (lambda: by_shares(visits(1), {"train": 0.5, "test": 0.5}), "1 people cannot make 2 parts", "too-few-subjects"),
        (lambda: nested(visits(4), (2, 8)), "4 people cannot make 8 labelled", "too-few-subjects"),
        (lambda: classes_of(visits(4, 1, ILL[:1])), "all are normal", "one-class"),
        (lambda: classes_of([Case("a", lambda: None)]), "none says", "one-class"),
        (lambda: labelled(visits(3), lambda case: False), "none of 3 visits has the labels", "nothing-to-learn"),
        (lambda: by_folds(visits(4), 2).of(visits(4), "fold-9"), "there are fold-0, fold-1", "no-such-split"),
    ],
)
def test_data_that_cannot_be_split_is_refused(make, message, code):
    with pytest.raises(RefusedInput, match=message) as refused:
        make()
    assert refused.value.code == code


def test_shares_that_are_no_whole_are_an_error():
    with pytest.raises(ValueError, match="add up to 1"):
        by_shares(visits(), {"train": 0.5, "test": 0.6})


def test_the_classes_are_those_that_are_there():
    assert classes_of(visits(5, 1, ILL[:2])) == ("dcm", "normal")
    assert len(labelled(visits(6), lambda case: case.disease is Disease.DCM)) == 1
