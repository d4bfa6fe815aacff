"""A study of one architecture whose trials are made by the search's stand-in for training; used by these tests only."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.unit.search.search_support import FileStudy, stage

from evidence_hpo.config.search import SearchSettings
from evidence_hpo.files import write_json


class CriteriaStudy(FileStudy):
    """Files where a real study of `criteria` has them."""

    def folder(self, name: str) -> Path:
        return self.root / "results" / "criteria" / name


def made_study(root: Path, trials: int = 20) -> CriteriaStudy:
    """Run a search of two stages in ``root``."""
    first = stage(trials=trials, first_round=trials // 2, round_size=trials // 2, sampler="random")
    second = stage("stage2", space=None, trials=6, first_round=4, round_size=2, sampler="random")
    study = CriteriaStudy(root, SearchSettings(stages=(first, second)), shards=2)
    study.run()
    return study


def command(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    program = [sys.executable, "-m", "evidence_hpo.cli.main", *arguments]
    return subprocess.run(program, cwd=folder, capture_output=True, text=True, check=False)


def retrained(root: Path, *architectures: str, spread: float | None = 0.02) -> dict[str, Any]:
    """Write a ``retrain_summary.json`` that names trial 1 of stage2."""
    origin = {"stage": "stage2", "number": 1}
    parameters = {"learning_rate": 1e-5, "dropout": 0.2, "batch_size": 16, "gradient_accumulation_steps": 2}
    digest = "0" * 64
    checkpoint = {"path": "results/criteria/retrain/final/seed_0/model", "sha256": digest}
    seeds = [
        {"seed_index": n, "seed": 7 + n, "state": "complete", "value": 0.8, "best_epoch": 2.0, "checkpoint": checkpoint}
        for n in range(2)
    ]
    of_rank = {"origin": origin, "search_value": 0.84, "mean": 0.81, "standard_deviation": None, "optimism": 0.03}
    one = {
        "objective": "macro_f1",
        "epochs": 4,
        "configurations": [{"rank": 0, **of_rank, "parameters": parameters, "seeds": seeds}],
        "chosen_rank": 0,
        "parameters": parameters,
        "final": {"mean": 0.8, "standard_deviation": spread, "seeds": seeds},
        "refit": None,
        "best_checkpoint": {**checkpoint, "seed_index": 0, "value": 0.8},
        "score_mean": 0.8,
        "score_std": spread,
        "adjusted": 0.8 - 0.1 * (spread or 0.0),
        "notes": [],
    }
    content = {"study": "test", "architectures": dict.fromkeys(architectures, one)}
    write_json(root / "results" / "retrain_summary.json", content)
    return one
