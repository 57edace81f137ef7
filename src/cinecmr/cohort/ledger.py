"""The ledger: what became of every study, in one SQLite file, written study by study.

One process writes a ledger; any number may read it. Each result is one transaction, so a killed run loses at most the
studies it was at. The job arrays of a cluster write one ledger a part, and readers take them together. A ledger names
studies as `naming.Names` does and holds no path and no message: either may carry the name of a person.
"""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from cinecmr.errors import RefusedInput

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

VERSION = 1  # of the tables below
WAITING, FINAL, FAILED = "waiting", ("done", "flagged", "refused"), "failed"
STATES = (*FINAL, FAILED, WAITING)
PATIENCE_S = 30.0  # for another process that reads
_TABLES = """
CREATE TABLE studies (name TEXT PRIMARY KEY, state TEXT NOT NULL, cause TEXT NOT NULL, row TEXT NOT NULL,
                      seconds REAL, peak_mb REAL, attempts INTEGER NOT NULL, finished TEXT) WITHOUT ROWID;
CREATE TABLE events (at TEXT NOT NULL, what TEXT NOT NULL, detail TEXT NOT NULL);
"""


@dataclass(frozen=True)
class Outcome:
    """What became of one study.

    Attributes:
        name: of the study.
        state: "done", "flagged", "refused", "failed" or "waiting".
        cause: code of the refusal or fault, "" where it was measured.
        row: the table's cells by column.
        seconds: of reading and measuring.
        peak_mb: most memory its process held, MB.
        attempts: how often it was begun.
        finished: UTC, ISO 8601; "" while it waits.
    """

    name: str
    state: str
    cause: str = ""
    row: dict[str, Any] | None = None
    seconds: float = 0.0
    peak_mb: float = 0.0
    attempts: int = 1
    finished: str = ""


class Ledger:
    """A ledger open for writing; closed by its context.

    Args:
        path: of the file; made where missing. One that cannot be read, or of another version, is set aside under
            another name and a new one begun: nothing is deleted, its studies are measured again, and an event says so.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        why = _unfit(path)
        aside = _set_aside(path) if why else None
        self._connection = sqlite3.connect(path, timeout=PATIENCE_S, isolation_level=None)
        if why or not _version(self._connection):
            self._connection.executescript(f"BEGIN; {_TABLES} PRAGMA user_version = {VERSION}; COMMIT;")
        if aside is not None:
            self.note("ledger-set-aside", f"{why}; now {aside.name}")

    def __enter__(self) -> Ledger:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def expect(self, names: Iterable[str]) -> None:
        """Enter studies that are to be measured; those known stay as they are."""
        with self._transaction():
            self._connection.executemany(
                f"INSERT OR IGNORE INTO studies VALUES (?, '{WAITING}', '', '{{}}', NULL, NULL, 0, NULL)",  # noqa: S608
                ((name,) for name in names),
            )

    def record(self, outcomes: Iterable[Outcome]) -> None:
        """Enter results, all or none.

        Raises:
            sqlite3.OperationalError: the disk is full, or cannot be written.
        """
        now = datetime.now(UTC).isoformat(timespec="microseconds")
        with self._transaction():
            self._connection.executemany(
                "INSERT OR REPLACE INTO studies VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                [
                    (o.name, o.state, o.cause, json.dumps(o.row or {}, allow_nan=False), round(o.seconds, 3),
                     round(o.peak_mb, 1), o.attempts, o.finished or now)
                    for o in outcomes
                ],
            )  # fmt: skip

    def note(self, what: str, detail: str = "") -> None:
        """Enter an event of the run itself: begun, a worker lost, studies listed twice."""
        now = datetime.now(UTC).isoformat(timespec="seconds")
        self._connection.execute("INSERT INTO events VALUES (?, ?, ?)", (now, what, detail))

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._connection.execute("ROLLBACK")
            raise
        self._connection.execute("COMMIT")


def part_name(part: tuple[int, int] | None) -> str:
    """File of a ledger: of all studies, or of the part (number from 0, of how many).

    >>> part_name(None), part_name((3, 250))
    ('ledger.sqlite', 'ledger-3-of-250.sqlite')
    """
    return "ledger.sqlite" if part is None else f"ledger-{part[0]}-of-{part[1]}.sqlite"


def ledgers(out: Path) -> list[Path]:
    """The ledgers of a cohort that can be read.

    Raises:
        RefusedInput: there is none, or none with anything in it yet (`no-cohort`); all are of another version
            (`ledger-version`).
    """
    found = [path for path in sorted(out.glob("ledger*.sqlite")) if "-aside-" not in path.name]
    if not found:
        raise RefusedInput("no-cohort", f"no cohort in {out}: `cinecmr cohort run STUDIES --out {out}` makes one")
    fit = [path for path in found if not _unfit(path)]
    if not fit:
        raise RefusedInput(
            "ledger-version", f"no ledger in {out} is of version {VERSION}; read it with its own cinecmr"
        )
    begun = [path for path in fit if not _empty(path)]
    if not begun:
        raise RefusedInput("no-cohort", f"the run in {out} is only just beginning: ask again in a moment")
    return begun


def outcomes(out: Path) -> list[Outcome]:
    """What became of every study, by name; of a study in several ledgers the latest result counts."""
    found: dict[str, Outcome] = {}
    for path in ledgers(out):
        with closing(_reading(path)) as connection:
            for name, state, cause, row, seconds, peak, attempts, finished in connection.execute(
                "SELECT name, state, cause, row, seconds, peak_mb, attempts, finished FROM studies"
            ):
                one = Outcome(
                    name, state, cause, json.loads(row), seconds or 0.0, peak or 0.0, attempts, finished or ""
                )
                if name not in found or one.finished > found[name].finished:
                    found[name] = one
    return [found[name] for name in sorted(found)]


def events(out: Path) -> list[tuple[str, str, str]]:
    """Events of all ledgers, in time: when, what, details."""
    found: list[tuple[str, str, str]] = []
    for path in ledgers(out):
        with closing(_reading(path)) as connection:
            found += connection.execute("SELECT at, what, detail FROM events").fetchall()
    return sorted(found)


@contextmanager
def alone(path: Path) -> Iterator[None]:
    """Around a run: a second one on the same ledger is refused. The lock goes with the process, however it ends.

    Raises:
        RefusedInput: another run is at it (`cohort-busy`).
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(path.with_suffix(".lock"), timeout=0.2, isolation_level=None)) as lock:
        try:
            lock.execute("BEGIN EXCLUSIVE")
        except sqlite3.OperationalError:
            raise RefusedInput(
                "cohort-busy", f"another run is at work on {path}; wait for it, or stop it: nothing is lost"
            ) from None
        yield


def _reading(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=PATIENCE_S)


def _version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def _empty(path: Path) -> bool:
    """Whether a ledger is absent, or made a moment ago and without a table yet."""
    if not path.exists() or not path.stat().st_size:
        return True
    with closing(_reading(path)) as connection:
        return not connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]


def _unfit(path: Path) -> str:
    """Why a file is no ledger of ours, "" where it is one, or there is none."""
    try:
        if _empty(path):
            return ""
        with closing(_reading(path)) as connection:
            version = _version(connection)
    except sqlite3.DatabaseError:
        return "not a ledger, or damaged"
    return "" if version == VERSION else f"a ledger of version {version}, not {VERSION}"


def _set_aside(path: Path) -> Path:
    stamp = datetime.now(UTC).strftime("%Y%m%d-%H%M%S-%f")
    aside = path.with_name(f"{path.stem}-aside-{stamp}.sqlite")
    path.replace(aside)
    for extra in ("-journal", "-wal", "-shm"):
        path.with_name(path.name + extra).unlink(missing_ok=True)
    return aside
