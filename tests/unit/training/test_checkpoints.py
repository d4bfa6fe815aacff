"""Resume points and best weights on the disk: what is kept, what is dropped, and what a damaged or full disk costs."""

from __future__ import annotations

import errno
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from evidence_hpo.config.checkpoints import CheckpointSettings
from evidence_hpo.errors import StorageError, TrainingError
from evidence_hpo.files import digest_directory, digest_file, read_json
from evidence_hpo.training import checkpoints as module
from evidence_hpo.training import loop
from evidence_hpo.training import run as run_module
from evidence_hpo.training.checkpoints import Checkpoints, Progress
from evidence_hpo.training.run import Rung, RunInputs, RunSpec, run

Make = Callable[..., RunSpec]
Inputs = dict[str, RunInputs]
BYTES = 40_000


def tensors(value: float) -> dict[str, Tensor]:
    return {"weight": torch.full((BYTES // 4,), float(value))}


class Run:
    """Epochs of a run with the given scores, without the training."""

    def __init__(self, work: Path, **settings: Any) -> None:
        self.lines: list[str] = []
        # Of the disk that the tests run on nothing is assumed.
        settings = {"disk_space_threshold_percent": 0.0, **settings}
        self.files = Checkpoints(work, "key", CheckpointSettings(**settings), self.lines.append)

    def epoch(self, number: int, score: float | None, *, optimizer: float = 0.0) -> bool:
        """Finish an epoch; its weights are its number, and only those with a score may be kept as the best."""
        if score is not None:
            self.files.offer(tensors(number), number, 10 * number, score)
        state = {"0/moment": tensors(optimizer)["weight"].repeat(2)}
        return self.files.save(Progress(epoch=number), 10 * number, score or 0.0, tensors(number), state)

    @property
    def names(self) -> set[str]:
        return {path.name for path in self.files.work.iterdir()}

    @property
    def points(self) -> list[int]:
        return [point.epoch for point in self.files.kept.points]

    @property
    def best(self) -> list[float]:
        return [weights.epoch for weights in self.files.best]


def weights_of(run: Run) -> dict[str, float]:
    found = {name for name in run.names if name.endswith(".safetensors") and "optimizer" not in name}
    return {name: load_file(run.files.work / name)["weight"][0].item() for name in sorted(found)}


def test_deleting_leaves_what_belongs_to_another(tmp_path: Path) -> None:
    run = Run(tmp_path / "work")
    run.epoch(1, 0.5)
    (tmp_path / "work" / "lock").touch()
    run.files.delete()
    assert run.names == {"lock"}
    (tmp_path / "work" / "lock").unlink()
    run.files.delete()
    assert not (tmp_path / "work").exists()


def disk(monkeypatch: pytest.MonkeyPatch, free: float, total: float = 1e6) -> None:
    """Let the disk have so much room, apart from what is written from now on."""
    usage = type(shutil.disk_usage("/"))(int(total), int(total - free), int(free))
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)


def test_weights_are_written_once_and_kept_as_long_as_something_needs_them(tmp_path: Path) -> None:
    run = Run(tmp_path)
    run.epoch(1, 0.9)
    assert run.names == {"epoch_001.json", "epoch_001.safetensors", "epoch_001.optimizer.safetensors"}
    for number in (2, 3, 4):
        run.epoch(number, 0.5)
    assert weights_of(run) == {"epoch_001.safetensors": 1, "epoch_003.safetensors": 3, "epoch_004.safetensors": 4}
    run.epoch(5, 0.95)
    assert weights_of(run) == {"epoch_001.safetensors": 1, "epoch_004.safetensors": 4, "epoch_005.safetensors": 5}
    run.epoch(6, 0.1)
    assert weights_of(run) == {"epoch_005.safetensors": 5, "epoch_006.safetensors": 6}
    saved = read_json(tmp_path / "epoch_006.json")["content"]
    assert (saved["point"]["step"], saved["point"]["score"]) == (60, 0.1)
    assert [one["epoch"] for one in saved["point"]["best"]] == [5]


@pytest.mark.parametrize("keep", [1, 2, 4])
def test_the_last_resume_points_are_kept(tmp_path: Path, keep: int) -> None:
    run = Run(tmp_path, keep_last_n=keep)
    for number in range(1, 7):
        run.epoch(number, None)
    assert sorted(path.stem for path in tmp_path.glob("*.json")) == [f"epoch_00{n}" for n in range(7 - keep, 7)]
    assert len(run.names) == 3 * keep


def test_a_resume_point_gives_back_what_was_saved(tmp_path: Path) -> None:
    run = Run(tmp_path, keep_best_k=2)
    for number, score in ((1, 0.9), (2, 0.8)):
        run.epoch(number, score, optimizer=number / 4)
    again = Run(tmp_path, keep_best_k=2)
    latest = again.files.latest()
    assert latest is not None
    progress, model, optimizer = latest
    assert progress == Progress(epoch=2)
    assert torch.equal(model["weight"], tensors(2)["weight"])
    assert torch.equal(optimizer["0/moment"], torch.full((BYTES // 2,), 0.5))
    assert again.files.kept == run.files.kept
    assert again.lines == []


@pytest.mark.parametrize("gone", ["epoch_002.safetensors", "epoch_002.optimizer.safetensors", "epoch_002.json"])
@pytest.mark.parametrize("how", ["damaged", "missing", "cut"])
def test_the_point_before_takes_the_place_of_a_damaged_one(tmp_path: Path, gone: str, how: str) -> None:
    run = Run(tmp_path)
    for number in (1, 2):
        run.epoch(number, 0.5)
    path = tmp_path / gone
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    if how == "missing":
        path.unlink()
    else:
        path.write_bytes(content if how == "damaged" else content[:-1])
    again = Run(tmp_path)
    latest = again.files.latest()
    assert latest is not None
    assert (latest[0].epoch, latest[1]["weight"][0].item()) == (1, 1.0)
    assert again.names == {"epoch_001.json", "epoch_001.safetensors", "epoch_001.optimizer.safetensors"}


def test_without_the_best_weights_until_there_a_resume_point_is_damaged(tmp_path: Path) -> None:
    run = Run(tmp_path, keep_best_k=2)
    for number, score in ((1, 0.9), (2, 0.8), (3, 0.7)):
        run.epoch(number, score)
    (tmp_path / "epoch_002.safetensors").write_bytes(b"")  # the second best, and the weights of point 2
    again = Run(tmp_path, keep_best_k=2)
    latest = again.files.latest()
    assert latest is not None
    assert latest[0].epoch == 3
    assert again.best == [1]
    (tmp_path / "epoch_001.safetensors").unlink()
    assert Run(tmp_path).files.latest() is None
    assert list(tmp_path.iterdir()) == []


def test_weights_that_no_resume_point_knows_of_are_removed(tmp_path: Path) -> None:
    run = Run(tmp_path)
    run.epoch(1, 0.5)
    run.files.offer(tensors(2), 2, 20, 0.9)  # killed before the resume point
    assert "epoch_002.safetensors" in run.names
    again = Run(tmp_path)
    again.files.latest()
    assert (again.best, weights_of(again)) == ([1], {"epoch_001.safetensors": 1})


@settings(deadline=None, max_examples=30)
@given(
    scores=st.lists(st.sampled_from([0.1, 0.5, 0.9]), min_size=8, max_size=8),
    order=st.lists(st.booleans(), min_size=30, max_size=30),
    keep=st.integers(1, 2),
)
@example(scores=[0.1, 0.5, 0.5, 0.9, 0.1, 0.1, 0.1, 0.1], order=[True] * 9 + [False] * 21, keep=1)
def test_twins_leave_each_other_the_best_weights_wherever_each_of_them_is(
    scores: list[float], order: list[bool], keep: int
) -> None:
    """Two processes do the same in the same folder, as where locks do not hold between machines."""
    with tempfile.TemporaryDirectory() as folder:
        twins = [Run(Path(folder), keep_best_k=keep) for _ in range(2)]
        for twin in twins:
            twin.files.latest()
        left = [_events(twin, scores) for twin in twins]
        for first in [*order, *[True] * 13, *[False] * 13]:
            twin = twins[first]
            if next(left[first], None) == "ended":
                assert {name: value for name, value in weights_of(twin).items() if name in _names(twin)} == {
                    weights.file.name: weights.epoch for weights in twin.files.best
                }
        assert twins[0].best == twins[1].best


def _names(run: Run) -> set[str]:
    return {weights.file.name for weights in run.files.best}


def _events(run: Run, scores: list[float]) -> Iterator[str]:
    """Evaluate in the middle and at the end of each of four epochs, and save a resume point after it."""
    for number, score in enumerate(scores, start=1):
        run.files.offer(tensors(number / 2), number / 2, 5 * number, score)
        yield "evaluated"
        if number % 2 == 0:
            run.epoch(number // 2, None)
            yield "saved" if number < len(scores) else "ended"


def test_resume_points_come_at_intervals(tmp_path: Path) -> None:
    run = Run(tmp_path, min_interval_epochs=3)
    assert [epoch for epoch in range(1, 10) if run.files.is_due(epoch) and run.epoch(epoch, None)] == [3, 6, 9]


def test_above_the_size_limit_old_resume_points_go_then_the_worst_weights(tmp_path: Path) -> None:
    scores = [0.1, 0.2, 0.9, 0.3]
    for limit, points, best in ((20, [4, 3], [3, 4]), (6.5, [4, 3], [3, 4]), (5.5, [4], [3, 4]), (3.5, [3], [3])):
        run = Run(tmp_path / str(limit), keep_best_k=2, max_total_size_gb=limit * BYTES / 1e9)
        for number, score in enumerate(scores, start=1):
            run.epoch(number, score)
        assert (run.points, run.best) == (points, best), limit
        size = sum(path.stat().st_size for path in run.files.work.glob("*.safetensors"))
        assert size < limit * BYTES + 1000
    assert "no resume point is written: with the best weights it is larger than" in "".join(run.lines)


def test_the_worst_weights_make_room_for_a_resume_point(tmp_path: Path) -> None:
    run = Run(tmp_path, keep_best_k=3, keep_best_k_max=3, max_total_size_gb=4.5 * BYTES / 1e9)
    for number, score in ((1, 0.9), (2, 0.8), (3, 0.7)):
        run.epoch(number, score)
    run.epoch(4, 0.1)
    assert (run.points, run.best) == ([4], [1])
    assert weights_of(run) == {"epoch_001.safetensors": 1, "epoch_004.safetensors": 4}
    assert run.lines[-1].endswith("resume points kept: 1, best weights kept: 1")


def test_on_a_nearly_full_disk_the_newest_point_and_the_best_weights_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Run(tmp_path, keep_best_k=2, disk_space_threshold_percent=10.0)
    disk(monkeypatch, free=0.5e6)
    for number, score in ((1, 0.9), (2, 0.8), (3, 0.1)):
        run.epoch(number, score)
    assert (run.points, run.best, run.lines) == ([3, 2], [1, 2], [])
    disk(monkeypatch, free=0.5e6, total=1e7)
    assert run.epoch(4, 0.2)
    assert (run.points, run.best) == ([4], [1])
    assert weights_of(run) == {"epoch_001.safetensors": 1, "epoch_004.safetensors": 4}
    assert run.lines == ["the disk is nearly full: resume points kept: 1, best weights kept: 1"]
    run.epoch(5, 0.2)
    assert len(run.lines) == 1, "the same line is not repeated at each epoch"
    disk(monkeypatch, free=0.5e6)
    run.epoch(6, 0.2)
    assert run.points == [6, 5]


def test_a_resume_point_without_room_is_left_out_and_the_one_before_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Run(tmp_path)
    run.epoch(1, 0.5)
    run.epoch(2, 0.6)
    disk(monkeypatch, free=2 * BYTES)
    assert not run.epoch(3, 0.1)
    assert (run.points, run.best) == ([2], [2])
    assert run.lines[-1].startswith("no resume point is written: the disk has no room for it")
    latest = Run(tmp_path).files.latest()
    assert latest is not None
    assert latest[0].epoch == 2


def full(name: str, error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the writing of tensors into files with ``name`` stop in the middle."""
    original = module.save_file

    def limited(content: dict[str, Tensor], path: Path) -> None:
        if name in path.name:
            path.write_bytes(b"half")
            raise error
        original(content, path)

    monkeypatch.setattr(module, "save_file", limited)


@pytest.mark.parametrize("name", ["epoch_003.safetensors", "epoch_003.optimizer.safetensors"])
@pytest.mark.parametrize(
    "error",
    [
        SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)"),
        OSError(errno.EDQUOT, "Disk quota exceeded"),
    ],
)
def test_a_full_disk_leaves_the_points_before_intact(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, error: Exception
) -> None:
    run = Run(tmp_path)
    run.epoch(1, 0.5)
    run.epoch(2, 0.6)
    before = digest_directory(tmp_path)
    with monkeypatch.context() as patched:
        full(name, error, patched)
        with pytest.raises(StorageError, match=rf"{name}: cannot be written: (No space|Disk quota)"):
            run.epoch(3, None)
    assert not [path for path in run.names if path.endswith(".tmp")]
    again = Run(tmp_path)
    latest = again.files.latest()
    assert latest is not None
    assert latest[0].epoch == 2
    assert digest_directory(tmp_path) == before or again.points == [2]
    assert again.epoch(3, None)


# --- real runs -----------------------------------------------------------------------------------------------------


class KilledError(Exception):
    """Stands for a signal."""


class Asked:
    """A stop that is asked for at one epoch and ends the run where it is looked at."""

    def __init__(self) -> None:
        self.requested = False

    def check(self) -> None:
        if self.requested:
            raise KilledError


def scored(monkeypatch: pytest.MonkeyPatch, values: list[float]) -> None:
    """Let the evaluations of each run have these values."""
    seen: dict[str, float] = {}

    def scripted(model: torch.nn.Module, *_: Any) -> tuple[dict[str, float], dict[str, float]]:
        # By the weights, so that an evaluation that is done again gives the same value.
        key = str([tensor.double().sum().item() for tensor in model.state_dict().values()])
        return {"macro_f1": seen.setdefault(key, values[min(len(seen), len(values) - 1)])}, {"criteria": 0.5}

    monkeypatch.setattr(loop, "evaluate_model", scripted)


def test_the_best_weights_of_a_run_lie_beside_its_model(
    tmp_path: Path, inputs: Inputs, make_spec: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    scored(monkeypatch, [0.2, 0.9, 0.4, 0.4, 0.1])
    spec = make_spec("criteria", epochs=5)
    settings = CheckpointSettings(keep_best_k=2, keep_best_k_max=3)
    model = tmp_path / "model"
    result = run(spec, inputs["tiny"], tmp_path / "work", model=model, report=print, checkpoints=settings)
    assert result.best_epoch == 2.0
    folder = model / "checkpoints"
    assert {path.name for path in folder.glob("*.safetensors")} == {f"epoch_00{n}.safetensors" for n in (2, 3, 4)}
    for number, score in ((2, 0.9), (3, 0.4), (4, 0.4)):
        described = read_json(folder / f"epoch_00{number}.json")
        weights = folder / f"epoch_00{number}.safetensors"
        assert (described["epoch"], described["score"], described["best"]) == (number, score, number == 2)
        assert (described["sha256"], described["size"]) == (digest_file(weights), weights.stat().st_size)
        assert described["step"] == 3 * number
    assert digest_file(model / "model.safetensors") == digest_file(folder / "epoch_002.safetensors")
    alone = run(spec, inputs["tiny"], tmp_path / "work", model=tmp_path / "alone", report=print)
    assert alone.evaluations == result.evaluations
    assert not (tmp_path / "alone" / "checkpoints").exists()


@pytest.mark.parametrize(
    ("line", "pattern"), [("epoch 1 of", "*"), ("epoch 2:", "epoch_002.safetensors"), ("epoch 3:", "epoch_002*")]
)
@pytest.mark.parametrize("how", ["gone", "changed"])
def test_a_run_whose_best_weights_another_process_touched_ends_without_a_result(
    tmp_path: Path, inputs: Inputs, make_spec: Make, monkeypatch: pytest.MonkeyPatch, line: str, pattern: str, how: str
) -> None:
    scored(monkeypatch, [0.2, 0.9, 0.1])
    work, model = tmp_path / "work", tmp_path / "model"
    touched: list[Path] = []

    def twin(message: str) -> None:
        for path in work.glob(pattern) if message.startswith(line) else ():
            touched.append(path)
            path.unlink() if how == "gone" else path.write_bytes(b"")

    spec = make_spec("criteria", epochs=3)
    kept = CheckpointSettings(keep_last_n=1, disk_space_threshold_percent=0.0)
    arguments: dict[str, Any] = {"model": model, "checkpoints": kept, "keep_points": True}
    if line == "epoch 1 of":  # of an epoch that no longer counts
        run(spec, inputs["tiny"], work, report=twin, **arguments)
    else:
        with pytest.raises(StorageError, match="are gone; does another process" if how == "gone" else "was changed"):
            run(spec, inputs["tiny"], work, report=twin, **arguments)
        assert not model.exists()
        run(spec, inputs["tiny"], work, report=print, **arguments)
    assert touched
    run(spec, inputs["tiny"], tmp_path / "alone", report=print, **{**arguments, "model": tmp_path / "undisturbed"})
    assert digest_directory(model) == digest_directory(tmp_path / "undisturbed")


@pytest.mark.parametrize("settings", [{"keep_best_k": 2}, {"min_interval_epochs": 2}, {"keep_last_n": 1}])
def test_no_setting_changes_the_bits_of_an_interrupted_run(
    tmp_path: Path, inputs: Inputs, make_spec: Make, monkeypatch: pytest.MonkeyPatch, settings: dict[str, int]
) -> None:
    scored(monkeypatch, [0.2, 0.9, 0.4, 0.5, 0.1, 0.3])
    spec = make_spec("criteria", epochs=5, rungs=(Rung(2.5),))
    kept = CheckpointSettings(**settings)
    whole = run(spec, inputs["tiny"], tmp_path / "a", model=tmp_path / "whole", report=print, checkpoints=kept)
    for line in ("epoch 1:", "epoch 2:", "epoch 2 of", "epoch 2.5:", "epoch 4:", "epoch 5:"):

        def report(message: str, line: str = line) -> None:
            if message.startswith(line):
                raise KilledError

        with pytest.raises(KilledError):
            run(spec, inputs["tiny"], tmp_path / "b", model=tmp_path / "cut", report=report, checkpoints=kept)
    cut = run(spec, inputs["tiny"], tmp_path / "b", model=tmp_path / "cut", report=print, checkpoints=kept)
    assert cut.evaluations == whole.evaluations
    assert digest_directory(tmp_path / "cut") == digest_directory(tmp_path / "whole")
    plain = run(spec, inputs["tiny"], tmp_path / "c", model=tmp_path / "plain", report=print)
    assert plain.evaluations == whole.evaluations
    assert digest_file(tmp_path / "plain/model.safetensors") == digest_file(tmp_path / "whole/model.safetensors")


def test_a_run_that_is_asked_to_end_writes_a_resume_point_first(
    tmp_path: Path, inputs: Inputs, make_spec: Make
) -> None:
    stop = Asked()
    lines: list[str] = []

    def report(line: str) -> None:
        lines.append(line)
        stop.requested |= line.startswith("epoch 2:")

    settings = CheckpointSettings(min_interval_epochs=5)
    spec = make_spec("criteria", epochs=4)
    with pytest.raises(KilledError):
        run(spec, inputs["tiny"], tmp_path / "w", report=report, checkpoints=settings, stop=stop)
    assert lines[-1] == "epoch 2 of 4 finished"
    assert {path.stem for path in (tmp_path / "w").glob("*.json")} == {"epoch_002"}
    del lines[:]
    run(spec, inputs["tiny"], tmp_path / "w", report=lines.append, checkpoints=settings)
    assert lines[0].startswith("epoch 3:")


def test_a_model_that_does_not_fit_into_the_gpu_is_one_line_and_no_result(
    tmp_path: Path, inputs: Inputs, make_spec: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    def too_large(*_: Any) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB.")

    monkeypatch.setattr(run_module, "freeze_layers", too_large)
    with pytest.raises(TrainingError, match="out of GPU memory while loading the model; is another process"):
        run(make_spec("criteria"), inputs["tiny"], tmp_path / "w", report=print)
