"""A run of a DeBERTa with its fast attention and dropout, killed and resumed."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from transformers import DebertaV2Config, DebertaV2Model

from evidence_hpo.files import canonical_json, digest_directory
from evidence_hpo.training.run import RunInputs, RunResult, RunSpec, run


class KilledError(Exception):
    """Stands for a signal."""


def killed(message: str) -> None:
    if message.startswith("epoch 2 of"):
        raise KilledError


@pytest.fixture
def deberta(tmp_path: Path, inputs: dict[str, RunInputs]) -> RunInputs:
    """The inputs of the tiny backbone, whose encoder is exchanged for a DeBERTa with the same vocabulary."""
    given = inputs["tiny"]
    folder = tmp_path / "deberta"
    shutil.copytree(given.backbone, folder)
    (folder / "model.safetensors").unlink()
    size = json.loads((folder / "config.json").read_text(encoding="utf-8"))["vocab_size"]
    torch.manual_seed(0)
    config = DebertaV2Config(
        vocab_size=size,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=96,
        relative_attention=True,
        position_buckets=16,
        norm_rel_ebd="layer_norm",
        share_att_key=True,
        pos_att_type=["p2c", "c2p"],
        position_biased_input=False,
        type_vocab_size=2,
    )
    DebertaV2Model(config).save_pretrained(folder)
    return RunInputs(folder, given.train, given.validation)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_killed_run_ends_in_the_same_bits(
    tmp_path: Path, deberta: RunInputs, make_spec: Callable[..., RunSpec], precision: str
) -> None:
    # Batches of 16 windows are large enough for the fast dropout of hidden states.
    spec = make_spec("share", {"max_length": 48, "batch_size": 16, "precision": precision}, epochs=3)

    def go(work: str, report: Callable[[str], None]) -> RunResult:
        return run(spec, deberta, tmp_path / work, model=tmp_path / f"{work}_model", report=report)

    whole = go("whole", lambda _: None)
    with pytest.raises(KilledError):
        go("cut", killed)
    torch.rand(3)
    resumed = go("cut", lambda _: None)
    assert canonical_json({**vars(resumed), "duration_seconds": 0}) == canonical_json(
        {**vars(whole), "duration_seconds": 0}
    )
    assert digest_directory(tmp_path / "cut_model") == digest_directory(tmp_path / "whole_model")
