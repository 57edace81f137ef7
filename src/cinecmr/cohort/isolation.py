"""Studies in a process of their own, with an end to the time and memory that one may take.

A worker keeps one child process with the model loaded and hands it study after study. A study that takes too long or
too much ends with its child; the next one gets a new child. So no study can harm another, or the worker.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from cinecmr.cohort.one import Settings
from cinecmr.errors import RefusedInput

if TYPE_CHECKING:
    from collections.abc import Mapping

START_LIMIT_S = 600.0  # to import torch and load the model, on a busy machine and a slow file system
LOOK_S = 0.05  # between two looks at the memory
ATTEMPTS = 3  # for a study whose process dies: it may have been killed for another reason
TIRED = 0.6  # share of the memory limit beyond which an idle child is replaced by a new one


class DiedEarly(RefusedInput):
    """A process ended before it could measure, and did not say why: it may have been killed for another reason."""


class Child:
    """A process that measures one study after another.

    Args:
        settings: see `Settings`; the limits hold for each study.

    Raises:
        RefusedInput: it cannot load the model.
    """

    def __init__(self, settings: Settings) -> None:
        import psutil

        self._settings = settings
        self._scratch = tempfile.mkdtemp(prefix="cinecmr-cohort-")
        threads = {name: str(settings.threads) for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS")}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "cinecmr.cohort.child"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, encoding="utf-8",
            env={**os.environ, **threads, "TMPDIR": self._scratch, "TEMP": self._scratch, "TMP": self._scratch},
        )  # fmt: skip
        self._usage = psutil.Process(self._process.pid)
        self._replies: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        threading.Thread(target=self._hear, daemon=True).start()
        self.peak_mb = 0.0
        self._tell(asdict(settings))
        answer = self._wait(START_LIMIT_S, None)
        if "ready" not in answer:
            self.close()
            message = answer.get("message", f"its process ended before the model was loaded ({answer.get('died')})")
            kind = DiedEarly if answer.get("died") == "process-died" else RefusedInput
            raise kind(answer.get("broken", "model-unusable"), message)

    def measure(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """What `one.measure` answers, or {"died": cause}; then the child is gone."""
        self.peak_mb = 0.0
        self._tell(request)
        answer = self._wait(self._settings.time_limit_s, self._settings.memory_limit_mb)
        if "died" in answer:
            self.close()
        return answer

    @property
    def is_fit(self) -> bool:
        """Whether it can take another study: alive, and not swollen by the last ones."""
        return self._process.poll() is None and self._memory_mb() < TIRED * self._settings.memory_limit_mb

    def close(self) -> None:
        """End the process and remove what it unpacked."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):  # a line it never took
                    pipe.close()
        shutil.rmtree(self._scratch, ignore_errors=True)

    def _tell(self, content: Mapping[str, Any]) -> None:
        assert self._process.stdin is not None  # noqa: S101 - opened as a pipe above
        try:
            self._process.stdin.write(json.dumps(dict(content)) + "\n")
            self._process.stdin.flush()
        except OSError:
            pass  # it has died; whoever waits for its answer learns so

    def _hear(self) -> None:
        assert self._process.stdout is not None  # noqa: S101
        try:
            for line in self._process.stdout:
                self._replies.put(line)
        except ValueError:
            pass  # closed while we listened
        self._replies.put(None)

    def _wait(self, seconds: float, memory_mb: float | None) -> dict[str, Any]:
        end = time.monotonic() + seconds
        while True:
            try:
                line = self._replies.get(timeout=LOOK_S)
            except queue.Empty:
                used = self._memory_mb()
                self.peak_mb = max(self.peak_mb, used)
                if memory_mb is not None and used > memory_mb:
                    return {"died": "memory-limit"}
                if time.monotonic() > end:
                    return {"died": "time-limit"}
                continue
            self.peak_mb = max(self.peak_mb, self._memory_mb())
            return {"died": "process-died"} if line is None else dict(json.loads(line))

    def _memory_mb(self) -> float:
        import psutil

        try:
            return float(self._usage.memory_info().rss) / 1e6
        except psutil.Error:
            return 0.0


def _begun(settings: Settings) -> Child:
    """A new child; one that dies while it begins is begun again, as often as a study is tried."""
    for _ in range(ATTEMPTS - 1):
        with contextlib.suppress(DiedEarly):
            return Child(settings)
    return Child(settings)


class Bench:
    """The children of one worker, each for one kind of settings; made when needed, used again when idle."""

    def __init__(self) -> None:
        self._idle: dict[Settings, list[Child]] = {}
        self._lock = threading.Lock()

    def measure(self, request: Mapping[str, Any], settings: Settings) -> dict[str, Any]:
        """Measure one study, with all attempts it may have.

        Returns:
            "state", "cause", "row", "seconds", "peak_mb", "attempts".

        Raises:
            RefusedInput: the model cannot be loaded.
        """
        started, peak = time.perf_counter(), 0.0
        for attempt in range(1, ATTEMPTS + 1):
            child = self._take(settings)
            answer = child.measure(request)
            peak = max(peak, child.peak_mb)
            if "died" not in answer:
                self._give_back(child, settings)
                return {**answer, "peak_mb": peak, "attempts": attempt}
            if answer["died"] != "process-died":
                break
        seconds = time.perf_counter() - started
        row = {"site": request["site"]} if request["site"] else {}
        return {"state": "failed", "cause": answer["died"], "row": row, "seconds": seconds, "peak_mb": peak,
                "attempts": attempt}  # fmt: skip

    def close(self) -> None:
        """End every child."""
        with self._lock:
            children = [child for idle in self._idle.values() for child in idle]
            self._idle.clear()
        for child in children:
            child.close()

    def _take(self, settings: Settings) -> Child:
        with self._lock:
            idle = self._idle.get(settings, [])
            child = idle.pop() if idle else None
        if child is not None and not child.is_fit:
            child.close()
            child = None
        return child or _begun(settings)

    def _give_back(self, child: Child, settings: Settings) -> None:
        if not child.is_fit:
            child.close()
            return
        with self._lock:
            self._idle.setdefault(settings, []).append(child)


_BENCH: list[Bench] = []


def measure_here(request: Mapping[str, Any], settings: Mapping[str, Any], gpus: int = 0) -> dict[str, Any]:
    """Measure one study on this worker; what a cluster is asked to do. Arguments and result are plain data.

    Args:
        request: see `one.measure`.
        settings: of `Settings`, by name.
        gpus: of this machine, shared out among its workers; 0 takes the device of the settings.
    """
    if not _BENCH:
        import atexit

        _BENCH.append(Bench())
        atexit.register(_BENCH[0].close)
    chosen = Settings(**settings)
    if gpus:
        from distributed import get_worker

        chosen = replace(chosen, device=f"cuda:{int(get_worker().name) % gpus}")
    try:
        return _BENCH[0].measure(request, chosen)
    except RefusedInput as refusal:
        return {"broken": refusal.code, "message": refusal.message}
