"""The lock of a killed Snakemake is cleared, but not the lock of one that lives."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from evidence_hpo.cli.locks import claim_folder
from evidence_hpo.errors import StorageError

PROGRAM = "import time; print('ready', flush=True); time.sleep(60)"


@contextmanager
def process(folder: Path, *arguments: str) -> Iterator[int]:
    """Run a process that looks like a Snakemake in ``folder``."""
    command = [sys.executable, "-c", PROGRAM, "snakemake", *arguments]
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE) as started:
        try:
            assert started.stdout is not None
            started.stdout.readline()
            yield started.pid
        finally:
            started.kill()


@pytest.fixture
def locked(tmp_path: Path) -> Path:
    (tmp_path / ".snakemake" / "locks").mkdir(parents=True)
    (tmp_path / ".snakemake" / "locks" / "0.input.lock").touch()
    return tmp_path


def test_the_lock_of_a_live_snakemake_stands(locked: Path) -> None:
    with process(locked, "--cores", "2") as number, pytest.raises(StorageError, match=f"process id {number};"):
        claim_folder(locked)


def test_jobs_that_a_killed_snakemake_left_running_hold_no_lock(locked: Path) -> None:
    with process(locked, "--cores", "all", "--mode", "remote"):
        claim_folder(locked)
    assert not (locked / ".snakemake" / "locks").exists()
