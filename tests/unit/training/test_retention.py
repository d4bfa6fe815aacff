"""What a run keeps, and in which order it gives things up."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evidence_hpo.training.retention import Kept, ResumePoint, TensorFile, Weights, best_weights, epoch_name


def weights(epoch: int, score: float, size: int = 1) -> Weights:
    file = TensorFile(name=f"{epoch_name(epoch)}.safetensors", sha256="0" * 64, size=size)
    return Weights(epoch=epoch, step=10 * epoch, score=score, file=file)


def point(epoch: int, best: tuple[Weights, ...] = (), size: int = 1) -> ResumePoint:
    own = weights(epoch, 0.0, size)
    optimizer = TensorFile(name=f"{epoch_name(epoch)}.optimizer.safetensors", sha256="1" * 64, size=2 * size)
    return ResumePoint(epoch=epoch, step=own.step, score=0.0, model=own.file, optimizer=optimizer, best=best)


def kept(candidates: list[Weights], k: int, k_max: int) -> list[float]:
    return [one.epoch for one in best_weights(candidates, k, k_max)]


@pytest.mark.parametrize(
    ("scores", "k", "k_max", "epochs"),
    [
        ([0.1, 0.9, 0.5], 1, 2, [2]),
        ([0.1, 0.9, 0.5], 2, 2, [2, 3]),
        ([0.9, 0.9, 0.9], 1, 3, [1]),
        ([0.9, 0.5, 0.5, 0.5], 2, 3, [1, 2, 3]),
        ([0.9, 0.5, 0.5, 0.5], 2, 2, [1, 2]),
        ([0.5, 0.5 + 1e-12, 0.5], 2, 3, [2, 1, 3]),
        ([0.5], 2, 3, [1]),
    ],
)
def test_the_best_are_kept_with_ties_for_the_last_place(
    scores: list[float], k: int, k_max: int, epochs: list[int]
) -> None:
    assert kept([weights(number, score) for number, score in enumerate(scores, start=1)], k, k_max) == epochs


@given(
    scores=st.lists(st.sampled_from([0.1, 0.2, 0.3]), min_size=1, max_size=8),
    k=st.integers(1, 4),
    more=st.integers(0, 3),
)
def test_offering_one_after_the_other_keeps_the_same_as_all_at_once(scores: list[float], k: int, more: int) -> None:
    every = [weights(number, score) for number, score in enumerate(scores, start=1)]
    one_by_one: tuple[Weights, ...] = ()
    for one in every:
        one_by_one = best_weights((*one_by_one, one), k, k + more)
    assert one_by_one == best_weights(every, k, k + more)


def test_weights_that_several_need_count_once() -> None:
    best = weights(2, 0.9, size=10)
    assert Kept((point(2, (best,), size=10),), (best,)).size == 30
    assert Kept((point(3, (best,), size=10),), (best,)).size == 40


def test_old_resume_points_go_before_the_worst_weights_and_the_last_of_each_stays() -> None:
    best = (weights(2, 0.9), weights(1, 0.5))
    steps = [
        ([one.epoch for one in left.points], [one.epoch for one in left.best])
        for left in Kept((point(4), point(3), point(2)), best).smaller()
    ]
    assert steps == [([4, 3], [2, 1]), ([4], [2, 1]), ([4], [2])]


def test_a_resume_point_holds_the_best_weights_that_it_refers_to_but_not_the_lesser_ones() -> None:
    old = (weights(1, 0.9), weights(2, 0.5))
    files = Kept((point(3, old),), (weights(4, 0.95),)).files()
    assert set(files) == {
        "epoch_001.safetensors",
        "epoch_003.safetensors",
        "epoch_003.optimizer.safetensors",
        "epoch_004.safetensors",
    }


@pytest.mark.parametrize(("epoch", "name"), [(5, "epoch_005"), (1.5, "epoch_001.5"), (1000, "epoch_1000")])
def test_names_of_epochs(epoch: float, name: str) -> None:
    assert epoch_name(epoch) == name
