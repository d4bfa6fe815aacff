"""The fast disentangled attention gives what transformers gives: outputs, every gradient, and the same weights."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from transformers import BertConfig, BertModel, DebertaV2Config, DebertaV2Model, PreTrainedModel
from transformers.models.deberta_v2.modeling_deberta_v2 import build_relative_position

from evidence_hpo.models import disentangled
from evidence_hpo.models.disentangled import accelerate_attention
from evidence_hpo.models.dropout import LEVELS, accelerate_dropout, drop_level

VARIANTS: dict[str, dict[str, Any]] = {
    "v3": {},
    "unshared": {"share_att_key": False},
    "no buckets": {"position_buckets": -1},
    "no buckets, unshared": {"position_buckets": -1, "share_att_key": False, "norm_rel_ebd": "none"},
    "c2p": {"pos_att_type": ["c2p"]},
    "p2c, unshared": {"pos_att_type": ["p2c"], "share_att_key": False},
    "content": {"pos_att_type": []},
    "few positions": {"position_buckets": 8, "max_relative_positions": 32, "max_position_embeddings": 700},
    "skipping buckets": {"position_buckets": 64, "max_relative_positions": 40},
    "convolution": {"conv_kernel_size": 3, "conv_act": "gelu"},
}
LENGTHS = [1, 2, 7, 63, 64, 65, 131, 300, 513, 600]


@pytest.fixture(autouse=True)
def deterministic() -> Iterator[None]:
    torch.use_deterministic_algorithms(True)
    yield
    torch.use_deterministic_algorithms(False)


def make_pair(dropout: float = 0.0, **changed: Any) -> tuple[DebertaV2Model, DebertaV2Model]:
    """Return transformers' model and a copy with the fast attention."""
    values: dict[str, Any] = {
        "vocab_size": 50,
        "hidden_size": 24,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 32,
        "max_position_embeddings": 512,
        "relative_attention": True,
        "position_buckets": 64,
        "norm_rel_ebd": "layer_norm",
        "share_att_key": True,
        "pos_att_type": ["p2c", "c2p"],
        "position_biased_input": False,
        "type_vocab_size": 0,
        "hidden_dropout_prob": dropout,
        "attention_probs_dropout_prob": dropout,
        "initializer_range": 0.15,  # large enough that attention is far from even
    }
    torch.manual_seed(0)
    stock = DebertaV2Model(DebertaV2Config(**{**values, **changed})).train()
    fast = copy.deepcopy(stock)
    assert accelerate_attention(fast)
    return stock, fast


def make_batch(length: int, batch: int = 3, *, padded: bool = True) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(length)
    tokens = torch.randint(50, (batch, length), generator=generator)
    mask = torch.ones_like(tokens)
    if padded:
        mask[0, length // 2 + 1 :] = 0
        mask[-1, length - length // 4 :] = 0
    return tokens, mask


def outputs_and_gradients(model: PreTrainedModel, tokens: Tensor, mask: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
    """Return all hidden states of all positions, and the gradients of a loss that weighs every number of the last."""
    model.zero_grad()
    result = model(input_ids=tokens, attention_mask=mask, output_hidden_states=True)
    last = result.last_hidden_state
    weights = torch.randn(last.shape, generator=torch.Generator().manual_seed(1)).to(last.dtype)
    (last * weights).sum().backward()
    gradients = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    return torch.stack([state.detach() for state in result.hidden_states]), gradients


def assert_equal(stock: PreTrainedModel, fast: PreTrainedModel, tokens: Tensor, mask: Tensor, tolerance: float) -> None:
    """Compare outputs, relative to the largest, and each gradient, relative to the largest of the model."""
    expected, gradients = outputs_and_gradients(stock, tokens, mask)
    states, found = outputs_and_gradients(fast, tokens, mask)
    assert (states - expected).abs().max() <= tolerance * expected.abs().max()
    assert found.keys() == gradients.keys()
    scale = max(gradient.abs().max() for gradient in gradients.values())
    for name, gradient in gradients.items():
        assert (found[name] - gradient).abs().max() <= tolerance * scale, name


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("variant", VARIANTS)
def test_in_float64_nothing_differs(variant: str, length: int) -> None:
    stock, fast = make_pair(**VARIANTS[variant])
    # transformers rounds the scale to float32, which limits the agreement to about 1e-7.
    for padded in (True, False):
        assert_equal(stock.double(), fast.double(), *make_batch(length, padded=padded), 1e-6)


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("variant", ["v3", "unshared", "no buckets"])
def test_in_float32_rounding_differs(variant: str, length: int) -> None:
    assert_equal(*make_pair(**VARIANTS[variant]), *make_batch(length), 1e-5)


@settings(max_examples=40)
@given(st.data())
def test_any_mask_and_any_shape(data: st.DataObject) -> None:
    length, batch = data.draw(st.integers(1, 150)), data.draw(st.integers(1, 5))
    tokens, _ = make_batch(length, batch)
    generator = torch.Generator().manual_seed(data.draw(st.integers(0, 2**31)))
    share = data.draw(st.sampled_from([0.0, 0.2, 0.9, 1.0]))
    shape = (batch, length, length) if data.draw(st.booleans()) else (batch, length)
    mask = (torch.rand(shape, generator=generator) < share).long()  # holes, and queries that see nothing
    stock, fast = make_pair(num_attention_heads=data.draw(st.sampled_from([1, 2, 3])))
    embeddings = (model.double().get_input_embeddings()(tokens).detach() for model in (stock, fast))
    results = []
    for model, states in zip((stock, fast), embeddings, strict=True):
        states.requires_grad_()
        result = model.encoder(states, mask).last_hidden_state
        weights = torch.randn(result.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
        gradient, relative = torch.autograd.grad(
            (result * weights).sum(), [states, model.encoder.rel_embeddings.weight], materialize_grads=True
        )
        results.append((result.detach(), gradient, relative))
    for expected, found in zip(*results, strict=True):
        assert torch.allclose(expected, found, rtol=1e-5, atol=1e-6 * float(expected.abs().max()))


@pytest.mark.parametrize(("buckets", "positions"), [(256, 512), (64, 128), (8, 32), (-1, 48), (64, 40)])
def test_every_pair_of_every_length_gets_the_row_of_transformers(buckets: int, positions: int) -> None:
    span = buckets if buckets > 0 else positions
    for length in [*range(1, 70), *range(70, 601, 53), 511, 512, 513]:
        band = disentangled._band(length, span, buckets, positions, torch.device("cpu"))
        states = torch.zeros(1, length, 1)
        expected = build_relative_position(states, states, buckets, positions)[0]
        expected = torch.clamp(expected + span, 0, 2 * span - 1)
        for rows, transposed in ((band.c2p, False), (band.p2c, True)):
            table = rows.view(band.blocks, 1, band.width).expand(-1, band.block, -1).contiguous() + band.first
            pairs = band.skewed(table, 1).reshape(band.padded, band.padded)[:length, :length]
            assert torch.equal(pairs.T if transposed else pairs, expected), (length, transposed)
        assert band.last == expected.max()


def test_bf16_is_as_close_to_float32_as_transformers() -> None:
    stock, fast = make_pair()
    for length in (20, 150):
        tokens, mask = make_batch(length)
        exact, exact_gradients = outputs_and_gradients(stock, tokens, mask)
        with torch.autocast("cpu", torch.bfloat16):
            expected, gradients = outputs_and_gradients(stock, tokens, mask)
            states, found = outputs_and_gradients(fast, tokens, mask)
        assert (states - exact).norm() <= 1.2 * (expected - exact).norm()
        for name, gradient in exact_gradients.items():
            if gradient.norm() > 1e-3:  # a key's bias has no gradient but rounding
                error = (gradients[name] - gradient).norm() + 2**-9 * gradient.norm()
                assert (found[name] - gradient).norm() <= 1.5 * error, name


def test_a_backward_pass_inside_autocast_keeps_float32() -> None:
    _, fast = make_pair()
    attention = fast.encoder.layer[0].attention.self
    states, mask = torch.randn(2, 30, 24), fast.encoder.get_attention_mask(torch.ones(2, 30))
    rows = torch.randn(128, 24)
    for name in ("query_proj", "key_proj", "value_proj"):
        setattr(attention, name, torch.nn.Identity())  # whose own gradients autocast would round
    gradients = []
    for inside in (False, True):
        leaf = states.clone().requires_grad_()
        context = attention(leaf, mask, relative_pos=fast.encoder.get_rel_pos(leaf), rel_embeddings=rows)[0]
        with torch.autocast("cpu", torch.bfloat16, enabled=inside):
            context.square().sum().backward()
        gradients.append(leaf.grad)
    assert torch.equal(*gradients)


def test_half_precision_masks_stay_finite_under_any_score() -> None:
    bias = disentangled._Mask(torch.zeros(1, 3, 3, dtype=torch.bool)).bias(3, torch.float16)
    assert torch.isfinite(bias - 30_000).all()
    assert torch.equal(torch.softmax(bias.float(), -1), torch.full((1, 3, 3), 1 / 3))


def seeded(model: PreTrainedModel, tokens: Tensor, mask: Tensor, seed: int) -> tuple[Tensor, dict[str, Tensor]]:
    torch.manual_seed(seed)
    return outputs_and_gradients(model, tokens, mask)


@pytest.mark.parametrize("length", [20, 300])
def test_a_seed_gives_the_same_bits_with_and_without_checkpointing(length: int) -> None:
    _, fast = make_pair(dropout=0.2)
    accelerate_dropout(fast)
    batch = make_batch(length)
    states, gradients = seeded(fast, *batch, 1)
    other, _ = seeded(fast, *batch, 2)
    assert not torch.equal(states, other)
    fast.gradient_checkpointing_enable()
    again, found = seeded(fast, *batch, 1)
    assert torch.equal(states, again)
    assert all(torch.equal(found[name], gradient) for name, gradient in gradients.items())


@pytest.mark.parametrize("length", [5, 70])
def test_gradients_under_dropout_are_those_of_finite_differences(length: int) -> None:
    _, fast = make_pair(dropout=0.3, num_hidden_layers=1)
    attention = fast.double().encoder.layer[0].attention.self
    _, mask = make_batch(length, batch=2)
    hidden = torch.randn(2, length, 24, dtype=torch.float64, requires_grad=True)
    relative = torch.randn(128, 24, dtype=torch.float64, requires_grad=True)

    def context(states: Tensor, embeddings: Tensor) -> Tensor:
        torch.manual_seed(0)
        result: Tensor = attention(
            states,
            fast.encoder.get_attention_mask(mask),
            relative_pos=fast.encoder.get_rel_pos(states),
            rel_embeddings=embeddings,
        )[0]
        return result

    assert torch.autograd.gradcheck(context, (hidden, relative), fast_mode=True)


def test_dropped_probabilities_have_the_mean_and_variance_of_dropout() -> None:
    _, fast = make_pair(dropout=0.25, num_hidden_layers=1)
    attention = fast.encoder.layer[0].attention.self
    for name in ("query_proj", "key_proj"):
        torch.nn.init.zeros_(getattr(attention, name).weight)  # attention to all keys alike
    length, draws = 6, 4000
    mask = fast.encoder.get_attention_mask(torch.ones(draws, length))
    states = torch.randn(1, length, 24).expand(draws, -1, -1)
    torch.manual_seed(3)
    with torch.no_grad():
        rows = fast.encoder.get_rel_embedding()
        context = attention(states, mask, relative_pos=fast.encoder.get_rel_pos(states), rel_embeddings=rows)[0]
        value = attention.value_proj(states[0])
    p = drop_level(0.25) / LEVELS
    variance = (value / length).square().sum(0) * p / (1 - p)
    noise = (variance / draws).sqrt()
    assert ((context.mean(0) - value.mean(0)).abs() < 5 * noise).all()
    assert torch.allclose(context.var(0), variance.expand(length, -1), rtol=0.2)
    # Queries and heads must not share a mask.
    centred = (context - value.mean(0)) / variance.sqrt()
    assert (centred[:, 0] * centred[:, 1]).mean(0).abs().max() < 5 / draws**0.5
    assert (centred[..., :12, None] * centred[..., None, 12:]).mean((0, 1)).abs().max() < 5 / (draws * length) ** 0.5


def test_an_evaluation_draws_nothing_and_repeats() -> None:
    stock, fast = (model.eval() for model in make_pair(dropout=0.5))
    tokens, mask = make_batch(40)
    state = torch.get_rng_state()
    with torch.inference_mode():
        expected, found = (m(input_ids=tokens, attention_mask=mask).last_hidden_state for m in (stock, fast))
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.allclose(expected, found, atol=1e-5)


def test_training_may_follow_an_evaluation_of_the_same_length() -> None:
    disentangled._band.cache_clear()
    stock, fast = make_pair()
    tokens, mask = make_batch(33)
    with torch.inference_mode():
        fast(input_ids=tokens, attention_mask=mask)
    assert_equal(stock, fast, tokens, mask, 1e-5)


def test_attention_probabilities_are_those_of_transformers() -> None:
    stock, fast = make_pair()
    tokens, mask = make_batch(20)
    expected, found = (m(input_ids=tokens, attention_mask=mask, output_attentions=True) for m in (stock, fast))
    assert torch.equal(torch.stack(expected.attentions), torch.stack(found.attentions))


def test_weights_go_both_ways_and_copies_are_independent() -> None:
    stock, fast = make_pair()
    twin = copy.deepcopy(fast)
    with torch.no_grad():
        for parameter in twin.parameters():
            parameter.add_(0.1)
    assert list(fast.state_dict()) == list(stock.state_dict())
    assert all(torch.equal(a, b) for a, b in zip(fast.state_dict().values(), stock.state_dict().values(), strict=True))
    stock.load_state_dict(twin.state_dict())
    assert_equal(stock, twin, *make_batch(50), 1e-5)
    assert accelerate_attention(twin)


def test_other_encoders_stay_as_they_are() -> None:
    bert = BertModel(BertConfig(vocab_size=9, hidden_size=8, num_hidden_layers=1, num_attention_heads=1))
    absolute = DebertaV2Model(
        DebertaV2Config(vocab_size=9, hidden_size=8, num_hidden_layers=1, num_attention_heads=1, intermediate_size=8)
    )
    for encoder in (bert, absolute):
        classes = [type(module) for module in encoder.modules()]
        assert not accelerate_attention(encoder)
        assert [type(module) for module in encoder.modules()] == classes
