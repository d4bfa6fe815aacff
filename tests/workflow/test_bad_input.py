"""What a new user gets wrong: one clear line, the right exit code, nothing half-written."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.workflow.study import TINY, make_study, overlay

pytestmark = pytest.mark.workflow


@pytest.mark.parametrize("program", ["snakemake", "evidence-hpo"])
def test_bad_configuration_stops_before_the_first_job(program: str, tmp_path: Path) -> None:
    study = make_study(tmp_path, overlay(TINY, {"search.stages.0.epoch": 3, "retrain.top_k": 0}))
    arguments = ["run"] if program == "evidence-hpo" else []
    finished = study.run(*arguments, "--cores", "1", program=program, check=False)
    assert finished.returncode == 2
    lines = finished.stderr.strip().splitlines()
    assert "configuration: search.stages.0.epoch: unknown key; did you mean 'epochs'?" in lines
    assert any(line.startswith("configuration: retrain.top_k: 0") for line in lines)
    assert "Traceback" not in finished.stderr
    assert not (study.folder / "results").exists()


def test_bad_data_fails_in_one_line_and_leaves_nothing_behind(tmp_path: Path) -> None:
    study = make_study(
        tmp_path,
        overlay(
            TINY,
            {"data.corpus.source": "files", "data.corpus.files": {"posts": "p.csv", "annotations": "a.csv"}},
        ),
    )
    (study.folder / "p.csv").write_text("post_id,text\np1,secret words\np1,other words\n", encoding="utf-8")
    (study.folder / "a.csv").write_text(
        "post_id,sentence_id,sentence_text,DSM5_symptom,status,explanation\np9,s1,secret words,FATIGUE,1,x\n",
        encoding="utf-8",
    )
    finished = study.run("--cores", "1", check=False)
    assert finished.returncode == 1
    assert "p.csv" in finished.stderr
    assert "p1" in finished.stderr
    assert "p9" in finished.stderr
    assert "Traceback" not in finished.stderr
    assert "secret words" not in finished.stdout + finished.stderr
    for folder in ("corpus", "splits", "examples"):
        assert not [path for path in (study.folder / "results" / folder).rglob("*") if path.is_file()]
