from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from evidence_hpo.training.batches import DeviceBatch, evaluation_data, load_batch
from evidence_hpo.training.inference import (
    MAX_ANSWER_TOKENS,
    NonFinitePredictionError,
    SpanPredictions,
    best_window_spans,
    criteria_probabilities,
    evaluate_model,
    evidence_spans,
)
from evidence_hpo.training.precision import Compute
from evidence_hpo.training.spec import RunInputs, RunSpec

Make = Callable[..., RunSpec]
CPU = Compute(torch.device("cpu"), "fp32")


@given(seed=st.integers(0, 10_000), length=st.integers(2, 2 * MAX_ANSWER_TOKENS + 20), context=st.integers(0, 100))
def test_the_best_span_is_that_of_an_exhaustive_search(seed: int, length: int, context: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(1, length, 2, generator=generator)
    first = 1 + context % length
    logits[:, 1:first] = float("-inf")
    offsets = torch.arange(length).unsqueeze(0)
    batch: Any = SimpleNamespace(char_starts=10 * offsets, char_ends=10 * offsets + 5)
    score, null, start, end = best_window_spans(logits, batch)[0].tolist()
    spans = {
        (i, j): float(logits[0, i, 0] + logits[0, j, 1])
        for i in range(first, length)
        for j in range(i, min(length, i + MAX_ANSWER_TOKENS))
    }
    assert null == float(logits[0, 0].sum())
    if not spans:
        assert score == float("-inf")
        return
    assert score == max(spans.values())
    assert spans[int(start) // 10, int(end) // 10] == score


def test_a_span_is_predicted_where_it_beats_null_by_more_than_the_threshold() -> None:
    found = SpanPredictions(np.array([1, 2, 3]), np.array([4, 5, 6]), np.array([1.0, 2.0, 3.0]), np.array([1.0] * 3))
    assert found.spans() == [None, (2, 5), (3, 6)]
    assert found.spans(1.0) == [None, None, (3, 6)]


class Oracle(nn.Module):
    """Knows the targets of one task's windows by their input ids."""

    def __init__(self, known: dict[bytes, Tensor]) -> None:
        super().__init__()
        self.known = known

    def forward(self, task: str, inputs: Any) -> Tensor:
        rows = [
            self.known[ids[mask == 1].numpy().tobytes()]
            for ids, mask in zip(inputs.input_ids, inputs.attention_mask, strict=True)
        ]
        width = inputs.input_ids.shape[1]
        return torch.stack([nn.functional.pad(row, (0, 0, 0, max(0, width - len(row)))) for row in rows])


def _oracle(entry: Any, logits: Callable[[DeviceBatch, int], Tensor]) -> Oracle:
    batch = load_batch(entry, np.arange(len(entry.features)), CPU.device)
    keys = [
        ids[mask == 1].numpy().tobytes()
        for ids, mask in zip(batch.inputs.input_ids, batch.inputs.attention_mask, strict=True)
    ]
    return Oracle({key: logits(batch, row) for row, key in enumerate(keys)})


def _evidence_logits(batch: DeviceBatch, row: int) -> Tensor:
    length = int(batch.inputs.attention_mask[row].sum())
    logits = torch.zeros(length, 2)
    logits[batch.starts[row], 0] = 5.0
    logits[batch.ends[row], 1] = 5.0
    return logits


def _first_position(task: str, logits: Tensor, batch: DeviceBatch) -> Tensor:
    """Stand in for a loss: a number that is known for each window."""
    assert task == "evidence"
    assert logits.shape[:2] == batch.inputs.input_ids.shape
    return batch.starts.float()


def test_windows_of_a_long_post_are_combined_and_a_perfect_model_scores_one(
    inputs: dict[str, RunInputs], make_spec: Make
) -> None:
    entry = evaluation_data(inputs["tiny"].train["evidence"], make_spec("evidence").parameters)
    oracle = _oracle(entry, _evidence_logits)
    for batch_size in (1, 64):
        metrics, loss = evaluate_model(oracle, {"evidence": entry}, CPU, batch_size, _first_position)
        assert loss == {"evidence": pytest.approx(entry.features.start.mean())}
        assert metrics["exact_match"] == 1.0
        assert "macro_f1" not in metrics
        assert "mean_macro_f1_char_f1" not in metrics
    found = evidence_spans(oracle, entry, CPU, 7)
    gold = entry.cache.gold_spans
    assert [spans[:1] for spans in gold] == [[s] if s else [] for s in found.spans()]
    assert {row for row, spans in enumerate(gold) if spans} == set(np.flatnonzero(found.null_score < 10.0))


def test_a_constant_on_all_logits_of_a_window_changes_nothing(inputs: dict[str, RunInputs], make_spec: Make) -> None:
    """The softmax of a window, and so its loss, does not know that constant: it must not decide between windows."""
    entry = evaluation_data(inputs["tiny"].train["evidence"], make_spec("evidence").parameters)
    assert len(entry.features) > len(entry.rows)  # some posts have several windows

    def shifted(batch: DeviceBatch, row: int) -> Tensor:
        return _evidence_logits(batch, row) + 20.0 * (row % 3)

    plain, moved = (evidence_spans(_oracle(entry, logits), entry, CPU, 7) for logits in (_evidence_logits, shifted))
    assert moved.spans() == plain.spans()
    np.testing.assert_allclose(moved.span_score - moved.null_score, plain.span_score - plain.null_score)


def test_probabilities_come_in_the_order_of_the_examples(inputs: dict[str, RunInputs], make_spec: Make) -> None:
    entry = evaluation_data(inputs["tiny"].train["criteria"], make_spec("criteria").parameters)

    def logits(batch: DeviceBatch, row: int) -> Tensor:
        return torch.tensor([[0.0, 3.0 if batch.labels[row] else -3.0]])

    class Squeezed(Oracle):
        def forward(self, task: str, inputs: Any) -> Tensor:
            return super().forward(task, inputs)[:, 0]

    oracle = Squeezed(_oracle(entry, logits).known)
    probability = criteria_probabilities(oracle, entry, CPU, 5)
    assert np.array_equal(probability > 0.5, entry.cache.labels == 1)
    assert probability.max() == pytest.approx(1 / (1 + np.exp(-3)))


def test_nan_logits_are_found(inputs: dict[str, RunInputs], make_spec: Make) -> None:
    entry = evaluation_data(inputs["tiny"].validation["evidence"], make_spec("evidence").parameters)
    oracle = _oracle(entry, lambda batch, row: _evidence_logits(batch, row) * (float("nan") if row == 3 else 1.0))
    with pytest.raises(NonFinitePredictionError):
        evidence_spans(oracle, entry, CPU, 4)
    assert oracle.training
