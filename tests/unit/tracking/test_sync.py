"""The store ends with each point once and none missing, whatever fails; `tests/workflow` has servers and kills."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.unit.tracking.store_tables import check_exactly_once, rows, stored_points, wanted_points, wanted_runs
from tests.unit.tracking.tracked_files import events_of, record, write_events, write_stage

from evidence_hpo import paths
from evidence_hpo.config.tracking import TrackingSettings
from evidence_hpo.errors import TrackingError
from evidence_hpo.files import read_json
from evidence_hpo.tracking.store import Store
from evidence_hpo.tracking.sync import Syncer

MakeStudy = Callable[..., Path]
SETTINGS = TrackingSettings(retries=3, backoff_seconds=(0.01, 0.02))


def value(root: Path, query: str) -> Any:
    return rows(root / paths.TRACKING_DATABASE, query)[0][0]


def test_every_point_is_there_once_and_a_second_sync_writes_nothing(study: MakeStudy) -> None:
    root = study(trials=4)
    first = Syncer(root, SETTINGS).sync()
    assert check_exactly_once(root) == first.points == first.written_points > 4 * 2 * 20
    assert (first.runs, first.written_runs, first.pending_runs) == (6, 6, 0)
    tags = rows(root / paths.TRACKING_DATABASE, "SELECT * FROM tags ORDER BY run_uuid, key")
    second = Syncer(root, SETTINGS).sync()
    assert (second.written_runs, second.written_points) == (0, 0)
    assert rows(root / paths.TRACKING_DATABASE, "SELECT * FROM tags ORDER BY run_uuid, key") == tags
    assert read_json(root / paths.TRACKING_STATE)["pending_runs"] == 0


def test_a_batch_is_no_larger_than_it_may_be(study: MakeStudy, monkeypatch: pytest.MonkeyPatch) -> None:
    root = study(trials=2)
    sizes = []
    add = Store._add_batch

    def seen(self: Store, run_id: str, *batch: Any) -> None:
        sizes.append(sum(map(len, batch)))
        add(self, run_id, *batch)

    monkeypatch.setattr(Store, "_add_batch", seen)
    Syncer(root, TrackingSettings(batch_size=7)).sync()
    assert max(sizes) == 7
    check_exactly_once(root)


def test_a_store_that_lost_something_gets_it_back(study: MakeStudy) -> None:
    root = study(trials=3)
    Syncer(root, SETTINGS).sync()
    database = root / paths.TRACKING_DATABASE
    with_digests = "(SELECT run_uuid FROM tags WHERE key = 'trial_number' AND value = '1')"
    rows(database, f"DELETE FROM metrics WHERE key = 'val_loss' AND run_uuid IN {with_digests}")
    rows(database, f"DELETE FROM tags WHERE key = 'evidence_hpo.digest' AND run_uuid IN {with_digests}")
    assert stored_points(database) != wanted_points(root)
    again = Syncer(root, SETTINGS).sync()
    assert (again.written_runs, again.written_points) == (1, 2)
    check_exactly_once(root)


def test_runs_that_two_machines_made_at_once_become_one(study: MakeStudy, monkeypatch: pytest.MonkeyPatch) -> None:
    root = study(trials=5)
    first = Syncer(root, SETTINGS).sync()
    look = Store.runs
    looks = []

    def blind_at_first(self: Store, key: str | None = None) -> Any:
        looks.append(key)
        return [] if len(looks) == 1 else look(self, key)

    monkeypatch.setattr(Store, "runs", blind_at_first)
    second = Syncer(root, SETTINGS).sync()
    assert second.deleted_runs == first.runs == 7
    assert value(root, "SELECT COUNT(*) FROM runs WHERE lifecycle_stage = 'active'") == 7
    check_exactly_once(root)


def test_a_run_that_another_machine_deletes_meanwhile_is_found_again(
    study: MakeStudy, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = study(trials=3)
    add, deleted = Store.add, []

    def add_to_deleted(self: Store, run_id: str, *what: Any) -> None:
        if not deleted:
            deleted.append(run_id)
            self.client.delete_run(run_id)
        add(self, run_id, *what)

    monkeypatch.setattr(Store, "add", add_to_deleted)
    Syncer(root, SETTINGS).sync()
    assert len(deleted) == 1
    check_exactly_once(root)


class Faulty:
    """MLflow's client, of whose requests every third fails, by turns before and after it was carried out."""

    def __init__(self, client: Any) -> None:
        self.client, self.requests, self.failed, self.applied = client, 0, 0, 0

    def __getattr__(self, name: str) -> Any:
        function = getattr(self.client, name)

        def call(*arguments: Any, **options: Any) -> Any:
            self.requests += 1
            if self.requests % 3 == 0:
                self.failed += 1
                if self.failed % 2:
                    self.applied += 1
                    function(*arguments, **options)
                raise ConnectionError("the line is dead")
            return function(*arguments, **options)

        return call


def test_every_third_request_fails_half_of_them_after_they_were_carried_out(
    study: MakeStudy, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = study(trials=10)
    faulty: list[Faulty] = []
    client = Store.client.fget
    assert client is not None

    def made(self: Store) -> Any:
        if not faulty:
            faulty.append(Faulty(client(self)))
        return faulty[0]

    monkeypatch.setattr(Store, "client", property(made))
    Syncer(root, TrackingSettings(batch_size=30, retries=5, backoff_seconds=(0.001, 0.002))).sync()
    assert faulty[0].failed > 20
    assert faulty[0].applied > 10
    check_exactly_once(root)


def test_an_unreachable_store_says_what_is_pending(study: MakeStudy) -> None:
    root = study(trials=2)
    settings = TrackingSettings(uri="http://127.0.0.1:9", retries=2, backoff_seconds=(0.01, 0.02))
    with pytest.raises(TrackingError, match=r"^http://127\.0\.0\.1:9: no answer after 3 attempts"):
        Syncer(root, settings).sync()
    state = read_json(root / paths.TRACKING_STATE)
    assert (state["pending_runs"], state["runs"]) == (4, 4)
    assert "no answer" in state["error"]


def test_a_damaged_store_is_one_line_that_says_what_to_do(study: MakeStudy) -> None:
    root = study(trials=2)
    (root / paths.TRACKING_DATABASE).write_bytes(b"no database at all" * 1000)
    with pytest.raises(TrackingError, match="move the file away and sync again") as error:
        Syncer(root, SETTINGS).sync()
    assert "\n" not in str(error.value)


def test_what_was_seen_live_is_completed_and_corrected_at_the_end(study: MakeStudy) -> None:
    root = study(trials=1)
    shutil.rmtree(root / paths.EVENTS)
    (root / "results/criteria/stage1/summary.json").unlink()
    row = record(0, epochs=3)
    write_stage(root, [row], finished=0)
    events = events_of(row)
    write_events(root, events[:3])
    syncer = Syncer(root, SETTINGS)
    live = syncer.sync()
    assert value(root, "SELECT COUNT(*) FROM runs WHERE status = 'RUNNING'") == live.runs == 3
    assert value(root, "SELECT MAX(step) FROM metrics") == 1
    check_exactly_once(root)
    write_events(root, events[3:5])
    assert 0 < syncer.sync().written_points < 30
    check_exactly_once(root)
    write_events(root, [{**event, "time": event["time"] + 5} for event in events], name="shard_7")  # a twin
    write_stage(root, [row])
    done = syncer.sync()
    check_exactly_once(root)
    assert (done.runs, done.finished) == (3, 1)
    assert value(root, "SELECT COUNT(*) FROM runs WHERE status = 'FINISHED'") == 1
    times = rows(root / paths.TRACKING_DATABASE, "SELECT timestamp FROM metrics WHERE key = 'val_loss' ORDER BY step")
    first, second, third = [event["time"] for event in events if event["event"] == "metrics"]
    assert [time for (time,) in times] == [first, second, third + 5], "of the third epoch only the twin told"


def test_a_parameter_that_changed_is_told_as_a_tag(study: MakeStudy) -> None:
    root = study(trials=2)
    Syncer(root, SETTINGS).sync()
    write_stage(root, [record(number) for number in range(2)])
    (root / "results/criteria/stage1/summary.json").write_text('{"trials": 3}')
    Syncer(root, SETTINGS).sync()
    assert value(root, "SELECT value FROM params WHERE key = 'n_trials'") == "2"
    assert value(root, "SELECT value FROM tags WHERE key = 'current.n_trials'") == "3"
    check_exactly_once(root)


def test_files_arrive_and_are_replaced(study: MakeStudy) -> None:
    root = study(trials=3)
    Syncer(root, SETTINGS).sync()
    stage = next(run for run in wanted_runs(root) if run.name == "criteria/stage1")
    names = {"trials.jsonl", "summary.json", "optimization_history.png", "best_trial_config.yaml"}
    assert {artefact.name for artefact in stage.artefacts} == names
    stored = {path.name: path for path in (root / paths.TRACKING_ARTIFACTS).rglob("*.*")}
    assert set(stored) == names
    assert stored["optimization_history.png"].read_bytes().startswith(b"\x89PNG")
    Syncer(root, SETTINGS.model_copy(update={"artifacts": False})).sync()
    (root / "results/criteria/stage1/summary.json").write_text('{"trials": 3, "more": 1}')
    Syncer(root, SETTINGS).sync()
    assert '"more"' in stored["summary.json"].read_text()


def test_without_a_study_there_is_nothing_to_do(tmp_path: Path) -> None:
    synced = Syncer(tmp_path, SETTINGS).sync()
    assert (synced.study, synced.runs, synced.pending_runs) == (None, 0, 0)
    assert not (tmp_path / paths.TRACKING_DATABASE).exists()
