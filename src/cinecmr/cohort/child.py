"""The process in which studies are measured: `python -m cinecmr.cohort.child`, spoken to by `isolation.Child`.

It reads its settings and then one study a line from standard input, and answers a line each. It loads the model once.
When its input ends, because whoever started it has gone, it goes too, in the middle of a study if need be.
"""

from __future__ import annotations

import json
import os
import queue
import shutil
import sys
import tempfile
import threading
from typing import TYPE_CHECKING, Any, TextIO

from cinecmr.cohort.one import LABELS, Settings, measure
from cinecmr.errors import RefusedInput

if TYPE_CHECKING:
    from cinecmr.analyze.long_axis import LongAxisModel
    from cinecmr.analyze.pipeline import Segmenter


def main() -> None:
    """Serve until there is no more input."""
    replies = _private_output()
    lines: queue.SimpleQueue[str] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(lines,), daemon=True).start()
    settings = Settings(**json.loads(lines.get()))
    try:
        model, views = _load(settings)
    except RefusedInput as refusal:
        _answer(replies, {"broken": refusal.code, "message": refusal.message})
        return
    except Exception as error:
        _answer(replies, {"broken": "model-unusable", "message": f"the model cannot be loaded: {error}"})
        return
    _answer(replies, {"ready": True})
    while True:
        _answer(replies, measure(json.loads(lines.get()), settings, model, views))


def _private_output() -> TextIO:
    """Standard output for our own lines alone: what libraries print goes nowhere, as it may quote a header."""
    own = os.fdopen(os.dup(1), "w", encoding="utf-8")
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    try:
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a memory image of a crash would hold the whole study
    except (ImportError, ValueError, OSError):
        pass  # not on this system
    return own


def _listen(lines: queue.SimpleQueue[str]) -> None:
    for line in sys.stdin:
        lines.put(line)
    shutil.rmtree(tempfile.gettempdir(), ignore_errors=True)  # ours alone: see `isolation.Child`
    os._exit(0)


def _answer(replies: TextIO, content: dict[str, Any]) -> None:
    replies.write(json.dumps(content) + "\n")
    replies.flush()


def _load(settings: Settings) -> tuple[Segmenter | None, LongAxisModel | None]:
    """What finds structures in the short axis, and in the long axis."""
    if settings.models == LABELS:
        return None, None  # and torch is never imported
    import warnings
    from pathlib import Path

    import torch

    from cinecmr.analyze import run

    torch.set_num_threads(settings.threads)
    warnings.simplefilter("ignore")  # what a card warns of is said once, by the run
    folder = None if settings.models_dir is None else Path(settings.models_dir)
    views = run.long_axis(settings.long_axis, settings.device, folder, settings.precision)
    return run.segmenter(settings.models, settings.device, None, folder, settings.precision), views


if __name__ == "__main__":
    main()
