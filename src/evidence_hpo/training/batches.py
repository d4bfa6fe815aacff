"""From token caches to batches on the device."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from evidence_hpo.errors import DataError
from evidence_hpo.models.architectures import EncoderInputs
from evidence_hpo.tokens.augmenting import augmented
from evidence_hpo.tokens.banks import TokenBank
from evidence_hpo.tokens.batching import data_slice, evaluation_batches, length_bucketed_batches
from evidence_hpo.tokens.cache import TokenCache
from evidence_hpo.tokens.features import Batch, Features, assemble, build_features
from evidence_hpo.training.seeding import derive_seed

__all__ = [
    "DeviceBatch",
    "TaskData",
    "epoch_batches",
    "evaluation_data",
    "load_batch",
    "null_windows_shown",
    "training_data",
]

Rows = NDArray[np.int64]

_SLICE_SEED = 0
"""One slice for all runs: a score must not depend on which posts a trial happened to draw."""


@dataclass(frozen=True)
class TaskData:
    """The windows of one task's examples.

    Attributes:
        cache: Where the tokens lie.
        rows: The examples used, as rows of ``cache``.
        features: One entry a window.
        augmented: How many of the rows are variants of training examples.
    """

    cache: TokenCache
    rows: Rows
    features: Features
    augmented: int = 0


@dataclass(frozen=True)
class DeviceBatch:
    """A batch of windows on the device: inputs, targets, and the character offsets [n, length] of its tokens."""

    inputs: EncoderInputs
    labels: Tensor
    starts: Tensor
    ends: Tensor
    char_starts: Tensor
    char_ends: Tensor


def training_data(
    cache: TokenCache,
    parameters: Mapping[str, Any],
    fraction: float,
    banks: Sequence[TokenBank] = (),
    seed: int = 0,
) -> TaskData:
    """Return the windows of the share ``fraction`` of the posts of ``cache``, and of variants of these posts.

    Args:
        cache: The examples.
        parameters: The parameters that act in the run.
        fraction: Share of the posts, in (0, 1].
        banks: The banks that the parameters use.
        seed: Seed of the run, which chooses from the banks.

    Raises:
        DataError: There are no examples, `max_length` leaves no room for the text, or a bank is of other examples.
    """
    rows = np.arange(len(cache)) if fraction >= 1.0 else data_slice(cache.post_ids, fraction, _SLICE_SEED)
    joined, rows = augmented(cache, rows, banks, parameters, seed) if banks else (cache, rows)
    return replace(_task_data(joined, rows, parameters), augmented=len(joined) - len(cache))


def evaluation_data(cache: TokenCache, parameters: Mapping[str, Any]) -> TaskData:
    """Return the windows of all examples of ``cache``.

    Raises:
        DataError: There are no examples, or `max_length` leaves no room for the text.
    """
    return _task_data(cache, np.arange(len(cache)), parameters)


def _task_data(cache: TokenCache, rows: Rows, parameters: Mapping[str, Any]) -> TaskData:
    if len(rows) == 0:
        raise DataError(f"the token cache of task {cache.task} has no examples; change the settings of build_examples")
    overlap = parameters.get("window_overlap", 0.0)
    return TaskData(cache, rows, build_features(cache, rows, max_length=parameters["max_length"], overlap=overlap))


def null_windows_shown(entry: TaskData, share: float) -> tuple[int, int]:
    """Return how many windows of the evidence task have no span, and how many of these an epoch shows."""
    nulls = int(np.count_nonzero(entry.features.start == 0))
    return nulls, math.ceil(round(share * nulls, 9))


def _shown(task: str, entry: TaskData, share: float, seed: int, epoch: int) -> Rows:
    """Return the windows of an epoch in ascending order: all with a span, and a random share of those without."""
    if task != "evidence" or share == 1.0:
        return np.arange(len(entry.features))
    nulls = np.flatnonzero(entry.features.start == 0)
    generator = np.random.default_rng(derive_seed(seed, "null windows", epoch))
    chosen = generator.permutation(nulls)[: null_windows_shown(entry, share)[1]]
    return np.sort(np.concatenate([np.flatnonzero(entry.features.start > 0), chosen]))


def epoch_batches(
    data: Mapping[str, TaskData], batch_size: int, seed: int, epoch: int, null_window_share: float = 1.0
) -> list[tuple[str, Rows]]:
    """Return the batches of an epoch as (task, windows); they depend on the arguments alone.

    The batches of two tasks are spread evenly over the epoch, whatever their numbers.

    Args:
        data: Training windows by task.
        batch_size: Windows in a batch.
        seed: Seed of the run.
        epoch: Number of the epoch, from 0.
        null_window_share: Share of the evidence windows without a span that is shown.
    """
    placed = []
    for order, (task, entry) in enumerate(sorted(data.items())):
        shown = _shown(task, entry, null_window_share, seed, epoch)
        batches = length_bucketed_batches(entry.features.length[shown], batch_size, seed, epoch)
        placed += [((i + 0.5) / len(batches), order, task, shown[chosen]) for i, chosen in enumerate(batches)]
    return [(task, windows) for _, _, task, windows in sorted(placed, key=lambda item: item[:2])]


def evaluation_passes(data: TaskData, batch_size: int, device: torch.device) -> Iterator[tuple[Rows, DeviceBatch]]:
    """Yield every window once, as (windows, batch), in batches of similar length."""
    for windows in evaluation_batches(data.features.length, batch_size):
        yield windows, load_batch(data, windows, device)


def load_batch(data: TaskData, windows: Rows, device: torch.device) -> DeviceBatch:
    """Assemble ``windows`` and copy them to the device without waiting for it."""
    batch: Batch = assemble(data.cache, data.features, windows)

    def moved(values: NDArray[Any]) -> Tensor:
        tensor = torch.from_numpy(values)
        return tensor if device.type == "cpu" else tensor.pin_memory().to(device, non_blocking=True)

    return DeviceBatch(
        inputs=EncoderInputs(
            moved(batch.input_ids),
            moved(batch.attention_mask),
            moved(batch.token_type_ids),
            moved(batch.context_mask),
        ),
        labels=moved(batch.labels),
        starts=moved(batch.starts),
        ends=moved(batch.ends),
        char_starts=moved(batch.char_starts),
        char_ends=moved(batch.char_ends),
    )
