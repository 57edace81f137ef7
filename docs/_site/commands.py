"""The page docs/reference/commands.md, made from the command line itself: `python docs/_site/commands.py`."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from typer.main import get_command

from cinecmr.cli import app

PAGE = Path(__file__).resolve().parent.parent / "reference" / "commands.md"
HEAD = """# Commands

Made from the command line itself by `make docs`; with `--help` every command prints the same. Every command takes
`--debug`, for a traceback where something went wrong. Exit codes: 0 done, 1 error, 2 usage, 3 refused (the input cannot
be measured; the message says what, where and what to do), 4 done with [flags](flags.md).
"""


def page() -> str:
    """The whole page, Markdown."""
    return "\n".join([HEAD, *_sections(get_command(app), "cinecmr")])


def _sections(command: Any, name: str) -> list[str]:
    if getattr(command, "hidden", False):
        return []
    if hasattr(command, "commands"):
        inner = [line for word, one in command.commands.items() for line in _sections(one, f"{name} {word}")]
        return (_section(command, name) if command.invoke_without_command else []) + inner
    return _section(command, name)


def _section(command: Any, name: str) -> list[str]:
    arguments = " ".join(_written(one) for one in command.params if one.param_type_name == "argument")
    rows = [row for row in map(_row, command.params) if row]
    table = ["| | default | |", "|---|---|---|", *rows, ""] if rows else []
    usage = f"{name} {arguments} [OPTIONS]".replace("  ", " ")
    return [f"## {name}", "", f"    {usage}", "", _words(command.help), "", *table]


def _written(argument: Any) -> str:
    return argument.metavar or argument.name.upper()


def _row(parameter: Any) -> str:
    if parameter.name == "help":
        return ""
    if parameter.param_type_name == "argument":
        names, default = f"`{_written(parameter)}`", "" if parameter.required else _default(parameter)
    else:
        names = ", ".join(f"`{name}`" for name in (*parameter.opts, *parameter.secondary_opts))
        default = "needed" if parameter.required else _default(parameter)
    said = [_words(getattr(parameter, "help", None)), _allowed(parameter), _environment(parameter)]
    return f"| {names} | {default} | {'; '.join(part for part in said if part)} |"


def _default(parameter: Any) -> str:
    value = parameter.default
    if getattr(parameter, "is_flag", False):
        return "on" if value is True and parameter.secondary_opts else ""
    if value is None or callable(value) or "Sentinel" in type(value).__name__ or value in ((), [], ""):
        return ""
    return f"`{getattr(value, 'value', value)}`"


def _allowed(parameter: Any) -> str:
    choices = _choices(parameter)
    if choices:
        return "one of " + ", ".join(f"`{one}`" for one in choices)
    low, high = parameter.min, parameter.max
    if low is None and high is None:
        return ""
    return f"{low} to {high}" if None not in (low, high) else f"{low} or more" if high is None else f"up to {high}"


def _choices(parameter: Any) -> list[str]:
    """Words of an enumeration or of a Literal, also inside `list[...]` and `... | None`."""
    kinds = [parameter.type_descriptor.annotation]
    for kind in kinds:
        if get_origin(kind) is Literal:
            return [str(one) for one in get_args(kind)]
        if isinstance(kind, type) and issubclass(kind, Enum):
            return [str(one.value) for one in kind]
        kinds.extend(get_args(kind))
    return []


def _environment(parameter: Any) -> str:
    name = getattr(parameter, "envvar", None)
    return f"else what `{name}` says" if name else ""


def _words(text: str | None) -> str:
    """Help as one cell of a table, or as paragraphs: bars would end the cell, and pointed brackets are no HTML."""
    said = (text or "").strip().replace("|", "\\|").replace("<", "&lt;")
    return "\n\n".join(" ".join(part.split()) for part in said.split("\n\n"))


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
