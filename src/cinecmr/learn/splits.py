"""Who is trained on and who is tested: by people, balanced by what they have, written to a file that names itself.

Two visits of one person never part. The draw depends on the seed and the people's names, not on the order of files.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, TypeVar

from cinecmr.errors import RefusedInput
from cinecmr.io.files import write_text
from cinecmr.io.subject import subject_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    from cinecmr.anatomy import Disease

VERSION = 1


class Visit(Protocol):
    """What is asked of a visit; `datasets.Case` has it."""

    @property
    def subject(self) -> str:
        """Its name in the data set."""

    @property
    def person(self) -> str:
        """Whose it is; two visits of one person share it."""

    @property
    def group(self) -> str:
        """The data set's own word for what the subject has."""

    @property
    def disease(self) -> Disease | None:
        """The same in this package's words, where there is one."""


V = TypeVar("V", bound=Visit)


@dataclass(frozen=True)
class Splits:
    """Parts of a data set; people are named by `io.subject.subject_name`, never as their files are.

    Attributes:
        parts: people by the name of their part, such as "train", "val", "test", or "fold-0"; each person in one.
        seed: of the draw.
        groups: what each person has, as it was balanced by.
    """

    parts: Mapping[str, tuple[str, ...]]
    seed: int = 0
    groups: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        counted = Counter(person for people in self.parts.values() for person in people)
        twice = [person for person, times in counted.items() if times > 1]
        if twice:
            raise RefusedInput("leaking-split", f"{twice[0]} is in several parts of the split; keep it in one")

    @property
    def sha256(self) -> str:
        """Of everything but the order of the people within a part."""
        told = {
            "version": VERSION,
            "seed": self.seed,
            "parts": {name: sorted(people) for name, people in self.parts.items()},
        }
        return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()

    def of(self, cases: Iterable[V], *parts: str) -> list[V]:
        """The cases of some parts, in their own order.

        Raises:
            RefusedInput: there is no such part (`no-such-split`).
        """
        for part in parts:
            if part not in self.parts:
                raise RefusedInput("no-such-split", f"no split {part!r}: there are {', '.join(self.parts)}")
        wanted = {person for part in parts for person in self.parts[part]}
        return [case for case in cases if person_of(case) in wanted]

    def write(self, path: Path) -> None:
        """Write it as JSON, with its own checksum inside."""
        told = {"version": VERSION, "sha256": self.sha256, "seed": self.seed,
                "parts": {name: list(people) for name, people in self.parts.items()},
                "groups": dict(self.groups)}  # fmt: skip
        write_text(path, json.dumps(told, indent=1) + "\n")

    @classmethod
    def read(cls, path: Path) -> Splits:
        """Read a written split.

        Raises:
            RefusedInput: it is no split (`bad-split`), was changed since it was written (`split-changed`), or has one
                person in two parts (`leaking-split`).
        """
        try:
            told = json.loads(path.read_text("utf-8"))
            made = cls({k: tuple(map(str, v)) for k, v in told["parts"].items()}, int(told["seed"]), told["groups"])
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise RefusedInput(
                "bad-split", f"{path} holds no split ({error}); delete it, and it is drawn anew"
            ) from error
        if made.sha256 != told.get("sha256"):
            raise RefusedInput(
                "split-changed", f"{path} was changed since it was written; restore it, or delete it to draw anew"
            )
        return made


def person_of(case: Visit) -> str:
    """A name for whose visit it is, that may be printed."""
    return subject_name(case.person or case.subject)


def group_of(case: Visit) -> str:
    """What parts are balanced by: the disease, else the data set's own word, else nothing."""
    return case.disease.value if case.disease else case.group


def by_shares(
    cases: Iterable[Visit],
    shares: Mapping[str, float],
    seed: int = 0,
    group: Callable[[Visit], str] = group_of,
) -> Splits:
    """Parts of given shares of the people, with the mix of groups alike in each.

    Args:
        cases: the visits.
        shares: of each part, in order; they add up to 1.
        seed: of the draw.
        group: what is balanced.

    Raises:
        RefusedInput: fewer people than parts (`too-few-subjects`).
        ValueError: shares that do not add up to 1.
    """
    if abs(sum(shares.values()) - 1) > 1e-6 or min(shares.values(), default=0) <= 0:
        raise ValueError(f"shares are above 0 and add up to 1, got {dict(shares)}")
    groups = _people(cases, group)
    _enough(len(groups), len(shares), "parts")
    counts = _counts(len(groups), list(shares.values()))
    parts = _dealt(_blocks(groups, seed), counts)
    return Splits(dict(zip(shares, parts, strict=True)), seed, groups)


def by_folds(cases: Iterable[Visit], folds: int, seed: int = 0, group: Callable[[Visit], str] = group_of) -> Splits:
    """Folds "fold-0" and so on for cross-validation, sizes and mix of groups as equal as they can be.

    Raises:
        RefusedInput: fewer people than folds (`too-few-subjects`).
    """
    groups = _people(cases, group)
    _enough(len(groups), folds, "folds")
    parts: list[list[str]] = [[] for _ in range(folds)]
    for place, person in enumerate(_blocks(groups, seed)):
        parts[place % folds].append(person)
    return Splits({f"fold-{n}": tuple(sorted(people)) for n, people in enumerate(parts)}, seed, groups)


def nested(
    cases: Iterable[Visit], counts: Sequence[int], seed: int = 0, group: Callable[[Visit], str] = group_of
) -> dict[int, tuple[str, ...]]:
    """People to learn from when only so many are labelled: each list holds the shorter ones, each is balanced.

    Raises:
        RefusedInput: fewer people than the longest list needs (`too-few-subjects`).
    """
    groups = _people(cases, group)
    _enough(len(groups), max(counts), "labelled subjects")
    order = _ordered(groups, seed)
    return {count: tuple(order[:count]) for count in counts}


def labelled(cases: Iterable[V], has: Callable[[V], bool]) -> list[V]:
    """Those of the cases that have what a task learns from.

    Raises:
        RefusedInput: none has (`nothing-to-learn`).
    """
    given = list(cases)
    found = [case for case in given if has(case)]
    if not found:
        raise RefusedInput("nothing-to-learn", f"none of {len(given)} visits has the labels this task learns from")
    return found


def classes_of(cases: Iterable[Visit], group: Callable[[Visit], str] = group_of) -> tuple[str, ...]:
    """The groups that a classifier shall tell apart, by name.

    Raises:
        RefusedInput: one only, or none (`one-class`).
    """
    found = tuple(sorted({group(case) for case in cases} - {""}))
    if len(found) < 2:
        there = f"all are {found[0]}" if found else "none says what the subject has"
        raise RefusedInput("one-class", f"a classifier needs two groups or more, and of these subjects {there}")
    return found


def _people(cases: Iterable[Visit], group: Callable[[Visit], str]) -> dict[str, str]:
    """Group of every person: that of the first visit by name."""
    found: dict[str, str] = {}
    for case in sorted(cases, key=lambda one: one.subject):
        found.setdefault(person_of(case), group(case))
    return found


def _enough(people: int, wanted: int, what: str) -> None:
    if people < wanted:
        raise RefusedInput(
            "too-few-subjects", f"{people} people cannot make {wanted} {what}; ask for fewer, or give more data"
        )


def _ordered(groups: Mapping[str, str], seed: int) -> list[str]:
    """All people in an order of which every beginning is balanced by group.

    Within a group the order is drawn; then the k-th of n people of a group stands at the share (k + 1/2) / n, ties in
    a drawn order of the groups.
    """
    members: dict[str, list[str]] = defaultdict(list)
    for person in sorted(groups, key=lambda one: _drawn(seed, one)):
        members[groups[person]].append(person)
    placed = [
        ((k + 0.5) / len(people), _drawn(seed, group), person)
        for group, people in members.items()
        for k, person in enumerate(people)
    ]
    return [person for _, _, person in sorted(placed)]


def _blocks(groups: Mapping[str, str], seed: int) -> list[str]:
    """All people, group after group, in a drawn order: dealt out in turn, every part gets its share of each group."""
    return sorted(groups, key=lambda person: (_drawn(seed, groups[person]), _drawn(seed, person)))


def _drawn(seed: int, name: str) -> str:
    return hashlib.sha256(f"{seed}/{name}".encode()).hexdigest()


def _counts(people: int, shares: list[float]) -> list[int]:
    """Whole numbers in the ratio of the shares, one or more each, that add up."""
    counts = [max(1, int(people * share)) for share in shares]
    while sum(counts) > people:
        counts[counts.index(max(counts))] -= 1
    rest = sorted(range(len(shares)), key=lambda n: counts[n] - people * shares[n])
    for n in range(people - sum(counts)):
        counts[rest[n % len(rest)]] += 1
    return counts


def _dealt(order: Sequence[str], counts: Sequence[int]) -> list[tuple[str, ...]]:
    """The order dealt to parts so that each is filled evenly from beginning to end."""
    parts: list[list[str]] = [[] for _ in counts]
    for place, person in enumerate(order):
        behind = [(len(part) - counts[n] * (place + 0.5) / len(order), n) for n, part in enumerate(parts)]
        free = [entry for entry in behind if len(parts[entry[1]]) < counts[entry[1]]]
        parts[min(free)[1]].append(person)
    return [tuple(sorted(part)) for part in parts]
