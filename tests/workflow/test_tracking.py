"""Tracking for real: a server that fails, dies and comes back, syncs that are killed, a study that runs meanwhile."""

from __future__ import annotations

import json
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.unit.tracking.store_tables import check_exactly_once, rows, wanted_points
from tests.unit.tracking.tracked_files import events_of, record, write_events, write_stage, write_study
from tests.workflow.mlflow_server import FaultyProxy, MlflowServer
from tests.workflow.study import TINY, make_study, overlay

from evidence_hpo import paths
from evidence_hpo.config.tracking import TrackingSettings
from evidence_hpo.files import read_json, write_json
from evidence_hpo.tracking.sync import Syncer

pytestmark = pytest.mark.workflow

PATIENT = {"retries": 60, "backoff_seconds": (0.1, 1.0), "batch_size": 50}
IMPATIENT = ["--override", "tracking.retries=1", "--override", "tracking.backoff_seconds=[0.05, 0.1]"]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MlflowServer]:
    running = MlflowServer(tmp_path_factory.mktemp("mlflow"))
    running.start()
    yield running
    running.kill()


@pytest.fixture
def alone(server: MlflowServer) -> MlflowServer:
    """Return the server without the runs of other tests."""
    rows(server.database, "UPDATE runs SET lifecycle_stage = 'deleted'")
    return server


def track(root: Path, *arguments: str) -> list[str]:
    return [sys.executable, "-m", "evidence_hpo.cli.main", "track", *arguments]


def settings(uri: str) -> TrackingSettings:
    return TrackingSettings.model_validate({"uri": uri, **PATIENT})


# --- a server ----------------------------------------------------------------------------------------------------


def test_a_server_gets_each_point_once_and_the_files(alone: MlflowServer, tmp_path: Path) -> None:
    write_study(tmp_path, trials=6)
    first = Syncer(tmp_path, settings(alone.uri)).sync()
    assert check_exactly_once(tmp_path, alone.database) == first.points == first.written_points
    assert Syncer(tmp_path, settings(alone.uri)).sync().written_runs == 0
    sent = {path.name for path in (alone.folder / "artifacts").rglob("*.*")}
    assert sent >= {"trials.jsonl", "best_trial_config.yaml", "optimization_history.png"}


def test_a_server_that_fails_every_third_request(alone: MlflowServer, tmp_path: Path) -> None:
    write_study(tmp_path, trials=10)
    proxy = FaultyProxy(alone.port)
    try:
        Syncer(tmp_path, settings(proxy.uri)).sync()
    finally:
        proxy.stop()
    assert proxy.refused > 5
    assert proxy.dropped > 5
    assert check_exactly_once(tmp_path, alone.database) == len(wanted_points(tmp_path))


def test_a_server_that_is_killed_during_a_sync_and_comes_back(alone: MlflowServer, tmp_path: Path) -> None:
    write_study(tmp_path, trials=25, epochs=3)
    total = len(wanted_points(tmp_path))
    before = rows(alone.database, "SELECT COUNT(*) FROM metrics")[0][0]
    failed: list[BaseException] = []

    def sync() -> None:
        try:
            Syncer(tmp_path, settings(alone.uri)).sync()
        except BaseException as error:
            failed.append(error)

    syncing = threading.Thread(target=sync)
    syncing.start()
    outages = 0
    for share in (0.2, 0.6):
        while rows(alone.database, "SELECT COUNT(*) FROM metrics")[0][0] - before < share * total:
            assert syncing.is_alive(), failed
            time.sleep(0.01)
        alone.kill()
        time.sleep(3.0)
        alone.start()
        outages += 1
    syncing.join()
    assert (failed, outages) == ([], 2)
    assert check_exactly_once(tmp_path, alone.database) == total


def test_two_machines_at_once_on_one_server(alone: MlflowServer, tmp_path: Path) -> None:
    write_study(tmp_path / "one", trials=10)
    shutil.copytree(tmp_path / "one", tmp_path / "two")
    command = track(tmp_path, "--uri", alone.uri)
    both = [subprocess.Popen(command, cwd=tmp_path / name, stderr=subprocess.PIPE) for name in ("one", "two")]
    ends = [(process.communicate()[1].decode(), process.returncode) for process in both]
    assert [code for _, code in ends] == [0, 0], ends
    assert check_exactly_once(tmp_path / "one", alone.database) == len(wanted_points(tmp_path / "one"))


def test_no_server_is_exit_code_5_and_the_next_sync_sends_all(alone: MlflowServer, tmp_path: Path) -> None:
    write_study(tmp_path, trials=3)
    command = track(tmp_path, "--uri", "http://127.0.0.1:9", *IMPATIENT)
    finished = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert finished.returncode == 5
    assert "http://127.0.0.1:9: no answer after 2 attempts" in finished.stderr
    assert "Traceback" not in finished.stderr
    assert read_json(tmp_path / paths.TRACKING_STATE)["pending_runs"] == 5
    subprocess.run(track(tmp_path, "--uri", alone.uri), cwd=tmp_path, check=True)
    check_exactly_once(tmp_path, alone.database)


# --- processes that are killed, and run at once ------------------------------------------------------------------


def test_a_sync_that_is_killed_at_random_moments(tmp_path: Path) -> None:
    write_study(tmp_path, trials=12, epochs=3)
    settings = tmp_path / "batches.yaml"
    settings.write_text("tracking: {batch_size: 20}\n", encoding="utf-8")
    Syncer(tmp_path, TrackingSettings(experiment="unused", artifacts=False))._store_of("none").experiment  # noqa: B018
    database, total = tmp_path / paths.TRACKING_DATABASE, len(wanted_points(tmp_path))
    kills = 0
    for target in sorted(random.Random(4).sample(range(5, total - 20), 4)):
        process = subprocess.Popen(track(tmp_path, "--configfile", str(settings)), cwd=tmp_path)
        while process.poll() is None and rows(database, "SELECT COUNT(*) FROM metrics")[0][0] < target:
            time.sleep(0.002)
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
            kills += 1
        process.wait()
    assert kills >= 3, "the syncs ended before they could be killed often enough to show anything"
    subprocess.run(track(tmp_path), cwd=tmp_path, check=True)
    assert check_exactly_once(tmp_path) == total


def test_two_syncs_of_one_folder_at_once(tmp_path: Path) -> None:
    write_study(tmp_path, trials=8)
    both = [subprocess.Popen(track(tmp_path), cwd=tmp_path) for _ in range(2)]
    assert [process.wait() for process in both] == [0, 0]
    assert check_exactly_once(tmp_path) == len(wanted_points(tmp_path))


# --- live --------------------------------------------------------------------------------------------------------


def test_follow_shows_runs_while_their_jobs_write_and_ends_with_the_study(tmp_path: Path) -> None:
    trials = [record(number, epochs=2) for number in range(2)]
    write_stage(tmp_path, trials, finished=0)
    database = tmp_path / paths.TRACKING_DATABASE
    events = [event for row in trials for event in events_of(row)]
    write_events(tmp_path, events[:3])
    process = subprocess.Popen(track(tmp_path, "--follow", "--interval", "0.3"), cwd=tmp_path, stderr=subprocess.PIPE)
    try:
        wait_for(database, "SELECT COUNT(*) FROM runs WHERE status = 'RUNNING' AND name LIKE 'trial_%'", 1)
        write_events(tmp_path, events[3:8])
        wait_for(database, "SELECT COUNT(*) FROM runs WHERE name LIKE 'trial_%'", 2)
        folder = write_stage(tmp_path, trials)
        write_json(folder.parent / "summary.json", {"trials": 2})
        write_json(tmp_path / paths.STUDY_SUMMARY, {"study_id": "toy-id"})
        process.wait(timeout=120)
    finally:
        process.kill()
    _, errors = process.communicate()
    assert process.returncode == 0, errors
    assert b"4 runs (0 under way)" in errors
    check_exactly_once(tmp_path)


def test_ctrl_c_ends_follow_cleanly(tmp_path: Path) -> None:
    write_stage(tmp_path, [record(0)], finished=0)
    write_events(tmp_path, events_of(record(0))[:2])
    process = subprocess.Popen(
        track(tmp_path, "--follow", "--interval", "0.3"),
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a shell's background jobs ignore Ctrl-C
    )
    wait_for(tmp_path / paths.TRACKING_DATABASE, "SELECT COUNT(*) > 0 FROM metrics", 1)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 0
    assert b"track: ended" in errors
    assert b"Traceback" not in errors


def wait_for(database: Path, query: str, wanted: int) -> None:
    began = time.monotonic()
    while True:
        try:
            if database.exists() and rows(database, query)[0][0] == wanted:
                return
        except Exception:
            pass  # the tables are being made
        assert time.monotonic() - began < 120, f"{query} does not become {wanted}"
        time.sleep(0.1)


# --- the workflow ------------------------------------------------------------------------------------------------


def test_a_study_is_tracked_at_its_end_and_an_unreachable_store_does_not_fail_it(tmp_path: Path) -> None:
    dead = {"enabled": True, "uri": "http://127.0.0.1:9", "retries": 0}
    study = make_study(tmp_path, overlay(TINY, {"tracking": dead}))
    study.run("--cores", "2")
    log = (study.folder / "results/logs/sync_tracking.log").read_text(encoding="utf-8")
    assert [json.loads(line)["level"] for line in log.splitlines()].count("warning") == 1
    state = read_json(study.folder / paths.TRACKING_STATE)
    assert state["pending_runs"] == state["runs"] == 18
    assert study.planned() == {}

    study.settings = overlay(TINY, {"tracking": {"enabled": True}})
    # The picture of the graph and the resolved configuration belong to the whole configuration, cost and overview tell
    # of all jobs.
    last = {"report_cost": 1, "write_overview": 1}
    assert study.planned() == {"sync_tracking": 1, "draw_dag": 1, "write_configuration": 1, **last}
    study.run("--cores", "2")
    assert read_json(study.folder / paths.TRACKING_STATE)["pending_runs"] == 0
    check_exactly_once(study.folder)
    database = study.folder / paths.TRACKING_DATABASE
    told = {"val/criteria_matcher/f1": 18, "val_macro_f1": 18, "train_loss": 18, "system/epoch_duration_sec": 10}
    for name, least in told.items():  # a pruned trial does not finish its epoch
        assert rows(database, f"SELECT COUNT(*) FROM metrics WHERE key = '{name}'")[0][0] >= least, name
    assert rows(database, "SELECT COUNT(*) FROM latest_metrics WHERE key = 'test_macro_f1'")[0][0] == 3
    events = list((study.folder / paths.EVENTS).rglob("*.jsonl"))
    assert len(events) == 4 + 3
    shutil.rmtree(study.folder / paths.EVENTS)
    (study.folder / paths.TRACKING_STATE).unlink()
    study.run("--cores", "2", paths.TRACKING_STATE)
    assert read_json(study.folder / paths.TRACKING_STATE)["written_points"] == 0
