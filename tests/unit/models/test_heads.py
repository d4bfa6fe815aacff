import pytest
import torch
from torch import nn

from evidence_hpo.models.heads import GatedFusion, build_head


@pytest.mark.parametrize("layers", range(5))
def test_a_head_has_its_hidden_layers_and_dropout_before_each(layers: int) -> None:
    head = build_head(6, 2, layers=layers, hidden=5, activation="tanh", dropout=0.3)
    linear = [m for m in head if isinstance(m, nn.Linear)]
    assert [m.out_features for m in linear] == [5] * layers + [2]
    assert linear[0].in_features == 6
    dropped = [head[i - 1] for i, m in enumerate(head) if isinstance(m, nn.Linear)]
    assert all(isinstance(m, nn.Dropout) and m.p == 0.3 for m in dropped)
    assert head(torch.zeros(3, 7, 6)).shape == (3, 7, 2)


def test_a_list_gives_each_layer_its_width() -> None:
    head = build_head(6, 2, layers=3, hidden=[9, 8, 7], activation="silu", dropout=0.0)
    assert [m.out_features for m in head if isinstance(m, nn.Linear)] == [9, 8, 7, 2]


def test_a_linear_head_needs_no_width() -> None:
    assert build_head(6, 2, layers=0, hidden=None, activation=None, dropout=0.0)(torch.zeros(3, 6)).shape == (3, 2)


def test_fusion_depends_on_the_text_and_keeps_the_tokens_where_the_gate_is_closed() -> None:
    torch.manual_seed(0)
    fusion = GatedFusion(4)
    tokens, text = torch.randn(2, 3, 4), torch.randn(2, 4)
    assert not torch.equal(fusion(tokens, text), fusion(tokens, -text))
    with torch.no_grad():
        fusion.gate_token.bias.fill_(-1e4)
    torch.testing.assert_close(fusion(tokens, text), tokens)
