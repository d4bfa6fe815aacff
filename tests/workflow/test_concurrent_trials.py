"""Trials that run at once in worker processes end in the same records."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.workflow.study import Study

from evidence_hpo import paths
from evidence_hpo.search.shard import Shard
from evidence_hpo.search.workers import run_in_workers

pytestmark = pytest.mark.workflow


def _trials(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{**row, "duration_seconds": None} for row in rows]


def test_workers_fill_the_cache_from_which_the_job_takes_all(
    finished: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(finished.folder)
    where = {"architecture": "criteria", "stage": "stage1", "round": "0"}
    place = {"backbone": "small", "task": "criteria"}
    splits = ("train", "validation")
    shard = Shard(
        proposals=Path(paths.PROPOSALS.format(**where)),
        number=0,
        count=1,
        backbones=(Path(paths.BACKBONE.format(backbone="small")),),
        manifests=(Path(paths.BACKBONE_MANIFEST.format(backbone="small")),),
        texts=tuple(Path(paths.TOKEN_TEXTS.format(**place, split=split)) for split in splits),
        examples=tuple(Path(paths.TOKEN_EXAMPLES.format(**place, split=split)) for split in splits),
        cache=tmp_path / "trials",
    )
    run_in_workers(shard.work, 3, 2)
    found = [record.model_dump(mode="json") for record in shard.run(trials_per_gpu=2)]
    assert capsys.readouterr().err.count("taken from the trial cache") == 3
    lines = Path(paths.SHARD.format(**where, shard="0")).read_text(encoding="utf-8").splitlines()
    expected = [json.loads(line) for line in lines]
    assert _trials(found) == _trials(expected)
