from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st

from evidence_hpo.config.training import RuntimeSettings
from evidence_hpo.files import canonical_json
from evidence_hpo.training.spec import EvaluationPoint, Rung, RunSpec


def _spec(epochs: int, rungs: tuple[Rung, ...]) -> RunSpec:
    return RunSpec("criteria", {"batch_size": 8}, 1, epochs, 1.0, rungs, "macro_f1", 0, RuntimeSettings())


def test_rungs_within_an_epoch_become_steps_and_merge_with_epoch_ends() -> None:
    points = _spec(2, (Rung(0.25, 0.1), Rung(1.0, 0.2), Rung(0.001), Rung(3.0, 0.9))).evaluation_points(10)
    assert points == [
        EvaluationPoint(1, 0.001, None),
        EvaluationPoint(2, 0.25, 0.1),
        EvaluationPoint(10, 1.0, 0.2),
        EvaluationPoint(20, 2.0, None),
    ]


@given(st.integers(1, 5), st.lists(st.floats(0.001, 5.0), max_size=5), st.integers(1, 50))
def test_points_are_in_order_and_every_epoch_ends_with_one(epochs: int, rungs: list[float], steps: int) -> None:
    points = _spec(epochs, tuple(Rung(rung) for rung in rungs)).evaluation_points(steps)
    assert [p.step for p in points] == sorted(p.step for p in points)
    assert {epoch * steps for epoch in range(1, epochs + 1)} <= {p.step for p in points}
    assert all(1 <= p.step <= epochs * steps for p in points)


def test_a_specification_survives_json(make_spec: Callable[..., RunSpec]) -> None:
    spec = make_spec("joint", {"learning_rate": 3e-5}, rungs=(Rung(0.5, 0.3), Rung(1.0)))
    assert RunSpec.from_json(spec.to_json()) == spec
    assert canonical_json(RunSpec.from_json(spec.to_json()).to_json()) == canonical_json(spec.to_json())


def test_accumulation_follows_the_effective_batch(make_spec: Callable[..., RunSpec]) -> None:
    assert make_spec("criteria", {"batch_size": 4}).accumulation == 4
    assert make_spec("criteria", {"batch_size": 4, "gradient_accumulation_steps": 8}).accumulation == 8
