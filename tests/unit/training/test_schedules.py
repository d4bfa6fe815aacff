from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evidence_hpo.training.schedules import learning_rate_factors

SCHEDULES = ("linear", "cosine", "cosine_with_restarts", "polynomial", "one_cycle", "constant")


def _parameters(schedule: str, warmup_ratio: float) -> dict[str, Any]:
    return {"schedule": schedule, "warmup_ratio": warmup_ratio, "schedule_cycles": 2, "schedule_power": 2.0}


@given(schedule=st.sampled_from(SCHEDULES), warmup=st.floats(0.0, 0.9), steps=st.integers(1, 200))
def test_factors_rise_over_the_warm_up_and_never_exceed_the_peak(schedule: str, warmup: float, steps: int) -> None:
    factors = learning_rate_factors(_parameters(schedule, warmup), steps)
    assert len(factors) == steps
    assert all(0.0 <= factor <= 1.0 + 1e-9 for factor in factors)
    rising = factors[: round(warmup * steps)]
    assert rising == sorted(rising)


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_the_peak_follows_the_warm_up(schedule: str) -> None:
    factors = learning_rate_factors(_parameters(schedule, 0.25), 200)
    assert abs(factors.index(max(factors)) - 50) <= 1
    assert max(factors) > 0.999
    assert factors[0] < 0.05


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_without_warm_up_the_first_step_is_the_peak(schedule: str) -> None:
    assert learning_rate_factors(_parameters(schedule, 0.0), 40)[0] == pytest.approx(1.0, abs=1e-2)


def test_all_but_constant_end_near_zero() -> None:
    last = {name: learning_rate_factors(_parameters(name, 0.1), 100)[-1] for name in SCHEDULES}
    assert last.pop("constant") == 1.0
    assert max(last.values()) < 0.05


def test_restarts_return_to_the_peak() -> None:
    factors = learning_rate_factors({**_parameters("cosine_with_restarts", 0.0), "schedule_cycles": 4}, 400)
    assert sum(factor > 0.9999 for factor in factors) >= 4
    assert [factors[step] for step in (0, 100, 200, 300)] == pytest.approx([1.0] * 4)
