"""The run over a cohort: hand studies out, enter what comes back, and begin again where it was stopped.

The process of the run alone writes the ledger. It keeps a few studies more than there are workers under way, so its
memory does not grow with the cohort. What was under way when a worker, the scheduler or the run itself was lost is
measured again; a study's result depends on the study and the settings alone, so the table comes out the same.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections import deque
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cinecmr
from cinecmr.cohort import cluster, isolation
from cinecmr.cohort.ledger import FAILED, FINAL, WAITING, Ledger, Outcome, alone, outcomes, part_name
from cinecmr.cohort.one import LABELS
from cinecmr.cohort.studies import listed
from cinecmr.errors import RefusedInput
from cinecmr.io.files import write_text
from cinecmr.io.naming import Names, open_key, private_folder, write_names

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from cinecmr.cohort.cluster import Where
    from cinecmr.cohort.one import Settings
    from cinecmr.cohort.studies import Entry

SPARE = 2  # studies handed out beyond one a worker, so that none waits for the next
LOOK_S = 1.0  # between two looks at the cluster while nothing comes back
LOST_S = 300.0  # to wait for a scheduler that went away
FULL_DISK_S = 10.0  # between two tries to enter results
MANIFEST = "cohort.json"


@dataclass(frozen=True)
class Task:
    """A run.

    Attributes:
        source: of the studies, see `studies.listed`.
        out: folder of the results; nothing is written elsewhere but to `private`.
        settings: of the measurement.
        where: the workers.
        private: folder of key and names; None takes the one beside `out`.
        part: (number from 0, of how many) of a job array; None measures all.
        only_refused: measure those again that were refused for this cause, and no others.
    """

    source: Path
    out: Path
    settings: Settings
    where: Where = field(default_factory=cluster.Where)
    private: Path | None = None
    part: tuple[int, int] | None = None
    only_refused: str | None = None


@dataclass
class Progress:
    """How far a run is."""

    total: int
    finished: int = 0
    measuring_s: float = 0.0
    lost: int = 0


def run(task: Task, say: Callable[[str], None], show: Callable[[float], None] | None = None) -> Progress:
    """Measure what is left of a cohort.

    Args:
        task: see `Task`.
        say: told what a person should know.
        show: told the share that is done.

    Raises:
        RefusedInput: no studies, another run at work, results of other settings, or no workers to be had.
    """
    key = open_key(private_folder(task.out, task.private))
    found = listed(task.source, Names(key))
    path = task.out / part_name(task.part)
    with alone(path):
        _agree(task, say)
        if task.part is None or task.part[0] == 0:
            pairs = [(entry.name, path) for entry in found.entries for path in entry.paths]
            write_names(private_folder(task.out, task.private), pairs)
        mine = [entry for n, entry in enumerate(found.entries) if task.part is None or n % task.part[1] == task.part[0]]
        with Ledger(path) as ledger:
            ledger.expect(entry.name for entry in mine)
            if found.repeats:
                ledger.note("listed-twice", f"{found.repeats} studies were listed again and are measured once")
            left = _left(task, mine)
            progress = Progress(len(left))
            say(f"{len(mine)} studies, {len(left)} to measure")
            if left:
                ledger.note("begun", f"{len(left)} of {len(mine)} studies")
                _work(task, key, left, ledger, progress, say, show)
                ledger.note("ended", f"{progress.finished} studies")
    return progress


def _left(task: Task, mine: list[Entry]) -> list[Entry]:
    """Those without a result, those that failed; or those refused for one cause."""
    known = {one.name: one for one in outcomes(task.out)}
    if task.only_refused is not None:
        return [e for e in mine if (known[e.name].state, known[e.name].cause) == ("refused", task.only_refused)]
    return [entry for entry in mine if known[entry.name].state in (WAITING, FAILED)]


def _agree(task: Task, say: Callable[[str], None]) -> None:
    """One folder holds results of one version and one set of options, else its table could not be compared.

    Raises:
        RefusedInput: others made what is there (`cohort-differs`), or there is no such model.
    """
    from cinecmr.analyze import models
    from cinecmr.analyze.run import reads_long_axis

    folder = None if task.settings.models_dir is None else Path(task.settings.models_dir)
    named = [] if task.settings.models == LABELS else task.settings.models.split("+")
    if named and reads_long_axis(task.settings.long_axis, folder):
        named.append(task.settings.long_axis)
    cards = [models.card(name, folder) for name in named]
    for card in cards:
        for warning in card.warnings:
            say(f"{card.name}: {warning}")
    weights = {card.name: card.sha256 for card in cards}
    now = {"cinecmr": cinecmr.__version__, "weights_sha256": weights, "options": task.settings.told()}
    path = task.out / MANIFEST
    if not path.exists():
        write_text(path, json.dumps(now, indent=2) + "\n")
        return
    before = json.loads(path.read_text("utf-8"))
    differs = [name for name, value in now.items() if before.get(name) != value]
    if differs and task.only_refused is not None:
        say(f"{', '.join(differs)} differ from the rest of this cohort; each row of the table says its own")
    elif differs:
        raise RefusedInput(
            "cohort-differs",
            f"{task.out} holds results of other {', '.join(differs)}; use another --out, and compare the two with "
            "`cinecmr cohort diff`",
        )


def _work(
    task: Task,
    key: bytes,
    left: list[Entry],
    ledger: Ledger,
    progress: Progress,
    say: Callable[[str], None],
    show: Callable[[float], None] | None,
) -> None:
    """Measure all that is left; a scheduler that goes away is waited for."""
    waiting = deque(left)
    lost_since: float | None = None
    while waiting:
        try:
            with cluster.client(task.where, task.settings.threads, task.settings.memory_limit_mb) as client:
                lost_since = None
                for results in _results(task, key, client, waiting):
                    _enter(ledger, results, say)
                    progress.finished += len(results)
                    progress.measuring_s += sum(one.seconds for one in results)
                    if show:
                        show(progress.finished / progress.total)
        except (SchedulerLost, RefusedInput) as error:
            if isinstance(error, RefusedInput) and (error.code != "no-scheduler" or not progress.lost):
                raise
            progress.lost += isinstance(error, SchedulerLost)
            lost_since = lost_since or time.monotonic()
            if isinstance(error, SchedulerLost):
                ledger.note("scheduler-lost", f"{len(waiting)} studies left")
                say(f"the scheduler is gone; {len(waiting)} studies are left, and it is waited for")
            if time.monotonic() - lost_since > LOST_S:
                raise RefusedInput(
                    "no-scheduler", "the scheduler did not come back; start one, and give the same command again"
                ) from None
            time.sleep(LOOK_S)


class SchedulerLost(Exception):  # noqa: N818 - it names what happened
    """The scheduler went away; what was under way is waiting again."""


def _results(task: Task, key: bytes, client: Any, waiting: deque[Entry]) -> Iterator[list[Outcome]]:
    """Results as they come in; a study leaves `waiting` with its result, or to come back when the scheduler is lost."""
    _, distributed = cluster.libraries()
    gpus, under_way = cluster.gpus(task.where), dict[Any, "Entry"]()
    while waiting or under_way:
        try:
            room = sum(client.nthreads().values()) + SPARE - len(under_way)
            for entry in [waiting.popleft() for _ in range(min(max(room, 0), len(waiting)))]:
                under_way[_submit(task, key, client, entry, gpus)] = entry
            done = distributed.wait(list(under_way), timeout=LOOK_S, return_when="FIRST_COMPLETED").done
        except TimeoutError:
            continue
        except (OSError, RuntimeError, distributed.client.FutureCancelledError):
            done = set()
        ended = {future: under_way.pop(future) for future in done}
        gone = [entry for future, entry in ended.items() if future.status in ("cancelled", "lost")]
        results = [_outcome(future, entry) for future, entry in ended.items() if future.status in ("finished", "error")]
        waiting.extendleft(gone)
        if results:
            yield results
        if gone or client.status != "running":
            waiting.extendleft(under_way.values())
            raise SchedulerLost


def _submit(task: Task, key: bytes, client: Any, entry: Entry, gpus: int) -> Any:
    request = {
        "name": entry.name, "paths": [str(Path(path).absolute()) for path in entry.paths], "site": entry.site,
        "labels": entry.labels and str(Path(entry.labels).absolute()),
        "said": [list(pair) for pair in entry.said], "out": str(task.out.absolute()), "key": key.hex(),
    }  # fmt: skip
    return client.submit(isolation.measure_here, request, asdict(task.settings), gpus, key=entry.name, pure=False)


def _outcome(future: Any, entry: Entry) -> Outcome:
    """A result for the ledger.

    Raises:
        RefusedInput: the workers cannot load the model: no study can be measured.
    """
    if future.status == "error":  # workers died of it again and again, or cannot run our code
        cause = "worker-died" if type(future.exception()).__name__ == "KilledWorker" else "worker-failed"
        return Outcome(entry.name, FAILED, cause)
    answer = future.result()
    if "broken" in answer:
        raise RefusedInput(answer["broken"], answer["message"])
    state = answer["state"] if answer["state"] in (*FINAL, FAILED) else FAILED
    return Outcome(
        entry.name, state, answer["cause"], answer["row"], answer["seconds"], answer["peak_mb"], answer["attempts"]
    )


def _enter(ledger: Ledger, results: list[Outcome], say: Callable[[str], None]) -> None:
    """Enter results; while the disk is full they are kept, and tried again."""
    told = False
    while True:
        try:
            ledger.record(results)
        except sqlite3.OperationalError as error:
            if not told:
                say(f"the ledger cannot be written ({error}); results are kept, and the run waits: make room")
            told = True
            time.sleep(FULL_DISK_S)
        else:
            return
