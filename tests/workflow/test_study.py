"""What a finished study leaves: every artefact, its provenance, a report, and no text of any post."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from huggingface_hub import ModelCard
from tests.workflow.study import TINY, Study, make_study, overlay

from evidence_hpo.cli.reproduce import Mode, reproduce
from evidence_hpo.config.loading import read_yaml
from evidence_hpo.files import digest_file, read_json
from evidence_hpo.schemas import read_artefact, read_artefact_lines

pytestmark = pytest.mark.workflow

LAST = ("report_cost", "write_overview")
"""Steps that run after everything that is counted."""
PUBLIC = {".json", ".jsonl", ".md", ".svg", ".log", ".tsv", ".html"}


def test_summaries_follow_their_schemas(finished: Study) -> None:
    results = finished.folder / "results"
    summary = read_artefact(results / "retrain_summary.json", "retrain_summary")
    assert set(summary["architectures"]) == {"criteria"}
    read_artefact(results / "evaluation_report.json", "evaluation_report")
    read_artefact(results / "study_summary.json", "study_summary")


def test_best_checkpoint_is_there_with_its_digest(finished: Study) -> None:
    summary = json.loads((finished.folder / "results/retrain_summary.json").read_text(encoding="utf-8"))
    best = summary["architectures"]["criteria"]["best_checkpoint"]
    assert digest_file(finished.folder / best["path"] / "model.safetensors") == best["sha256"]


def test_exported_model_is_the_best_checkpoint_with_its_card(finished: Study) -> None:
    summary = json.loads((finished.folder / "results/retrain_summary.json").read_text(encoding="utf-8"))
    best = summary["architectures"]["criteria"]["best_checkpoint"]
    exported = finished.folder / "results/models/criteria"
    described = read_artefact(exported / "evidence_hpo.json", "export")
    assert (described["seed"], described["run"]["weights"]) == (best["seed_index"], best["sha256"])
    assert {name: digest_file(exported / name) for name in described["files"]} == described["files"]
    card = ModelCard((exported / "README.md").read_text(encoding="utf-8"))
    assert {result.dataset_type for result in card.data.eval_results} == {"sample"}


def test_every_run_says_what_precision_was_asked_for_and_used(finished: Study) -> None:
    search = finished.folder / "results/criteria"
    rows = [
        row for stage in ("stage1", "stage2") for row in read_artefact_lines(search / stage / "trials.jsonl", "trial")
    ]
    records = [read_json(path) for path in sorted((search / "retrain").rglob("record.json"))]
    assert len({row["parameters"]["precision"] for row in rows}) > 1
    for row in [*rows, *(record for record in records if record["state"] != "absent")]:
        asked, used = row["parameters"]["precision"], row["precision"]
        assert row["versions"]["precision"] == used
        if asked == "fp16" and row["versions"]["device"] == "cpu":
            assert row["notes"] == [f"precision: fp16 needs a GPU, {used} is used"]
        else:
            assert (used, row["notes"]) == (asked, [])
    final = read_json(search / "retrain/final/seed_0/record.json")
    evaluation = read_artefact(search / "evaluation/evaluation.json", "evaluation")
    assert evaluation["configuration"]["parameters"]["precision"] == final["parameters"]["precision"]
    assert [one["replayed_value"] for one in evaluation["models"]] == [
        pytest.approx(one["value"]) for one in evaluation["models"]
    ]


def test_the_weights_of_the_best_epochs_lie_beside_the_model(finished: Study) -> None:
    model = finished.folder / "results/criteria/retrain/final/seed_0/model"
    described = [read_json(path) for path in sorted((model / "checkpoints").glob("*.json"))]
    assert [one["epoch"] for one in described] == [1.0, 2.0]
    for one in described:
        assert digest_file(model / "checkpoints" / f"epoch_00{one['epoch']:.0f}.safetensors") == one["sha256"]
    best = next(one for one in described if one["best"])
    assert best["sha256"] == digest_file(model / "model.safetensors")
    assert best["score"] == max(one["score"] for one in described)


def test_every_job_left_its_provenance(finished: Study) -> None:
    results = finished.folder / "results"
    logs = {path.relative_to(results / "logs").with_suffix("") for path in (results / "logs").rglob("*.log")}
    kept = {
        path.relative_to(results / "provenance").with_suffix("") for path in (results / "provenance").rglob("*.json")
    }
    assert logs == kept
    one = json.loads((results / "provenance/criteria/evaluate.json").read_text(encoding="utf-8"))
    keys = {"step", "arguments", "files", "code", "configuration", "versions", "git", "hardware", "job", "finished_at"}
    assert set(one) == keys
    assert one["versions"]["torch"].startswith("2.13.0")
    assert one["files"]["results/criteria/evaluation/evaluation.json"] == digest_file(
        results / "criteria/evaluation/evaluation.json"
    )
    resolved = (results / "configuration.yaml").read_text(encoding="utf-8")
    assert f"# Digest: {one['configuration']}\n" in resolved


def test_the_cost_counts_every_job_and_every_run(finished: Study) -> None:
    results = finished.folder / "results"
    cost = read_artefact(results / "reports/cost.json", "cost")
    counted = [path for path in (results / "provenance").rglob("*.json") if path.stem not in LAST]
    assert cost["jobs"] == len(counted)
    assert (cost["jobs_without_times"], cost["workers"], cost["breaks"]) == (0, 1, [])
    parts = {(part["architecture"], part["part"]): part for part in cost["parts"]}
    assert [name for _, name in parts] == ["data", "stage1", "stage2", "retraining", "evaluation", "reports"]
    assert (parts["criteria", "stage1"]["runs"], parts["criteria", "retraining"]["runs"]) == (6, 3)
    assert cost["total"]["training_seconds"] < cost["total"]["job_seconds"] <= cost["wall_seconds"] + 1.0


def test_the_overview_gives_the_scores_and_a_configuration_that_changes_nothing(finished: Study) -> None:
    results = finished.folder / "results"
    report = read_artefact(results / "evaluation_report.json", "evaluation_report")
    score = report["architectures"]["criteria"]["verdicts"][0]["score"]
    page = (results / "reports/overview.html").read_text(encoding="utf-8")
    assert f"interval {score['low']:.3f} to {score['high']:.3f}" in page
    given = Study(finished.repository, finished.folder, read_yaml(results / "configuration.yaml"))
    assert given.planned() == {}


def test_html_report_is_written_and_no_post_text_leaves_the_data(finished: Study) -> None:
    finished.run("report", program="evidence-hpo")
    results = finished.folder / "results"
    assert (results / "report.html").stat().st_size > 1_000_000
    posts = pd.read_parquet(results / "corpus/posts.parquet")["text"]
    sentences = {part.strip() for text in posts for part in text.split(".") if len(part.strip()) > 25}
    assert len(sentences) > 100
    looked_at = [path for path in results.rglob("*") if path.suffix in PUBLIC and "backbones" not in path.parts]
    assert len(looked_at) > 50
    for path in looked_at:
        content = path.read_text(encoding="utf-8", errors="ignore")
        assert not any(sentence in content for sentence in sentences), f"{path} holds text of a post"


def test_one_model_for_both_tasks_runs_to_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study = make_study(tmp_path, overlay(TINY, {"study.architectures": ["share", "joint"], "retrain.refit_seeds": 1}))
    study.run("--cores", "2")
    summary = read_artefact(study.folder / "results/retrain_summary.json", "retrain_summary")
    assert set(summary["architectures"]) == {"share", "joint"}
    for architecture in ("share", "joint"):
        evaluation = read_artefact(study.folder / f"results/{architecture}/evaluation/evaluation.json", "evaluation")
        assert set(evaluation["tasks"]) == {"criteria", "evidence"}
        exported = read_artefact(study.folder / f"results/models/{architecture}/evidence_hpo.json", "export")
        assert ("evidence_encoder/model.safetensors" in exported["files"]) == (architecture == "joint")
        _check_refit(study.folder, architecture, summary["architectures"][architecture], evaluation, exported)
    text = (study.folder / "results/evaluation_report.md").read_text(encoding="utf-8")
    assert "- joint, evidence, refit on training and validation posts: " in text
    monkeypatch.chdir(study.folder)
    for run, mode in (
        ("share/final/seed_0", Mode.eval),
        ("joint/refit/seed_0", Mode.eval),
        ("share/refit/seed_0", Mode.train),
    ):
        reproduce(run, mode=mode)
        _check_reproduction(run, mode)


def _check_reproduction(run: str, mode: str) -> None:
    """Both tasks and their mean come out again exactly; a refit has test scores only, and gives the same bits."""
    result = read_artefact(Path(f"results/reproduce/{run}/{mode}.json"), "reproduction")
    metrics = result["metrics"]
    assert {"replayed_test_macro_f1", "replayed_test_char_f1", "replayed_test_mean_macro_f1_char_f1"} <= set(metrics)
    assert ("replayed_validation_char_f1" in metrics) == ("final" in run)
    assert {value for name, value in metrics.items() if name.startswith("delta_")} == {0.0}
    assert (result["weights"] is not None and result["weights"]["identical"]) == (mode == "train")


def _check_refit(
    folder: Path, architecture: str, summary: dict[str, Any], evaluation: dict[str, Any], exported: dict[str, Any]
) -> None:
    """The refit was trained on both splits, is scored beside the final models and is what is exported."""
    retrain = folder / f"results/{architecture}/retrain"
    record = read_artefact(retrain / "refit/seed_0/record.json", "retrain_record")
    final = read_artefact(retrain / "final/seed_0/record.json", "retrain_record")
    chosen = read_artefact(retrain / "chosen.json", "chosen")
    assert (record["state"], record["value"], record["refit_epochs"]) == ("complete", None, chosen["refit_epochs"])
    assert (record["parameters"], record["digests"]) == (final["parameters"], final["digests"])
    assert [one["epoch"] for one in record["evaluations"]] == list(range(1, chosen["refit_epochs"] + 1))
    assert all(one["metrics"] == {} for one in record["evaluations"])
    sha256 = digest_file(retrain / "refit/seed_0/model/model.safetensors")
    listed = summary["refit"]["seeds"][0]["checkpoint"]
    assert sha256 == record["checkpoint"]["sha256"] == listed["sha256"] == exported["run"]["weights"]
    assert set(evaluation["refit"]["tasks"]) == {"criteria", "evidence"}
    assert exported["trained_on"] == ["train", "validation"]
    card = (folder / f"results/models/{architecture}/README.md").read_text(encoding="utf-8")
    assert "It is a **refit**" in card
