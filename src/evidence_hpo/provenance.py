"""What produced a result: configuration, code, versions, commit and hardware, readable without Snakemake."""

from __future__ import annotations

import datetime
import importlib.metadata
import os
import platform
import subprocess
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from evidence_hpo.files import digest_file, read_json, write_json

__all__ = [
    "CONFIGURATION_VARIABLE",
    "git_state",
    "hardware",
    "library_versions",
    "lineage_tags",
    "origin_here",
    "provenance_of_record",
    "read_origin",
    "write_step_provenance",
]

CONFIGURATION_VARIABLE = "EVIDENCE_HPO_CONFIGURATION"
"""Environment variable by which the workflow tells its jobs the digest of the resolved configuration.

It is no param of a rule: a job depends on the settings that it is given, not on the whole configuration.
"""

_LARGEST_DIGESTED = 256 * 2**20
"""Bytes above which a file is not read again for its digest; what is larger has one of its own in a record."""

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
    """Return the machine's processor and, where torch is already loaded, what torch computes with."""
    described: dict[str, Any] = {
        "machine": platform.machine(),
        "processor": _processor(),
        "cpus": os.cpu_count(),
        "system": platform.system(),
    }
    torch = sys.modules.get("torch")
    if torch is None:
        return described
    described["instructions"] = torch.backends.cpu.get_cpu_capability()
    if torch.cuda.is_available():
        described["gpus"] = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
        described["cuda"] = str(torch.version.cuda)
    return described


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "")


def origin_here(code: str = "") -> dict[str, Any]:
    """Return what this process would produce a result with: the part of a provenance file that is not the step's.

    Args:
        code: Digest of the code that runs.
    """
    return {
        "code": code,
        "configuration": os.environ.get(CONFIGURATION_VARIABLE),
        "versions": library_versions(),
        "git": git_state(),
        "hardware": hardware(),
    }


def write_step_provenance(step: str, log: Path, code: str, arguments: dict[str, Any], job: dict[str, Any]) -> None:
    """Write the provenance of a finished step beside the results, mirroring the path of its log.

    ``results/logs/a/b.log`` becomes ``results/provenance/a/b.json``. It names the SHA-256 of each file that the step
    was given, read or written alike, so that the files chain every result to the corpus.
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
            "files": _file_digests(arguments),
            **origin_here(code),
            "job": job,
            "finished_at": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        },
    )


def _file_digests(arguments: Mapping[str, Any]) -> dict[str, str]:
    """Return the SHA-256 of the arguments' files by path; folders and very large files have digests of their own."""
    found = sorted({path for value in arguments.values() for path in _paths(value)})
    small = [path for path in found if path.is_file() and path.stat().st_size <= _LARGEST_DIGESTED]
    return {path.as_posix(): digest_file(path) for path in small}


def _paths(value: Any) -> Iterator[Path]:
    if isinstance(value, Path):
        yield value
    elif isinstance(value, list | tuple):
        yield from (item for item in value if isinstance(item, Path))


def provenance_of_record(record: Path) -> Path:
    """Return the provenance file of a run's ``record.json``.

    ``results/criteria/retrain/final/seed_0/record.json`` has ``results/provenance/criteria/retrain/final/seed_0.json``.

    Raises:
        ValueError: The record does not lie in a folder ``results``.
    """
    parts = record.parent.parts
    place = len(parts) - 1 - parts[::-1].index("results")
    return Path(*parts[: place + 1], "provenance", *parts[place + 1 :]).with_suffix(".json")


def read_origin(record: Path) -> dict[str, Any]:
    """Return the provenance of a run's record; empty where there is none.

    Raises:
        DataError: The file is not JSON.
    """
    try:
        path = provenance_of_record(record)
    except ValueError:
        return {}
    return dict(read_json(path)) if path.is_file() else {}


def lineage_tags(
    stage: str, digests: Mapping[str, Any] | None = None, origin: Mapping[str, Any] | None = None
) -> dict[str, str]:
    """Return where a result comes from as flat tags.

    ``stage``, ``git.{commit,branch,dirty}`` (``unknown`` outside a git checkout), ``version.<library>``,
    ``hardware.<property>``, ``config.hash``, ``code.hash``, ``backbone.hash``, ``data.hash.<split>.<task>``. What is
    not known has no tag.

    Args:
        stage: What the run is for, as ``train``.
        digests: Content digests as a run's record has them: ``train`` and ``validation`` by task, ``backbone``,
            ``code``; whatever else there is, counts as data.
        origin: Content of the provenance file (:func:`read_origin`); None: this process.
    """
    origin = origin_here() if origin is None else origin
    digests = digests or {}
    git = {"commit": "unknown", "branch": "unknown", "dirty": "unknown", **origin.get("git", {})}
    data = {name: value for name, value in digests.items() if name not in ("backbone", "code")}
    hashes = {
        "config.hash": origin.get("configuration"),
        "code.hash": digests.get("code") or origin.get("code"),
        "backbone.hash": digests.get("backbone"),
    }
    return {
        "stage": stage,
        **dict(_flat("git", git)),
        **dict(_flat("version", origin.get("versions", {}))),
        **dict(_flat("hardware", origin.get("hardware", {}))),
        **{name: str(value) for name, value in hashes.items() if value},
        **dict(_flat("data.hash", data)),
    }


def _flat(prefix: str, values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for name, value in sorted(values.items()):
        if isinstance(value, Mapping):
            yield from _flat(f"{prefix}.{name}", value)
        elif isinstance(value, bool):
            yield f"{prefix}.{name}", str(value).lower()
        elif value is not None:
            shown = ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
            yield f"{prefix}.{name}", shown


def _plain(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    return value.as_posix() if isinstance(value, Path) else value
