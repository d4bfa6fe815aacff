"""The tokeniser of a prepared backbone, read with the `tokenizers` library alone: this rule needs no torch."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from evidence_hpo.errors import DataError
from evidence_hpo.files import digest_file, digest_json, read_json
from evidence_hpo.tokens.template import PairTemplate, template_of_pair

__all__ = ["Encoded", "PreparedTokenizer"]

_FILES = ("tokenizer.json", "tokenizer_config.json")
_CHUNK = 512  # texts per call: bounds the memory of the library's encodings

Integers = NDArray[np.int32]


@dataclasses.dataclass(frozen=True)
class Encoded:
    """Texts as flat arrays; text ``i`` is the slice ``begin[i]:begin[i + 1]``.

    Attributes:
        begin: int32 [texts + 1].
        input_ids: int32 [tokens].
        starts: int32 [tokens]; first character of each token, leading white space left out.
        ends: int32 [tokens]; end of each token, exclusive, trailing white space left out.
    """

    begin: Integers
    input_ids: Integers
    starts: Integers
    ends: Integers


class PreparedTokenizer:
    """Tokeniser of a directory that `prepare_backbone` made.

    Special tokens that a post happens to spell out (``[SEP]``, ``<s>``) are read as ordinary text.
    """

    def __init__(self, directory: Path) -> None:
        """Read the tokeniser.

        Raises:
            DataError: A file of the tokeniser is missing or cannot be read, or a special token is not known.
        """
        self._directory = directory
        self._config: dict[str, Any] = read_json(directory / "tokenizer_config.json")
        self._model: dict[str, Any] = read_json(directory / "config.json")
        path = directory / "tokenizer.json"
        if not path.is_file():
            raise DataError(f"{path}: no such file; run prepare_backbone")
        try:
            self._tokenizer = Tokenizer.from_file(str(path))
        except Exception as error:  # the library raises no narrower class
            raise DataError(f"{path}: not a tokeniser that this version of `tokenizers` can read") from error
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        self._tokenizer.encode_special_tokens = True
        self.cls, self.sep, self.pad = (self._special(name) for name in ("cls_token", "sep_token", "pad_token"))

    def _special(self, name: str) -> int:
        token = self._config.get(name)
        index = self._tokenizer.token_to_id(token["content"] if isinstance(token, dict) else str(token))
        if index is None:
            raise DataError(f"{self._directory / 'tokenizer_config.json'}: {name} {token!r} is not in the vocabulary")
        return int(index)

    @property
    def token_types(self) -> bool:
        """Whether the model tells the two sequences of an input apart by token types."""
        known = "token_type_ids" in self._config.get("model_input_names", [])
        return known and int(self._model.get("type_vocab_size", 0)) >= 2

    @cached_property
    def template(self) -> PairTemplate:
        """Layout of the special tokens, read off an encoded pair.

        Raises:
            DataError: The layout is not ``[CLS] first [SEP] second``.
        """
        pair = self._tokenizer.encode("a", "a")
        return template_of_pair(pair.ids, pair.sequence_ids, pair.type_ids, typed=self.token_types)

    @property
    def digest(self) -> str:
        """SHA-256 over the tokeniser's files."""
        return digest_json({name: digest_file(self._directory / name) for name in _FILES})

    def encode(self, texts: Sequence[str]) -> Encoded:
        """Tokenise texts of any length, without special tokens and without truncation."""
        lengths: list[int] = []
        parts: list[tuple[Integers, Integers, Integers]] = []
        for begin in range(0, len(texts), _CHUNK):
            chunk = list(texts[begin : begin + _CHUNK])
            for text, encoding in zip(
                chunk, self._tokenizer.encode_batch(chunk, add_special_tokens=False), strict=True
            ):
                ids = np.array(encoding.ids, dtype=np.int32)
                offsets = np.fromiter(chain.from_iterable(encoding.offsets), dtype=np.int64, count=2 * len(ids))
                lengths.append(len(ids))
                parts.append((ids, *trim_offsets(text, offsets[0::2], offsets[1::2])))
        empty = np.zeros(0, dtype=np.int32)
        flat = [np.concatenate([empty, *(part[index] for part in parts)]) for index in range(3)]
        total = np.cumsum([0, *lengths])
        if total[-1] > np.iinfo(np.int32).max:
            raise DataError(f"{len(texts)} texts have {total[-1]} tokens; a cache holds at most {2**31 - 1}")
        return Encoded(total.astype(np.int32), *flat)


def trim_offsets(text: str, starts: NDArray[np.int64], ends: NDArray[np.int64]) -> tuple[Integers, Integers]:
    """Leave white space at the edges of tokens out of their offsets, and make the offsets grow.

    SentencePiece-like tokenisers count the space before a word as part of its first token; a predicted span would
    begin with that space. A token of white space alone becomes empty. Normalisers that reorder combining characters
    can give offsets that step back; searching for a span needs them sorted.
    """
    codes = np.frombuffer(text.encode("utf-32-le"), dtype=np.uint32)
    space = np.isin(codes, _SPACES)
    position = np.arange(len(codes) + 1)
    following = np.append(np.where(space, len(codes), position[:-1]), len(codes))
    following = np.minimum.accumulate(following[::-1])[::-1]  # first character at or after, that is no space
    preceding = np.concatenate([[0], np.maximum.accumulate(np.where(space, 0, position[1:]))])  # end of the last such
    trimmed_starts, trimmed_ends = following[starts], preceding[ends]
    blank = trimmed_starts >= trimmed_ends
    new_starts = np.where(blank, starts, trimmed_starts)
    new_ends = np.where(blank, starts, trimmed_ends)
    return np.maximum.accumulate(new_starts).astype(np.int32), np.maximum.accumulate(new_ends).astype(np.int32)


_SPACES = np.array([code for code in range(0x3001) if chr(code).isspace()], dtype=np.uint32)
