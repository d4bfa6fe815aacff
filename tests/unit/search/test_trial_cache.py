"""The trial cache and execution: reuse, damage, twins, failures, interruption."""

from __future__ import annotations

import errno
import os
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from search_support import DIGESTS, FIXED, FakeResult, fake_run

from evidence_hpo.config.training import RuntimeSettings
from evidence_hpo.errors import DataError, StorageError, TrainingError
from evidence_hpo.search import trial_cache
from evidence_hpo.search.execution import execute
from evidence_hpo.search.interruption import current_interruption
from evidence_hpo.search.outcomes import RunRequest, outcome_of
from evidence_hpo.search.records import RungThreshold
from evidence_hpo.search.trial_cache import TrialCache, link_directory

Report = Callable[[str], None]


def request(number: int = 0, **values: Any) -> RunRequest:
    defaults: dict[str, Any] = {
        "label": f"stage1 trial {number}",
        "architecture": "criteria",
        "parameters": FIXED.model_dump(),
        "seed": number,
        "epochs": 3,
        "data_fraction": 1.0,
        "rungs": (RungThreshold(epoch=1.0, threshold=None),),
        "objective": "macro_f1",
        "early_stopping_patience": 0,
        "runtime": RuntimeSettings(),
        "digests": DIGESTS,
        "versions": {"torch": "2"},
    }
    return RunRequest(**{**defaults, **values})


class Counter:
    """A runner that counts its calls."""

    def __init__(self) -> None:
        self.seeds: list[int] = []

    def __call__(self, one: RunRequest, work: Path, model: Path | None, report: Report) -> FakeResult:
        self.seeds.append(one.seed)
        return fake_run(one, work, model, report, fail=0.0)


def test_key_covers_what_decides_the_numbers_and_nothing_else() -> None:
    changes: list[dict[str, Any]] = [
        {"architecture": "share"},
        {"parameters": {**FIXED.model_dump(), "dropout": 0.3}},
        {"seed": 5},
        {"epochs": 4},
        {"data_fraction": 0.5},
        {"rungs": (RungThreshold(epoch=1.0, threshold=0.5),)},
        {"objective": "f1"},
        {"early_stopping_patience": 2},
        {"runtime": RuntimeSettings(threads=2)},
        {"digests": {**DIGESTS, "code": "e" * 64}},
        {"versions": {"torch": "3"}},
        {"refit_epochs": 2},
    ]
    assert len({request(**change).key for change in changes} | {request().key}) == len(changes) + 1
    assert request(label="other", keep_weights=True).key == request().key


def test_finished_work_is_not_redone(tmp_path: Path) -> None:
    runner, cache = Counter(), TrialCache(tmp_path)
    first = execute([request(1), request(2)], runner, cache)
    second = execute([request(2), request(3), request(1)], runner, cache)
    assert runner.seeds == [1, 2, 3]
    assert [second[2], second[0]] == first
    assert not list(tmp_path.rglob("resume"))


def test_resume_points_left_by_a_kill_after_the_record_go_when_the_record_is_taken(tmp_path: Path) -> None:
    cache, left = TrialCache(tmp_path), request()
    execute([left], Counter(), cache)
    (cache.resume_folder(left.key)).mkdir()
    (cache.resume_folder(left.key) / "epoch_001.json").touch()
    execute([left], Counter(), cache)
    assert not cache.resume_folder(left.key).exists()


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"key": 1}', "\x00\x01", '{"key": "%s"}' % ("0" * 64)])
def test_damaged_record_is_run_again(tmp_path: Path, damage: str) -> None:
    runner, cache = Counter(), TrialCache(tmp_path)
    whole = execute([request()], runner, cache)
    record = cache.folder(request().key) / "record.json"
    record.write_text(damage)
    assert execute([request()], runner, cache) == whole
    assert runner.seeds == [0, 0]
    assert execute([request()], runner, cache) == whole
    assert runner.seeds == [0, 0]


def test_record_of_another_trial_is_not_taken(tmp_path: Path) -> None:
    runner, cache = Counter(), TrialCache(tmp_path)
    execute([request(1), request(2)], runner, cache)
    other = (cache.folder(request(2).key) / "record.json").read_bytes()
    (cache.folder(request(1).key) / "record.json").write_bytes(other)
    execute([request(1)], runner, cache)
    assert runner.seeds == [1, 2, 1]


def test_weights_are_checked_and_linked(tmp_path: Path) -> None:
    runner, cache = Counter(), TrialCache(tmp_path / "cache")
    kept = request(keep_weights=True)
    execute([replace(kept, keep_weights=False)], runner, cache)
    finished = execute([kept], runner, cache)[0]
    assert runner.seeds == [0, 0], "a record without weights does not answer a request for weights"
    assert finished.model is not None
    link_directory(finished.model, tmp_path / "model")
    weights = tmp_path / "model" / "model.safetensors"
    assert weights.stat().st_ino == (finished.model / "model.safetensors").stat().st_ino
    link_directory(finished.model, tmp_path / "model")
    weights.write_bytes(b"damaged")
    again = execute([kept], runner, cache)[0]
    assert runner.seeds == [0, 0, 0]
    assert again.model_sha256 == finished.model_sha256


def test_copies_where_links_are_impossible(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "file").write_text("x")

    def refuse(*_: object) -> None:
        raise OSError(errno.EXDEV, "cross-device link")

    monkeypatch.setattr(os, "link", refuse)
    link_directory(tmp_path / "a", tmp_path / "c")
    assert (tmp_path / "c" / "b" / "file").read_text() == "x"
    link_directory(None, tmp_path / "c")
    assert list((tmp_path / "c").iterdir()) == []


def test_twins_run_a_trial_once(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    started = threading.Event()
    calls: list[int] = []

    def slow(one: RunRequest, work: Path, model: Path | None, report: Report) -> FakeResult:
        calls.append(one.seed)
        started.set()
        time.sleep(0.3)
        return fake_run(one, work, model, report, fail=0.0)

    results: list[Any] = []

    def first() -> None:
        results.append(execute([request()], slow, TrialCache(tmp_path)))

    thread = threading.Thread(target=first)
    thread.start()
    started.wait(5)
    results.append(execute([request()], slow, TrialCache(tmp_path)))
    thread.join()
    assert calls == [0]
    assert results[0] == results[1]
    assert "stage1 trial 0: waits for another process" in capfd.readouterr().err


def test_what_a_twin_finished_counts_and_not_the_error_that_it_caused(tmp_path: Path) -> None:
    """Some file systems lock on one machine only, so that a lost job and its successor run the same trial at once."""
    shared, finished = TrialCache(tmp_path), []

    def run(one: RunRequest, work: Path, model: Path | None, report: Report) -> FakeResult:
        outcome = outcome_of(fake_run(one, work, model, report, fail=0.0), one.objective, is_refit=False)
        finished.append(shared.store(one.key, outcome))
        (work / "epoch_001.json").write_text("{}")  # the twin removed the folder
        raise AssertionError("not reached")

    assert execute([request()], run, shared) == finished


def test_files_that_a_finished_twin_removed_are_no_failure_and_those_of_another_end_the_job(tmp_path: Path) -> None:
    shared, finished = TrialCache(tmp_path), []

    def run(one: RunRequest, work: Path, model: Path | None, report: Report) -> FakeResult:
        if one.seed == 0:
            outcome = outcome_of(fake_run(one, work, model, report, fail=0.0), one.objective, is_refit=False)
            finished.append(shared.store(one.key, outcome))
        raise StorageError(f"{work}: files of this run are gone")

    assert execute([request(0)], run, shared) == finished
    with pytest.raises(StorageError, match="files of this run are gone"):
        execute([request(1)], run, shared)
    assert shared.load(request(1).key, weights=False) is None


@pytest.mark.parametrize("lost", ["the job", "the weights"])
def test_resume_points_stay_until_the_record_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lost: str
) -> None:
    cache, kept = TrialCache(tmp_path), request(keep_weights=True)

    def run(one: RunRequest, work: Path, model: Path | None, report: Report) -> FakeResult:
        (work / "epoch_002.json").write_text("{}")
        return fake_run(one, work, None if lost == "the weights" else model, report, fail=0.0)

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        if lost == "the job":
            patched.setattr(trial_cache, "write_artefact", killed)
        with pytest.raises(KeyboardInterrupt if lost == "the job" else DataError):
            execute([kept], run, cache)
    assert (cache.resume_folder(kept.key) / "epoch_002.json").exists()
    assert cache.load(kept.key, weights=False) is None
    lost = "nothing"
    assert execute([kept], run, cache)[0].model is not None
    assert not cache.resume_folder(kept.key).exists()


def test_weights_that_are_not_there_are_not_taken_for_none(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such folder"):
        link_directory(tmp_path / "absent", tmp_path / "model")
    assert not (tmp_path / "model").exists()


def test_one_failure_ends_no_other_and_an_error_is_not_cached(tmp_path: Path) -> None:
    calls: list[int] = []

    def run(one: RunRequest, work: Path, model: Path | None, report: Report) -> FakeResult:
        calls.append(one.seed)
        if one.seed == 1:
            raise RuntimeError("shapes differ\nsecond line")
        if one.seed == 2:
            raise DataError("max_length 16 leaves no room for the text")
        if one.seed == 3:
            return FakeResult("failed", None, None, [], "non-finite loss at step 3 (epoch 1)")
        return fake_run(one, work, model, report, fail=0.0)

    requests = [request(seed) for seed in range(5)]
    outcomes = [one.outcome for one in execute(requests, run, TrialCache(tmp_path))]
    assert [one.state for one in outcomes] == ["complete", "failed", "failed", "failed", "complete"]
    assert outcomes[1].reason == "RuntimeError: shapes differ"
    assert outcomes[2].reason == "max_length 16 leaves no room for the text"
    execute(requests, run, TrialCache(tmp_path))
    assert calls == [0, 1, 2, 3, 4, 1, 2]


@pytest.mark.parametrize(
    ("error", "raised"),
    [
        (StorageError("disk full"), StorageError),
        (OSError(errno.ENOSPC, "No space left on device"), StorageError),
        (ValueError("Error while serializing: I/O error: No space left on device (os error 28)"), StorageError),
        (OSError(errno.ESTALE, "Stale file handle"), StorageError),
        (RuntimeError("CUDA error: device-side assert triggered"), TrainingError),
    ],
)
def test_what_would_fail_every_trial_ends_the_shard(tmp_path: Path, error: Exception, raised: type[Exception]) -> None:
    def run(*_: object) -> FakeResult:
        raise error

    with pytest.raises(raised):
        execute([request()], run, TrialCache(tmp_path))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_ends_the_shard_at_the_next_resume_point(tmp_path: Path, number: signal.Signals) -> None:
    cache, reported = TrialCache(tmp_path), []

    def run(one: RunRequest, work: Path, model: Path | None, report: Report) -> FakeResult:
        if one.seed == 1:
            os.kill(os.getpid(), number)
            report("epoch 0.5: no resume point yet")
            reported.append("after the rung")
            assert current_interruption().requested
            (work / "epoch_001.json").write_text("{}")
            current_interruption().check()
            reported.append("never")
        return fake_run(one, work, model, report, fail=0.0)

    before = signal.getsignal(number)
    with pytest.raises(TrainingError, match="interrupted at stage1 trial 1: 1 of 3 are finished; run again"):
        execute([request(seed) for seed in range(3)], run, cache)
    assert reported == ["after the rung"]
    assert signal.getsignal(number) is before
    assert not current_interruption().requested
    assert (cache.resume_folder(request(1).key) / "epoch_001.json").exists()
    assert cache.load(request(0).key, weights=False) is not None
    assert cache.load(request(1).key, weights=False) is None


def test_numbers_that_are_not_finite_become_null() -> None:
    nan = float("nan")
    evaluations = [{"epoch": 1, "train": {"loss": nan}, "metrics": {"macro_f1": 0.5, "roc_auc": nan}}]
    outcome = outcome_of(FakeResult(evaluations=evaluations), "macro_f1")
    assert outcome.evaluations[0].train["loss"] is None
    assert outcome.evaluations[0].metrics == {"macro_f1": 0.5, "roc_auc": None}
    undefined = outcome_of(FakeResult(value=nan, evaluations=evaluations), "roc_auc")
    assert (undefined.state, undefined.value) == ("failed", None)
    assert undefined.reason == "roc_auc is undefined on the validation split"
