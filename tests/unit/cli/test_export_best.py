"""`export-best`: the chosen configuration as an overlay that the same program accepts."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from finished_study import command, made_study, retrained

from evidence_hpo.evaluation.summary import trial_id
from evidence_hpo.files import read_json, read_json_lines


@pytest.fixture
def study(tmp_path: Path) -> Path:
    made_study(tmp_path)
    return tmp_path


def test_the_overlay_is_accepted_and_the_summary_has_its_scores(study: Path) -> None:
    one = retrained(study, "criteria")
    done = command("export-best", "--output", "out/best.yaml", folder=study)
    assert done.returncode == 0, done.stderr
    overlay = yaml.safe_load((study / "out/best.yaml").read_text(encoding="utf-8"))
    assert overlay == {"training": {"parameters": one["parameters"]}}
    assert isinstance(overlay["training"]["parameters"]["learning_rate"], float), "1e-5 alone would be text in YAML"
    checked = command("check", "--configfile", "out/best.yaml", folder=study)
    assert checked.returncode == 0, checked.stderr
    summary = read_json(study / "out/export_summary.json")
    row = read_json_lines(study / "results/criteria/stage2/trials.jsonl")[1]
    assert summary["trial_id"] == trial_id(row)
    assert summary["adjusted"] == pytest.approx(0.8 - 0.1 * 0.02)
    assert (summary["score_mean"], summary["score_std"]) == (0.8, 0.02)
    assert [seed["seed"] for seed in summary["seeds"]] == [7, 8]


def test_one_seed_has_no_spread(study: Path) -> None:
    retrained(study, "criteria", spread=None)
    assert command("export-best", folder=study).returncode == 0
    assert read_json(study / "export_summary.json")["score_std"] is None
    assert "sd" not in (study / "best_config.yaml").read_text(encoding="utf-8").split("training:")[0]


def test_of_several_architectures_one_must_be_named(study: Path) -> None:
    retrained(study, "criteria", "evidence")
    refused = command("export-best", folder=study)
    assert (refused.returncode, refused.stderr) == (2, "--architecture: name one of criteria, evidence\n")
    assert command("export-best", "--architecture", "criteria", folder=study).returncode == 0
    unknown = command("export-best", "--architecture", "joint", folder=study)
    assert unknown.returncode == 3
    assert "there are criteria, evidence" in unknown.stderr


def test_missing_files_are_one_line(study: Path) -> None:
    missing = command("export-best", folder=study)
    assert missing.returncode == 3
    assert missing.stderr.endswith("results/retrain_summary.json: no such file\n")
    retrained(study, "criteria")
    records = study / "results/criteria/stage2/trials.jsonl"
    records.write_text(records.read_text(encoding="utf-8").splitlines()[0] + "\n", encoding="utf-8")
    without = command("export-best", folder=study)
    assert without.returncode == 3
    assert "has no trial 1" in without.stderr
    assert not (study / "best_config.yaml").exists(), "nothing is written before all of it is known"
