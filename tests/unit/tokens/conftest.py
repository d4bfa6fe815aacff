"""Tiny token caches: by hand (any lengths and spans), and from texts with a tokeniser trained on the spot."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import pyarrow as pa
import pytest

from evidence_hpo.tokens.cache import TokenCache
from evidence_hpo.tokens.tables import EXAMPLES_SCHEMA, TEXTS_SCHEMA, CacheMetadata
from evidence_hpo.tokens.template import PairTemplate
from evidence_hpo.tokens.vocabulary import SPECIAL_TOKENS, train_tokenizer

TEMPLATE = PairTemplate((1,), (2,), (2,), (0,), (0,), (1,), 0, 1)
POSTS = [
    "I can't sleep at all. Every night I lie awake, and every morning I am exhausted.",
    "Nothing is fun any more; I stopped painting and I don't answer my friends.",
    "Größe, naïve café: I eat too much 🍕 and feel   worthless.\nEvery day is the same.",
    "Today was fine. I went for a walk, and I slept well.",
]


@pytest.fixture(scope="session")
def cache_by_hand() -> Callable[..., TokenCache]:
    """Return a factory of caches in which token ``k`` of a text covers the characters ``10 k`` to ``10 k + 9``."""

    def make(
        criterion_lengths: Sequence[int],
        examples: Sequence[tuple[int, int, Sequence[tuple[int, int]]]],
        task: str = "evidence",
    ) -> TokenCache:
        rows = [("criterion", length) for length in criterion_lengths] + [("text", length) for _, length, _ in examples]
        ids, first = [], 10
        for _, length in rows:
            ids.append(list(range(first, first + length)))
            first += length
        texts = pa.record_batch(
            [
                pa.array([kind for kind, _ in rows], pa.string()),
                *(
                    pa.array(values, TEXTS_SCHEMA.field("input_ids").type)
                    for values in (
                        ids,
                        [[10 * k for k in range(length)] for _, length in rows],
                        [[10 * k + 9 for k in range(length)] for _, length in rows],
                    )
                ),
            ],
            schema=TEXTS_SCHEMA,
        )
        table = [
            {
                "example_id": f"e{number}",
                "post_id": f"p{number}",
                "criterion": f"C{criterion}",
                "text_row": len(criterion_lengths) + number,
                "criterion_row": criterion,
                "label": int(bool(spans)),
                "spans": [{"start": start, "end": end} for start, end in spans],
            }
            for number, (criterion, _, spans) in enumerate(examples)
        ]
        metadata = CacheMetadata(task, "0" * 64, "1" * 64, "2" * 64, "3" * 64, 1, 2, 0, True, TEMPLATE)
        return TokenCache(texts, pa.RecordBatch.from_pylist(table, schema=EXAMPLES_SCHEMA), metadata)

    return make


@pytest.fixture(scope="session")
def tokenizer_directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a directory with the tokeniser's files of a backbone from scratch, without weights."""
    directory = tmp_path_factory.mktemp("backbone")
    train_tokenizer(POSTS, 300).save(str(directory / "tokenizer.json"))
    names = {f"{token[1:-1].lower()}_token": token for token in SPECIAL_TOKENS}
    inputs = {"model_input_names": ["input_ids", "token_type_ids", "attention_mask"]}
    (directory / "tokenizer_config.json").write_text(json.dumps({**names, **inputs}))
    (directory / "config.json").write_text(json.dumps({"model_type": "deberta-v2", "type_vocab_size": 2}))
    return directory


@pytest.fixture(scope="session")
def criteria() -> list[dict[str, str]]:
    return [
        {"id": "SLEEP", "name": "Sleep", "text": "Sleeps too much or too little."},
        {"id": "MOOD", "name": "Mood", "text": "Feels sad or empty."},
    ]


@pytest.fixture(scope="session")
def examples() -> pa.Table:
    """Return evidence examples over the posts; each span is a sentence of its post."""
    rows = []
    for number, post in enumerate(POSTS):
        for criterion in ("SLEEP", "MOOD"):
            start = post.find("I")
            spans = [{"start": start, "end": post.index(".", start) + 1}] if (number + len(criterion)) % 2 else []
            rows.append(
                {
                    "example_id": f"p{number}_{criterion}",
                    "post_id": f"p{number}",
                    "criterion": criterion,
                    "text": post,
                    "label": int(bool(spans)),
                    "spans": spans,
                }
            )
    span = pa.struct([("start", pa.int32()), ("end", pa.int32())])
    texts = [(name, pa.string()) for name in ("example_id", "post_id", "criterion", "text")]
    return pa.Table.from_pylist(rows, pa.schema([*texts, ("label", pa.int8()), ("spans", pa.list_(span))]))
