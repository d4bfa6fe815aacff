"""`evidence-hpo train`, for real: its files, going on, the dry run, and each exit code."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from tests.workflow.study import TINY, Study, overlay

from evidence_hpo.cli.reproduce import Mode, reproduce
from evidence_hpo.config.loading import load_configuration, merge, read_yaml
from evidence_hpo.errors import TrainingError
from evidence_hpo.files import digest_file, read_json, read_json_lines
from evidence_hpo.graph import single_run_settings
from evidence_hpo.schemas import read_artefact
from evidence_hpo.search.interruption import DEADLINE_VARIABLE

pytestmark = pytest.mark.workflow
COMMAND = "exec python -m evidence_hpo.steps.train_model"


@pytest.fixture(scope="module")
def study(finished: Study, tmp_path_factory: pytest.TempPathFactory) -> Study:
    """A copy of the finished study: corpus, tokens and encoder are there."""
    folder = tmp_path_factory.mktemp("train") / "study"
    shutil.copytree(finished.folder, folder, symlinks=True)
    return Study(finished.repository, folder, dict(TINY))


def train(study: Study, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = study.command("train", "--cores", "1", *arguments, program="evidence-hpo")
    given = {**study.environment, **environment}
    return subprocess.run(command, cwd=study.folder, env=given, capture_output=True, text=True, check=False)


def record_of(study: Study, run: str) -> dict[str, Any]:
    return dict(read_artefact(study.folder / "results/runs" / run / "record.json", "retrain_record"))


@pytest.fixture(scope="module")
def mine(study: Study) -> subprocess.CompletedProcess[str]:
    """A finished run of two epochs by the name `mine`."""
    changed = ["--override", "training.parameters.dropout=0.2"]
    return train(study, "--max-epochs", "2", "--seed", "5", "--name", "mine", *changed)


def test_a_run_leaves_model_scores_and_its_configuration(study: Study, mine: subprocess.CompletedProcess[str]) -> None:
    assert mine.returncode == 0, mine.stderr[-3000:]
    folder = study.folder / "results/runs/mine"
    record = record_of(study, "mine")
    assert (record["role"], record["seed"], record["epochs"], record["schedules"]) == ("single", 5, 2, [[0, 2]])
    assert record["parameters"]["dropout"] == 0.2
    assert record["checkpoint"]["sha256"] == digest_file(folder / "model/model.safetensors")
    assert record["value"] == pytest.approx(record["metrics"]["macro_f1"])
    report = read_artefact(folder / "classification_report.json", "run_report")["tasks"]["criteria"]
    assert report["metrics"]["macro_f1"] == pytest.approx(record["metrics"]["macro_f1"], abs=1e-6)
    assert report["macro_f1"] == report["metrics"]["macro_f1"]
    assert sum(report["confusion"].values()) == report["examples"]
    assert (
        sum(one["confusion"]["true_positives"] for one in report["by_criterion"].values())
        == (report["confusion"]["true_positives"])
    )
    assert (folder / "confusion_matrix.png").read_bytes().startswith(b"\x89PNG")
    default = read_yaml(study.repository / "workflow_config.yaml")
    resolved = load_configuration(merge(default, read_yaml(folder / "config/config.yaml")))
    settings = single_run_settings(resolved)
    assert (settings.seed, settings.epochs, settings.parameters) == (5, 2, record["parameters"])
    provenance = read_json(study.folder / "results/provenance/runs/mine.json")
    assert provenance["arguments"]["settings"] == settings.model_dump(mode="json")
    events = [one["event"] for one in read_json_lines(study.folder / "results/logs/runs/mine.log")]
    assert events[-1] == "finished"
    assert "run_progress" in events


def test_a_finished_run_is_not_trained_again_and_a_change_of_the_search_changes_nothing(
    study: Study, mine: subprocess.CompletedProcess[str]
) -> None:
    target = "results/runs/mine/record.json"
    same = {"run.epochs": 2, "run.seed": 5, "training.parameters.dropout": 0.2}
    as_before = Study(study.repository, study.folder, overlay(TINY, {**same, "retrain.top_k": 1}))
    assert as_before.planned(target) == {}
    longer = Study(study.repository, study.folder, overlay(TINY, {**same, "run.epochs": 3}))
    assert longer.planned(target) == {"train_model": 1}


def test_a_run_goes_on_with_more_epochs_after_its_last_intact_point(
    study: Study, mine: subprocess.CompletedProcess[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = record_of(study, "mine")
    newest = study.folder / "results/work/runs/mine/epoch_002.optimizer.safetensors"
    content = bytearray(newest.read_bytes())
    content[-1] ^= 1
    newest.unlink()  # a hard link: the damage must not reach the other name
    newest.write_bytes(content)
    changed = ["--seed", "5", "--override", "training.parameters.dropout=0.2", "--max-epochs", "4"]
    longer = train(study, "--resume-from", "results/runs/mine", *changed)
    assert longer.returncode == 0, longer.stderr[-3000:]
    record = record_of(study, "mine")
    assert (record["schedules"], record["resumed_from"]) == ([[0, 2], [1, 4]], "results/runs/mine")
    assert record["key"] is None
    assert [one["epoch"] for one in record["evaluations"]] == [1, 2, 3, 4]
    assert record["evaluations"][0] == before["evaluations"][0]
    log = (study.folder / "results/logs/runs/mine.log").read_text(encoding="utf-8")
    assert "resume point ignored: epoch_002.json: its tensors are damaged" in log
    other = train(study, "--resume-from", "results/runs/mine", "--name", "other", *changed)
    assert other.returncode == 0, other.stderr[-3000:]
    assert record_of(study, "other")["checkpoint"]["sha256"] == record["checkpoint"]["sha256"]
    wrong = train(study, "--resume-from", "results/runs/mine", "--name", "wrong", "--max-epochs", "5", "--seed", "6")
    assert wrong.returncode == 2
    assert "run.resume_from: results/runs/mine: " in wrong.stderr
    assert " there and " in wrong.stderr
    monkeypatch.chdir(study.folder)
    reproduce("mine")
    with pytest.raises(TrainingError, match="mine: went on from results/runs/mine, so it is not the result of one"):
        reproduce("mine", mode=Mode.train)


def test_an_interrupted_run_is_continued_by_the_same_command(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    rule = study.repository / "rules/train.smk"
    content = rule.read_text(encoding="utf-8")
    assert COMMAND in content
    rule.write_text(content.replace(COMMAND, f"sleep 30; {COMMAND}"), encoding="utf-8")
    # The job has started by then, and trains only later.
    deadline = {DEADLINE_VARIABLE: repr(time.time() + 20.0)}
    stopped = train(study, "--max-epochs", "3", "--name", "stopped", **deadline)
    rule.write_text(content, encoding="utf-8")
    assert stopped.returncode == 1
    assert "stopped: interrupted; run again to continue" in stopped.stderr
    assert not (study.folder / "results/runs/stopped/record.json").exists()
    assert [path.name for path in (study.folder / "results/work/runs/stopped").glob("*.json")] != []
    assert train(study, "--max-epochs", "3", "--name", "stopped").returncode == 0
    log = (study.folder / "results/logs/runs/stopped.log").read_text(encoding="utf-8")
    assert "epoch 1 of 3" not in log
    record = record_of(study, "stopped")
    assert ([one["epoch"] for one in record["evaluations"]], record["schedules"]) == ([1, 2, 3], [[0, 3]])
    monkeypatch.chdir(study.folder)
    reproduce("stopped", mode=Mode.train)
    repeated = read_artefact(Path("results/reproduce/runs/stopped/train.json"), "reproduction")
    assert repeated["weights"]["identical"], "interrupted and continued, it ends in the bits of a run of one piece"


def test_a_run_that_augments_is_reproduced_from_its_banks(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    values = {"augmentation": "simple", "simple_mask": 1, "augmentation_variants": 2}
    changed = [part for name, value in values.items() for part in ("--override", f"training.parameters.{name}={value}")]
    tried = train(study, "--dry-run", *changed)
    assert tried.returncode == 0, tried.stderr[-3000:]
    made = train(study, "--max-epochs", "1", "--name", "varied", *changed)
    assert made.returncode == 0, made.stderr[-3000:]
    record = record_of(study, "varied")
    bank = "original/random_deletion/level_1"
    assert list(record["digests"]["augmentation"]["criteria"]) == [bank]
    assert record["augmented"]["criteria"] > 0
    monkeypatch.chdir(study.folder)
    reproduce("varied", mode=Mode.train)
    repeated = read_artefact(Path("results/reproduce/runs/varied/train.json"), "reproduction")
    assert repeated["weights"]["identical"]
    path = study.folder / "results/runs/varied/record.json"
    record["digests"]["augmentation"]["criteria"][bank] = "0" * 64
    path.write_text(json.dumps(record), encoding="utf-8")
    with pytest.raises(TrainingError, match=f"data changed: bank {bank} of criteria"):
        reproduce("varied", mode=Mode.train)


def test_a_dry_run_tries_everything_and_keeps_no_model(study: Study) -> None:
    folders = {path for path in (study.folder / "results").rglob("*") if path.is_dir()}
    tried = train(study, "--architecture", "share", "--dry-run")
    assert tried.returncode == 0, tried.stderr[-3000:]
    assert "first batch 16 x 64 tokens" in tried.stdout
    assert "evidence: train" in tried.stdout
    assert "mean_macro_f1_char_f1" in tried.stdout
    added = {path for path in (study.folder / "results").rglob("*") if path.is_dir()} - folders
    assert added, "the tokens of evidence were made"
    assert not [path for path in added if "runs" in path.parts or "work" in path.parts]


def test_mistakes_in_the_command_are_one_line_before_anything_starts(study: Study) -> None:
    wrong = train(study, "--override", "training.parameters.learning_rate=fast")
    assert wrong.returncode == 2
    assert "training.parameters.learning_rate" in wrong.stderr
    assert train(study, "--name", "a/b").returncode == 2
    nowhere = train(study, "--resume-from", "results/runs/nowhere")
    assert nowhere.returncode == 3
    assert "results/runs/nowhere: no resume point is there" in nowhere.stderr
    for finished in (wrong, nowhere):
        assert len(finished.stderr.strip().splitlines()) == 1


def test_damaged_data_and_a_held_folder_have_their_exit_codes(study: Study) -> None:
    tokens = study.folder / "results/tokens/small/criteria/train/examples.arrow"
    content, times = tokens.read_bytes(), tokens.stat()
    tokens.write_bytes(content[:100])
    os.utime(tokens, ns=(times.st_atime_ns, times.st_mtime_ns))
    try:
        damaged = train(study, "--max-epochs", "1", "--name", "damaged")
    finally:
        tokens.write_bytes(content)
        os.utime(tokens, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert damaged.returncode == 3
    assert "error: results/tokens/small/criteria/train/examples.arrow: " in damaged.stderr
    program = (
        "import signal; from pathlib import Path; from evidence_hpo.cli.locks import claim_folder;"
        f"claim_folder(Path({str(study.folder)!r})); print('held', flush=True); signal.pause()"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, env=study.environment) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        held = train(study, "--max-epochs", "1", "--name", "held")
        holder.kill()
    assert held.returncode == 4
    assert "another run holds this folder" in held.stderr
