"""The reference of `findings.json`, from its own types: a page, and a JSON Schema for programs.

`python -m cinecmr.analyze.schema_reference docs/reference` writes both.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel

from cinecmr.analyze.schema import SCHEMA_VERSION, FindingsFile
from cinecmr.analyze.words import TITLES, unit
from cinecmr.io import files


def document() -> str:
    """The reference page of `findings.json`, Markdown, made from the model's fields."""
    parts = [
        "# `findings.json`",
        "",
        f"Schema version {SCHEMA_VERSION}. {_summary(FindingsFile)} Unknown keys are refused. "
        "Times are in seconds, volumes in ml, mass in g, lengths in mm; there is no NaN: unknown is `null`. "
        "A number that was withheld is absent from `measurements`, and a flag of severity `refuse` says why.",
        "",
        "This page, and the JSON Schema beside it ([findings.schema.json](findings.schema.json)) against which any "
        "program can check a file, are written by `python -m cinecmr.analyze.schema_reference docs/reference`.",
        "",
    ]
    for model in _models(FindingsFile):
        heading = "The file" if model is FindingsFile else model.__name__
        parts += [f"## {heading}", "", *([] if model is FindingsFile else [_summary(model), ""])]
        parts += ["| key | type | meaning |", "|---|---|---|"]
        for key, field in model.model_fields.items():
            parts.append(f"| `{key}` | {_type(field.annotation)} | {field.description} |")
        parts.append("")
    parts += ["## Names of measurements", "", "| name | meaning |", "|---|---|"]
    parts += [f"| `{name}` | {text} |" for name, text in TITLES.items()]
    parts += ["", f"A name that ends in `i` is indexed to body surface area (such as {unit('ml/m2')}).", ""]
    parts += [
        "## `measurements.csv`",
        "",
        "The same measurements, one a row: `name`, `value`, `unit`, `low` and `high` (the 90 % interval, empty where "
        "none is known), `method`, `frame` and `source`. Text that a spreadsheet would run as a formula is led by an "
        "apostrophe.",
        "",
    ]
    return "\n".join(parts)


def json_schema() -> str:
    """The JSON Schema (draft 2020-12) of what `FindingsFile.to_json` writes."""
    told = FindingsFile.model_json_schema(mode="serialization")
    named = {"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": f"cinecmr-findings-{SCHEMA_VERSION}"}
    return json.dumps(named | told, indent=1) + "\n"


def _summary(model: type[BaseModel]) -> str:
    return (model.__doc__ or "").strip().splitlines()[0]


def _models(model: type[BaseModel]) -> list[type[BaseModel]]:
    """The model and those inside it, in the order they are met."""
    found = [model]
    for field in model.model_fields.values():
        for inner in _inner(field.annotation):
            found += [more for more in _models(inner) if more not in found]
    return found


def _inner(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for argument in get_args(annotation) for model in _inner(argument)]


def _type(annotation: Any) -> str:
    """A type as a JSON reader would say it."""
    if annotation is type(None):
        return "null"
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return " or ".join(f'`"{value}"`' for value in arguments)
    if origin is list:
        return f"list of {_type(arguments[0])}"
    if origin is tuple:
        return f"list of {len(arguments)} {_type(arguments[0])}s"
    if origin is dict:
        return f"object: string to {_type(arguments[1])}"
    if hasattr(annotation, "__metadata__"):  # FiniteFloat is an annotated float
        return _type(annotation.__origin__)
    if arguments:
        return " or ".join(_type(argument) for argument in arguments)
    words = {str: "string", int: "integer", float: "number"}
    return words.get(annotation) or str(annotation.__name__)


if __name__ == "__main__":
    for name, text in (("findings_json.md", document()), ("findings.schema.json", json_schema())):
        files.write_text(Path(sys.argv[1]) / name, text)
