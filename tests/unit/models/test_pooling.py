import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from evidence_hpo.models.pooling import Pooling

METHODS = ("cls", "mean", "max", "attention")


@pytest.mark.parametrize("method", METHODS)
@given(padding=st.integers(1, 5), seed=st.integers(0, 100))
def test_padding_never_changes_the_pooled_vector(method: str, padding: int, seed: int) -> None:
    torch.manual_seed(seed)
    pooling = Pooling(method, 4)
    tokens = torch.randn(2, 3, 4)
    mask = torch.ones(2, 3, dtype=torch.int64)
    padded = torch.cat([tokens, 100 * torch.randn(2, padding, 4)], dim=1)
    padded_mask = torch.cat([mask, torch.zeros(2, padding, dtype=torch.int64)], dim=1)
    torch.testing.assert_close(pooling(padded, padded_mask), pooling(tokens, mask))


def test_values_of_cls_mean_and_max() -> None:
    tokens = torch.tensor([[[1.0, -2.0], [3.0, 0.0], [9.0, 9.0]]])
    mask = torch.tensor([[1, 1, 0]])
    assert Pooling("cls", 2)(tokens, mask).tolist() == [[1.0, -2.0]]
    assert Pooling("mean", 2)(tokens, mask).tolist() == [[2.0, -1.0]]
    assert Pooling("max", 2)(tokens, mask).tolist() == [[3.0, 0.0]]


def test_attention_learns_which_token_counts() -> None:
    pooling = Pooling("attention", 2)
    assert pooling.score is not None
    with torch.no_grad():
        pooling.score.weight.copy_(torch.tensor([[50.0, 0.0]]))
    tokens = torch.tensor([[[0.0, 1.0], [1.0, 2.0], [0.0, 3.0]]])
    torch.testing.assert_close(pooling(tokens, torch.ones(1, 3, dtype=torch.int64)), torch.tensor([[1.0, 2.0]]))
