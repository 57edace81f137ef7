"""Figures of an evaluation into the card of the model they speak of: read from its JSON, never typed."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from cinecmr.analyze.models import Card, Score
from cinecmr.errors import RefusedInput
from cinecmr.io.files import write_text

if TYPE_CHECKING:
    from pathlib import Path

KINDS = ("synthetic", "real")


def figures(result: dict[str, Any]) -> dict[str, float]:
    """The summary of an evaluation.

    Args:
        result: content of labels.json (`evaluate labels`) or evaluation.json (`evaluate phantom`).

    Returns:
        By name, rounded to four digits.

    Raises:
        RefusedInput: neither of the two.
    """
    if "summaries" in result:
        found = result["summaries"]["all"]
    elif "agreement" in result:
        found = {}
        for name, row in result["agreement"].items():
            found[f"{name}_abs_error"] = row["abs_error"]
            if row.get("relative_error") is not None and result["units"][name] != "%":
                found[f"{name}_abs_error_percent"] = row["relative_error"]
    else:
        raise RefusedInput(
            "no-evaluation",
            "the file holds neither `summaries` nor `agreement`; give labels.json or "
            "evaluation.json of `cinecmr evaluate`",
        )
    return {name: float(f"{value:.4g}") for name, value in found.items() if value is not None}


def note(card: Path, result: Path, data: str, kind: str) -> Card:
    """Put an evaluation into a card, in the place of an earlier one of the same data.

    Args:
        card: the card's file.
        result: JSON of the evaluation.
        data: what it was measured on, in words.
        kind: "synthetic" or "real".

    Raises:
        RefusedInput: the evaluation is of other weights, or of no kind the cards know.
    """
    if kind not in KINDS:
        raise RefusedInput("no-such-kind", f"kind is one of {', '.join(KINDS)}, got {kind!r}")
    old = Card.model_validate_json(card.read_text())
    content = json.loads(result.read_text())
    said = json.dumps(content.get("about", {}))
    if old.sha256 not in said and old.sha256[:8] not in said:
        raise RefusedInput("other-weights", f"{result} does not speak of the weights {old.sha256[:8]} of {old.name}")
    made = content["about"].get("commit", "unknown")
    score = Score(data=data, kind=kind, figures=figures(content), note=f"commit {made}")
    kept = [one for one in old.scores if one.data != data]
    new = old.model_copy(update={"scores": [*kept, score]})
    write_text(card, new.model_dump_json(indent=1) + "\n")
    return new
