"""What a person sees of a run: a bar with the time left on a terminal, lines elsewhere; TensorBoard where asked for."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any, TextIO

from cinecmr.errors import RefusedInput

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from types import TracebackType

    from cinecmr.learn.recipe import Recipe

_HIDDEN = {"update", "rate", "seconds", "gradient"}
SHOWN = 4  # figures after the loss


def clock(seconds: float) -> str:
    """A duration as a person says it.

    >>> clock(42), clock(754), clock(9000)
    ('42 s', '13 min', '2.5 h')
    """
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def figures(line: dict[str, float]) -> str:
    """Loss and the next few figures of a log line, in one short text.

    >>> figures({"loss": 0.5, "mse_sax": 0.25, "update": 3, "rate": 1e-3})
    'loss 0.5  mse_sax 0.25'
    """
    return "  ".join([f"{name} {value:.4g}" for name, value in line.items() if name not in _HIDDEN][: 1 + SHOWN])


class Bar:
    """Progress of one run, with the time left; call it with every log line.

    Args:
        recipe: how many updates there are.
        what: name of the run, for a person.
        stream: where to; a bar if it is a terminal, else a line a call.
    """

    def __init__(self, recipe: Recipe, what: str = "training", stream: TextIO | None = None) -> None:
        self.updates, self.what, self.stream = recipe.schedule.updates, what, stream or sys.stderr
        self._first: tuple[float, float] | None = None
        self._started = time.monotonic()
        self._bar: Any = None

    def __enter__(self) -> Bar:
        """Show the bar."""
        if self.stream.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, Progress, TextColumn

            columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[told]}"))
            self._bar = Progress(*columns, console=Console(file=self.stream))
            self._bar.start()
            self._task = self._bar.add_task(self.what, total=self.updates, told="starting")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave the terminal as it was."""
        if self._bar is not None:
            self._bar.stop()

    def left(self, line: dict[str, float]) -> float | None:
        """Seconds to the last update, from the pace since the first line; None at the first."""
        done, now = line["update"], time.monotonic()
        if self._first is None:
            self._first = (done, now)
            return None
        return (now - self._first[1]) / max(done - self._first[0], 1) * (self.updates - done)

    def __call__(self, line: dict[str, float]) -> None:
        """Show a log line."""
        left = self.left(line)
        told = f"{figures(line)}" + ("" if left is None else f"  {clock(left)} left")
        if self._bar is not None:
            self._bar.update(self._task, completed=line["update"], told=told)
        else:
            print(f"{self.what}: update {line['update']:.0f} of {self.updates}  {told}", file=self.stream, flush=True)


def tensorboard(folder: Path) -> Callable[[dict[str, float]], None]:
    """Something to call with every log line, which TensorBoard then shows; a run that goes on replaces what it repeats.

    Raises:
        RefusedInput: TensorBoard is not installed (`no-tensorboard`).
    """
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise RefusedInput(
            "no-tensorboard", "TensorBoard is not installed: pip install 'cinecmr[train]', or leave it out"
        ) from error
    writer: Any = None

    def note(line: dict[str, float]) -> None:
        nonlocal writer
        update = int(line["update"])
        writer = writer or SummaryWriter(str(folder / "tensorboard"), purge_step=update)
        for name, value in line.items():
            if name != "update":
                writer.add_scalar(name, value, update)
        writer.flush()

    return note


def together(*listeners: Callable[[dict[str, float]], None] | None) -> Callable[[dict[str, float]], None]:
    """Several listeners as one."""

    def tell(line: dict[str, float]) -> None:
        for listener in listeners:
            if listener is not None:
                listener(line)

    return tell
