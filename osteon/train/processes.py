"""One fold on several processes of this machine: gloo between CPUs, NCCL between GPUs.

Lightning's own launchers start the program a second time, or send pixels and progress through a pickle; these
processes map the decoded images, and only words of progress and epochs travel.
"""

from __future__ import annotations

import os
import pickle
import socket
from dataclasses import dataclass
from queue import Empty
from typing import TYPE_CHECKING, Any

from osteon.errors import OsteonError, TrainingError

if TYPE_CHECKING:
    from multiprocessing.queues import Queue

    from osteon.data.options import Progress
    from osteon.train.objective import FoldJob
    from osteon.train.run_folder import EpochRecord, OnEpoch

__all__ = ["LESS_MEMORY", "ran_out_of_memory", "train_in_processes"]

LESS_MEMORY = "a smaller batch or image_size needs less memory"

_PATIENCE_S = 0.2
_NO_MEMORY = ("out of memory", "allocate memory", "not enough memory", "alloc_failed", "bad_alloc", "sigkill")
"""What CUDA, torch's allocators, cuBLAS, C++ and the killer of Linux say."""

_OF_CLUSTERS = ("SLURM_", "TORCHELASTIC_", "OMPI_", "PMI_", "PMIX_", "LSB_", "JSM_")
_OF_RANKS = ("RANK", "GROUP_RANK", "ROLE_RANK", "LOCAL_WORLD_SIZE", "GROUP_WORLD_SIZE", "ROLE_WORLD_SIZE")


@dataclass(frozen=True, slots=True)
class _Failure:
    """An error of a process, as it travels to the one that asked."""

    error: OsteonError


def ran_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that the memory did not suffice.

    Example:
        >>> ran_out_of_memory(RuntimeError("CUDA out of memory")), ran_out_of_memory(RuntimeError("shapes differ"))
        (True, False)
    """
    return isinstance(error, MemoryError) or any(words in str(error).lower() for words in _NO_MEMORY)


def train_in_processes(job: FoldJob, *, on_epoch: OnEpoch, progress: Progress) -> tuple[EpochRecord, ...]:
    """Train a fold on ``settings.devices`` processes; when one fails, or progress raises, all are ended."""
    import torch.multiprocessing as mp
    from torch.multiprocessing.spawn import ProcessExitedException, ProcessRaisedException, start_processes

    context = mp.get_context("spawn")
    said: Queue[Any] = context.Queue()
    count = job.settings.devices
    running = start_processes(_train, args=(job, count, _free_port(), said), nprocs=count, join=False)
    history: tuple[EpochRecord, ...] = ()
    failures: list[OsteonError] = []
    is_over = False

    def listen() -> None:
        """Hand on what was said; forget nothing that is still on its way when the processes are over."""
        nonlocal history
        while True:
            try:
                word = said.get(timeout=_PATIENCE_S)
            except Empty:
                return
            if isinstance(word, _Failure):
                failures.append(word.error)
            elif isinstance(word, list):
                history = tuple(word)
            elif len(word) == 2:
                on_epoch(*word)
            else:
                progress(*word)

    try:
        while not is_over:
            listen()
            is_over = running.join(timeout=_PATIENCE_S)
        listen()
    except (ProcessExitedException, ProcessRaisedException) as error:
        listen()
        if failures:
            raise failures[0] from None
        hint = (
            f"fewer devices help, and {LESS_MEMORY}" if ran_out_of_memory(error) else "train with devices=1 to see why"
        )
        said_last = str(error).strip().splitlines()[-1]
        raise TrainingError(f"fold {job.fold}: a training process ended ({said_last}): {hint}") from error
    finally:
        for process in running.processes:
            if process.is_alive():
                process.terminate()
            process.join()
    return history


def _train(rank: int, job: FoldJob, count: int, port: int, said: Queue[Any]) -> None:
    """What each process does; the first one speaks."""
    for name in [name for name in os.environ if name in _OF_RANKS or name.startswith(_OF_CLUSTERS)]:
        del os.environ[name]  # of whoever started the program: these processes are of one machine and one fold
    os.environ |= {
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "NODE_RANK": "0",
        "LOCAL_RANK": str(rank),
        "WORLD_SIZE": str(count),
    }
    speaks = rank == 0

    def on_epoch(fold: int, record: object) -> None:
        if speaks:
            said.put((fold, record))

    def progress(step: str, done: int, total: int) -> None:
        if speaks:
            said.put((step, done, total))

    try:
        pixels = job.objective.load(job.manifest, job.settings, job.cache, skip_unreadable=True)
        history = job.objective.train(job, pixels, on_epoch=on_epoch, progress=progress, rank=rank)
    except OsteonError as error:
        said.put(_Failure(_travelling(error)))
        said.close()
        said.join_thread()
        raise SystemExit(1) from error
    if speaks:
        said.put(list(history))


def _travelling(error: OsteonError) -> OsteonError:
    """The error itself where a pickle can carry it, else its words."""
    try:
        pickle.loads(pickle.dumps(error))  # noqa: S301 - our own bytes
    except (TypeError, AttributeError, pickle.PicklingError):
        return TrainingError(str(error))
    return error


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
