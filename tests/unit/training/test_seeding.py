import random

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from evidence_hpo.training.seeding import derive_seed, make_deterministic, seed_generators


@given(st.integers(0, 2**63 - 1), st.integers(0, 1000))
def test_purposes_give_different_seeds_that_torch_accepts(seed: int, epoch: int) -> None:
    seeds = {derive_seed(seed, "epoch", epoch), derive_seed(seed, "epoch", epoch + 1), derive_seed(seed, "model")}
    assert len(seeds) == 3
    assert all(0 <= derived < 2**63 for derived in seeds)


def _draws() -> tuple[float, float, float]:
    return random.random(), float(np.random.rand()), float(torch.rand(()))


def test_seeding_sets_every_generator() -> None:
    seed_generators(1, "epoch", 0)
    first = _draws()
    other = _draws()
    seed_generators(1, "epoch", 0)
    assert _draws() == first
    assert all(a != b for a, b in zip(first, other, strict=True))


def test_threads_are_the_settings() -> None:
    make_deterministic(2)
    assert torch.get_num_threads() == 2
    make_deterministic(1)
    assert torch.get_num_threads() == 1
    assert torch.are_deterministic_algorithms_enabled()
