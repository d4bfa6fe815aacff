"""Events: whole lines only, never an error, and the same points however often and by whomever they were told."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evidence_hpo.logs import open_log
from evidence_hpo.tracking.events import (
    Event,
    EventFiles,
    EventListener,
    append_event,
    event_path,
    first_of_each,
    read_events,
)


def metrics(key: str, epoch: float, value: float, time: int = 1) -> dict[str, Any]:
    return {"event": "metrics", "time": time, "key": key, "epoch": epoch, "train": {}, "metrics": {"f1": value}}


def points(events: list[Event]) -> dict[tuple[str, float], float]:
    return {(one.key, one.fields["epoch"]): one.fields["metrics"]["f1"] for one in events if one.kind == "metrics"}


EVENTS = st.lists(
    st.builds(
        metrics,
        key=st.sampled_from("abc"),
        epoch=st.integers(1, 5).map(float),
        value=st.floats(0, 1),
        time=st.integers(0, 50),
    ),
    max_size=30,
)


# --- the file ----------------------------------------------------------------------------------------------------


def test_path_mirrors_the_log() -> None:
    log = Path("results/logs/criteria/stage1/round_0/shard_1.log")
    assert event_path(log) == Path("results/events/criteria/stage1/round_0/shard_1.jsonl")
    assert event_path(Path("elsewhere/shard_1.log")) is None


@given(events=EVENTS, cut=st.integers(0, 10_000))
def test_whatever_is_cut_off_costs_at_most_the_last_line(
    tmp_path_factory: pytest.TempPathFactory, events: list[dict[str, Any]], cut: int
) -> None:
    path = tmp_path_factory.mktemp("events") / "a.jsonl"
    for event in events:
        append_event(path, event)
    whole = path.read_bytes() if events else b""
    kept = whole[: cut % (len(whole) + 1)]
    path.write_bytes(kept)
    read = read_events(path)
    assert len(read) == kept.count(b"\n")
    append_event(path, metrics("after", 1.0, 0.5))
    again = read_events(path)
    assert [one.key for one in again][-1] == "after"
    assert len(again) >= len(read) + 1, "the line after a torn one is whole"


@given(junk=st.lists(st.binary(max_size=30), max_size=5), events=EVENTS)
def test_lines_that_are_no_events_are_passed_over(
    tmp_path_factory: pytest.TempPathFactory, junk: list[bytes], events: list[dict[str, Any]]
) -> None:
    path = tmp_path_factory.mktemp("events") / "a.jsonl"
    path.write_bytes(b"".join(piece.replace(b"\n", b" ") + b"\n" for piece in [*junk, b'{"event": "metrics"}', b"[]"]))
    for event in events:
        append_event(path, event)
    assert len(read_events(path)) == len(events)


@given(events=EVENTS, pieces=st.lists(st.integers(1, 200), max_size=20))
def test_a_growing_file_gives_each_event_once(
    tmp_path_factory: pytest.TempPathFactory, events: list[dict[str, Any]], pieces: list[int]
) -> None:
    folder = tmp_path_factory.mktemp("events")
    content = b"".join(json.dumps(event).encode() + b"\n" for event in events)
    path, files, heard = folder / "a.jsonl", EventFiles(), list[Event]()
    end = 0
    for piece in pieces:
        end = min(len(content), end + piece)
        path.write_bytes(content[:end])
        heard += files.read_folder(folder)
    path.write_bytes(content)
    heard += files.read_folder(folder)
    assert [one.fields for one in heard] == [one.fields for one in read_events(path)]
    assert [one.line for one in heard] == list(range(len(events)))


def test_a_file_that_is_not_there_has_no_events(tmp_path: Path) -> None:
    assert read_events(tmp_path / "none.jsonl") == []


# --- each point once ---------------------------------------------------------------------------------------------


@given(events=EVENTS, order=st.randoms(use_true_random=False), twins=st.integers(1, 3))
def test_twins_repeats_and_order_change_nothing(events: list[dict[str, Any]], order: Any, twins: int) -> None:
    told = [
        Event("metrics", one["time"], one["key"], one, file=f"f{number % 3}", line=number)
        for number, one in enumerate(events)
    ]
    mixed = told * twins
    order.shuffle(mixed)
    first = first_of_each(told)
    assert first_of_each(mixed) == first
    assert len(points(first)) == len(first) == len({(one["key"], one["epoch"]) for one in events})
    for one in first:
        same = [other for other in told if (other.key, other.fields["epoch"]) == (one.key, one.fields["epoch"])]
        assert one.time == min(other.time for other in same)


def test_of_two_ends_the_last_counts_and_two_places_have_two_beginnings() -> None:
    failed = Event("run_finished", 5, "a", {"result": {"state": "failed"}})
    complete = Event("run_finished", 9, "a", {"result": {"state": "complete"}})
    starts = [Event("run_started", n, "a", {"about": {"place": {"stage": stage}}}) for n, stage in enumerate("xyx")]
    kept = first_of_each([complete, *starts, failed])
    assert [one.time for one in kept] == [0, 1, 9]


# --- the job's side ----------------------------------------------------------------------------------------------


def tell(folder: Path) -> None:
    """Tell of a run with one epoch, as a job does that logs to ``folder``."""
    with open_log(folder / "results/logs/a/b.log"):
        listener = EventListener()
        listener.started("k", {"place": {"number": 1}})
        observer = listener.observer("k", folder)
        observer.evaluated({"epoch": 1.0, "train": {"loss": float("nan")}, "metrics": {"f1": 0.5}}, 7)
        observer.epoch_finished(1, 2.5)
        listener.finished("k", {"state": "complete"}, [{"path": "model.safetensors", "sha256": "0"}])


def test_a_job_writes_what_it_does(tmp_path: Path) -> None:
    tell(tmp_path)
    events = read_events(tmp_path / "results/events/a/b.jsonl")
    assert [one.kind for one in events] == ["run_started", "metrics", "system", "artefact", "run_finished"]
    assert events[1].fields == {"epoch": 1.0, "step": 7, "train": {"loss": None}, "metrics": {"f1": 0.5}}
    assert set(events[2].fields["values"]) == {"epoch_duration_sec", "checkpoint_size_mb", "disk_free_gb"}


def test_without_a_log_nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    EventListener().started("k", {})
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_made_is_a_warning(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "results").mkdir()
    (tmp_path / "results/events").write_text("a file where the folder should be")
    tell(tmp_path)
    assert "warning: an event (run_started) cannot be written, the run goes on without it" in capsys.readouterr().err
    assert '"event_lost"' in (tmp_path / "results/logs/a/b.log").read_text(encoding="utf-8")


@pytest.mark.parametrize("fault", ["raises", "writes a part", "the resume folder is gone"])
def test_a_full_disk_is_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], fault: str
) -> None:
    write = os.write

    def full(handle: int, line: bytes) -> int:
        if fault == "raises":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(handle, line[:10])

    if fault == "the resume folder is gone":
        with open_log(tmp_path / "results/logs/a/b.log"):
            EventListener().observer("k", tmp_path / "gone").epoch_finished(1, 2.5)
        (event,) = read_events(tmp_path / "results/events/a/b.jsonl")
        assert event.fields["values"] == {"epoch_duration_sec": 2.5}
        return
    monkeypatch.setattr(os, "write", full)
    tell(tmp_path)
    assert "No space left on device" in capsys.readouterr().err
    monkeypatch.undo()
    assert read_events(tmp_path / "results/events/a/b.jsonl") == []
    tell(tmp_path)
    assert len(read_events(tmp_path / "results/events/a/b.jsonl")) == 5


def test_two_processes_that_append_do_not_mix_their_lines(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    children = []
    for child in range(2):
        process = os.fork()
        if process == 0:
            for number in range(300):
                append_event(path, metrics(f"{child}", float(number), 0.5))
            os._exit(0)
        children.append(process)
    for process in children:
        os.waitpid(process, 0)
    assert len(points(read_events(path))) == 600
