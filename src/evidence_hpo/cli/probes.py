"""What `doctor` looks at on the machine: each probe is a small function of facts, which may be of any machine."""

from __future__ import annotations

import importlib.metadata
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

__all__ = [
    "Probe",
    "State",
    "pinned_versions",
    "probe_cpu",
    "probe_disk",
    "probe_folder",
    "probe_gpus",
    "probe_memory",
    "probe_packages",
    "probe_slurm",
    "probe_tools",
    "required_packages",
]

_GIGABYTE = 1e9
_JOB_BYTES = 6e9
"""Memory that a training job asks for (rules/search.smk)."""

_SHOWN = {"mlflow", "optuna", "snakemake", "torch", "transformers"}
"""Packages whose versions are shown even if all is well."""

_SECONDS = 15.0
"""After which a program that does not answer counts as out of reach."""


class State(StrEnum):
    """What a probe found: all well, worth knowing, or something that is needed is missing."""

    ok = "ok"
    note = "note"
    missing = "missing"


@dataclass(frozen=True)
class Probe:
    """One finding, and what to do where something is missing or could be better."""

    name: str
    state: State
    found: str
    remedy: str = ""


def required_packages() -> list[str]:
    """Return the names of the packages that this one needs, without its extras."""
    requirements = importlib.metadata.requires("evidence-hpo") or ()
    names = (re.match(r"[A-Za-z0-9_.-]+", one) for one in requirements if "extra ==" not in one)
    return sorted({name[0].lower() for name in names if name})


def pinned_versions(constraints: Path) -> dict[str, str]:
    """Return package -> version of a constraints file; empty where there is none."""
    text = constraints.read_text(encoding="utf-8") if constraints.is_file() else ""
    pairs = re.findall(r"^([A-Za-z0-9_.-]+)==([^\s;#]+)", text, re.MULTILINE)
    return {name.lower().replace("_", "-"): version for name, version in pairs}


def probe_packages(
    names: Iterable[str], pinned: Mapping[str, str], version_of: Callable[[str], str] = importlib.metadata.version
) -> list[Probe]:
    """Return a probe of each package that is missing or not of the pinned version, and one of all others."""
    probes, fine = [], []
    for name in names:
        wanted = pinned.get(name)
        try:
            version = version_of(name)
        except importlib.metadata.PackageNotFoundError:
            remedy = f"make install, or pip install --constraint constraints.txt {name}"
            probes.append(Probe(f"package {name}", State.missing, "not installed", remedy))
            continue
        if wanted is None or version.split("+")[0] == wanted.split("+")[0]:
            fine.append(f"{name} {version}")
        else:
            remedy = "the same numbers are promised with the pinned versions only: make install"
            probes.append(Probe(f"package {name}", State.note, f"{version}, pinned is {wanted}", remedy))
    shown = [text for text in fine if text.split()[0] in _SHOWN]
    others = f" and {len(fine) - len(shown)} more" if len(fine) > len(shown) else ""
    return [Probe("packages", State.ok, ", ".join(shown) + others), *probes] if fine else probes


def probe_cpu(facts: Mapping[str, Any], cores: int | None) -> Probe:
    """Say how many cores there are, and whether the CPU computes bf16 fast."""
    has = [name for name, there in facts["cpu"].items() if there]
    fast = {"avx512_bf16", "amx_bf16"} & set(has)
    advice = "" if fast else "precision auto computes in fp32 on this CPU: it has neither AVX512-BF16 nor AMX"
    return Probe(
        "CPU", State.ok if fast else State.note, f"{cores} cores; {', '.join(has) or 'no vector units'}", advice
    )


def probe_gpus(facts: Mapping[str, Any], *, wanted: bool, driver: bool) -> list[Probe]:
    """Say which GPUs there are.

    Args:
        facts: See :func:`evidence_hpo.training.machine.machine_facts`.
        wanted: Whether the configuration asks for a GPU.
        driver: Whether the system has NVIDIA's driver.
    """
    if facts["gpus"]:
        return [_gpu(number, gpu, facts["cuda"]) for number, gpu in enumerate(facts["gpus"])]
    if driver:
        found = f"the driver is there, but torch {facts['torch']} sees none (built for CUDA {facts['cuda']})"
        return [Probe("GPU", State.missing, found, "see nvidia-smi; install torch for the driver's CUDA")]
    if wanted:
        remedy = "run on a machine with a GPU, or set training.runtime.device to auto"
        return [Probe("GPU", State.missing, "none, and training.runtime.device is cuda", remedy)]
    return [Probe("GPU", State.note, "none", "large encoders need one; the default study does not")]


def _gpu(number: int, gpu: Mapping[str, Any], cuda: str | None) -> Probe:
    found = f"{gpu['name']}, {gpu['memory'] / _GIGABYTE:.0f} GB, CUDA {cuda}, {'bf16' if gpu['bf16'] else 'no bf16'}"
    advice = "" if gpu["bf16"] else "precision auto computes in fp32 here; fp16 is faster"
    return Probe(f"GPU {number}", State.ok if gpu["bf16"] else State.note, found, advice)


def probe_memory(available: float) -> Probe:
    """Compare the memory that is free, in bytes, with what a training job asks for."""
    found = f"{available / _GIGABYTE:.1f} GB free"
    if available < _JOB_BYTES:
        return Probe(
            "memory", State.note, found, f"a training job may need {_JOB_BYTES / _GIGABYTE:.0f} GB: use few --cores"
        )
    return Probe("memory", State.ok, found)


def probe_disk(free: float, needed: float) -> Probe:
    """Compare the disk that is free with the study's peak, both in bytes."""
    found = f"{free / _GIGABYTE:.1f} GB free, about {needed / _GIGABYTE:.1f} GB needed at the peak"
    if free < needed:
        return Probe("disk", State.missing, found, "free space, or lower training.checkpoints and retrain (see plan)")
    return Probe("disk", State.ok, found)


def probe_folder(folder: Path) -> Probe:
    """Say whether the folder of the study can be written to."""
    if os.access(folder, os.W_OK | os.X_OK):
        return Probe("folder", State.ok, f"{folder} can be written to")
    return Probe("folder", State.missing, f"{folder} cannot be written to", "change to a folder of your own")


def probe_slurm(
    which: Callable[[str], str | None] = shutil.which, answers: Callable[[list[str]], bool] | None = None
) -> Probe:
    """Say whether jobs can be handed to SLURM from here."""
    if which("sbatch") is None:
        return Probe("SLURM", State.note, "no sbatch here", "only needed with profiles/slurm")
    if not (answers or _answers)(["squeue", "--noheader", "--user", str(os.getuid())]):
        return Probe(
            "SLURM", State.note, "sbatch is here, but squeue does not answer", "see `sinfo`, or ask the cluster's staff"
        )
    return Probe("SLURM", State.ok, "sbatch and squeue answer")


def _answers(command: list[str]) -> bool:
    try:
        return subprocess.run(command, capture_output=True, timeout=_SECONDS, check=False).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def probe_tools(which: Callable[[str], str | None] = shutil.which) -> list[Probe]:
    """Say whether the programs are there that a run or its records use."""
    if which("git") is None:
        return [Probe("git", State.note, "not here", "records then name no commit")]
    return [Probe("git", State.ok, "here")]
