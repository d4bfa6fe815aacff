"""A small disk of its own, which really gets full; and no time limit for examples: machines are busy."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("patient", deadline=None)
settings.load_profile("patient")


def _run(command: list[str]) -> bool:
    """Run a command as it is, or else by an administrator's right that needs no password; return whether it worked."""
    for prefix in ([], ["sudo", "-n"]):
        try:
            if subprocess.run([*prefix, *command], capture_output=True, check=False).returncode == 0:
                return True
        except FileNotFoundError:
            continue
    return False


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Callable[[int], Path]]:
    """Return a function that gives a folder on a file system of so many KiB; without the right to mount, skip.

    The same errors are injected at each writer by tests that always run.
    """
    mounted: list[Path] = []

    def mount(kib: int) -> Path:
        folder = tmp_path / f"disk{len(mounted)}"
        folder.mkdir()
        if not _run(["mount", "-t", "tmpfs", "-o", f"size={kib}k,mode=0777", "tmpfs", str(folder)]):
            reason = "a small file system cannot be mounted: needs the right to mount tmpfs (root, or sudo)"
            pytest.skip(reason)
        mounted.append(folder)
        return folder

    yield mount
    for folder in mounted:
        assert _run(["umount", str(folder)])
