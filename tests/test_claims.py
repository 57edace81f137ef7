"""Every claim of README names what shows it, what it names is there, and its figures are those of the results."""

import ast
import json
import re
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent
README, PAGE, PAPERS = ROOT / "README.md", ROOT / "docs/reference/claims.md", ROOT / "docs/explanation/papers.md"
NO_CLAIM = (  # sentences that ask, point or promise nothing
    "Research use only", "Not a medical device", "Contours wrong?", "Wrong frame?", "Step by step", "More in",
    "Why it is built so", "The folder `report` then holds", "`--ed 24 --es 9`", "[Changes](CHANGELOG.md)",
    "From a bare checkout", "Every claim above",
)  # fmt: skip
RESULTS = ("acdc/labels", "phantom/evaluation", "truth/truth", "shapes/shapes", "realism/realism")
pytestmark = pytest.mark.skipif(not PAGE.is_file(), reason="installed without the documentation")


def flat(text: str) -> str:
    return " ".join(text.split())


def sentences(text: str) -> list[str]:
    """Sentences of running text; headings, tables, fences, and lines that only introduce something are none."""
    text = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
    found = []
    for part in text.split("\n\n"):
        if part.strip() and not part.strip().startswith(("#", "|", "!")):
            found += re.split(r"(?<=[.:;!?])\s+(?=[A-Z`*0-9(])", flat(part))
    return [one for one in found if len(one.split()) > 3 and (not one.endswith(":") or len(one.split()) > 9)]


def rows(page: Path) -> list[list[str]]:
    """Cells of the tables of a page, without heads."""
    lines = [line for line in page.read_text("utf-8").splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]


def claims() -> dict[str, str]:
    return {row[0]: row[1] for row in rows(PAGE) if row[0] != "README says"}


def uncovered(text: str) -> list[str]:
    quotes = [*claims(), *NO_CLAIM]
    return [one for one in sentences(text) if not any(quote in one or one in quote for quote in quotes)]


def test_every_sentence_of_readme_is_covered_by_a_claim_that_is_shown():
    assert uncovered(README.read_text("utf-8")) == []


def test_a_sentence_that_nothing_shows_is_noticed():
    assert uncovered("It is better than every cardiologist.") == ["It is better than every cardiologist."]


def test_every_claim_stands_in_readme_in_these_words():
    readme = flat(README.read_text("utf-8"))
    assert [claim for claim in claims() if claim not in readme] == []


def test_readme_leads_to_what_shows_its_claims():
    assert "(docs/reference/claims.md)" in README.read_text("utf-8")


def named_tests(page: Path) -> set[str]:
    return set(re.findall(r"`(tests/[\w/]+\.py::test_\w+)`", page.read_text("utf-8")))


def defined(path: Path) -> set[str]:
    tree = ast.parse(path.read_text("utf-8")) if path.is_file() else ast.Module([], [])
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.ClassDef)}


@pytest.mark.parametrize("page", [PAGE, PAPERS], ids=lambda page: page.stem)
def test_every_test_that_is_named_is_there(page):
    named = [one.split("::") for one in sorted(named_tests(page))]
    assert len(named) > 30
    assert [f"{path}::{name}" for path, name in named if name not in defined(ROOT / path)] == []


def test_every_claim_names_a_test_or_leads_to_a_page():
    assert [claim for claim, shown in claims().items() if not re.search(r"`tests/|\]\(", shown)] == []


def object_there(name: str) -> bool:
    """Whether `cinecmr.a.b.C.d` is a module of the package, or something defined in one, found without importing it."""
    words = name.split(".")[1:]
    place = ROOT / "src" / "cinecmr"
    while words and (place / words[0]).is_dir():
        place /= words.pop(0)
    if not words:
        return True
    file = place / f"{words[0]}.py"
    body = ast.parse(file.read_text("utf-8")).body if file.is_file() else None
    for word in words[1:] if body is not None else ():
        inner = [node for node in body or () if getattr(node, "name", None) == word or _assigns(node, word)]
        if not inner:
            return False
        body = getattr(inner[0], "body", [])
    return body is not None


def _assigns(node: ast.stmt, word: str) -> bool:
    targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
    return any(isinstance(one, ast.Name) and one.id == word for one in targets)


def test_a_function_that_does_not_exist_is_noticed():
    assert object_there("cinecmr.measure.volumes.volume_curve")
    assert object_there("cinecmr.networks.mae.MaskedAutoencoder.loss")
    assert not object_there("cinecmr.measure.volumes.volume_curves")
    assert not object_there("cinecmr.measure.volume.volume_curve")


@pytest.mark.parametrize("page", sorted((ROOT / "docs").rglob("*.md")), ids=lambda page: page.stem)
def test_every_function_that_a_page_names_is_there(page):
    named = set(re.findall(r"`(cinecmr(?:\.\w+)+)(?:\(\))?`", page.read_text("utf-8")))
    assert [name for name in sorted(named) if not object_there(name)] == []


def test_every_row_of_the_papers_names_a_function_and_its_test():
    told = [row for row in rows(PAPERS) if row[0] != "where" and len(row) == 5]
    assert len(told) > 40
    assert [row[0] for row in told if "`cinecmr." not in row[2] or not re.search(r"`tests/.+::", row[3])] == []


def test_every_test_that_a_note_of_the_papers_names_is_there():
    notes = re.findall(r"`(test_\w+)`", PAPERS.read_text("utf-8"))
    texts = "\n".join(path.read_text("utf-8") for path in (ROOT / "tests").rglob("test_*.py"))
    everything = set(re.findall(r"^def (test_\w+)", texts, re.MULTILINE))
    assert len(notes) >= 3
    assert set(notes) - everything == set()


@pytest.mark.parametrize("name", ["sax-unet", "lax-unet"])
def test_a_shipped_model_names_no_real_image_among_what_it_learned_from(name):
    card = json.loads((ROOT / "src/cinecmr/weights" / f"{name}.json").read_text("utf-8"))
    assert card["trained_on"]
    hearts, *before = card["trained_on"]
    assert hearts.startswith("cinecmr synthetic hearts")
    assert all(one.endswith("an earlier training on such frames alone") for one in before)
    assert set(card["recipe"]["objective"]["pool"]) >= {"subjects", "first_seed", "moments"}  # a pool is made


def figures(path: Path) -> list[float]:
    """Every number of a results file."""
    found, left = [], [json.loads(path.read_text("utf-8"))]
    while left:
        one = left.pop()
        if isinstance(one, dict | list):
            left += one.values() if isinstance(one, dict) else one
        elif isinstance(one, int | float):
            found.append(float(one))
    return found


def written(text: str) -> set[str]:
    """Figures with a decimal that stand in the tables of a page."""
    cells = [cell for line in text.splitlines() if line.startswith("|") for cell in line.split("|")]
    return {number for cell in cells for number in re.findall(r"(?<![\w.])[+-]?\d+\.\d+(?![\w.])", cell)}


def unknown(text: str, known: list[float]) -> list[str]:
    """Figures of a page's tables that are none of those known, rounded to as many digits."""
    digits = {one: len(one.split(".")[1]) for one in written(text)}
    return [one for one, n in digits.items() if not any(abs(float(one) - v) <= 0.51 * 10**-n for v in known)]


def test_a_figure_that_no_result_says_is_noticed():
    assert unknown("| LV | 0.921 | 3.7 % |", [0.92134, 3.68]) == []
    assert unknown("| LV | 0.931 |", [0.92134]) == ["0.931"]


def rendered(name: str, told: dict[str, Any]) -> list[str]:
    """A table of results, written once more from its figures by what wrote it."""
    from cinecmr.evaluate.agreement import Agreement
    from cinecmr.experiments import label_scores, phantom_realism, phantom_shapes, phantom_studies, phantom_truth

    about = told["about"]
    if name == "acdc/labels":
        rows = [label_scores.Row(**one) for one in told["rows"]]
        return label_scores._markdown(about, told["summaries"], rows, any(one.hd95 for one in rows))
    if name == "phantom/evaluation":
        return phantom_studies._markdown(about, {k: Agreement(**v) for k, v in told["agreement"].items()}).splitlines()
    if name == "truth/truth":
        figures = [phantom_truth.Figure(**one) for one in told["figures"]]
        return phantom_truth._markdown(about, figures, told["det_f_minus_1"])
    if name == "shapes/shapes":
        return phantom_shapes._markdown(about, [phantom_shapes.Cell(**one) for one in told["cells"]])
    figures = [phantom_realism.Figure(**one) for one in told["figures"]]
    return phantom_realism._markdown(about, figures, told["healthy_in_range"])


def table_lines(lines: list[str]) -> list[str]:
    return [line for line in lines if line.startswith("|")]


@pytest.mark.parametrize("name", RESULTS)
def test_every_table_of_results_is_what_its_figures_say(name):
    told = json.loads((ROOT / f"results/{name}.json").read_text("utf-8"))
    page = (ROOT / f"results/{name}.md").read_text("utf-8").splitlines()
    assert len(table_lines(page)) > 5
    assert table_lines(page) == table_lines(rendered(name, told))


def test_readme_repeats_no_figure_of_the_model_that_its_results_do_not_say():
    known = figures(ROOT / "results/acdc/labels.json") + figures(ROOT / "results/phantom/evaluation.json")
    assert unknown(README.read_text("utf-8"), known) == []
