"""The site is the repository's own pages: README is its front, docs/ its rooms, results/ its evidence.

Links stay as they are in the repository; here each is turned to where its target lies in the site. A target that is no
page (a licence, a source file) is copied beside them, so that nothing leads out. Pages of the API and of the model
cards are made while building, and are not kept.
"""

from __future__ import annotations

import ast
import json
import os.path
import re
from pathlib import Path
from typing import Any

import commands
import tutorials
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parent.parent.parent
PACKAGE = ROOT / "src" / "cinecmr"
FRONT = {"README.md": "index.md", "CHANGELOG.md": "changes.md", "CONTRIBUTING.md": "contributing.md"}
FRONT |= {"SECURITY.md": "security.md"}
LINK = re.compile(r"(!?\[[^\]]*\]\()([^)\s]+)(\))")
FENCE = re.compile(r"^ *```.*?^ *```", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"`[^`\n]*`")


def on_config(config: Any) -> Any:
    """Page titles of the API stand in the navigation without being named there."""
    config.nav = _filled(config.nav, {"API": _api_nav(), "Model cards": _card_nav(), "Tables": _result_nav()})
    return config


def on_files(files: Files, config: Any) -> Files:
    """Adds what lies outside docs/: the front pages, the results, what they link to, and what is made here."""
    made = {uri: (ROOT / path).read_text("utf-8") for path, uri in FRONT.items()}
    made |= {_uri(path): path.read_text("utf-8") for path in _results()}
    made |= _api_pages() | _cards() | tutorials.pages() | {"reference/commands.md": commands.page()}
    for uri, text in made.items():
        _add(files, File.generated(config, uri, content=text))
    for path in _copied(files):
        _add(files, File.generated(config, _uri(path), content=path.read_bytes()))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Turns links of the repository into links of the site."""
    return _outside_code(markdown, lambda text: LINK.sub(lambda found: _turned(found, page.file.src_uri), text))


def _outside_code(text: str, change: Any) -> str:
    kept: list[str] = []

    def hide(found: re.Match[str]) -> str:
        kept.append(found.group())
        return f"\0{len(kept) - 1}\0"

    changed = change(CODE.sub(hide, FENCE.sub(hide, text)))
    while "\0" in changed:  # a fence may hold backticks: the outer came first
        changed = re.sub(r"\0(\d+)\0", lambda found: kept[int(found.group(1))], changed)
    return changed


def _turned(link: re.Match[str], uri: str) -> str:
    before, target, after = link.groups()
    if "://" in target or target.startswith(("#", "mailto:")):
        return link.group()
    path, _, part = target.partition("#")
    place = (_repository(uri).parent / path).resolve()
    if not place.exists():
        if uri.startswith("results/"):  # pictures of real hearts are named there, and not kept
            return before.strip("![]( ")
        raise PluginError(f"{uri}: the link {target} leads nowhere")
    relative = os.path.relpath(_uri(place), Path(uri).parent)
    return f"{before}{relative}{'#' + part if part else ''}{after}"


def _uri(path: Path) -> str:
    """Where a path of the repository lies in the site."""
    inside = path.relative_to(ROOT).as_posix()
    if path.is_dir():
        inside = next(f"{inside}/{name}" for name in ("README.md", "index.md", "") if (path / name).exists())
    inside = FRONT.get(inside, inside).removeprefix("docs/")
    if re.fullmatch(r"tutorials/.*\.py", inside):
        return inside.removesuffix(".py") + ".md"
    return inside if "." in Path(inside).name else f"{inside}.txt"


def _repository(uri: str) -> Path:
    """The file a page of the site was made of, or would be."""
    backwards = {there: here for here, there in FRONT.items()}
    if uri in backwards:
        return ROOT / backwards[uri]
    return ROOT / uri if uri.startswith("results/") else ROOT / "docs" / uri


def _copied(files: Files) -> list[Path]:
    """Targets of links that are no page and no picture of docs/: copied as they are."""
    found = set()
    for file in files.documentation_pages():
        text = CODE.sub("", FENCE.sub("", file.content_string))
        for _, target, _ in LINK.findall(text):
            place = (_repository(file.src_uri).parent / target.partition("#")[0]).resolve()
            if "://" not in target and place.is_file() and files.get_file_from_path(_uri(place)) is None:
                found.add(place)
    return sorted(found)


def _add(files: Files, file: File) -> None:
    known = files.get_file_from_path(file.src_uri)
    if known is not None:
        files.remove(known)
    files.append(file)


def _results() -> list[Path]:
    return [path for path in sorted((ROOT / "results").rglob("*.md")) if "studies" not in path.parts]


def _rooms() -> list[Path]:
    return sorted(path.parent for path in PACKAGE.glob("*/__init__.py"))


def _api_pages() -> dict[str, str]:
    """One page a room: its words, then every public module with its functions and classes."""
    pages = {f"reference/api/{room.name}.md": _api_page(room) for room in _rooms()}
    roots = [f"::: cinecmr.{path.stem}\n" for path in sorted(PACKAGE.glob("*.py")) if path.stem != "__init__"]
    return pages | {"reference/api/cinecmr.md": "\n".join(["# cinecmr\n", *roots])}


def _api_page(room: Path) -> str:
    words = ast.get_docstring(ast.parse((room / "__init__.py").read_text("utf-8"))) or ""
    modules = [path.relative_to(PACKAGE).with_suffix("") for path in sorted(room.rglob("*.py"))]
    named = [".".join(("cinecmr", *module.parts)) for module in modules if not _private(module)]
    return "\n".join([f"# {room.name}\n", words.split("\n\n")[0], "", *(f"::: {name}\n" for name in named)])


def _private(module: Path) -> bool:
    return any(part.startswith("_") for part in module.parts)


def _cards() -> dict[str, str]:
    return {f"reference/cards/{path.stem}.md": _card(path) for path in sorted((PACKAGE / "weights").glob("*.json"))}


def _card(path: Path) -> str:
    card = json.loads(path.read_text("utf-8"))
    lines = [f"# {card['name']}", "", card["summary"], "", f"`cinecmr models card {card['name']}` prints it.", ""]
    for key, value in card.items():
        if key in ("name", "summary") or value in (None, "", [], {}):
            continue
        lines += [f"## {key.replace('_', ' ').capitalize()}", ""]
        if isinstance(value, list) and all(isinstance(one, str) for one in value):
            lines += [f"- {one}" for one in value] + [""]
        elif isinstance(value, str | int | float):
            lines += [str(value), ""]
        else:
            lines += ["```json", json.dumps(value, indent=1), "```", ""]
    return "\n".join(lines)


def _api_nav() -> list[Any]:
    return [{name: f"reference/api/{name}.md"} for name in ("cinecmr", *(room.name for room in _rooms()))]


def _card_nav() -> list[Any]:
    return [{path.stem: f"reference/cards/{path.stem}.md"} for path in sorted((PACKAGE / "weights").glob("*.json"))]


def _result_nav() -> list[Any]:
    return [_uri(path) for path in _results()]


def _filled(entry: Any, pages: dict[str, list[Any]]) -> Any:
    """The navigation with the made pages put where it names their heading and nothing below it."""
    if isinstance(entry, list):
        return [_filled(one, pages) for one in entry]
    if isinstance(entry, dict):
        return {name: pages.get(name, []) if below == "..." else _filled(below, pages) for name, below in entry.items()}
    return entry
