"""The lock of a killed Snakemake of this machine is cleared; not that of one that lives, or may live elsewhere."""

from __future__ import annotations

import contextlib
import fcntl
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from evidence_hpo.cli.locks import claim_folder, noted_start
from evidence_hpo.cli.studies import is_live
from evidence_hpo.errors import StorageError

LOCKS = Path(".snakemake/locks")


@contextlib.contextmanager
def snakemake(folder: Path, before: str = "", after: str = "") -> Iterator[subprocess.Popen[str]]:
    """Run a process that notes, as Snakemake does, that it holds the lock of ``folder``."""
    program = [
        "import socket, subprocess, time",
        "from pathlib import Path",
        "from evidence_hpo.cli import locks",
        before,
        "locks.note_lock_holder(Path.cwd())",
        after,
        "print('ready', flush=True)",
        "time.sleep(60)",
    ]
    command = [sys.executable, "-c", "\n".join(program)]
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True) as started:
        try:
            assert started.stdout is not None
            assert started.stdout.readline() == "ready\n"
            yield started
        finally:
            started.kill()


@pytest.fixture
def locked(tmp_path: Path) -> Path:
    (tmp_path / LOCKS).mkdir(parents=True)
    (tmp_path / LOCKS / "0.input.lock").touch()
    return tmp_path


OTHER_HOST, OTHER_BOOT = "socket.gethostname = lambda: 'login1'", "locks._boot = lambda: 'another'"


def test_the_lock_of_a_live_snakemake_stands(locked: Path) -> None:
    with snakemake(locked):
        assert is_live(locked)
        with pytest.raises(StorageError, match=r"run\.lock: another run holds this folder"):
            claim_folder(locked)
    assert (locked / LOCKS).exists()


@pytest.mark.parametrize("before", ["", OTHER_BOOT, OTHER_HOST], ids=["killed", "restarted machine", "container"])
def test_the_lock_of_a_snakemake_that_died_on_this_machine_is_cleared(
    locked: Path, before: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with snakemake(locked, before):
        pass
    claim_folder(locked)
    assert not (locked / LOCKS).exists()
    assert "cleared the lock of a run that was killed" in capsys.readouterr().err


def test_the_lock_of_a_snakemake_on_another_machine_stands(locked: Path) -> None:
    """Not all file systems show its claim here."""
    with snakemake(locked, f"{OTHER_HOST}; {OTHER_BOOT}"):
        pass
    with pytest.raises(StorageError, match=r"locks: locked by a Snakemake on login1; if it runs no more, remove this"):
        claim_folder(locked)
    assert (locked / LOCKS / "0.input.lock").exists()


@pytest.mark.parametrize("content", [None, "", "[]", '{"boot": null}'])
def test_a_lock_that_says_nothing_of_its_machine_stands(locked: Path, content: str | None) -> None:
    if content is not None:
        (locked / LOCKS / "holder.json").write_text(content, encoding="utf-8")
    with pytest.raises(StorageError, match="on a machine that is not known"):
        claim_folder(locked)


def test_jobs_that_a_killed_snakemake_left_running_hold_no_lock(locked: Path) -> None:
    job = "print(subprocess.Popen(['sleep', '60']).pid, file=open('job', 'w'), flush=True)"
    with snakemake(locked, after=job):
        pass
    try:
        claim_folder(locked)
        assert not (locked / LOCKS).exists()
    finally:
        os.kill(int((locked / "job").read_text()), 9)


def test_a_command_that_only_looks_does_not_keep_snakemake_from_its_claim(locked: Path) -> None:
    claim = locked / "results/work/run.lock"
    claim.parent.mkdir(parents=True)
    with claim.open("w") as looking:
        fcntl.flock(looking, fcntl.LOCK_EX)
        with snakemake(locked):
            fcntl.flock(looking, fcntl.LOCK_UN)
            for _ in range(100):
                if is_live(locked):
                    break
                time.sleep(0.05)
            assert is_live(locked)


def test_one_that_takes_no_lock_does_not_say_that_it_is_its_own(locked: Path) -> None:
    with snakemake(locked, before=OTHER_HOST + "; " + OTHER_BOOT):
        pass
    program = (
        "from pathlib import Path; from evidence_hpo.cli import locks; locks.note_lock_holder(Path.cwd(), locks=False)"
    )
    subprocess.run([sys.executable, "-c", program], cwd=locked, check=True)
    with pytest.raises(StorageError, match="locked by a Snakemake on login1"):
        claim_folder(locked)


def test_a_lock_of_the_first_moments_is_of_the_machine_of_the_command_that_started_it(locked: Path) -> None:
    program = (
        "from pathlib import Path; import os, sys; from evidence_hpo.cli import locks\n"
        "with locks.noted_start(Path.cwd()): os._exit(9)"
    )
    assert subprocess.run([sys.executable, "-c", program], cwd=locked, check=False).returncode == 9
    claim_folder(locked)
    assert not (locked / LOCKS).exists()


def test_a_start_that_ended_says_nothing_of_later_locks(locked: Path) -> None:
    with noted_start(locked):
        pass
    with pytest.raises(StorageError, match="on a machine that is not known"):
        claim_folder(locked)


def test_the_job_that_slurm_started_again_elsewhere_goes_on(locked: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURM_JOB_ID", "17")
    with snakemake(locked, before=OTHER_HOST + "; " + OTHER_BOOT):
        pass
    monkeypatch.setenv("SLURM_JOB_ID", "18")
    with pytest.raises(StorageError, match="locked by a Snakemake on login1"):
        claim_folder(locked)
    monkeypatch.setenv("SLURM_JOB_ID", "17")
    claim_folder(locked)
    assert not (locked / LOCKS).exists()
