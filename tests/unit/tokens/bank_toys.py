"""Banks over a small corpus of sentences whose variants say what made them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa

from evidence_hpo.augmentation.banks import BANK
from evidence_hpo.augmentation.examples import varied_examples
from evidence_hpo.augmentation.items import items_of
from evidence_hpo.config.augmentation import METHODS
from evidence_hpo.config.banks import UNVARIED, Bank, Variation
from evidence_hpo.tokens.banks import TokenBank
from evidence_hpo.tokens.cache import TokenCache
from evidence_hpo.tokens.tokenization import tokenize_bank, tokenize_table
from evidence_hpo.tokens.tokenizer import PreparedTokenizer

CRITERIA = [{"id": name, "name": name, "text": f"Meets {name.lower()}."} for name in ("SLEEP", "MOOD", "FOOD")]
SPAN = pa.struct([("start", pa.int32()), ("end", pa.int32())])
SCHEMA = pa.schema(
    [
        *((name, pa.string()) for name in ("example_id", "post_id", "criterion", "text")),
        ("label", pa.int8()),
        ("spans", pa.list_(SPAN)),
    ]
)
DIGEST = "b" * 64


_METHODS = ["", *METHODS["simple"], *METHODS["textattack"]]


def spelt(number: int) -> str:
    """Return a number as letters, all of which the tests' tokeniser knows."""
    return "".join("aeinorstlu"[int(digit)] for digit in str(number + 1))


def evidence_examples(posts: int) -> pa.Table:
    """Return examples of posts: SLEEP has evidence in each, of even posts in two places, MOOD in some, FOOD in none."""
    rows = []
    for number in range(posts):
        sentences = [
            f"Post {spelt(number)} begins.",
            "I lie awake.",
            "I am sad, so sad.",
            "I lie awake again.",
            "The end. 🙂",
        ]
        text = " ".join(sentences)
        met = {"SLEEP": sentences[1:2] + (sentences[3:4] if number % 2 == 0 else [])}
        if number % 3 == 0:
            met["MOOD"] = sentences[2:3]
        for criterion in ("FOOD", "MOOD", "SLEEP"):
            spans = [{"start": text.rindex(one), "end": text.rindex(one) + len(one)} for one in met.get(criterion, [])]
            label = int(criterion in met)
            rows.append((f"p{number:02d}|{criterion}", f"p{number:02d}", criterion, text, label, spans))
    return pa.table([list(column) for column in zip(*rows, strict=True)], schema=SCHEMA)


def sentence_examples(posts: int) -> pa.Table:
    """Return criteria examples of one sentence each, some positive, some negative, without spans."""
    rows = [
        (f"p{number:02d}_0|SLEEP", f"p{number:02d}", "SLEEP", f"Sentence {spelt(number)} of sleep.", number % 2, [])
        for number in range(posts)
    ]
    return pa.table([list(column) for column in zip(*rows, strict=True)], schema=SCHEMA)


def bank_table(
    examples: pa.Table,
    bank: Bank,
    *,
    variants: int,
    sources: Iterable[Variation] = (UNVARIED,),
    whole_text: bool = False,
    missing: Iterable[int] = (),
) -> pa.Table:
    """Return a bank; the variants of the items at the positions ``missing`` were all rejected."""
    rows = []
    for place, item in enumerate(items_of(examples, whole_text=whole_text)):
        for source in sorted(sources):
            for variant in range(variants):
                code = map(
                    spelt, (_METHODS.index(bank.method), bank.level, _METHODS.index(source.method), source.level)
                )
                text = f"{' '.join(code)} {spelt(variant)}!"
                made = None if place in set(missing) else text
                rows.append([item.item_id, *source, variant, made, None if made else "unchanged"])
    columns = zip(zip(*rows, strict=True), BANK.types, strict=True)
    return pa.table([pa.array(column, kind) for column, kind in columns], schema=BANK)


def tokenized(examples: pa.Table, table: pa.Table, bank: Bank, backbone: Path, *, task: str = "evidence") -> TokenBank:
    """Return the bank as a run opens it."""
    whole = task == "criteria"
    varied = varied_examples(examples, examples, table, whole_text=whole, where=str(bank))
    tokenizer = PreparedTokenizer(backbone)
    tables = tokenize_bank(varied, CRITERIA, tokenizer, bank=bank, task=task, backbone_digest=DIGEST, where=str(bank))
    return TokenBank(*tables)


def cache_of(examples: pa.Table, backbone: Path, *, task: str = "evidence") -> TokenCache:
    """Return the token cache of the examples."""
    tokenizer = PreparedTokenizer(backbone)
    tables = tokenize_table(examples, CRITERIA, tokenizer, task=task, backbone_digest=DIGEST, where="examples")
    return TokenCache(*tables)
