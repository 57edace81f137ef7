"""A Dask cluster to measure on: of this machine, one that is there already, or of jobs that Slurm starts.

Imported only where studies are measured: it needs the extra `cluster`.
"""

from __future__ import annotations

import logging
import os
import tempfile
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from cinecmr.errors import RefusedInput

if TYPE_CHECKING:
    from collections.abc import Iterator

PATIENCE = "15s"  # for a scheduler to answer
STARTS = 3  # of a cluster on this machine
LOST_WORKERS = 10  # that a study may survive before it is taken for the cause


@dataclass(frozen=True)
class Where:
    """Where to measure.

    Attributes:
        workers: on this machine, or jobs of Slurm; None takes one a GPU or core.
        scheduler: address of a scheduler that is there, such as "tcp://node7:8786"; wins over all else.
        jobqueue: whether Slurm starts the workers, by dask-jobqueue.
        job_options: lines of a Slurm job, such as "--partition=gpu".
        gpu: whether each worker has a GPU of its own on this machine.
    """

    workers: int | None = None
    scheduler: str | None = None
    jobqueue: bool = False
    job_options: tuple[str, ...] = ()
    gpu: bool = False


@contextmanager
def client(where: Where, threads: int, memory_mb: float) -> Iterator[Any]:
    """A `distributed.Client` to submit studies to.

    Args:
        where: see `Where`.
        threads: of a study.
        memory_mb: a study may take, for the size of a job.

    Raises:
        RefusedInput: Dask is not installed (`no-cluster`), or no scheduler answers (`no-scheduler`).
    """
    dask, distributed = libraries()
    logging.getLogger("distributed").setLevel(logging.CRITICAL)  # a lost worker is ours to tell, without a traceback
    quiet = {"distributed.scheduler.allowed-failures": LOST_WORKERS, "distributed.worker.profile.enabled": False,
             "distributed.admin.system-monitor.interval": "10s", "distributed.scheduler.work-stealing": False,
             "distributed.diagnostics.nvml": False}  # fmt: skip
    with ExitStack() as open_things:
        open_things.enter_context(dask.config.set(quiet))
        if where.scheduler is not None:
            address: Any = where.scheduler
        else:
            scratch = open_things.enter_context(tempfile.TemporaryDirectory(prefix="cinecmr-dask-"))
            making = _jobs(where, threads, memory_mb) if where.jobqueue else _local(where, threads, scratch)
            address = open_things.enter_context(making)
        try:
            yield open_things.enter_context(distributed.Client(address, timeout=PATIENCE))
        except (OSError, TimeoutError) as error:
            if where.scheduler is None:
                raise
            raise RefusedInput("no-scheduler", f"no scheduler answers at {where.scheduler} ({error})") from error


def libraries() -> tuple[Any, Any]:
    """Dask and distributed.

    Raises:
        RefusedInput: they are not installed.
    """
    try:
        import dask
        import distributed
    except ImportError:
        raise RefusedInput("no-cluster", "cohorts need Dask: pip install 'cinecmr[cluster]'") from None
    return dask, distributed


def _local(where: Where, threads: int, scratch: str) -> Any:
    """Workers on this machine that listen to it alone; their memory is watched study by study, not by Dask."""
    count = where.workers or (_gpus() if where.gpu else max((os.cpu_count() or 1) // threads, 1))
    making = partial(
        libraries()[1].LocalCluster, n_workers=count, threads_per_worker=1, processes=True, memory_limit=0,
        dashboard_address=None, host="127.0.0.1", local_directory=scratch, silence_logs=logging.CRITICAL,
    )  # fmt: skip
    for _ in range(STARTS - 1):
        with suppress(RuntimeError):  # a worker was lost before it had begun
            return making()
    return making()


def _gpus() -> int:
    import torch

    return max(torch.cuda.device_count(), 1)


def _jobs(where: Where, threads: int, memory_mb: float) -> Any:
    """Jobs of Slurm, each one worker."""
    try:
        from dask_jobqueue import SLURMCluster
    except ImportError:
        raise RefusedInput("no-cluster", "--slurm jobqueue needs: pip install dask-jobqueue") from None
    cluster = SLURMCluster(
        cores=1, job_cpu=threads, processes=1, memory=f"{int(memory_mb * 1.25)}MB",
        worker_extra_args=["--no-dashboard"], job_extra_directives=list(where.job_options),
        scheduler_options={"dashboard_address": None},
    )  # fmt: skip
    cluster.scale(jobs=where.workers or 1)
    return cluster


def gpus(where: Where) -> int:
    """GPUs to share out among the workers of this machine; 0 where the settings decide."""
    return _gpus() if where.gpu and where.scheduler is None and not where.jobqueue else 0
