"""What a person sees of a run."""

import importlib.util
import io
import sys

import pytest

from cinecmr.errors import RefusedInput
from cinecmr.learn import progress
from cinecmr.learn.recipe import Recipe, Schedule


class Terminal(io.StringIO):
    def isatty(self):
        return True


def recipe(updates=100):
    return Recipe({}, schedule=Schedule(updates, 1, 1, 1))


def line(update, **more):
    return {"loss": 0.5, "update": update, "rate": 0.1, "seconds": 0.0} | more


def test_the_time_left_follows_from_the_pace_since_the_first_line(monkeypatch):
    now = iter([0.0, 100.0, 130.0])
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(now))
    bar = progress.Bar(recipe(100), stream=io.StringIO())
    assert bar.left(line(10)) is None
    assert bar.left(line(25)) == pytest.approx(30 / 15 * 75)


def test_without_a_terminal_each_call_is_a_line():
    stream = io.StringIO()
    with progress.Bar(recipe(), "learning", stream) as bar:
        bar(line(1))
        bar(line(2, dice_lv=0.25))
    first, second = stream.getvalue().splitlines()
    assert first == "learning: update 1 of 100  loss 0.5"
    assert second.startswith("learning: update 2 of 100  loss 0.5  dice_lv 0.25  ")
    assert second.endswith("left")


def test_a_terminal_gets_a_bar_that_ends():
    stream = Terminal()
    with progress.Bar(recipe(), "learning", stream) as bar:
        bar(line(50))
        bar(line(100))
    assert "learning" in stream.getvalue()
    assert bar._bar.finished


def test_listeners_are_told_together_and_none_is_passed_over():
    told = []
    progress.together(told.append, None, told.append)({"update": 1.0})
    assert told == [{"update": 1.0}] * 2


def test_tensorboard_that_is_not_there_is_told_with_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(RefusedInput, match=r"pip install 'cinecmr\[train\]'") as refused:
        progress.tensorboard(tmp_path)
    assert refused.value.code == "no-tensorboard"


@pytest.mark.skipif(importlib.util.find_spec("tensorboard") is None, reason="TensorBoard is not installed")
def test_tensorboard_gets_every_figure(tmp_path):
    note = progress.tensorboard(tmp_path)
    note(line(1))
    note(line(2))
    assert list((tmp_path / "tensorboard").glob("events*"))
