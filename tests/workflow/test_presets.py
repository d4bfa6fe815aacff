"""Each preset's small variant runs end to end, for the architectures and stages that the preset names.

That of `augmented` needs TextAttack's environment: test_augmentation.py runs it.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.workflow.study import ROOT, Study, make_study

from evidence_hpo.config.configuration import Configuration
from evidence_hpo.config.loading import load_configuration, merge, read_yaml
from evidence_hpo.files import read_json

pytestmark = pytest.mark.workflow

PRESETS = sorted(path.stem for path in (ROOT / "presets/small").glob("*.yaml"))


def overlays(preset: str) -> tuple[dict[str, Any], list[Path]]:
    files = [ROOT / "presets" / f"{preset}.yaml", ROOT / "presets/small" / f"{preset}.yaml"]
    raw: dict[str, Any] = {}
    for file in files:
        raw = merge(raw, read_yaml(file))
    return raw, files


def _configuration(raw: dict[str, Any]) -> Configuration:
    return load_configuration(merge(read_yaml(ROOT / "workflow_config.yaml"), raw))


def test_every_preset_but_the_smoke_test_has_a_small_variant() -> None:
    assert sorted(path.stem for path in (ROOT / "presets").glob("*.yaml") if path.stem != "smoke") == PRESETS


@pytest.mark.parametrize("preset", [preset for preset in PRESETS if preset != "augmented"])
def test_small_variant_runs_end_to_end(tmp_path: Path, preset: str) -> None:
    raw, _ = overlays(preset)
    study = make_study(tmp_path, raw)
    study.run("--cores", "2")
    check_results(study, preset)


def check_results(study: Study, preset: str) -> None:
    """Check that a finished small variant has the architectures, stages and trials that it should have."""
    full = _configuration(read_yaml(ROOT / "presets" / f"{preset}.yaml"))
    small = _configuration(study.settings)
    results = study.folder / "results"
    summary = read_json(results / "retrain_summary.json")
    report = read_json(results / "evaluation_report.json")
    assert set(summary["architectures"]) == set(report["architectures"]) == set(full.study.architectures)
    for architecture in full.study.architectures:
        named = [stage.name for stage in full.search.stages_for(architecture)]
        assert [stage.name for stage in small.search.stages_for(architecture)] == named
        for stage in small.search.stages_for(architecture):
            lines = (results / architecture / stage.name / "trials.jsonl").read_text(encoding="utf-8").splitlines()
            trials = [json.loads(line) for line in lines]
            assert [trial["number"] for trial in trials] == list(range(stage.trials))
            assert all(trial["state"] != "failed" for trial in trials), {trial["reason"] for trial in trials}
        assert 0.0 <= summary["architectures"][architecture]["score_mean"] <= 1.0
