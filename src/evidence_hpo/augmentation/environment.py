"""TextAttack's own virtual environment, made once: its requirements exclude those of the rest of the package."""

from __future__ import annotations

import importlib.metadata
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from filelock import FileLock

from evidence_hpo.errors import ConfigurationError
from evidence_hpo.files import digest_bytes, digest_file, write_json
from evidence_hpo.logs import log_event
from evidence_hpo.paths import WORK

__all__ = ["build_environment", "environment_folder", "interpreter_of"]

_MARK = "complete.json"
_FIRST = "torch"
"""Installed before the others, so that what depends on it takes this build of it."""


def environment_folder(requirements: Path, root: Path = WORK / "environments") -> Path:
    """Return where the environment of a requirements file lies: another for each content and Python version.

    Raises:
        DataError: The file is missing.
    """
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    key = digest_bytes(f"{version} {digest_file(requirements)}".encode())
    return root / f"textattack-{key[:16]}"


def interpreter_of(folder: Path) -> Path:
    """Return the interpreter of an environment."""
    return folder / "bin" / "python"


def build_environment(requirements: Path, folder: Path) -> dict[str, Any]:
    """Make the environment unless it is there, and return its description.

    A build that was killed is begun anew; two builds of the same environment wait for each other.

    Args:
        requirements: File of exact pins, one a line.
        folder: Where the environment lies.

    Returns:
        ``interpreter`` (path), ``requirements`` (SHA-256 of the file), ``python`` and ``versions`` of its packages.

    Raises:
        ConfigurationError: A package could not be installed.
        DataError: The requirements are missing.
    """
    digest = digest_file(requirements)
    mark = folder / _MARK
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.with_suffix(".lock")):
        if not mark.is_file() or not interpreter_of(folder).exists():
            shutil.rmtree(folder, ignore_errors=True)
            log_event("environment", f"making {folder}: 1.5 GB, some minutes; once")
            _make(requirements, folder)
            write_json(mark, {"requirements": digest})
    packages = importlib.metadata.distributions(path=[str(path) for path in folder.glob("lib/python*/site-packages")])
    version = subprocess.run(
        [interpreter_of(folder), "-c", "import platform; print(platform.python_version())"],
        capture_output=True,
        text=True,
        check=True,
    )
    return {
        "interpreter": interpreter_of(folder).as_posix(),
        "requirements": digest,
        "python": version.stdout.strip(),
        "versions": {package.name.lower(): package.version for package in packages},
    }


def _make(requirements: Path, folder: Path) -> None:
    lines = requirements.read_text(encoding="utf-8").splitlines()
    pins = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
    first = [pin for pin in pins if pin.startswith(f"{_FIRST}==")]
    _run([sys.executable, "-m", "venv", str(folder)], "venv")
    pip = [str(interpreter_of(folder)), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input"]
    for pin in first:
        _run([*pip, pin], pin)
    _run([*pip, "--requirement", str(requirements)], requirements.name)


def _run(command: list[str], what: str) -> None:
    finished = subprocess.run(command, capture_output=True, text=True, check=False)
    if finished.returncode:
        errors = [line for line in finished.stderr.splitlines() if line.startswith("ERROR")]
        reason = json.dumps(errors[-1][:300]) if errors else f"exit code {finished.returncode}"
        raise ConfigurationError(
            f"TextAttack's environment: {what} could not be installed ({reason}); is there a package index? or use "
            "--sdm conda"
        )
