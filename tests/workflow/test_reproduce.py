"""`evidence-hpo reproduce`, for real: an untouched run comes out again, and every change is named."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer
from mlflow import MlflowClient
from tests.workflow.study import Study

from evidence_hpo.cli.reproduce import Mode, reproduce
from evidence_hpo.errors import DataError, TrackingError, TrainingError
from evidence_hpo.files import read_json, write_json
from evidence_hpo.provenance import provenance_of_record
from evidence_hpo.reproduction.tracked import RECORD_TAG
from evidence_hpo.schemas import read_artefact

pytestmark = pytest.mark.workflow

RUN = "criteria/final/seed_0"
RECORD = Path("results/criteria/retrain/final/seed_0/record.json")
EVALUATION = Path("results/criteria/evaluation/evaluation.json")
TOKENS = Path("results/tokens/small/criteria")
RESULT = Path("results/reproduce") / RUN


@pytest.fixture
def study(finished: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the finished study, which is the working directory."""
    folder = tmp_path / "study"
    shutil.copytree(finished.folder, folder, symlinks=True)
    monkeypatch.chdir(folder)
    return folder


def change(path: Path, edit: Callable[[Any], None]) -> None:
    content = read_json(path)
    edit(content)
    write_json(path, content)


def flip(path: Path, position: int) -> None:
    content = bytearray(path.read_bytes())
    content[position] ^= 1
    path.unlink()  # perhaps a hard link
    path.write_bytes(content)


def test_an_untouched_run_gives_its_numbers_again(study: Path, capsys: pytest.CaptureFixture[str]) -> None:
    reproduce(RUN)
    shown = capsys.readouterr().out
    assert "data, model, code, versions and hardware are as recorded" in shown
    assert "REPRODUCIBILITY CHECK PASSED: all 19 metrics within 0.005" in shown
    result = read_artefact(RESULT / "eval.json", "reproduction")
    evaluation = read_artefact(EVALUATION, "evaluation")
    score = evaluation["tasks"]["criteria"]["metrics"]["global"]["macro_f1"]["per_seed"][0]
    assert result["metrics"]["original_test_macro_f1"] == result["metrics"]["replayed_test_macro_f1"] == score
    assert {value for name, value in result["metrics"].items() if name.startswith("delta_")} == {0.0}
    assert (result["tags"]["stage"], result["tags"]["reproducibility_status"]) == ("reproducibility", "passed")
    assert result["tags"]["original_run_id"] == RUN
    assert result["tags"]["data.hash.train.criteria"] == read_json(RECORD)["digests"]["train"]["criteria"]
    assert (result["differences"], result["weights"]) == ([], None)


def test_training_again_gives_the_same_bits_without_the_trial_cache(
    study: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cache = {path: path.stat().st_mtime_ns for path in Path("results/work/trials").rglob("*")}
    reproduce(RUN, mode=Mode.train)
    shown = capsys.readouterr()
    assert "weights: identical, bit for bit (SHA-256)" in shown.out
    assert "REPRODUCIBILITY CHECK PASSED" in shown.out
    assert "epoch 2 of 2" in shown.err or "epoch 2: loss" in shown.err
    assert {path: path.stat().st_mtime_ns for path in Path("results/work/trials").rglob("*")} == cache
    assert not list(Path("results/work/reproduce").rglob("*.safetensors"))
    weights = read_artefact(RESULT / "train.json", "reproduction")["weights"]
    assert (weights["identical"], weights["expected"]) == (True, True)
    assert weights["recorded"] == read_json(RECORD)["checkpoint"]["sha256"]


def test_a_run_of_the_choice_is_named_by_its_path_and_printed_as_json(
    study: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    reproduce("results/criteria/retrain/rank_1/seed_0", as_json=True)
    result = json.loads(capsys.readouterr().out)
    assert result == read_json(Path("results/reproduce/criteria/rank_1/seed_0/eval.json"))
    assert {name.split("_")[1] for name in result["metrics"]} == {"validation"}
    assert len(result["metrics"]) == 27


def _weights(study: Path) -> None:
    flip(RECORD.with_name("model") / "model.safetensors", -1)


def _other_run(study: Path) -> None:
    change(RECORD.with_name("model") / "run.json", lambda run: run["parameters"].update(dropout=0.45))


def _tokens(study: Path) -> None:
    flip(TOKENS / "validation/examples.arrow", 2000)


def _rebuilt_examples(study: Path) -> None:
    change(RECORD, lambda record: record["digests"]["validation"].update(criteria="0" * 64))


def _test_tokens(study: Path) -> None:
    flip(TOKENS / "test/texts.arrow", 2000)


def _encoder(study: Path) -> None:
    path = Path("results/backbones/small/config.json")
    path.write_text(path.read_text(encoding="utf-8") + " ", encoding="utf-8")


@pytest.mark.parametrize(
    ("alter", "mode", "reason"),
    [
        (_weights, Mode.eval, "model changed: results/criteria/retrain/final/seed_0/model/model.safetensors is "),
        (_other_run, Mode.eval, "model changed: .*run.json: its parameters is not that of"),
        (_tokens, Mode.eval, "data changed: results/tokens/small/criteria/validation/examples.arrow is "),
        (_tokens, Mode.train, "data changed: results/tokens/small/criteria/validation/examples.arrow is "),
        (_rebuilt_examples, Mode.eval, "data changed: validation examples of criteria is .*, recorded is 0000"),
        (_test_tokens, Mode.eval, "data changed: results/tokens/small/criteria/test/texts.arrow is "),
        (_encoder, Mode.train, "data changed: results/backbones/small is "),
    ],
)
def test_changed_data_and_weights_are_refused(
    study: Path, alter: Callable[[Path], None], mode: Mode, reason: str
) -> None:
    write_json(RESULT / f"{mode}.json", {"status": "passed"})
    alter(study)
    with pytest.raises(TrainingError, match=reason) as refused:
        reproduce(RUN, mode=mode)
    assert refused.value.exit_code == 1
    assert "\n" not in str(refused.value)
    assert not (RESULT / f"{mode}.json").exists(), "an earlier verdict must not stay beside changed files"


def _recorded_metric(study: Path) -> None:
    change(RECORD, lambda record: record["metrics"].update(macro_f1=0.99))


def _evaluated_metric(study: Path) -> None:
    def edit(evaluation: Any) -> None:
        evaluation["tasks"]["criteria"]["metrics"]["global"]["macro_f1"]["per_seed"][0] = 0.99

    change(EVALUATION, edit)


@pytest.mark.parametrize(
    ("alter", "metric"), [(_recorded_metric, "validation_macro_f1"), (_evaluated_metric, "test_macro_f1")]
)
def test_another_metric_is_outside_the_tolerance(
    study: Path, capsys: pytest.CaptureFixture[str], alter: Callable[[Path], None], metric: str
) -> None:
    alter(study)
    with pytest.raises(typer.Exit) as ended:
        reproduce(RUN)
    assert ended.value.exit_code == 1
    shown = capsys.readouterr().out
    assert "REPRODUCIBILITY CHECK FAILED: 1 of 19 metrics differ by more than 0.005" in shown
    assert [line.split()[3] for line in shown.splitlines() if line.startswith("│ NO ")] == [metric]
    result = read_artefact(RESULT / "eval.json", "reproduction")
    assert (result["status"], result["tags"]["reproducibility_status"]) == ("failed", "failed")
    assert result["metrics"][f"delta_{metric}"] > 0.3
    reproduce(RUN, tolerance=1.0)
    assert read_artefact(RESULT / "eval.json", "reproduction")["status"] == "passed"


def test_what_differs_is_said_before_it_starts_and_does_not_refuse(
    study: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def edit(origin: Any) -> None:
        origin["versions"]["datasets"] = "0.1"
        origin["hardware"]["processor"] = "another"
        origin["git"] = {"commit": "7" * 40}

    change(provenance_of_record(RECORD), edit)
    change(RECORD, lambda record: record["digests"].update(code="8" * 64))
    change(RECORD, lambda record: record["versions"].update(torch="1.0"))
    reproduce(RUN, mode=Mode.train)
    result = read_artefact(RESULT / "train.json", "reproduction")
    found = {(one["kind"], one["what"], one["recorded"]) for one in result["differences"]}
    assert found == {
        ("code", "training", "8" * 64),
        ("versions", "datasets", "0.1"),
        ("versions", "torch", "1.0"),
        ("hardware", "processor", "another"),
        ("commit", "commit", "7" * 40),
    }
    assert (result["weights"]["identical"], result["weights"]["expected"]) == (True, False)
    shown = capsys.readouterr().out
    assert shown.index("not as recorded") < shown.index("Original")


def test_other_weights_are_said_and_judged_by_their_scores(study: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for path, key in ((RECORD, "seed"), (RECORD.with_name("model") / "run.json", "seed")):
        change(path, lambda content, key=key: content.update({key: 123}))
    reproduce(RUN, mode=Mode.train, tolerance=1.0)
    assert "weights: DIFFER, though data, code, versions and hardware are as recorded" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("missing", "mode"),
    [
        (RECORD.with_name("model") / "model.safetensors", Mode.eval),
        (RECORD.with_name("model") / "run.json", Mode.train),
        (TOKENS / "train/texts.arrow", Mode.train),
        (TOKENS / "test/examples.arrow", Mode.eval),
        (Path("results/backbones/small"), Mode.train),
    ],
    ids=lambda given: given.name if isinstance(given, Path) else str(given),
)
def test_missing_files_are_named(study: Path, missing: Path, mode: Mode) -> None:
    shutil.rmtree(missing) if missing.is_dir() else missing.unlink()
    with pytest.raises(DataError, match=f"{missing}: no such") as ended:
        reproduce(RUN, mode=mode)
    assert ended.value.exit_code == 3


def test_without_its_evaluation_a_run_is_judged_by_validation_alone(
    study: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    EVALUATION.unlink()
    shutil.rmtree(TOKENS / "test")
    reproduce(RUN)
    shown = capsys.readouterr().out
    assert "no evaluation.json holds these weights" in shown
    assert "all 9 metrics" in shown


def test_an_unknown_run_is_answered_with_the_known_ones(study: Path) -> None:
    with pytest.raises(DataError, match="nowhere: no such run; known: criteria/final/seed_0, criteria/rank_0/seed_0"):
        reproduce("nowhere")
    change(RECORD, lambda record: record.update(state="failed", reason="non-finite loss", checkpoint=None))
    with pytest.raises(TrainingError, match="the run is failed: non-finite loss; there is nothing to reproduce"):
        reproduce(RUN)


def test_a_run_of_the_tracking_store_leads_to_its_record(study: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "2")
    with pytest.raises(DataError, match=r"results/mlflow\.db: no such file"):
        reproduce("0" * 32)
    uri = "sqlite:///results/mlflow.db"
    client = MlflowClient(tracking_uri=uri)
    experiment = client.create_experiment("mine", artifact_location=str(study / "artifacts"))
    tracked = client.create_run(experiment, tags={RECORD_TAG: RECORD.as_posix()}).info.run_id
    bare = client.create_run(experiment).info.run_id
    reproduce(tracked, experiment="mine")
    assert read_artefact(RESULT / "eval.json", "reproduction")["params"]["original_run_id"] == tracked
    with pytest.raises(DataError, match="is in the experiment mine, not in theirs"):
        reproduce(tracked, tracking_uri=uri, experiment="theirs")
    with pytest.raises(DataError, match=f"has no tag {RECORD_TAG}"):
        reproduce(bare)
    with pytest.raises(DataError, match="no such run in sqlite"):
        reproduce("0" * 32)
    with pytest.raises(TrackingError, match=r"--tracking-uri http://127\.0\.0\.1:9: ") as ended:
        reproduce(tracked, tracking_uri="http://127.0.0.1:9")
    assert ended.value.exit_code == 5


def test_the_command_ends_with_its_exit_codes(study: Path, finished: Study) -> None:
    def ended(run_id: str) -> subprocess.CompletedProcess[str]:
        program = [sys.executable, "-m", "evidence_hpo.cli.main", "reproduce", "--run-id", run_id]
        environment = finished.environment
        return subprocess.run(program, cwd=study, env=environment, capture_output=True, text=True, check=False)

    assert ended(RUN).returncode == 0
    assert ended("nowhere").returncode == 3
    _weights(study)
    refused = ended(RUN)
    assert refused.returncode == 1
    assert refused.stderr.startswith(f"{RUN}: model changed")
    assert len(refused.stderr.splitlines()) == 1
