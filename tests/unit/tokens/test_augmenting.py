"""Which variants a run trains on."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bank_toys import bank_table, cache_of, evidence_examples, sentence_examples, tokenized
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from evidence_hpo.augmentation.items import items_of
from evidence_hpo.config.augmentation import METHODS
from evidence_hpo.config.banks import UNVARIED, Bank, Variation, banks_of_run
from evidence_hpo.config.parameters import TrialParameters
from evidence_hpo.config.policies import ORIGINAL, POLICIES
from evidence_hpo.errors import DataError
from evidence_hpo.tokens.augmenting import augmented
from evidence_hpo.tokens.banks import TokenBank
from evidence_hpo.tokens.batching import data_slice
from evidence_hpo.tokens.cache import TokenCache

POSTS, VARIANTS, REJECTED = 6, 3, 3
EXAMPLES = evidence_examples(POSTS)
CHAINED = [Variation(method, level) for method in METHODS["simple"][:3] for level in (0, 1)]


@pytest.fixture(scope="module")
def cache(tokenizer_directory: Path) -> TokenCache:
    return cache_of(EXAMPLES, tokenizer_directory)


@pytest.fixture(scope="module")
def banks(tokenizer_directory: Path) -> dict[Bank, TokenBank]:
    """Banks of three simple methods, two of TextAttack's, and of these over the three; one item has no variant."""
    found = {}
    for level in (0, 1):
        for source, family, sources in (
            (ORIGINAL, "simple", [UNVARIED]),
            (ORIGINAL, "textattack", [UNVARIED]),
            ("simple", "textattack", CHAINED),
        ):
            for method in METHODS[family][: 3 if family == "simple" else 2]:
                bank = Bank(source, method, level)
                table = bank_table(EXAMPLES, bank, variants=VARIANTS, sources=sources, missing=[REJECTED])
                found[bank] = tokenized(EXAMPLES, table, bank, tokenizer_directory)
    return found


def parameters(**values: Any) -> dict[str, Any]:
    base = {"augmentation": "simple", "simple_mask": 7, "textattack_mask": 3, "augmentation_nulls": False}
    return TrialParameters(**{**base, **values}).model_dump()


def chosen(
    cache: TokenCache, banks: dict[Bank, TokenBank], values: dict[str, Any], seed: int = 0, rows: Any = None
) -> tuple[TokenCache, Any]:
    used = [banks[bank] for bank in banks_of_run(values)]
    return augmented(cache, np.arange(len(cache)) if rows is None else rows, used, values, seed)


def described(found: TokenCache, before: int) -> list[tuple[str, str, tuple[int, ...], Any]]:
    """Return example, criterion, tokens and spans of each variant."""
    return [
        (found.example_ids[row], str(found.criteria[row]), tuple(tokens(found, row)), tuple(found.gold_spans[row]))
        for row in range(before, len(found))
    ]


def tokens(cache: TokenCache, row: int) -> list[int]:
    text = cache.text_rows[row]
    return cache.input_ids[cache.row_begin[text] : cache.row_begin[text + 1]].tolist()


values = st.fixed_dictionaries(
    {
        "augmentation": st.sampled_from(["simple", "textattack", "simple_then_textattack", "one_of"]),
        "simple_mask": st.integers(1, 7),
        "textattack_mask": st.integers(1, 3),
        "simple_strength": st.integers(0, 1),
        "textattack_strength": st.integers(0, 1),
        "augmentation_variants": st.integers(1, 5),
        "augmentation_probability": st.sampled_from([0.01, 0.5, 1.0]),
        "augmentation_mode": st.sampled_from(["add", "replace"]),
        "augmentation_nulls": st.booleans(),
    }
)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(own=values, seed=st.integers(0, 3), fraction=st.sampled_from([0.5, 1.0]))
def test_the_choice_is_allowed_and_repeats(
    cache: TokenCache, banks: dict[Bank, TokenBank], own: dict[str, Any], seed: int, fraction: float
) -> None:
    own = parameters(**own)
    rows = data_slice(cache.post_ids, fraction, 0)
    found, trained = chosen(cache, banks, own, seed, rows)
    again, trained_again = chosen(cache, banks, own, seed, rows)
    assert described(found, len(cache)) == described(again, len(cache))
    assert np.array_equal(trained, trained_again)
    added = described(found, len(cache))
    assert [found.example_ids[row] for row in range(len(cache))] == cache.example_ids
    assert {example for example, *_ in added} <= {cache.example_ids[row] for row in rows}
    labels = dict(zip(cache.example_ids, cache.labels.tolist(), strict=True))
    spans = dict(zip(cache.example_ids, cache.gold_spans, strict=True))
    counts = Counter(example for example, *_ in added)
    for example, count in counts.items():
        assert count <= own["augmentation_variants"] * max(1, len(spans[example]))
        assert labels[example] or own["augmentation_nulls"]
    originals = trained[trained < len(cache)]
    left_out = {cache.example_ids[row] for row in rows} - {cache.example_ids[row] for row in originals}
    assert left_out == (set(counts) if own["augmentation_mode"] == "replace" else set())
    assert sorted(set(trained.tolist()) - set(originals.tolist())) == list(range(len(cache), len(found)))
    assert found.labels[len(cache) :].tolist() == [labels[example] for example, *_ in added]


Origin = tuple[Bank, str, int]


def origins(found: TokenCache, banks: dict[Bank, TokenBank], before: int, example: str = "") -> list[Origin]:
    """Return bank, source method and source level of each variant (of one example), found by its tokens."""
    known: dict[tuple[int, ...], Origin] = {}
    for bank, tokenised in banks.items():
        texts, rows = tokenised.taken(np.arange(len(tokenised)))
        ids = texts.column("input_ids").to_pylist()
        methods = tokenised.strings("source_method").to_pylist()
        levels = [_source(name)[1] for name in tokenised.metadata.contents]
        codes = tokenised.source_codes([Variation(*_source(name)) for name in tokenised.metadata.contents])
        for row, place in enumerate(rows.column("text_row").to_pylist()):
            known[tuple(ids[place])] = (bank, methods[row], levels[codes[row]])
    return [known[one] for name, _, one, _ in described(found, before) if example in ("", name)]


def _source(name: str) -> tuple[str, int]:
    method, level = name.split("/")
    return method, int(level)


@pytest.mark.parametrize("policy", [policy for policy in POLICIES if policy not in {"none", "textattack_then_simple"}])
def test_policy_masks_and_strengths_choose_the_banks(
    cache: TokenCache, banks: dict[Bank, TokenBank], policy: str
) -> None:
    own = parameters(augmentation=policy, simple_mask=5, textattack_mask=2, simple_strength=0, augmentation_variants=16)
    found, _ = chosen(cache, banks, own)
    simple = [Variation("random_deletion", 0), Variation("aeda", 0)]
    expected = {
        "simple": {(Bank(ORIGINAL, *one), "", -1) for one in simple},
        "textattack": {(Bank(ORIGINAL, "synonym_insertion", 1), "", -1)},
        "simple_then_textattack": {(Bank("simple", "synonym_insertion", 1), *one) for one in simple},
    }
    expected["one_of"] = expected["simple"] | expected["textattack"]
    assert set(origins(found, banks, len(cache))) == expected[policy]


def test_the_methods_take_turns(cache: TokenCache, banks: dict[Bank, TokenBank]) -> None:
    for seed in range(5):
        found, _ = chosen(cache, banks, parameters(augmentation_variants=4), seed)
        made = Counter(bank.method for bank, *_ in origins(found, banks, len(cache), "p05|SLEEP"))
        assert sorted(made.values()) == [1, 1, 2]
    ones = [chosen(cache, banks, parameters(), seed)[0] for seed in range(20)]
    first = {origin for one in ones for origin in origins(one, banks, len(cache), "p05|SLEEP")}
    assert len(first) == 3, "each method comes first for some seed"


def test_another_seed_chooses_otherwise_and_what_is_not_allowed_changes_nothing(
    cache: TokenCache, banks: dict[Bank, TokenBank], tokenizer_directory: Path
) -> None:
    own = parameters(augmentation="simple_then_textattack", simple_mask=1, textattack_mask=1)
    first = described(chosen(cache, banks, own, 0)[0], len(cache))
    assert any(described(chosen(cache, banks, own, seed)[0], len(cache)) != first for seed in (1, 2, 3))
    bank = Bank("simple", "wordnet", 1)
    used = [Variation("random_deletion", 1)]
    table = bank_table(EXAMPLES, bank, variants=VARIANTS, sources=used, missing=[REJECTED])
    alone = tokenized(EXAMPLES, table, bank, tokenizer_directory)
    assert len(alone) < len(banks[bank])
    assert described(chosen(cache, {bank: alone}, own, 0)[0], len(cache)) == first
    assert alone.digest(used) == banks[bank].digest(used)
    assert alone.metadata.digest != banks[bank].metadata.digest
    other = [Variation("aeda", 1)]
    assert banks[bank].digest(other) != banks[bank].digest(used) != banks[bank].digest([*used, *other])


def test_a_post_is_shown_altered_with_other_criteria_as_often_as_with_its_own(
    cache: TokenCache, banks: dict[Bank, TokenBank]
) -> None:
    own = parameters(augmentation_nulls=True, augmentation_variants=2)
    found, _ = chosen(cache, banks, own)
    added = described(found, len(cache))
    counts = Counter(example for example, *_ in added)
    assert counts["p05|SLEEP"] == counts["p05|FOOD"] == counts["p05|MOOD"] == 2
    assert counts["p02|SLEEP"] == 4, "two sentences, two variants each"
    assert counts["p02|FOOD"] == 2
    altered = {tokens for example, _, tokens, _ in added if example == "p02|SLEEP"}
    shown = [tokens for example, _, tokens, spans in added if example == "p02|FOOD" and spans == ()]
    assert len(shown) == 2
    assert set(shown) <= altered


def test_a_sentence_without_a_variant_keeps_its_example(cache: TokenCache, banks: dict[Bank, TokenBank]) -> None:
    rejected = items_of(EXAMPLES, whole_text=False)[REJECTED]
    assert rejected.example_id == "p01|SLEEP", "its only sentence"
    found, trained = chosen(cache, banks, parameters(augmentation_mode="replace", augmentation_variants=16))
    originals = {cache.example_ids[row] for row in trained if row < len(cache)}
    assert rejected.example_id in originals
    assert rejected.example_id not in {example for example, *_ in described(found, len(cache))}


def test_the_share_of_sentences(cache: TokenCache, banks: dict[Bank, TokenBank]) -> None:
    half = parameters(augmentation_probability=0.5)
    numbers = [len(chosen(cache, banks, half, seed)[0]) - len(cache) for seed in range(40)]
    items = len(chosen(cache, banks, parameters(), 0)[0]) - len(cache)
    assert 0.4 * items < np.mean(numbers) < 0.6 * items
    assert len(set(numbers)) > 1


def test_sentences_of_criteria_are_varied_whatever_their_label(tokenizer_directory: Path) -> None:
    examples = sentence_examples(5)
    bank = Bank(ORIGINAL, "aeda", 1)
    table = bank_table(examples, bank, variants=2, whole_text=True)
    made = {bank: tokenized(examples, table, bank, tokenizer_directory, task="criteria")}
    cache = cache_of(examples, tokenizer_directory, task="criteria")
    own = {name: value for name, value in parameters(simple_mask=4).items() if name != "augmentation_nulls"}
    found, trained = chosen(cache, made, own)
    assert Counter(found.example_ids) == dict.fromkeys(cache.example_ids, 2)
    assert found.labels.tolist() == [*cache.labels, *cache.labels]
    assert np.array_equal(trained, np.arange(10))


def test_only_the_chosen_tokens_are_copied(cache: TokenCache, banks: dict[Bank, TokenBank]) -> None:
    found, _ = chosen(cache, banks, parameters(simple_mask=1))
    texts = {tuple(tokens(found, row)) for row in range(len(cache), len(found))}
    assert len(texts) == len(found) - len(cache) == len(items_of(EXAMPLES, whole_text=False)) - 1
    assert len(found.row_begin) - len(cache.row_begin) == len(texts) + len(set(found.criteria[len(cache) :]))


def test_a_bank_without_rows_adds_nothing(cache: TokenCache, tokenizer_directory: Path) -> None:
    bank = Bank(ORIGINAL, "random_deletion", 1)
    table = bank_table(EXAMPLES, bank, variants=1, missing=range(100))
    empty = {bank: tokenized(EXAMPLES, table, bank, tokenizer_directory)}
    found, trained = chosen(cache, empty, parameters(simple_mask=1))
    assert found is cache
    assert len(trained) == len(cache)


def test_a_bank_of_another_task_is_refused(banks: dict[Bank, TokenBank], tokenizer_directory: Path) -> None:
    criteria = cache_of(sentence_examples(5), tokenizer_directory, task="criteria")
    with pytest.raises(DataError, match="another task cannot be joined; run tokenize_augmented"):
        chosen(criteria, banks, parameters())
