"""Rounds and shards of a stage."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from evidence_hpo.config.search import StageSettings


@given(st.integers(1, 60), st.integers(0, 300), st.integers(1, 40), st.integers(1, 50))
def test_rounds_hold_all_trials_and_no_shard_is_empty(first: int, later: int, round_size: int, shards: int) -> None:
    stage = StageSettings(
        name="stage1",
        trials=first + later,
        first_round=first,
        round_size=round_size,
        shards=shards,
        epochs=2,
        space="space",
    )
    sizes = stage.round_sizes
    assert sizes[0] == first
    assert sum(sizes) == stage.trials
    assert all(size == round_size for size in sizes[1:-1])
    assert all(0 < size <= round_size for size in sizes[1:])
    assert [stage.shards_of(round_) for round_ in range(len(sizes))] == [min(shards, size) for size in sizes]
