"""What `cinecmr pretrain mae DATA` does: find the visits, bring them onto grids, learn, draw pictures."""

from __future__ import annotations

import json
import time
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cinecmr.datasets import Case, dataset
from cinecmr.datasets.run import recognised
from cinecmr.errors import RefusedInput
from cinecmr.io.files import write_text
from cinecmr.learn.fit import fit
from cinecmr.learn.overrides import overridden
from cinecmr.learn.parallel import joined
from cinecmr.learn.progress import Bar, tensorboard, together
from cinecmr.learn.start import WEIGHTS
from cinecmr.phantom.study import synthetic_study
from cinecmr.pretrain import mae, pictures
from cinecmr.pretrain.pool import gather

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from cinecmr.learn.recipe import Recipe
    from cinecmr.pretrain.pool import Entry

PHANTOM, PICTURES = "phantom", 4


def cases_of(data: str, layout: str | None = None, subjects: int = 20, seed: int = 0, frames: int = 8) -> list[Case]:
    """Visits of a data set on disk, or synthetic ones.

    Args:
        data: a folder, or the word "phantom".
        layout: the data set it is; found out when None.
        subjects: how many synthetic ones; the first has the seed `seed`.
        seed: see `subjects`.
        frames: of a synthetic beat.

    Raises:
        RefusedInput: the folder is laid out as no data set, or as several (`other-layout`).
    """
    if data == PHANTOM:
        names = [f"phantom{seed + number:05d}" for number in range(subjects)]
        return [
            Case(name, partial(synthetic_study, seed + number, frames=frames), person=name)
            for number, name in enumerate(names)
        ]
    folder = Path(data)
    found = [layout] if layout else recognised(folder) if folder.is_dir() else []
    if len(found) != 1:
        what = f"could be {', '.join(found)}" if found else "is laid out as none of the data sets"
        raise RefusedInput("other-layout", f"{folder} {what}; `cinecmr datasets` lists them, name one with --layout")
    return list(dataset(found[0]).cases(folder))


def held_apart(entries: Sequence[Entry], share: float) -> tuple[list[Entry], list[Entry]]:
    """Visits to learn from, and those of other people to check on: one person or more if there are two or more."""
    people = sorted({entry.person for entry in entries})  # hashes: their order is drawn already
    kept = set(people[: max(1, round(share * len(people)))]) if len(people) > 1 else set[str]()
    return [e for e in entries if e.person not in kept], [e for e in entries if e.person in kept]


def told(recipe: Recipe, parameters: int, visits: int, held_out: int) -> list[str]:
    """What is about to happen, for a person."""
    schedule = recipe.schedule
    epochs = schedule.updates * schedule.batch / visits
    return [
        f"run {recipe.key}: masked autoencoder with {parameters / 1e6:.1f} million weights",
        f"{visits} visits to learn from, {held_out} to check on; {schedule.updates} updates of {schedule.batch}, "
        f"{epochs:.0f} epochs; {recipe.precision}",
    ]


def pretrain(
    cases: Iterable[Case],
    out: Path,
    scale: str = "laptop",
    preset: str = "sound",
    given: Sequence[str] = (),
    *,
    seed: int = 0,
    device: str = "cpu",
    workers: int = 0,
    watch: bool = False,
    say: Callable[[str], None] = print,
) -> Path:
    """Pre-train a masked autoencoder; stopped and started again, it goes on where it was.

    Args:
        cases: visits to learn from and to check on.
        out: gets pool/, a folder of the run's name with log.jsonl, checkpoint and weights, and pictures in it.
        scale: "smoke", "laptop", "gpu" or "full".
        preset: "published", "official" or "sound".
        given: settings that differ, as `--set` takes them.
        seed: of weights, order and changes.
        device: where the network runs.
        workers: threads that make batches ahead of time.
        watch: also write what TensorBoard shows.
        say: told one line at a time.

    Returns:
        The weights.

    Raises:
        RefusedInput: nothing to learn from, or a setting that does not exist or makes no sense.
    """
    plan = overridden(_plan(scale, preset), given)
    with joined(device) as world:
        if world.first:
            gather(cases, plan.settings.grids(), out / "pool", plan.frames, say)
        world.wait()
        entries = gather(cases, plan.settings.grids(), out / "pool", plan.frames, _quiet)
        learned, held_out = held_apart(entries, plan.held_out)
        recipe = plan.recipe(learned, seed)
        objective = mae.MAE(learned, held_out, plan.settings)
        folder = out / recipe.key
        if world.first:
            count = sum(p.numel() for p in objective.network().parameters())
            for line in told(recipe, count, len(learned), len(held_out)):
                say(line)
        started = time.monotonic()
        bar = Bar(recipe, "pre-training") if world.first else None
        with bar or nullcontext():
            listeners = together(bar, tensorboard(folder) if watch and world.first else None)
            network: Any = fit(recipe, objective, folder, listeners, device=device, workers=workers)
        if world.first:
            pictures.draw(network, objective, (held_out or learned)[:PICTURES], folder / "pictures")
            _note(folder, scale, preset, device, time.monotonic() - started)
        return folder / WEIGHTS


def _quiet(line: str) -> None:
    """Says nothing: another process said it."""
    del line


def _plan(scale: str, preset: str) -> mae.Plan:
    try:
        return mae.plan(scale, preset)
    except ValueError as error:
        raise RefusedInput("no-such-setting", str(error)) from error


def _note(folder: Path, scale: str, preset: str, device: str, seconds: float) -> None:
    """How the run was made, beside its recipe."""
    last = json.loads((folder / "log.jsonl").read_text().splitlines()[-1])
    scores = {name: value for name, value in last.items() if name.startswith(("psnr", "held_out"))}
    made = {"scale": scale, "preset": preset, "device": device, "seconds_of_last_start": round(seconds, 1), **scores}
    write_text(folder / "made.json", json.dumps(made, indent=1) + "\n")
