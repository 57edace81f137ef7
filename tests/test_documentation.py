"""What a stranger reads is true: the trees, the links, the commands and their options."""

import importlib.util
import re
from pathlib import Path

import pytest
from typer.main import get_command

from cinecmr.cli import app

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "results").glob("*.md")])
TREES = [ROOT / "README.md", ROOT / "docs" / "explanation" / "architecture.md"]
SRC = ROOT / "src" / "cinecmr"
COMMANDS = get_command(app)


def blocks(page: Path) -> list[str]:
    """Texts between fences."""
    return re.findall(r"^ *```\w*\n(.*?)^ *```", page.read_text("utf-8"), re.MULTILINE | re.DOTALL)


def tree(page: Path) -> list[Path]:
    """Paths of the drawn tree, from indentation."""
    (drawn,) = [block for block in blocks(page) if block.startswith("src/cinecmr/")]
    found: list[Path] = []
    folder = ROOT
    for line in drawn.splitlines():
        name = line.split()[0]
        if not line.startswith(" "):
            folder = ROOT / name
        found.append(folder if not line.startswith(" ") else folder / name)
    return found


@pytest.mark.parametrize("page", TREES, ids=lambda page: page.name)
def test_every_path_of_the_drawn_tree_is_there(page):
    paths = tree(page)
    assert len(paths) > 10
    assert [str(path) for path in paths if not path.exists()] == []


@pytest.mark.parametrize("page", TREES, ids=lambda page: page.name)
def test_every_room_of_the_package_is_in_the_drawn_tree(page):
    drawn = {path.name for path in tree(page)}
    rooms = {path.name for path in SRC.iterdir() if (path / "__init__.py").is_file()}
    assert rooms - drawn == set()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page):
    links = [link for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text("utf-8")) if "://" not in link]
    assert [link for link in links if not (page.parent / link.split("#")[0]).exists()] == []


def commands(page: Path) -> list[list[str]]:
    """`cinecmr ...` as it stands in blocks and between backticks, comments and pipes cut off."""
    text = page.read_text("utf-8")
    told = [line for block in blocks(page) for line in block.splitlines()] + re.findall(r"`(cinecmr [^`\n]+)`", text)
    lines = [re.split(r"\s#|\s{3}|\s\|", line.strip())[0] for line in told]
    return [re.split(r"\s+", line)[1:] for line in lines if re.match(r"(\.venv/bin/)?cinecmr ", line)]


def unknown(words: list[str]) -> list[str]:
    """Words that the command line does not know: a command, or an option."""
    command, rest = COMMANDS, list(words)
    while hasattr(command, "commands") and rest and not rest[0].startswith("-"):
        if rest[0] not in command.commands:
            return [rest[0]]
        command = command.commands[rest.pop(0)]
    known = {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}
    options = [word.partition("=")[0] for word in rest if word.startswith("-")]
    return [word for word in options if word not in known | {"--help", "--debug"}]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_command_that_is_told_exists_with_its_options(page):
    assert [(words, unknown(words)) for words in commands(page) if unknown(words)] == []


def test_the_pages_tell_commands_and_a_wrong_one_is_noticed():
    told = [words for page in PAGES for words in commands(page)]
    assert {words[0] for words in told} >= {
        "analyze",
        "inspect",
        "segment",
        "phantom",
        "evaluate",
        "finetune",
        "models",
    }
    assert unknown(["analyse", "x"]) == ["analyse"]
    assert unknown(["evaluate", "labels", "a", "b", "--wrong", "c"]) == ["--wrong"]
    assert unknown(["models", "card", "x"]) == []


def made(name: str):
    """A module of those that make the site, which are no package."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "docs" / "_site" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_of_commands_is_what_the_command_line_says():
    commands = made("commands")
    assert commands.PAGE.read_text("utf-8") == commands.page(), "make docs writes it anew"


def test_every_page_has_its_place_in_the_site_and_every_place_its_page():
    places = set(re.findall(r"[\w/]+\.md", (ROOT / "mkdocs.yml").read_text("utf-8")))
    pages = {path.relative_to(ROOT / "docs").as_posix() for path in (ROOT / "docs").rglob("*.md")}
    front = {"index.md", "changes.md", "contributing.md", "security.md"}
    tutorials = {f"tutorials/{path.stem}.md" for path in (ROOT / "docs" / "tutorials").glob("*.py")}
    assert places == pages | front | tutorials


def test_every_measurement_has_its_word_in_the_glossary():
    from cinecmr.analyze.words import TITLES

    page = (ROOT / "docs/reference/glossary.md").read_text("utf-8")
    stems = {re.sub(r"^(LV|RV)(?=[A-Z]{2})|i$", "", name) for name in TITLES}
    assert [stem for stem in sorted(stems) if not re.search(rf"\b{stem}\b", page)] == []


def test_a_tutorials_program_becomes_prose_and_code_in_their_order():
    page = made("tutorials").page('"""Title\n\nWords.\n"""\n\n# Say\n# it.\nx = 1  # one\n\ny = 2\n# Then.\n')
    assert page == "# Title\n\nWords.\n\nSay\nit.\n\n```python\nx = 1  # one\n\ny = 2\n```\n\nThen.\n"
