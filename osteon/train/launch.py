"""Jobs one after the other in this process, or on a Ray cluster; one that fails does not take the others along.

A job is a name and arguments that can be pickled; the work is a function of a module. Whoever wants to resume makes the
work look first at what an earlier attempt left: nothing is remembered here.

References:
    Ray: Moritz et al. 2018, doi:10.48550/arXiv.1712.05889
"""

from __future__ import annotations

import logging
import os
import socket
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from osteon._optional import MissingPackageError, require
from osteon.data.options import Progress, silent
from osteon.errors import BackendError, OsteonError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

__all__ = ["Cluster", "Job", "Outcome", "launch"]

_LOG = logging.getLogger(__name__)
_LOCAL = "local"
_KNOCK_S = 10.0


@dataclass(frozen=True, slots=True)
class Job:
    """Something to be done, by a name unique among those launched together; its arguments can be pickled."""

    name: str
    arguments: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a job.

    Attributes:
        name: of the job.
        error: "" when it is done, else one sentence.
        seconds: it took.
    """

    name: str
    error: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Cluster:
    """Where to find Ray, and what a job asks of it.

    Attributes:
        address: "local" starts a cluster on this machine and stops it at the end; "auto" joins the one that runs here;
            else "HOST:PORT" or "ray://HOST:PORT".
        cpus: of each job.
        gpus: of each job.
    """

    address: str
    cpus: float = 1
    gpus: float = 0


def launch(
    jobs: Sequence[Job], work: Callable[..., None], *, cluster: Cluster | None = None, progress: Progress = silent
) -> tuple[Outcome, ...]:
    """Do all jobs.

    Args:
        jobs: in the order in which they are begun.
        work: called with a job's arguments and ``progress=``; a function of a module, so that another process finds it.
        cluster: None does them here, one after the other.
        progress: told ("jobs", done, total) after each, and here also of the steps within a job.

    Returns:
        One outcome a job, in the order of the jobs. An error of a job is its outcome; only an interruption, or a
        cluster that is lost, ends the whole.

    Raises:
        BackendError: Ray is not installed, or there is no cluster at the address.
    """
    progress("jobs", 0, len(jobs))
    if cluster is not None:
        return _on_ray(jobs, work, cluster, progress)
    outcomes = []
    for job in jobs:
        outcomes.append(_attempt(job, work, progress))
        progress("jobs", len(outcomes), len(jobs))
    return tuple(outcomes)


def _attempt(job: Job, work: Callable[..., None], progress: Progress) -> Outcome:
    """Do one job; what goes wrong in it becomes a sentence, without what may be a patient's text."""
    started = time.perf_counter()
    error = ""
    try:
        work(*job.arguments, progress=progress)
    except (OsteonError, MissingPackageError) as known:
        error = str(known)
    except MemoryError:
        error = "the memory of the machine does not suffice: choose a smaller batch or image size"
    except OSError as refused:
        error = f"the system refused to read or write something ({refused.strerror or type(refused).__name__})"
    except RuntimeError as unknown:  # torch's own: out of memory on a GPU, shapes
        _LOG.debug("%s failed", job.name, exc_info=True)
        error = f"{type(unknown).__name__} in torch: {str(unknown).splitlines()[0] if str(unknown) else 'no message'}"
    return Outcome(job.name, error, time.perf_counter() - started)


def _on_ray(
    jobs: Sequence[Job], work: Callable[..., None], cluster: Cluster, progress: Progress
) -> tuple[Outcome, ...]:
    with _joined(cluster) as ray:
        remote = ray.remote(num_cpus=cluster.cpus, num_gpus=cluster.gpus, max_retries=0)(_attempt)
        names = {remote.remote(job, work, silent): job.name for job in jobs}
        pending, outcomes = list(names), {}
        try:
            while pending:
                done, pending = ray.wait(pending, num_returns=1, timeout=1.0)
                for reference in done:
                    outcomes[names[reference]] = _fetched(ray, reference, names[reference])
                progress("jobs", len(outcomes), len(jobs))
        except BaseException:  # an interruption: what runs is called back, what is done stays done
            for reference in pending:
                ray.cancel(reference, force=True)
            raise
    return tuple(outcomes[job.name] for job in jobs)


def _fetched(ray: Any, reference: object, name: str) -> Outcome:  # noqa: ANN401  # Ray is typed where it is installed
    try:
        outcome: Outcome = ray.get(reference)
    except ray.exceptions.RayError as lost:
        return Outcome(
            name, f"its worker was lost ({type(lost).__name__}): the same command with --resume goes on", 0.0
        )
    return outcome


@contextmanager
def _joined(cluster: Cluster) -> Iterator[Any]:
    """Ray, connected; disconnected at the end."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is reported to anybody
    # its handlers at a fork break processes that are copied later, as those that load images: they end by SIGSEGV
    os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # Ray's own future default; silences its warning
    try:
        ray = require("ray", extra="ray", purpose="to spread jobs over a cluster")
    except MissingPackageError as error:
        raise BackendError(str(error)) from error
    options = {"log_to_driver": False, "logging_level": logging.ERROR}
    try:
        if cluster.address == _LOCAL:
            # without an address Ray would join whatever cluster was last started on this machine, and end with it
            ray.init(address="local", include_dashboard=False, **options)
        else:
            _knock(cluster.address)
            ray.init(address=cluster.address, **options)
    except (OSError, ValueError, RuntimeError) as error:
        raise BackendError(
            f"a Ray cluster was asked for at {cluster.address!r}; none answered there ({type(error).__name__}): start "
            "one with `ray start --head`, or give --ray local to start one here"
        ) from error
    try:
        yield ray
    finally:
        ray.shutdown()


def _knock(address: str) -> None:
    """Whether somebody listens at a HOST:PORT: Ray itself would go on asking for more than a minute."""
    at = urlsplit(address if "//" in address else f"//{address}")
    if at.hostname and at.port:
        socket.create_connection((at.hostname, at.port), timeout=_KNOCK_S).close()
