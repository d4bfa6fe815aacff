"""The step never fails for the store's sake: one warning, and a state that says what is pending."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.unit.tracking.store_tables import check_exactly_once

from evidence_hpo import paths
from evidence_hpo.config.tracking import TrackingSettings
from evidence_hpo.logs import open_log
from evidence_hpo.schemas import read_artefact
from evidence_hpo.steps.sync_tracking import sync_tracking
from evidence_hpo.tracking import sync
from evidence_hpo.tracking.losses import losses_on_test

MakeStudy = Callable[..., Path]
DEAD = TrackingSettings(uri="http://127.0.0.1:9", retries=0)


def run_step(root: Path, settings: TrackingSettings) -> list[str]:
    """Run the step; return its warnings."""
    log = root / "results/logs/sync_tracking.log"
    with open_log(log):
        sync_tracking(settings, root, root / paths.TRACKING_STATE)
    rows = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    return [row["message"] for row in rows if row["level"] == "warning"]


def test_it_syncs(study: MakeStudy) -> None:
    root = study(trials=2)
    assert run_step(root, TrackingSettings()) == []
    assert check_exactly_once(root) == read_artefact(root / paths.TRACKING_STATE, "tracking_state")["points"]


def test_an_unreachable_store_is_one_warning(study: MakeStudy) -> None:
    root = study(trials=2)
    (warning,) = run_step(root, DEAD)
    assert warning.startswith("tracking: http://127.0.0.1:9: no answer after 1 attempts")
    state = read_artefact(root / paths.TRACKING_STATE, "tracking_state")
    assert (state["pending_runs"], state["error"]) == (4, warning.removeprefix("tracking: "))


def test_so_is_anything_else(study: MakeStudy, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise KeyError("a file that nobody expected")

    root = study(trials=2)
    monkeypatch.setattr(sync, "study_runs", broken)
    (warning,) = run_step(root, TrackingSettings())
    assert "KeyError" in warning
    assert "KeyError" in read_artefact(root / paths.TRACKING_STATE, "tracking_state")["error"]


def test_a_token_that_cannot_be_read_is_too(study: MakeStudy, tmp_path: Path) -> None:
    root = study(trials=2)
    (tmp_path / "token").write_text("two words", encoding="utf-8")
    (warning,) = run_step(root, TrackingSettings(token_file=str(tmp_path / "token")))
    assert "must hold the token and nothing else" in warning
    assert "two words" not in warning


def test_loss_on_the_test_split(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = [
        ("criteria", "test", "final", 0, 1, 0.5),
        ("criteria", "test", "final", 0, 0, 0.5),
        ("criteria", "test", "final", 1, 0, 0.75),
        ("criteria", "test", "refit", 0, 0, 0.99),
        ("criteria", "validation", "final", 0, 0, 0.99),
        ("evidence", "test", "final", 0, 1, None),
    ]
    names = ("task", "split", "role", "seed", "label", "probability")
    pq.write_table(pa.table(dict(zip(names, map(list, zip(*rows, strict=True)), strict=True))), tmp_path / "p.parquet")
    assert losses_on_test(tmp_path / "p.parquet") == {0: pytest.approx(0.693147), 1: pytest.approx(1.386294)}
    assert losses_on_test(tmp_path / "none.parquet") == {}
