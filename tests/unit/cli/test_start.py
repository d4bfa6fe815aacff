"""What Snakemake does before its first job: after the deadline none starts, and the lock says whose it is."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from evidence_hpo.cli.locks import claim_folder
from evidence_hpo.cli.start import start_run
from evidence_hpo.errors import StorageError

SNAKEFILE = """
import os, time
from evidence_hpo.cli.start import start_run
from evidence_hpo.search.interruption import DEADLINE_VARIABLE

SECONDS = float(config["seconds"])

onstart:
    if SECONDS:
        os.environ[DEADLINE_VARIABLE] = repr(time.time() + SECONDS)
    start_run(workflow)

rule all:
    input: "stopped", "done", "later"

rule stopped:
    output: "stopped"
    priority: 1
    shell: "echo stopped >> started; sleep {config[lasting]}; exit 1"

rule done:
    output: "done"
    priority: 1
    shell: "echo done >> started; sleep {config[lasting]}; touch {output}"

rule later:
    output: "later"
    shell: "echo later >> started; touch {output}"
"""


def command(folder: Path, seconds: float, lasting: float) -> list[str]:
    (folder / "Snakefile").write_text(SNAKEFILE, encoding="utf-8")
    options = ["--cores", "2", "--retries", "3", "--keep-going", "--config", f"seconds={seconds}", f"lasting={lasting}"]
    return [sys.executable, "-m", "snakemake", *options]


def test_nothing_starts_after_the_deadline_and_what_runs_may_end(tmp_path: Path) -> None:
    ended = subprocess.run(command(tmp_path, 1.5, 3.0), cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ended.returncode == 1, ended.stderr
    assert sorted((tmp_path / "started").read_text().split()) == ["done", "stopped"]
    assert (tmp_path / "done").exists()
    assert "warning: the time budget is used up: no job starts any more" in ended.stderr
    assert not (tmp_path / ".snakemake/locks").exists()


def test_without_a_deadline_a_failed_job_is_tried_again(tmp_path: Path) -> None:
    ended = subprocess.run(command(tmp_path, 0.0, 0.0), cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert sorted((tmp_path / "started").read_text().split()) == ["done", "later", *["stopped"] * 4]
    assert "time budget" not in ended.stderr


class Scheduler:
    """Snakemake's, as far as its lock goes."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.ended = threading.Event()

    def exit_gracefully(self) -> None:
        with self.lock:
            self.ended.set()


def test_sigterm_while_the_scheduler_holds_its_lock_is_no_deadlock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    scheduler, before = Scheduler(), signal.getsignal(signal.SIGTERM)
    try:
        start_run(SimpleNamespace(scheduler=scheduler, execution_settings=SimpleNamespace(lock=True)))
        with scheduler.lock:
            os.kill(os.getpid(), signal.SIGTERM)
            assert not scheduler.ended.wait(0.2)
        assert scheduler.ended.wait(10.0)
    finally:
        signal.signal(signal.SIGTERM, before)


def test_a_snakemake_that_no_command_started_holds_the_folder_while_it_runs(tmp_path: Path) -> None:
    with subprocess.Popen(command(tmp_path, 0.0, 60.0), cwd=tmp_path, start_new_session=True) as running:
        try:
            while not (tmp_path / "started").exists():
                assert running.poll() is None
                time.sleep(0.1)
            assert json.loads((tmp_path / ".snakemake/locks/holder.json").read_text())["host"] == socket.gethostname()
            with pytest.raises(StorageError, match="another run holds this folder"):
                claim_folder(tmp_path)
            running.kill()
            running.wait()
            claim_folder(tmp_path)
            assert not (tmp_path / ".snakemake/locks").exists()
        finally:
            os.killpg(running.pid, signal.SIGKILL)
