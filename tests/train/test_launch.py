"""Jobs here and on Ray: the same outcomes, and one that fails does not take the others along."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from osteon.data.options import Progress
from osteon.errors import BackendError, InputError
from osteon.train.launch import Cluster, Job, Outcome, launch


def write_square(folder: str, number: int, *, progress: Progress) -> None:
    """The work: writes a file, or fails in one of three ways."""
    progress("squaring", 0, 1)
    if number == 3:
        raise InputError("three was asked for; no three here")
    if number == 5:
        (Path(folder) / "missing" / "file").write_text("x")
    if number == 7:
        raise RuntimeError("CUDA out of memory\nand much more")
    if number == 11:
        os._exit(1)
    (Path(folder) / str(number)).write_text(str(number * number))


def _jobs(folder: Path, *numbers: int) -> list[Job]:
    return [Job(f"square-{number}", (str(folder), number)) for number in numbers]


def _check(outcomes: tuple[Outcome, ...], folder: Path) -> None:
    assert [outcome.name for outcome in outcomes] == [f"square-{number}" for number in (2, 3, 5, 7, 8)]
    assert [not outcome.error for outcome in outcomes] == [True, False, False, False, True]
    assert outcomes[1].error == "three was asked for; no three here"
    assert "No such file" in outcomes[2].error
    assert outcomes[3].error == "RuntimeError in torch: CUDA out of memory"
    assert {file.name: file.read_text() for file in folder.iterdir()} == {"2": "4", "8": "64"}


def test_a_failed_job_does_not_take_the_others_along(tmp_path: Path) -> None:
    said: list[tuple[str, int, int]] = []
    outcomes = launch(_jobs(tmp_path, 2, 3, 5, 7, 8), write_square, progress=lambda *step: said.append(step))
    _check(outcomes, tmp_path)
    assert [step for step in said if step[0] == "jobs"] == [("jobs", done, 5) for done in range(6)]
    assert said.count(("squaring", 0, 1)) == 5


def test_an_interruption_ends_the_whole(tmp_path: Path) -> None:
    def stop(step: str, done: int, _: int) -> None:
        if (step, done) == ("jobs", 1):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        launch(_jobs(tmp_path, 2, 8), write_square, progress=stop)
    assert [file.name for file in tmp_path.iterdir()] == ["2"]


@pytest.mark.slow
def test_ray_gives_the_same_outcomes_and_survives_a_lost_worker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a cluster of its own, whichever others there are."""
    pytest.importorskip("ray")
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    lost, *kept = launch(_jobs(tmp_path, 11, 2, 3, 5, 7, 8), write_square, cluster=Cluster("local"))
    assert lost.name == "square-11"
    assert "worker was lost" in lost.error
    _check(tuple(kept), tmp_path)


@pytest.mark.parametrize("scheme", ["", "ray://"])
def test_no_cluster_at_the_address_is_an_error_that_says_what_to_do(tmp_path: Path, scheme: str) -> None:
    pytest.importorskip("ray")
    with socket.socket() as free:  # bound and never listening: nobody answers there
        free.bind(("127.0.0.1", 0))
        address = f"{scheme}127.0.0.1:{free.getsockname()[1]}"
        with pytest.raises(BackendError, match=rf"{address!r}.*ray start --head"):
            launch(_jobs(tmp_path, 2), write_square, cluster=Cluster(address))


@pytest.mark.parametrize("address", ["127.0.0.1:99999", "127.0.0.1:many"])
def test_a_port_that_is_none_is_an_error(tmp_path: Path, address: str) -> None:
    pytest.importorskip("ray")
    with pytest.raises(BackendError, match=address):
        launch(_jobs(tmp_path, 2), write_square, cluster=Cluster(address))
