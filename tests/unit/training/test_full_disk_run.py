"""A run whose disk gets full in the middle stops, and ends in the same bits once there is room again."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from evidence_hpo.config.checkpoints import CheckpointSettings
from evidence_hpo.errors import StorageError
from evidence_hpo.files import digest_directory
from evidence_hpo.training.run import RunInputs, RunSpec, run

SETTINGS = CheckpointSettings(disk_space_threshold_percent=0.0)


def test_a_run_on_a_disk_that_gets_full_continues_when_there_is_room(
    tmp_path: Path,
    inputs: dict[str, RunInputs],
    make_spec: Callable[..., RunSpec],
    small_disk: Callable[[int], Path],
) -> None:
    values = {"learning_rate": 3e-3, "pooling": "mean", "dropout": 0.0, "backbone_dropout": 0.0}
    spec = make_spec("criteria", values, epochs=15)
    whole = run(spec, inputs["tiny"], tmp_path / "work", model=tmp_path / "whole", report=print)
    assert whole.best_epoch is not None
    assert whole.best_epoch > 1.0, "the best epoch must come after the disk is full"
    disk = small_disk(8 * 1024)
    ballast = disk / "ballast"

    def fill(line: str) -> None:
        if line.startswith("epoch 1 of"):
            ballast.write_bytes(bytes(max(0, shutil.disk_usage(disk).free - 20_000)))

    arguments = {"model": disk / "model", "checkpoints": SETTINGS}
    with pytest.raises(StorageError, match=r"work/epoch_0\d\d\.safetensors: cannot be written: No space left"):
        run(spec, inputs["tiny"], disk / "work", report=fill, **arguments)
    assert (disk / "work" / "epoch_001.json").is_file()
    assert not list(disk.rglob("*.tmp"))
    ballast.unlink()
    lines: list[str] = []
    resumed = run(spec, inputs["tiny"], disk / "work", report=lines.append, **arguments)
    assert lines[0].startswith("epoch 2:")
    assert resumed.evaluations == whole.evaluations
    assert digest_directory(disk / "model") == digest_directory(tmp_path / "whole")


def test_a_search_trial_without_room_for_resume_points_still_ends(
    tmp_path: Path,
    inputs: dict[str, RunInputs],
    make_spec: Callable[..., RunSpec],
    small_disk: Callable[[int], Path],
) -> None:
    spec = make_spec("criteria", epochs=3)
    whole = run(spec, inputs["tiny"], tmp_path / "work", report=print)
    lines: list[str] = []
    result = run(spec, inputs["tiny"], small_disk(100) / "work", report=lines.append)
    assert result.evaluations == whole.evaluations
    assert result.notes == []
    assert sum(line.startswith("no resume point is written: the disk has no room") for line in lines) == 1
