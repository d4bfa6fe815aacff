"""Every way of writing a result on a disk that is full: one line, exit code 4, and nothing lost or left behind."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch
from tokenizers import Tokenizer, models
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

from evidence_hpo.config.checkpoints import CheckpointSettings
from evidence_hpo.config.data import CorpusSettings
from evidence_hpo.data import tables
from evidence_hpo.errors import StorageError
from evidence_hpo.evaluation.figures import write_svg
from evidence_hpo.files import atomic_directory, digest_directory, write_json, write_json_lines
from evidence_hpo.search.trial_cache import link_directory
from evidence_hpo.tokens.tables import CacheMetadata
from evidence_hpo.tokens.tables import write_table as write_tokens
from evidence_hpo.tokens.template import PairTemplate
from evidence_hpo.training.checkpoints import Checkpoints

Writer = Callable[[Path], None]
RANDOM = np.random.default_rng(0)
NUMBERS = RANDOM.random(60_000)
WORDS = [f"word{number}" for number in range(40_000)]


def json_file(folder: Path) -> None:
    write_json(folder / "target", NUMBERS.tolist())


def json_lines(folder: Path) -> None:
    write_json_lines(folder / "target", NUMBERS.tolist())


def parquet(folder: Path) -> None:
    frame = pd.DataFrame({"post_id": map(str, NUMBERS), "text": map(str, NUMBERS)})
    tables.write_table(folder / "target", frame, tables.POSTS)


def arrow(folder: Path) -> None:
    template = PairTemplate((1,), (2,), (2,), (0,), (0,), (1,), 0, 1)
    metadata = CacheMetadata("criteria", *(letter * 64 for letter in "abcd"), 1, 2, 0, True, template)
    write_tokens(folder / "target", pa.record_batch({"numbers": NUMBERS}), metadata)


def svg(folder: Path) -> None:
    figure = plt.figure()
    figure.add_subplot().plot(NUMBERS[:20_000], NUMBERS[20_000:40_000])
    write_svg(figure, folder / "target")


def encoder(folder: Path) -> None:
    config = BertConfig(vocab_size=2000, hidden_size=64, num_hidden_layers=1, num_attention_heads=2)
    with atomic_directory(folder / "target") as temporary:
        BertModel(config).save_pretrained(temporary)


def tokeniser(folder: Path) -> None:
    vocabulary = {word: number for number, word in enumerate(["[UNK]", *WORDS])}
    made = PreTrainedTokenizerFast(tokenizer_object=Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]")))
    with atomic_directory(folder / "target") as temporary:
        made.save_pretrained(temporary)


def weights(folder: Path) -> None:
    files = Checkpoints(folder, "key", CheckpointSettings(), print)
    files.offer({"weight": torch.ones(200_000)}, 1, 1, 0.5)


def copied(folder: Path) -> None:
    source = folder.parent / "source"
    source.mkdir(exist_ok=True)
    (source / "model.safetensors").write_bytes(NUMBERS.tobytes())
    link_directory(source, folder / "target")


WRITERS: list[Writer] = [json_file, json_lines, parquet, arrow, svg, encoder, tokeniser, weights, copied]


def content(folder: Path) -> str:
    return digest_directory(folder)


@pytest.mark.parametrize("write", WRITERS, ids=lambda write: write.__name__)
def test_a_disk_that_gets_full_keeps_what_was_there(write: Writer, small_disk: Callable[[int], Path]) -> None:
    folder = small_disk(200)
    (folder / "target").write_text("what was finished before")
    before = content(folder)
    with pytest.raises(StorageError, match="cannot be written: No space left on device") as caught:
        write(folder)
    assert str(folder) in str(caught.value)
    assert ".tmp" not in str(caught.value)
    assert content(folder) == before


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
@pytest.mark.parametrize("write", WRITERS, ids=lambda write: write.__name__)
def test_a_disk_that_is_full_when_data_are_flushed_keeps_what_was_there(
    write: Writer, number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(number, os.strerror(number))

    folder = tmp_path / "results"
    folder.mkdir()
    (folder / "target").write_text("what was finished before")
    before = content(folder)
    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(StorageError, match=f"cannot be written: {os.strerror(number)}"):
            write(folder)
    assert content(folder) == before
    (folder / "target").unlink()
    write(folder)
    assert content(folder) != before


def prepare_corpus(folder: Path, log: Path) -> subprocess.CompletedProcess[str]:
    options = {name: str(folder / name) for name in ("posts", "annotations", "criteria", "report")}
    options |= {"settings": CorpusSettings().model_dump_json(), "log": str(log)}
    command = [sys.executable, "-m", "evidence_hpo.steps.prepare_corpus"]
    command += [part for name, value in options.items() for part in (f"--{name}", value)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_a_step_on_a_full_disk_ends_with_code_4_and_goes_on_when_there_is_room(
    tmp_path: Path, small_disk: Callable[[int], Path]
) -> None:
    folder = small_disk(400)
    ballast = folder / "ballast"
    ballast.write_bytes(bytes(shutil.disk_usage(folder).free - 20_000))
    ended = prepare_corpus(folder, tmp_path / "step.log")
    assert ended.returncode == 4
    assert ended.stderr.count("\n") == 1
    assert "cannot be written: No space left on device (0.00 of 0.00 GB are free); free space" in ended.stderr
    assert json.loads((tmp_path / "step.log").read_text().splitlines()[-1])["event"] == "failed"
    assert not list(folder.glob(".*"))
    ballast.unlink()
    assert prepare_corpus(folder, tmp_path / "step.log").returncode == 0
    assert prepare_corpus(tmp_path, tmp_path / "step.log").returncode == 0
    assert (folder / "posts").read_bytes() == (tmp_path / "posts").read_bytes()


def test_a_step_whose_log_has_no_room_ends_with_code_4(tmp_path: Path, small_disk: Callable[[int], Path]) -> None:
    folder = small_disk(40)
    (folder / "ballast").write_bytes(bytes(shutil.disk_usage(folder).free))
    for log in (folder / "step.log", folder / "logs" / "step.log"):
        ended = prepare_corpus(tmp_path, log)
        assert ended.returncode == 4
        assert "Traceback" not in ended.stderr
        assert ended.stderr.splitlines()[-1].count(f"{log}: cannot be written: No space left on device") == 1
