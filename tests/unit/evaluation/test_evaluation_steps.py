"""The steps that need no model, as commands: files in, checked files out, the same bytes twice."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from evaluation_toys import DIGEST, evaluation

from evidence_hpo.config.training import RuntimeSettings
from evidence_hpo.files import read_json, write_json, write_json_lines
from evidence_hpo.step import run_step
from evidence_hpo.steps.analyse_search import analyse_search
from evidence_hpo.steps.plot_evaluation import plot_evaluation
from evidence_hpo.steps.plot_search import plot_search
from evidence_hpo.steps.report_evaluation import report_evaluation
from evidence_hpo.steps.summarize_study import summarize_study

ORIGIN = {"stage": "stage1", "number": 1}
RUNTIME = RuntimeSettings(device="cpu").model_dump()


def trial(number: int) -> dict[str, Any]:
    value = 0.5 + 0.01 * number
    return {
        "study": "toy",
        "architecture": "share",
        "stage": "stage1",
        "round": 0,
        "number": number,
        "key": f"{number:064x}",
        "origin": None,
        "seed": number,
        "epochs": 1,
        "data_fraction": 1.0,
        "objective": "macro_f1",
        "early_stopping_patience": 3,
        "runtime": RUNTIME,
        "sampled": {"dropout": 0.1 * number},
        "parameters": {"dropout": 0.1 * number},
        "rungs": [],
        "state": "complete",
        "value": value,
        "best_epoch": 1.0,
        "evaluations": [{"epoch": 1.0, "train": {"loss": 0.7}, "metrics": {"macro_f1": value}}],
        "reason": None,
        "precision": "fp32",
        "notes": [],
        "duration_seconds": 1.0,
        "effective_batch_size": 16,
        "effective_learning_rate": 1e-3,
        "digests": {"train": {}, "validation": {}, "backbone": DIGEST, "code": DIGEST},
        "versions": {"python": "3.11"},
    }


def retrain_summary() -> dict[str, Any]:
    checkpoint = {"path": "results/share/retrain/final/seed_0/model", "sha256": DIGEST}
    seed = {"seed_index": 0, "seed": 5, "state": "complete", "value": 0.5, "best_epoch": 1.0, "checkpoint": checkpoint}
    configuration = {
        "rank": 0,
        "origin": ORIGIN,
        "search_value": 0.51,
        "mean": 0.5,
        "standard_deviation": None,
        "optimism": 0.01,
        "parameters": {"dropout": 0.1},
        "seeds": [seed],
    }
    share = {
        "objective": "macro_f1",
        "epochs": 1,
        "configurations": [configuration],
        "chosen_rank": 0,
        "parameters": {"dropout": 0.1},
        "final": {"mean": 0.5, "standard_deviation": None, "seeds": [seed]},
        "refit": None,
        "best_checkpoint": {**checkpoint, "seed_index": 0, "value": 0.5},
        "score_mean": 0.5,
        "score_std": None,
        "adjusted": 0.5,
        "notes": [],
    }
    return {"study": "toy", "architectures": {"share": share}}


def chosen() -> dict[str, Any]:
    seeds = [{"seed_index": 0, "seed": 5, "state": "complete", "value": 0.5}]
    score = {"search_value": 0.51, "mean": 0.5, "standard_deviation": None, "optimism": 0.01, "seeds": seeds}
    return {
        "study": "toy",
        "architecture": "share",
        "stage": "stage1",
        "objective": "macro_f1",
        "epochs": 1,
        "early_stopping_patience": 3,
        "runtime": RUNTIME,
        "chosen_rank": 0,
        "refit_epochs": 1,
        "configuration": {"rank": 0, "origin": ORIGIN, "value": 0.51, "sampled": {}, "parameters": {}},
        "configurations": [{"rank": 0, "origin": ORIGIN, **score}],
        "notes": [],
    }


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    dimension = {"name": "dropout", "kind": "float", "low": 0.0, "high": 0.3, "log": False, "note": "toy"}
    space = {"architecture": "share", "stage": "stage1", "source": "configured", "dimensions": [dimension], "notes": []}
    summary = {
        "study": "toy",
        "architecture": "share",
        "stage": "stage1",
        "objective": "macro_f1",
        "trials": 3,
        "states": {"complete": 3, "pruned": 0, "failed": 0},
        "best": {"number": 2, "value": 0.52, "best_epoch": 1.0, "parameters": {}},
        "epochs": {"full": 3.0, "spent": 3.0, "saved_by_pruning": 0.0},
        "failures": [],
        "reruns": None,
        "duration_seconds": 3.0,
        "timing": [{"round": 0, "shards": [[1.0, 1.0, 1.0]]}],
    }
    write_json(tmp_path / "chosen.json", chosen())
    write_json(tmp_path / "space.json", space)
    write_json(tmp_path / "summary.json", summary)
    write_json_lines(tmp_path / "trials.jsonl", [trial(number) for number in range(3)])
    write_json(tmp_path / "evaluation.json", evaluation("share"))
    write_json(tmp_path / "retrain_summary.json", retrain_summary())
    return tmp_path


def command(function: Any, **options: str) -> None:
    given = [part for name, value in options.items() for part in (f"--{name.replace('_', '-')}", value)]
    run_step(function, [*given, "--log", "logs/step.log"])


def report(folder: str) -> None:
    command(
        report_evaluation,
        evaluations="evaluation.json",
        retraining="retrain_summary.json",
        report=f"{folder}/report.json",
        text=f"{folder}/report.md",
    )


def test_report_summary_and_figures_are_written_and_are_the_same_twice(files: Path) -> None:
    for folder in ("one", "two"):
        report(folder)
        stage = {"trials": "trials.jsonl", "spaces": "space.json", "summaries": "summary.json", "lags": "0"}
        analysis = f"{folder}/analysis.json"
        command(analyse_search, **stage, chosen="chosen.json", trials_per_gpu="1", output=analysis)
        command(
            summarize_study,
            trials="trials.jsonl",
            summaries="summary.json",
            analyses=f"{folder}/analysis.json",
            evaluations="evaluation.json",
            retraining="retrain_summary.json",
            report="one/report.json",
            output=f"{folder}/study.json",
        )
        names = ("history", "importance", "curves", "slices", "parallel", "correlation", "rounds")
        figures = {name: f"{folder}/{name}.svg" for name in names}
        command(plot_search, **stage, trials_per_gpu="1", **figures)
        figures = {name: f"{folder}/{name}.svg" for name in ("scores", "by_criterion", "confusion", "reliability")}
        command(plot_evaluation, evaluation="evaluation.json", **figures)
    one = {path.name: path.read_bytes() for path in (files / "one").iterdir()}
    assert len(one) == 15
    assert one == {path.name: path.read_bytes() for path in (files / "two").iterdir()}
    assert read_json(files / "one/study.json")["architectures"]["share"]["best_trial_number"] == 2
    assert "## Verdicts" in (files / "one/report.md").read_text(encoding="utf-8")


def test_a_file_that_breaks_its_schema_is_named(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_json(files / "evaluation.json", {**evaluation("share"), "split": "validation"})
    with pytest.raises(SystemExit) as stopped:
        report("one")
    assert stopped.value.code == 3
    assert "evaluation.json: split" in capsys.readouterr().err
    assert not (files / "one").exists()
