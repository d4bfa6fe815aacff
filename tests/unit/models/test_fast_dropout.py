"""Dropout with 16-bit lanes: the distribution of its masks, its gradient, and what seeds govern."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from evidence_hpo.models.dropout import LEVELS, FastDropout, accelerate_dropout, draw_lanes, drop_level

CPU = torch.device("cpu")
N = 2**20


def dropped(p: float, shape: tuple[int, ...] = (N,), seed: int = 0) -> Tensor:
    torch.manual_seed(seed)
    return FastDropout(p)(torch.ones(shape)) == 0


def test_the_lanes_are_uniform_in_every_bit_and_all_four_places() -> None:
    torch.manual_seed(0)
    lanes = (draw_lanes(4 * N, CPU).long() + 2**15).view(-1, 4)
    assert lanes.min() == 0
    assert lanes.max() == LEVELS - 1
    for bit in range(16):
        share = (lanes >> bit & 1).double().mean(0)
        assert (share - 0.5).abs().max() < 5 * 0.5 / math.sqrt(N)
    counts = torch.bincount(lanes.flatten() >> 8, minlength=256).double()
    expected = 4 * N / 256
    chi_square = ((counts - expected) ** 2 / expected).sum()
    assert abs(chi_square - 255) < 5 * math.sqrt(2 * 255)


@pytest.mark.parametrize("p", [1 / LEVELS, 0.05, 0.1, 0.5, 0.9])
def test_rate_scale_mean_and_variance(p: float) -> None:
    torch.manual_seed(1)
    values = FastDropout(p)(torch.ones(N))
    rate = drop_level(p) / LEVELS
    assert abs(rate - p) <= 0.5 / LEVELS
    assert values.unique().tolist() == pytest.approx([0.0, 1 / (1 - rate)])
    spread = math.sqrt(rate * (1 - rate) / N)
    assert abs((values == 0).double().mean() - rate) < 5 * spread
    assert abs(values.double().mean() - 1.0) < 5 * spread / (1 - rate)
    if p > 0.01:
        assert values.double().var() == pytest.approx(rate / (1 - rate), rel=0.03)


def test_elements_are_independent_of_their_neighbours_and_of_the_next_call() -> None:
    torch.manual_seed(2)
    module = FastDropout(0.3)
    first, second = ((module(torch.ones(N)) == 0).double() for _ in range(2))
    noise = 5 * 0.3 * 0.7 / math.sqrt(N)
    pairs = [(first[lag:], first[: N - lag]) for lag in (1, 2, 3, 4, 5, 8, 64, 1024)]
    for a, b in [*pairs, (first, second)]:
        assert abs(((a - 0.3) * (b - 0.3)).mean()) < noise


def test_the_gradient_is_zero_where_dropped_and_scaled_elsewhere() -> None:
    torch.manual_seed(3)
    values = torch.randn(128, 128, requires_grad=True)
    result = FastDropout(0.25)(values)
    result.sum().backward()
    assert values.grad is not None
    assert torch.equal(values.grad == 0, result == 0)
    assert 0.2 < (result == 0).double().mean() < 0.3
    assert torch.equal(values.grad * values.detach(), result.detach())


def test_a_transposed_input_is_masked_where_it_says() -> None:
    torch.manual_seed(4)
    values = torch.randn(128, 96, requires_grad=True)
    result = FastDropout(0.5)(values.T)
    (grad,) = torch.autograd.grad(result.sum(), values)
    assert torch.equal((grad * values.detach()).T, result.detach())


def test_the_seed_decides() -> None:
    assert torch.equal(dropped(0.1, seed=5), dropped(0.1, seed=5))
    assert not torch.equal(dropped(0.1, seed=5), dropped(0.1, seed=6))


@pytest.mark.parametrize("module", [FastDropout(0.0), FastDropout(0.5).eval()], ids=["p=0", "evaluation"])
def test_nothing_happens_and_no_number_is_drawn(module: FastDropout) -> None:
    state = torch.get_rng_state()
    values = torch.randn(100, 100, generator=torch.Generator().manual_seed(0))
    assert torch.equal(module(values), values)
    assert torch.equal(torch.get_rng_state(), state)


def test_everything_can_be_dropped() -> None:
    assert dropped(1.0).all()


@pytest.mark.parametrize("size", [1, 3, 8191, 8192, 8193, 8195])
def test_any_size(size: int) -> None:
    assert 0 <= dropped(0.5, (size,)).sum() <= size
    assert dropped(0.5, (size,)).shape == (size,)


def test_bf16_keeps_the_mean() -> None:
    torch.manual_seed(7)
    values = torch.rand(N).bfloat16()
    result = FastDropout(0.1)(values)
    assert result.dtype == torch.bfloat16
    # The factor 1.1111 is 1.1094 in bf16, which would lower the mean by 1.6e-3.
    assert result.double().mean() / values.double().mean() == pytest.approx(1.0, abs=1e-3)


def test_a_probability_outside_the_range_is_refused() -> None:
    with pytest.raises(ValueError, match=r"1\.5 is not in"):
        drop_level(1.5)


def test_every_dropout_of_a_model_is_replaced_and_no_other_module() -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.Dropout(0.2), nn.Sequential(nn.Dropout(0.3), nn.Dropout1d(0.4)))
    assert accelerate_dropout(model) == 2
    assert accelerate_dropout(model) == 2
    assert [module.p for module in model.modules() if type(module) is FastDropout] == [0.2, 0.3]
    assert [type(module) for module in model.modules() if isinstance(module, nn.Dropout1d)] == [nn.Dropout1d]
