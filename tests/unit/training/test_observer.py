"""Who listens to a run hears of each of its points, and changes nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from tests.unit.training.test_run import KilledError, comparable, killed_at, silent

from evidence_hpo.files import digest_directory
from evidence_hpo.training.run import Rung, RunInputs, RunSpec, run


class Heard:
    def __init__(self) -> None:
        self.evaluations: list[tuple[dict[str, Any], int]] = []
        self.epochs: list[int] = []

    def evaluated(self, evaluation: Mapping[str, Any], step: int) -> None:
        self.evaluations.append((dict(evaluation), step))

    def epoch_finished(self, epoch: int, seconds: float) -> None:
        assert seconds > 0
        self.epochs.append(epoch)


def test_all_points_are_heard_once_and_the_bits_are_the_same(
    tmp_path: Path, inputs: dict[str, RunInputs], make_spec: Callable[..., RunSpec]
) -> None:
    spec, heard = make_spec("criteria", epochs=2, rungs=(Rung(0.5),)), Heard()
    alone = run(spec, inputs["tiny"], tmp_path / "a", model=tmp_path / "alone", report=silent)
    told = run(spec, inputs["tiny"], tmp_path / "b", model=tmp_path / "told", report=silent, observer=heard)
    assert comparable(told) == comparable(alone)
    assert digest_directory(tmp_path / "told") == digest_directory(tmp_path / "alone")
    assert [evaluation for evaluation, _ in heard.evaluations] == told.evaluations
    assert [evaluation["epoch"] for evaluation, _ in heard.evaluations] == [0.5, 1.0, 2.0]
    steps = [step for _, step in heard.evaluations]
    assert steps == sorted(set(steps))
    assert heard.epochs == [1, 2]


def test_a_run_that_goes_on_tells_of_what_it_does_itself(
    tmp_path: Path, inputs: dict[str, RunInputs], make_spec: Callable[..., RunSpec]
) -> None:
    spec, first, second = make_spec("evidence", epochs=3), Heard(), Heard()
    with pytest.raises(KilledError):
        run(spec, inputs["tiny"], tmp_path / "w", report=killed_at("epoch 2 of"), observer=first)
    run(spec, inputs["tiny"], tmp_path / "w", report=silent, observer=second)
    assert [evaluation["epoch"] for evaluation, _ in first.evaluations] == [1.0, 2.0]
    assert [evaluation["epoch"] for evaluation, _ in second.evaluations] == [3.0]
    assert (first.epochs, second.epochs) == ([1], [3])


def test_a_refit_tells_of_its_training_passes(
    tmp_path: Path, inputs: dict[str, RunInputs], make_spec: Callable[..., RunSpec]
) -> None:
    heard = Heard()
    run(make_spec("criteria", epochs=2, refit_epochs=2), inputs["tiny"], tmp_path / "w", report=silent, observer=heard)
    assert [(one["epoch"], one["metrics"]) for one, _ in heard.evaluations] == [(1.0, {}), (2.0, {})]
    assert heard.epochs == [1, 2]
