"""What produced a result: configuration, code, versions, commit and hardware, readable without Snakemake."""

from __future__ import annotations

import datetime
import importlib.metadata
import os
import platform
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from evidence_hpo.files import write_json

__all__ = ["git_state", "hardware", "library_versions", "write_step_provenance"]

_LIBRARIES = (
    "torch",
    "transformers",
    "tokenizers",
    "datasets",
    "optuna",
    "scikit-learn",
    "numpy",
    "pandas",
    "snakemake",
)


def library_versions() -> dict[str, str]:
    """Return the versions of Python, this package and the libraries that results depend on."""
    versions = {"python": platform.python_version()}
    for name in ("evidence-hpo", *_LIBRARIES):
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions


@cache
def git_state() -> dict[str, Any]:
    """Return commit, branch and whether files differ from the commit; empty outside a git checkout."""

    def git(*arguments: str) -> str:
        command = ["git", *arguments]
        folder = Path(__file__).resolve().parent
        return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True).stdout.strip()

    try:
        return {
            "commit": git("rev-parse", "HEAD"),
            "branch": git("rev-parse", "--abbrev-ref", "HEAD"),
            "dirty": bool(git("status", "--porcelain", "--untracked-files=no")),
        }
    except (OSError, subprocess.CalledProcessError):
        return {}


def hardware() -> dict[str, Any]:
    """Return the machine's processor and, where torch is already loaded, its GPUs."""
    described: dict[str, Any] = {
        "machine": platform.machine(),
        "processor": _processor(),
        "cpus": os.cpu_count(),
        "system": platform.system(),
    }
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        described["gpus"] = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    return described


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "")


def write_step_provenance(step: str, log: Path, code: str, arguments: dict[str, Any], job: dict[str, Any]) -> None:
    """Write the provenance of a finished step beside the results, mirroring the path of its log.

    ``results/logs/a/b.log`` becomes ``results/provenance/a/b.json``.
    """
    parts = list(log.with_suffix(".json").parts)
    if "logs" not in parts:
        return
    parts[len(parts) - 1 - parts[::-1].index("logs")] = "provenance"
    shown = {
        name: value.model_dump(mode="json") if isinstance(value, BaseModel) else _plain(value)
        for name, value in arguments.items()
    }
    write_json(
        Path(*parts),
        {
            "step": step,
            "arguments": shown,
            "code": code,
            "versions": library_versions(),
            "git": git_state(),
            "hardware": hardware(),
            "job": job,
            "finished_at": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        },
    )


def _plain(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    return value.as_posix() if isinstance(value, Path) else value
