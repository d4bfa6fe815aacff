"""Several runs at once: each is done once, whatever happens to the processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from evidence_hpo.errors import TrainingError
from evidence_hpo.logs import open_log
from evidence_hpo.search.interruption import watch_for_interruption
from evidence_hpo.search.workers import run_in_workers


@dataclass(frozen=True)
class Writing:
    """Pieces of work that leave a file each, with the process that did it."""

    folder: Path
    seconds: float = 0.05
    killed_at: int = -1

    def __call__(self) -> Callable[[int], None]:
        return self.work

    def work(self, number: int) -> None:
        if number == self.killed_at:
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(self.seconds)
        with (self.folder / f"{number}.{os.getpid()}").open("x"):
            pass


def _done(folder: Path) -> list[int]:
    return sorted(int(path.stem) for path in folder.iterdir())


def _workers(job: psutil.Process) -> list[psutil.Process]:
    return [one for one in job.children(recursive=True) if "spawn_main" in " ".join(one.cmdline())]


def test_every_piece_is_done_once_by_some_worker(tmp_path: Path) -> None:
    run_in_workers(Writing(tmp_path), 12, 3)
    assert _done(tmp_path) == list(range(12))
    assert 1 < len({path.suffix for path in tmp_path.iterdir()}) <= 3


def test_no_more_workers_than_pieces(tmp_path: Path) -> None:
    run_in_workers(Writing(tmp_path), 1, 8)
    assert _done(tmp_path) == [0]


def test_a_killed_worker_leaves_its_piece_and_the_others_go_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run_in_workers(Writing(tmp_path, killed_at=3), 10, 2)
    assert _done(tmp_path) == [0, 1, 2, *range(4, 10)]
    assert "ended with code -9; what it left is done by the job itself" in capsys.readouterr().err


def test_workers_have_logs_of_their_own(tmp_path: Path) -> None:
    (tmp_path / "work").mkdir()
    with open_log(tmp_path / "shard_0.log"):
        run_in_workers(Writing(tmp_path / "work"), 2, 2)
    assert {path.name for path in tmp_path.glob("*.log")} == {
        "shard_0.log",
        "shard_0.worker_0.log",
        "shard_0.worker_1.log",
    }


def test_a_job_that_is_asked_to_end_ends_its_workers(tmp_path: Path) -> None:
    timer = threading.Timer(1.5, os.kill, (os.getpid(), signal.SIGTERM))
    timer.start()
    started = time.monotonic()
    with pytest.raises(TrainingError, match="run again to continue"):
        run_in_workers(Writing(tmp_path, seconds=60.0), 4, 2)
    timer.join()
    assert time.monotonic() - started < 30
    assert not _workers(psutil.Process())


@dataclass(frozen=True)
class LongEpoch:
    """Work that ends a second after it was asked to."""

    folder: Path

    def __call__(self) -> Callable[[int], None]:
        return self.work

    def work(self, number: int) -> None:
        with watch_for_interruption() as interruption:
            (self.folder / f"{number}.started").touch()
            while not interruption.requested:
                time.sleep(0.05)
            time.sleep(1.0)
            (self.folder / f"{number}.ended").touch()


def test_a_scheduler_that_signals_every_process_lets_the_epochs_end(tmp_path: Path) -> None:
    def preempt() -> None:
        while len(list(tmp_path.glob("*.started"))) < 2:
            time.sleep(0.1)
        for process in (*_workers(psutil.Process()), psutil.Process()):
            process.send_signal(signal.SIGTERM)

    scheduler = threading.Thread(target=preempt)
    scheduler.start()
    with pytest.raises(TrainingError, match="run again to continue"):
        run_in_workers(LongEpoch(tmp_path), 2, 2)
    scheduler.join()
    assert {path.name for path in tmp_path.glob("*.ended")} == {"0.ended", "1.ended"}


JOB = """
import sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from test_workers import Writing
from evidence_hpo.search.workers import run_in_workers

if __name__ == "__main__":
    run_in_workers(Writing(Path({folder!r}), seconds=60.0), 4, 2)
"""


def test_workers_do_not_outlive_a_killed_job(tmp_path: Path) -> None:
    script = tmp_path / "job.py"
    (tmp_path / "work").mkdir()
    script.write_text(JOB.format(tests=str(Path(__file__).parent), folder=str(tmp_path / "work")))
    job = subprocess.Popen([sys.executable, str(script)])
    deadline = time.monotonic() + 60
    workers: list[psutil.Process] = []
    while len(workers) < 2 and time.monotonic() < deadline:
        time.sleep(0.2)
        workers = _workers(psutil.Process(job.pid))
    assert len(workers) == 2
    time.sleep(2.0)  # until they watch the job
    job.kill()
    job.wait()
    _, alive = psutil.wait_procs(workers, timeout=30)
    assert not alive
