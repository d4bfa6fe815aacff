"""A run that goes on after its end: from where, by which schedule, and never from anything else."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from evidence_hpo.config.checkpoints import CheckpointSettings
from evidence_hpo.errors import ConfigurationError, DataError
from evidence_hpo.files import canonical_json, digest_file
from evidence_hpo.training.run import RunInputs, RunResult, RunSpec, run

Make = Callable[..., RunSpec]
Inputs = dict[str, RunInputs]

ANY_DISK = CheckpointSettings(disk_space_threshold_percent=0.0)


def trained(
    spec: RunSpec, inputs: RunInputs, work: Path, model: Path, lines: list[str] | None = None, **options: Any
) -> RunResult:
    report = (lines if lines is not None else []).append
    return run(spec, inputs, work, model=model, report=report, checkpoints=ANY_DISK, extensible=True, **options)


def weights(model: Path) -> str:
    return digest_file(model / "model.safetensors")


def test_keeping_the_resume_points_changes_no_bit(tmp_path: Path, inputs: Inputs, make_spec: Make) -> None:
    spec = make_spec("criteria")
    plain = run(spec, inputs["tiny"], tmp_path / "work", model=tmp_path / "plain", report=lambda _: None)
    kept = trained(spec, inputs["tiny"], tmp_path / "kept", tmp_path / "model")
    assert canonical_json(vars(kept) | {"duration_seconds": 0}) == canonical_json(vars(plain) | {"duration_seconds": 0})
    assert weights(tmp_path / "model") == weights(tmp_path / "plain")
    assert sorted(path.name for path in (tmp_path / "kept").glob("*.json")) == ["epoch_001.json", "epoch_002.json"]
    assert not (tmp_path / "work").exists()


def test_a_finished_run_goes_on_by_the_longer_schedule(tmp_path: Path, inputs: Inputs, make_spec: Make) -> None:
    work, model = tmp_path / "work", tmp_path / "model"
    short = trained(make_spec("criteria", {"schedule": "linear"}), inputs["tiny"], work, model)
    lines: list[str] = []
    spec = make_spec("criteria", {"schedule": "linear"}, epochs=4)
    longer = trained(spec, inputs["tiny"], work, model, lines, must_resume=True)
    assert (short.schedules, longer.schedules) == ([(0, 2)], [(0, 2), (2, 4)])
    assert longer.evaluations[:2] == short.evaluations
    assert [one["epoch"] for one in longer.evaluations] == [1.0, 2.0, 3.0, 4.0]
    assert not [line for line in lines if line.startswith(("epoch 1", "epoch 2"))], "no epoch is trained twice"
    fresh = trained(spec, inputs["tiny"], tmp_path / "other", tmp_path / "fresh")
    assert fresh.evaluations[1] != longer.evaluations[1], "its first epochs followed the shorter schedule"
    again = trained(spec, inputs["tiny"], work, tmp_path / "again", must_resume=True)
    assert (again.evaluations, again.schedules) == (longer.evaluations, longer.schedules)
    assert weights(tmp_path / "again") == weights(model)


def damage(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def test_a_damaged_point_gives_way_to_the_one_before(tmp_path: Path, inputs: Inputs, make_spec: Make) -> None:
    work, model = tmp_path / "work", tmp_path / "model"
    trained(make_spec("criteria"), inputs["tiny"], work, model)
    damage(work / "epoch_002.optimizer.safetensors")
    lines: list[str] = []
    longer = trained(make_spec("criteria", epochs=3), inputs["tiny"], work, model, lines, must_resume=True)
    assert lines[0] == "resume point ignored: epoch_002.json: its tensors are damaged"
    assert longer.schedules == [(0, 2), (1, 3)]


def test_without_an_intact_point_nothing_is_trained(tmp_path: Path, inputs: Inputs, make_spec: Make) -> None:
    work, model = tmp_path / "work", tmp_path / "model"
    trained(make_spec("criteria"), inputs["tiny"], work, model)
    for epoch in (1, 2):
        damage(work / f"epoch_00{epoch}.optimizer.safetensors")
    lines: list[str] = []
    with pytest.raises(DataError, match="no intact resume point of this run is there"):
        trained(make_spec("criteria", epochs=3), inputs["tiny"], work, model, lines, must_resume=True)
    assert len(lines) == 2


@pytest.mark.parametrize(
    ("values", "fields"),
    [({"learning_rate": 2e-3}, {}), ({}, {"seed": 8}), ({"dropout": 0.3}, {"epochs": 4})],
    ids=["learning rate", "seed", "dropout"],
)
def test_points_of_another_run_are_not_taken(
    tmp_path: Path, inputs: Inputs, make_spec: Make, values: dict[str, Any], fields: dict[str, Any]
) -> None:
    work, model = tmp_path / "work", tmp_path / "model"
    trained(make_spec("criteria"), inputs["tiny"], work, model)
    with pytest.raises(DataError, match="no intact resume point"):
        trained(make_spec("criteria", values, **fields), inputs["tiny"], work, model, must_resume=True)


def test_fewer_epochs_than_are_finished_are_refused(tmp_path: Path, inputs: Inputs, make_spec: Make) -> None:
    work, model = tmp_path / "work", tmp_path / "model"
    trained(make_spec("criteria"), inputs["tiny"], work, model)
    with pytest.raises(ConfigurationError, match="epochs: 1 is less than the 2 epochs that are finished"):
        trained(make_spec("criteria", epochs=1), inputs["tiny"], work, model)


def test_a_run_that_stopped_early_goes_on_with_more_patience_only(
    tmp_path: Path, inputs: Inputs, make_spec: Make
) -> None:
    work, model = tmp_path / "work", tmp_path / "model"
    frozen = {"learning_rate": 1e-12, "head_learning_rate_factor": 1.0}
    stopped = trained(make_spec("criteria", frozen, epochs=9, early_stopping_patience=1), inputs["tiny"], work, model)
    last = stopped.evaluations[-1]["epoch"]
    assert stopped.reason is not None
    assert last < 9
    same = trained(make_spec("criteria", frozen, epochs=10, early_stopping_patience=1), inputs["tiny"], work, model)
    assert (same.evaluations, same.reason) == (stopped.evaluations, stopped.reason)
    further = trained(make_spec("criteria", frozen, epochs=int(last) + 1), inputs["tiny"], work, model)
    assert [one["epoch"] for one in further.evaluations] == [*[one["epoch"] for one in stopped.evaluations], last + 1]
