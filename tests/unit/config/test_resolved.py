"""The resolved configuration is a file that gives the same configuration again."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.workflow.study import ROOT, TINY

from evidence_hpo.config.loading import load_configuration, merge, read_yaml
from evidence_hpo.config.resolved import configuration_digest
from evidence_hpo.steps.write_configuration import write_configuration

OVERLAYS = [None, *sorted((ROOT / "presets").rglob("*.yaml"))]
NAMES = ["tiny" if path is None else f"{path.parent.name}/{path.stem}" for path in OVERLAYS]


@pytest.mark.parametrize("overlay", OVERLAYS, ids=NAMES)
def test_the_written_file_gives_the_same_configuration(overlay: Path | None, tmp_path: Path) -> None:
    default = read_yaml(ROOT / "workflow_config.yaml")
    raw = merge(default, TINY if overlay is None else read_yaml(overlay))
    if overlay is not None and overlay.parent.name == "small":
        raw = merge(merge(default, read_yaml(ROOT / "presets" / overlay.name)), read_yaml(overlay))
    raw = merge(raw, {"overrides": {"training.parameters.learning_rate": 1e-5, "retrain.top_k": 1}})
    configuration = load_configuration(raw)
    assert configuration.training.parameters.learning_rate == 1e-5
    write_configuration(configuration, tmp_path / "configuration.yaml")
    again = load_configuration(merge(default, read_yaml(tmp_path / "configuration.yaml")))
    assert again == configuration
    text = (tmp_path / "configuration.yaml").read_text(encoding="utf-8")
    assert f"# Digest: {configuration_digest(configuration)}\n" in text
    assert configuration_digest(load_configuration(default)) != configuration_digest(configuration)
