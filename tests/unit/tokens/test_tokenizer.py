from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from evidence_hpo.errors import DataError
from evidence_hpo.tokens.template import PairTemplate, template_of_pair
from evidence_hpo.tokens.tokenizer import PreparedTokenizer, trim_offsets
from evidence_hpo.tokens.vocabulary import SPECIAL_TOKENS, train_tokenizer

texts = st.text(
    st.one_of(st.sampled_from("abIi ’'\n\t.,é🍕ßÖ漢\u0301\u00a0\u2003"), st.characters(exclude_categories=("Cs",))),
    max_size=80,
)


@given(st.lists(texts, max_size=4))
@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_offsets_lie_in_the_text_grow_and_have_no_space_at_their_edges(
    tokenizer_directory: Path, posts: list[str]
) -> None:
    encoded = PreparedTokenizer(tokenizer_directory).encode(posts)
    assert len(encoded.begin) == len(posts) + 1
    for number, post in enumerate(posts):
        part = slice(encoded.begin[number], encoded.begin[number + 1])
        starts, ends = encoded.starts[part], encoded.ends[part]
        assert (np.diff(starts) >= 0).all()
        assert (np.diff(ends) >= 0).all()
        for start, end in zip(starts, ends, strict=True):
            assert 0 <= start <= end <= len(post)
            assert post[start:end] == post[start:end].strip()


def test_tokens_cover_every_character_of_a_text_but_spaces(tokenizer_directory: Path) -> None:
    post = "I can't sleep 🍕🍕 — naïve\n\nGrößen,  12 times!\u00a0漢字"
    encoded = PreparedTokenizer(tokenizer_directory).encode([post])
    covered = {place for start, end in zip(encoded.starts, encoded.ends, strict=True) for place in range(start, end)}
    assert {place for place, character in enumerate(post) if not character.isspace()} <= covered


def test_special_tokens_spelt_in_a_post_are_ordinary_text(tokenizer_directory: Path) -> None:
    tokenizer = PreparedTokenizer(tokenizer_directory)
    ids = tokenizer.encode(["[SEP] [CLS] [PAD] [MASK]"]).input_ids
    assert not set(ids.tolist()) & {tokenizer.cls, tokenizer.sep, tokenizer.pad, SPECIAL_TOKENS.index("[MASK]")}


def test_texts_of_any_length_stay_whole(tokenizer_directory: Path) -> None:
    tokenizer = PreparedTokenizer(tokenizer_directory)
    short = tokenizer.encode(["I sleep "])
    long = tokenizer.encode(["I sleep " * 20_000])
    assert long.input_ids.tolist() == short.input_ids.tolist() * 20_000


def test_offsets_without_spaces() -> None:
    starts, ends = trim_offsets(" ab  c ", np.array([0, 0, 3, 5]), np.array([3, 4, 5, 7]))
    assert list(zip(starts.tolist(), ends.tolist(), strict=True)) == [(1, 3), (1, 3), (3, 3), (5, 6)]


def test_equal_posts_give_an_equal_tokeniser_in_every_process() -> None:
    program = (
        "from evidence_hpo.tokens.vocabulary import train_tokenizer\n"
        "posts = [f'word{n} sleeps 🍕é and {chr(97 + n % 26)}x{n % 7}' for n in range(300)]\n"
        "print(train_tokenizer(posts, 120).to_str())"
    )
    outputs = {
        subprocess.run([sys.executable, "-c", program], capture_output=True, check=True).stdout for _ in range(3)
    }
    assert len(outputs) == 1


@pytest.mark.parametrize("size", [100, 150, 400])
def test_the_vocabulary_keeps_its_bound_and_the_special_tokens_come_first(size: int) -> None:
    posts = ["".join(chr(0x4E00 + n) * 3 for n in range(500)), "a few words, and a few more words"]
    tokenizer = train_tokenizer(posts, size)
    assert tokenizer.get_vocab_size() <= size
    assert [tokenizer.token_to_id(token) for token in SPECIAL_TOKENS] == [0, 1, 2, 3, 4]


def test_posts_without_text_train_nothing() -> None:
    with pytest.raises(DataError, match="no text"):
        train_tokenizer(["", "  "], 100)


def test_templates_of_the_families() -> None:
    bert = template_of_pair([1, 9, 2, 8, 2], [None, 0, None, 1, None], [0, 0, 0, 1, 1], typed=True)
    assert bert == PairTemplate((1,), (2,), (2,), (0,), (0,), (1,), 0, 1)
    roberta = template_of_pair([0, 9, 2, 2, 8, 7, 2], [None, 0, None, None, 1, 1, None], [0] * 7, typed=False)
    assert roberta == PairTemplate((0,), (2, 2), (2,), (0,), (0, 0), (0,), 0, 0)
    assert PairTemplate.from_dict(json.loads(json.dumps(roberta.to_dict()))) == roberta
    assert roberta.size == 4


@pytest.mark.parametrize("sequences", [[0, None, 1, None], [None, 1, None, 0, None], [None, 0, None], []])
def test_other_templates_are_refused(sequences: list[int | None]) -> None:
    with pytest.raises(DataError, match="not supported"):
        template_of_pair([5] * len(sequences), sequences, [0] * len(sequences), typed=True)


def test_a_tokeniser_without_its_files_or_special_tokens_is_named(tmp_path: Path, tokenizer_directory: Path) -> None:
    shutil.copytree(tokenizer_directory, tmp_path / "a")
    (tmp_path / "a" / "tokenizer.json").write_text("{}")
    with pytest.raises(DataError, match=r"tokenizer.json: not a tokeniser"):
        PreparedTokenizer(tmp_path / "a")
    (tmp_path / "a" / "tokenizer.json").unlink()
    with pytest.raises(DataError, match=r"tokenizer.json: no such file"):
        PreparedTokenizer(tmp_path / "a")
    shutil.copytree(tokenizer_directory, tmp_path / "b")
    (tmp_path / "b" / "tokenizer_config.json").write_text(json.dumps({"cls_token": "[CLS]", "sep_token": "<none>"}))
    with pytest.raises(DataError, match=r"sep_token '<none>' is not in the vocabulary"):
        PreparedTokenizer(tmp_path / "b")
