"""`evaluate-study` and `summarize-study` where they must refuse; that they work is shown on a real study."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from finished_study import command, made_study, retrained
from jsonschema import Draft7Validator
from run_files import ID, SUMMARY

from evidence_hpo.cli import evaluate_study as module
from evidence_hpo.cli.evaluate_study import _code
from evidence_hpo.cli.summarize_study import _flat
from evidence_hpo.config.configuration import default_configuration
from evidence_hpo.errors import DataError
from evidence_hpo.files import digest_file, read_json, write_json
from evidence_hpo.schemas import check_artefact


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """Return a study whose search and retraining are finished, with what is recorded of its configuration."""
    made_study(tmp_path)
    content = default_configuration().model_dump(mode="json")
    content["study"] |= {"name": "test", "architectures": ["criteria"]}
    (tmp_path / "results/configuration.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    weights = tmp_path / "results/criteria/retrain/final/seed_0/model/model.safetensors"
    weights.parent.mkdir(parents=True)
    weights.write_bytes(b"weights")
    retrained(tmp_path, "criteria")
    summary = tmp_path / "results/retrain_summary.json"
    text = json.dumps(read_json(summary)).replace("0" * 64, digest_file(weights))
    summary.write_text(text, encoding="utf-8")
    test = tmp_path / "results/examples/criteria/test.parquet"
    test.parent.mkdir(parents=True)
    pq.write_table(pa.table({"text": ["x"]}), test)
    return tmp_path


def refused(study: Path, *arguments: str) -> tuple[int, str]:
    done = command("evaluate-study", *arguments, folder=study)
    assert "Traceback" not in done.stderr
    assert done.stderr.count("\n") == 1
    return done.returncode, done.stderr


def test_no_study_and_an_unfinished_search_are_exit_code_2(study: Path) -> None:
    code, message = refused(study, "--study-dir", "nowhere")
    assert (code, "no study there" in message) == (2, True)
    (study / "results/criteria/stage2/summary.json").unlink()
    code, message = refused(study)
    assert (code, "the search is not finished" in message) == (2, True)
    (study / "results/configuration.yaml").unlink()
    code, message = refused(study)
    assert (code, "name the study's --configfile" in message) == (2, True)


def test_a_search_that_would_run_again_is_not_started(study: Path) -> None:
    code, message = refused(study)
    assert code == 2
    assert "not up to date" in message
    assert not (study / ".snakemake/locks").exists() or not any((study / ".snakemake/locks").iterdir())


@pytest.mark.parametrize("content", [None, b"other weights"])
def test_a_missing_or_damaged_checkpoint_is_exit_code_3(study: Path, content: bytes | None) -> None:
    weights = study / "results/criteria/retrain/final/seed_0/model/model.safetensors"
    weights.unlink()
    if content:
        weights.write_bytes(content)
    code, message = refused(study)
    assert code == 3
    assert "the checkpoint of criteria is missing or damaged" in message


@pytest.mark.parametrize("content", [None, b"no table"])
def test_test_data_that_cannot_be_read_is_exit_code_4(study: Path, content: bytes | None) -> None:
    path = study / "results/examples/criteria/test.parquet"
    path.unlink()
    if content:
        path.write_bytes(content)
    code, message = refused(study)
    assert code == 4
    assert "the test examples cannot be read" in message


def test_another_test_split_is_refused(study: Path) -> None:
    code, message = refused(study, "--test-split", "dev")
    assert code == 2
    assert "named test" in message


@pytest.mark.parametrize(
    ("rule", "error", "code"), [("evaluate", "DataError", 4), ("retrain_chosen", "DataError", 1), ("evaluate", None, 1)]
)
def test_a_failed_job_is_the_evaluation_or_its_data(rule: str, error: str | None, code: int) -> None:
    assert _code(1, [{"event": "job_failed", "rule": rule, "error": error}]) == code


def test_a_copy_that_cannot_be_written_is_a_storage_error(tmp_path: Path) -> None:
    source = tmp_path / "report.json"
    write_json(source, {})
    module._copy(source, tmp_path / "deeper/copy.json")
    assert (tmp_path / "deeper/copy.json").read_bytes() == source.read_bytes()
    with pytest.raises(module.StorageError, match="--output-path"):
        module._copy(source, tmp_path / "report.json/copy.json")


def test_the_flat_summary_follows_its_schema() -> None:
    content = _flat(SUMMARY, "criteria", "2026-01-02T03:04:05+00:00")
    check_artefact("study_output", content, "summary")
    schema = read_json(Path(module.__file__).parents[1] / "schemas/study_output.schema.json")
    Draft7Validator.check_schema(schema)
    Draft7Validator(schema, format_checker=Draft7Validator.FORMAT_CHECKER).validate(content)
    assert content["top_trials"] == [{"trial_id": ID, "validation_score": 0.8}]
    for key, value in (("generated_at", "today"), ("best_trial_id", "7"), ("best_validation_score", None)):
        with pytest.raises(DataError, match=key):
            check_artefact("study_output", {**content, key: value}, "summary")


def test_summarize_study_refuses_what_it_cannot_summarise(study: Path, tmp_path: Path) -> None:
    for arguments, code, message in (
        (["--study-dir", "nowhere"], 3, "no study there"),
        (["--study-name", "other"], 3, "holds the study test"),
        ([], 3, "not up to date"),
    ):
        done = command("summarize-study", *arguments, folder=study)
        assert (done.returncode, message in done.stderr) == (code, True), done.stderr
    assert not (tmp_path / "study_output.json").exists()
