"""How much faster training a DeBERTa is with this package's attention and dropout than with transformers' own.

Run `python benchmarks/attention.py`. One process, one thread. A step is forward and backward in training mode with
dropout 0.1, 16 texts of which every second is padded by a quarter. The variants take turns, so that whatever else the
machine does hits all of them; a ratio compares medians of process CPU time.

Prints one table: for each model, precision and length the time of transformers' step, and how many times faster it is
with the attention, and with attention and dropout.
"""

from __future__ import annotations

import argparse
import copy
import itertools
import statistics
import time

import torch
from transformers import DebertaV2Config, DebertaV2Model, PreTrainedModel

from evidence_hpo.models.disentangled import accelerate_attention
from evidence_hpo.models.dropout import accelerate_dropout
from evidence_hpo.training.seeding import make_deterministic

MODELS = {"2 layers of 128": (2, 128), "4 layers of 256": (4, 256)}
PRECISIONS = ("fp32", "bf16")
LENGTHS = (16, 32, 64, 128, 256, 512)
BATCH = 16


def make_models(layers: int, hidden: int) -> list[PreTrainedModel]:
    """Return transformers' model, with the attention, and with both."""
    torch.manual_seed(0)
    config = DebertaV2Config(
        vocab_size=1000,
        hidden_size=hidden,
        num_hidden_layers=layers,
        num_attention_heads=4,
        intermediate_size=4 * hidden,
        relative_attention=True,
        position_buckets=256,
        norm_rel_ebd="layer_norm",
        share_att_key=True,
        pos_att_type=["p2c", "c2p"],
        position_biased_input=False,
        type_vocab_size=0,
    )
    models = [DebertaV2Model(config).train()]
    models.append(copy.deepcopy(models[0]))
    accelerate_attention(models[1])
    models.append(copy.deepcopy(models[1]))
    accelerate_dropout(models[2])
    return models


def step_seconds(model: PreTrainedModel, tokens: torch.Tensor, mask: torch.Tensor, precision: str) -> float:
    started = time.process_time()
    with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
        states = model(input_ids=tokens, attention_mask=mask).last_hidden_state
    states.float().square().mean().backward()
    elapsed = time.process_time() - started
    model.zero_grad()
    return elapsed


def median_seconds(models: list[PreTrainedModel], length: int, precision: str, runs: int) -> list[float]:
    tokens = torch.randint(1000, (BATCH, length))
    mask = torch.ones_like(tokens)
    mask[::2, length - length // 4 :] = 0
    rounds = [[step_seconds(model, tokens, mask, precision) for model in models] for _ in range(runs + 1)]
    return [statistics.median(times) for times in zip(*rounds[1:], strict=True)]  # the first round warms up


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=9)
    runs = parser.parse_args().runs
    make_deterministic(1)
    print(
        "| model | precision | length | transformers | attention | attention and dropout |\n|---|---|---|---|---|---|"
    )
    for (name, shape), precision in itertools.product(MODELS.items(), PRECISIONS):
        models = make_models(*shape)
        for length in LENGTHS:
            stock, attention, both = median_seconds(models, length, precision, runs)
            ratios = f"{stock / attention:.2f} | {stock / both:.2f}"
            print(f"| {name} | {precision} | {length} | {stock * 1e3:.0f} ms | {ratios} |", flush=True)


if __name__ == "__main__":
    main()
