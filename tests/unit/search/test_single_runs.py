"""A run outside the search: its folder belongs to one process at a time."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from search_support import DIGESTS, FIXED, MACHINE, FakeResult, fake_run

from evidence_hpo.config.training import RuntimeSettings
from evidence_hpo.search import single_runs
from evidence_hpo.search.outcomes import RunRequest
from evidence_hpo.search.retrain_records import SingleRunRecord
from evidence_hpo.search.settings import SingleRunSettings
from evidence_hpo.search.single_runs import train_single

Runner = Callable[[RunRequest, Path, Path | None, Callable[[str], None]], FakeResult]


def settings(**values: Any) -> SingleRunSettings:
    defaults: dict[str, Any] = {
        "study": "test",
        "architecture": "criteria",
        "parameters": FIXED.model_dump(),
        "seed": 1,
        "epochs": 3,
        "objective": "macro_f1",
        "early_stopping_patience": 0,
        "runtime": RuntimeSettings(),
    }
    return SingleRunSettings(**{**defaults, **values})


def train(folder: Path, runner: Runner, monkeypatch: pytest.MonkeyPatch, **values: Any) -> SingleRunRecord:
    monkeypatch.setattr(single_runs, "probe_machine", lambda *_: MACHINE)
    monkeypatch.setattr(single_runs, "training_runner", lambda *_, **__: runner)
    inputs: Any = SimpleNamespace(digests=lambda *_: DIGESTS)
    return train_single("mine", settings(**values), inputs, folder / "work", folder / "model")


def scheduled(one: RunRequest, work: Path, model: Path | None, report: Callable[[str], None]) -> FakeResult:
    result = fake_run(one, work, model, report, fail=0.0)
    result.schedules = [(0, one.epochs)]  # type: ignore[attr-defined]
    return result


def test_a_twin_waits_until_the_first_has_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    at_work, started, waits = threading.Lock(), threading.Event(), threading.Event()
    calls: list[bool] = []

    def log(event: str, message: str, **_: object) -> None:
        if event == "trial_waits":
            assert message == "mine: waits for another process that trains the same run"
            waits.set()

    monkeypatch.setattr("evidence_hpo.search.trial_cache.log_event", log)
    monkeypatch.setattr("evidence_hpo.search.trial_cache._WAIT_SECONDS", 0.05)

    def run(one: RunRequest, work: Path, model: Path | None, report: Callable[[str], None]) -> FakeResult:
        calls.append(at_work.acquire(blocking=False))
        started.set()
        waits.wait(5)
        result = scheduled(one, work, model, report)
        at_work.release()
        return result

    first: list[SingleRunRecord] = []
    thread = threading.Thread(target=lambda: first.append(train(tmp_path, run, monkeypatch)))
    thread.start()
    assert started.wait(5)
    second = train(tmp_path, run, monkeypatch)
    thread.join()
    assert waits.is_set()
    assert calls == [True, True], "one after the other"
    assert first == [second]


def test_other_settings_empty_the_folder_but_for_the_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found: list[set[str]] = []

    def run(one: RunRequest, work: Path, model: Path | None, report: Callable[[str], None]) -> FakeResult:
        found.append({path.name for path in work.iterdir()})
        (work / "epoch_001.json").write_text("{}")
        return scheduled(one, work, model, report)

    for seed in (1, 1, 2):
        train(tmp_path, run, monkeypatch, seed=seed)
    assert found == [{"lock", "run.json"}, {"lock", "run.json", "epoch_001.json"}, {"lock", "run.json"}]
