import math
from collections.abc import Callable
from typing import cast

import numpy as np
import pytest
import torch

from evidence_hpo.errors import DataError
from evidence_hpo.tokens.cache import TokenCache
from evidence_hpo.training.batches import (
    TaskData,
    epoch_batches,
    evaluation_data,
    evaluation_passes,
    load_batch,
    null_windows_shown,
    training_data,
)
from evidence_hpo.training.spec import RunInputs, RunSpec

Make = Callable[..., RunSpec]
CPU = torch.device("cpu")


@pytest.fixture
def data(inputs: dict[str, RunInputs], make_spec: Make) -> dict[str, TaskData]:
    parameters = make_spec("share").parameters
    return {task: training_data(cache, parameters, 1.0) for task, cache in inputs["tiny"].train.items()}


def test_an_epoch_shows_every_window_of_both_tasks_once_and_mixes_them(data: dict[str, TaskData]) -> None:
    batches = epoch_batches(data, 4, seed=1, epoch=0)
    for task, entry in data.items():
        seen = np.concatenate([windows for name, windows in batches if name == task])
        assert sorted(seen) == list(range(len(entry.features)))
    tasks = [task for task, _ in batches]
    halves = tasks[: len(tasks) // 2], tasks[len(tasks) // 2 :]
    assert abs(halves[0].count("criteria") - halves[1].count("criteria")) <= 1


def test_an_epoch_shows_all_windows_with_a_span_and_another_share_of_the_others(data: dict[str, TaskData]) -> None:
    start = data["evidence"].features.start
    nulls, wanted = null_windows_shown(data["evidence"], 0.3)
    assert (nulls, wanted) == (np.count_nonzero(start == 0), math.ceil(0.3 * np.count_nonzero(start == 0)))
    drawn = []
    for epoch in range(2):
        batches = epoch_batches(data, 4, seed=1, epoch=epoch, null_window_share=0.3)
        shown = np.concatenate([windows for task, windows in batches if task == "evidence"])
        assert len(set(shown)) == len(shown)
        assert set(np.flatnonzero(start > 0)) <= set(shown)
        drawn.append({window for window in shown if start[window] == 0})
        assert len(drawn[-1]) == wanted
        criteria = [windows for task, windows in batches if task == "criteria"]
        whole = [windows for task, windows in epoch_batches(data, 4, seed=1, epoch=epoch) if task == "criteria"]
        assert all(np.array_equal(one, other) for one, other in zip(criteria, whole, strict=True))
    assert drawn[0] != drawn[1]


def test_batches_depend_on_seed_and_epoch_alone(data: dict[str, TaskData]) -> None:
    def order(seed: int, epoch: int) -> list[tuple[str, list[int]]]:
        return [(task, windows.tolist()) for task, windows in epoch_batches(data, 4, seed, epoch)]

    assert order(1, 0) == order(1, 0)
    assert order(1, 0) != order(1, 1)
    assert order(1, 0) != order(2, 0)
    reversed_tasks = dict(reversed(data.items()))
    assert [t for t, _ in epoch_batches(reversed_tasks, 4, 1, 0)] == [t for t, _ in order(1, 0)]


def test_a_slice_holds_whole_posts_and_is_the_same_for_all_runs(inputs: dict[str, RunInputs], make_spec: Make) -> None:
    cache = inputs["tiny"].train["criteria"]
    parameters = make_spec("criteria").parameters
    half = training_data(cache, parameters, 0.5)
    posts = set(cache.post_ids[half.rows])
    assert len(posts) == 12
    assert set(half.rows) == {row for row, post in enumerate(cache.post_ids) if post in posts}
    assert np.array_equal(half.rows, training_data(cache, parameters, 0.5).rows)
    assert set(half.features.example) == set(half.rows)


def test_a_cache_without_examples_is_an_error(make_spec: Make) -> None:
    class Empty:
        task = "criteria"

        def __len__(self) -> int:
            return 0

    with pytest.raises(DataError, match="token cache of task criteria has no examples"):
        evaluation_data(cast("TokenCache", Empty()), make_spec("criteria").parameters)


def test_evaluation_passes_cover_all_windows(inputs: dict[str, RunInputs], make_spec: Make) -> None:
    entry = evaluation_data(inputs["tiny"].validation["evidence"], make_spec("evidence").parameters)
    seen = np.concatenate([windows for windows, _ in evaluation_passes(entry, 5, CPU)])
    assert sorted(seen) == list(range(len(entry.features)))
    assert len(entry.features) > len(entry.rows)  # the long post has several windows


def test_the_targets_of_a_batch_point_at_the_gold_characters(data: dict[str, TaskData]) -> None:
    entry = data["evidence"]
    windows = np.arange(len(entry.features))
    batch = load_batch(entry, windows, CPU)
    found = 0
    for row, start, end in zip(windows, batch.starts.tolist(), batch.ends.tolist(), strict=True):
        if start:
            span = (int(batch.char_starts[row, start]), int(batch.char_ends[row, end]))
            assert span in entry.cache.gold_spans[entry.features.example[row]]
            found += 1
    assert found > 10
