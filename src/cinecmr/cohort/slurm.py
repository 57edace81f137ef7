"""A cohort as a job array of Slurm: a script that measures one part a job, and the command that submits it.

Each job is a run of its own with a ledger of its own part, so jobs need no network between them, may be killed and
submitted again, and start in any order.
"""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from typing import TYPE_CHECKING

from cinecmr.cohort.studies import listed
from cinecmr.errors import RefusedInput
from cinecmr.io.files import write_text
from cinecmr.io.naming import Names, open_key, private_folder

if TYPE_CHECKING:
    from cinecmr.cohort.run import Task

SCRIPT = "slurm-array.sh"


def part_of(text: str | None) -> tuple[int, int] | None:
    """A part from "NUMBER/OF", the number from 0.

    Raises:
        RefusedInput: there is no such part.

    >>> part_of("3/250")
    (3, 250)
    """
    if text is None:
        return None
    match = re.fullmatch(r"(\d+)/(\d+)", text)
    if match is None or int(match[1]) >= int(match[2]):
        raise RefusedInput("bad-part", f"--part {text} is no part: give its number, from 0, and how many, as 3/250")
    return int(match[1]), int(match[2])


def script(task: Task, parts: int, options: tuple[str, ...]) -> str:
    """The job script, sh.

    Args:
        task: what to measure.
        parts: jobs of the array.
        options: of the jobs, such as "--partition=cpu".

    Raises:
        RefusedInput: an option that is none (`bad-slurm-option`).
    """
    for option in options:
        if not re.fullmatch(r"--[a-z][a-z-]*(=[^\s#]+)?", option):
            raise RefusedInput("bad-slurm-option", f"{option!r} is no option of sbatch; write it as --time=8:00:00")
    settings = task.settings
    memory = int(settings.memory_limit_mb * 1.25) + 500  # the run itself beside the study
    words = [sys.executable, "-m", "cinecmr.cli", "cohort", "run", str(task.source.absolute())]
    words += ["--out", str(task.out.absolute()), "--private", str(private_folder(task.out, task.private).absolute())]
    words += ["--workers", str(task.where.workers or 1), "--keep", settings.keep, "--models", settings.models]
    words += ["--long-axis", settings.long_axis]
    words += ["--time-limit", f"{settings.time_limit_s:g}", "--memory-limit", f"{settings.memory_limit_mb:g}"]
    words += ["--threads", str(settings.threads), "--device", settings.device, "--precision", settings.precision]
    for name, value in (("--models-dir", settings.models_dir), ("--sax", settings.sax), ("--rr-ms", settings.rr_ms),
                        ("--only-refused", task.only_refused)):  # fmt: skip
        words += [] if value is None else [name, str(value)]
    lines = [
        "#!/bin/sh",
        "#SBATCH --job-name=cinecmr-cohort",
        f"#SBATCH --array=0-{parts - 1}",
        f"#SBATCH --cpus-per-task={(task.where.workers or 1) * settings.threads}",
        f"#SBATCH --mem={memory * (task.where.workers or 1)}M",
        "#SBATCH --output=/dev/null",  # all there is to know is in the ledgers, and nothing else may be written
        *(f"#SBATCH {option}" for option in options),
        "# a job that was killed may be submitted again: it goes on where it was",
        f'exec {shlex.join(words)} --part "${{SLURM_ARRAY_TASK_ID}}/{parts}"',
    ]
    return "\n".join(lines) + "\n"


def submit(task: Task, chunk: int, options: tuple[str, ...]) -> str:
    """Write the script into the cohort's folder and submit it.

    Args:
        task: what to measure.
        chunk: studies a job.
        options: of the jobs.

    Returns:
        What sbatch said, and where the script is.

    Raises:
        RefusedInput: there is no sbatch, or it refused (`no-slurm`); the script is there all the same.
    """
    count = len(listed(task.source, Names(open_key(private_folder(task.out, task.private)))).entries)
    path = task.out / SCRIPT
    write_text(path, script(task, -(-count // chunk), options))
    try:
        told = subprocess.run(["sbatch", str(path)], check=True, capture_output=True, text=True)  # noqa: S603, S607
    except FileNotFoundError:
        raise RefusedInput("no-slurm", f"there is no sbatch here; submit {path} where there is one") from None
    except subprocess.CalledProcessError as error:
        raise RefusedInput("no-slurm", f"sbatch refused {path}: {error.stderr.strip()}") from None
    return f"{told.stdout.strip()}\n{count} studies, {chunk} a job: {path}"
