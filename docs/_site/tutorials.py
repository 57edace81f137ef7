"""Tutorials are programs that the tests run; here they become pages: comments at the margin are the prose."""

from __future__ import annotations

import ast
from pathlib import Path

FOLDER = Path(__file__).resolve().parent.parent / "tutorials"


def pages() -> dict[str, str]:
    """Page of each tutorial, by its place in the site."""
    return {f"tutorials/{path.stem}.md": page(path.read_text("utf-8")) for path in sorted(FOLDER.glob("*.py"))}


def page(program: str) -> str:
    r"""A program as Markdown: its docstring, then prose and code as they follow each other.

    >>> print(page('"Title."\n# Say it.\nprint(1)\n'))
    # Title.
    <BLANKLINE>
    Say it.
    <BLANKLINE>
    ```python
    print(1)
    ```
    <BLANKLINE>
    """
    tree = ast.parse(program)
    title, _, words = (ast.get_docstring(tree) or "").partition("\n")
    lines = program.splitlines()[tree.body[0].end_lineno or 0 :]
    parts: list[tuple[bool, list[str]]] = []
    for line in lines:
        prose = line.startswith("# ") or line == "#"
        if not parts or (line.strip() and parts[-1][0] != prose):
            parts.append((prose, []))
        parts[-1][1].append(line[2:] if prose else line)
    told = [f"# {title}", *([words.strip()] if words.strip() else [])]
    for prose, inside in parts:
        text = "\n".join(inside).strip()
        if text:
            told.append(text if prose else f"```python\n{text}\n```")
    return "\n\n".join(told) + "\n"
