"""Real Snakemake runs on a tiny study, from a copy of the workflow, each in a folder of its own."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
COPIED = ("Snakefile", "workflow_config.yaml", "rules", "src", "envs", "report", "presets", "profiles")

TINY: dict[str, Any] = {
    "study": {"name": "tiny", "architectures": ["criteria"]},
    "data": {"corpus": {"sample": {"posts": 80}}},
    "backbones": {"small": {"hidden": 16, "layers": 1, "heads": 2, "intermediate": 32, "vocabulary": 300}},
    "training": {"parameters": {"head_hidden": 16, "max_length": 64}, "checkpoints": {"keep_best_k": 2}},
    "spaces": {"sample": {"precision": {"choices": ["fp32", "bf16", "fp16"]}}},
    "search": {
        "stages": [
            {
                "name": "stage1",
                "space": "sample",
                "trials": 6,
                "first_round": 3,
                "round_size": 3,
                "epochs": 2,
                "data_fraction": 0.5,
                "pruner": {"rungs": [1.0], "minimum_trials": 2},
            },
            {
                "name": "stage2",
                "trials": 4,
                "first_round": 2,
                "round_size": 2,
                "epochs": 2,
                "pruner": {"rungs": [1.0], "minimum_trials": 2},
            },
        ]
    },
    "retrain": {"top_k": 2, "seeds": 1, "final_seeds": 1},
    "evaluation": {"bootstrap_repeats": 100},
    "tracking": {"enabled": False},
}


def overlay(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``base`` with the dotted keys of ``changes`` set; a number in a key is a position in a list."""
    copied = yaml.safe_load(yaml.safe_dump(dict(base)))
    for key, value in changes.items():
        place: Any = copied
        *parents, last = key.split(".")
        for part in parents:
            place = place[int(part)] if isinstance(place, list) else place.setdefault(part, {})
        place[int(last) if isinstance(place, list) else last] = value
    return dict(copied)


@dataclass
class Study:
    """A folder in which a copy of the workflow runs."""

    repository: Path
    folder: Path
    settings: dict[str, Any]

    @property
    def environment(self) -> dict[str, str]:
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
        return {**os.environ, "PYTHONPATH": str(self.repository / "src"), "PATH": path}

    def command(self, *arguments: str, program: str = "snakemake") -> list[str]:
        """Write the configuration and return a command line that uses it."""
        configuration = self.folder / "study.yaml"
        configuration.write_text(yaml.safe_dump(self.settings), encoding="utf-8")
        if program == "evidence-hpo":
            module = ["-m", "evidence_hpo.cli.main", *arguments]
            return [sys.executable, *module, "--configfile", str(configuration)]
        snakemake = [sys.executable, "-m", "snakemake", "--snakefile", str(self.repository / "Snakefile")]
        return [*snakemake, "--configfile", str(configuration), *arguments]

    def run(self, *arguments: str, program: str = "snakemake", check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a command in the study's folder and return what it printed."""
        finished = subprocess.run(
            self.command(*arguments, program=program),
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        if check and finished.returncode:
            pytest.fail(f"exit code {finished.returncode}:\n{finished.stdout[-3000:]}\n{finished.stderr[-6000:]}")
        return finished

    def planned(self, *arguments: str) -> dict[str, int]:
        """Return how many jobs of each rule a dry run would start."""
        finished = self.run("--dry-run", *arguments)
        return {
            rule: int(count)
            for rule, count in re.findall(r"^([a-z_]+) +(\d+)$", finished.stdout + finished.stderr, re.MULTILINE)
            if rule not in {"total", "all", "job"}
        }


def make_study(folder: Path, settings: Mapping[str, Any]) -> Study:
    """Copy the workflow into ``folder`` and return the study that runs beside it."""
    repository = folder / "repository"
    repository.mkdir(parents=True)
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, repository / name, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
        else:
            shutil.copy2(source, repository / name)
    work = folder / "study"
    work.mkdir()
    return Study(repository, work, dict(settings))
