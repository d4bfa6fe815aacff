"""Who runs in a folder: a claim that ends with its process, and the removal of locks that nobody holds any more."""

from __future__ import annotations

import fcntl
import os
import shutil
import sys
from pathlib import Path

import psutil

from evidence_hpo.errors import StorageError
from evidence_hpo.paths import WORK
from evidence_hpo.storage import storage_errors

__all__ = ["claim_folder"]


def claim_folder(folder: Path) -> None:
    """Claim ``folder`` for this process until it ends, and clear the stale lock of a killed Snakemake.

    The claim is a lock of the kernel on an open file, so it disappears with the process, however it dies. It is
    passed on through exec, but not to the jobs that Snakemake starts.

    Raises:
        StorageError: A live run holds the folder, or the disk is full.
    """
    claim = folder / WORK / "run.lock"
    with storage_errors(claim):
        claim.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(claim, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        raise StorageError(f"{claim}: another run holds this folder; wait for it or stop it") from error
    os.set_inheritable(descriptor, True)
    _clear_stale_lock(folder)


def _clear_stale_lock(folder: Path) -> None:
    locks = folder / ".snakemake" / "locks"
    if not locks.is_dir() or not any(locks.iterdir()):
        return
    process = _live_snakemake(folder)
    if process is not None:
        raise StorageError(f"{locks}: held by the running Snakemake with process id {process}; wait for it or stop it")
    shutil.rmtree(locks)
    print("cleared the lock of a run that was killed; continuing from what it finished", file=sys.stderr)


def _live_snakemake(folder: Path) -> int | None:
    """Return the process id of a Snakemake that works in ``folder``, other than this process.

    One that runs a single job of another, as on a node of a cluster (``--mode``), holds no lock; a killed Snakemake
    leaves such jobs running, and they do not keep the study from going on.
    """
    for process in psutil.process_iter(["pid", "cmdline", "cwd"]):
        command = process.info["cmdline"] or []
        snakemake = any(Path(part).name == "snakemake" for part in command[:4]) and "--mode" not in command
        if snakemake and process.info["cwd"] == str(folder) and process.info["pid"] != os.getpid():
            return int(process.info["pid"])
    return None
