"""The simple family: what each method does, on any text, and that a variant depends on its sentence alone."""

from __future__ import annotations

import re
import string
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.augmentation.odd_sentences import ODD, sentences

from evidence_hpo.augmentation.methods import seed_of
from evidence_hpo.augmentation.negation import count_negations
from evidence_hpo.augmentation.simple import simple_method
from evidence_hpo.config.augmentation import METHODS
from evidence_hpo.errors import ConfigurationError

SENTENCE = "I have not slept for three weeks and everything is grey."
SIMPLE = METHODS["simple"]
strengths = st.sampled_from([0.05, 0.133333, 0.3, 1.0])
seeds = st.integers(0, 2**64 - 1)


def vary(method: str, sentence: str, strength: float = 0.2, seed: int = 0) -> str:
    return simple_method(method).vary(sentence, strength, seed)


@pytest.mark.parametrize("method", SIMPLE)
@given(sentence=sentences, strength=strengths, seed=seeds)
def test_any_text_gives_a_text_and_always_the_same(method: str, sentence: str, strength: float, seed: int) -> None:
    variant = vary(method, sentence, strength, seed)
    assert variant.encode("utf-8").decode("utf-8") == variant
    vary(method, "something else in between", strength, seed + 1)
    assert vary(method, sentence, strength, seed) == variant
    if not sentence.split():
        assert variant == sentence


@given(sentence=sentences, strength=strengths, seed=seeds)
def test_deletion_leaves_words_out_and_keeps_one(sentence: str, strength: float, seed: int) -> None:
    words, left = sentence.split(), vary("random_deletion", sentence, strength, seed).split()
    assert not Counter(left) - Counter(words)
    assert bool(left) == bool(words)
    assert len(words) - len(left) <= max(1, round(strength * len(words)))


@given(sentence=sentences, strength=strengths, seed=seeds)
def test_swap_keeps_the_words_and_the_white_space(sentence: str, strength: float, seed: int) -> None:
    variant = vary("random_swap", sentence, strength, seed)
    assert Counter(variant.split()) == Counter(sentence.split())
    assert re.findall(r"\s+", variant) == re.findall(r"\s+", sentence)


@given(sentence=sentences, strength=strengths, seed=seeds)
def test_aeda_inserts_marks_and_changes_no_word(sentence: str, strength: float, seed: int) -> None:
    before, after = sentence.split(), vary("aeda", sentence, strength, seed).split()
    rest = iter(after)
    assert all(any(word == other for other in rest) for word in before)
    number = max(1, round(strength * len(before))) if before else 0
    assert len(after) - len(before) == number
    assert set(Counter(after) - Counter(before)) <= set(".;?:!,")


@given(sentence=sentences, strength=strengths, seed=seeds)
def test_casing_changes_the_case_alone(sentence: str, strength: float, seed: int) -> None:
    assert vary("casing", sentence, strength, seed).upper().lower() == sentence.upper().lower()


@pytest.mark.parametrize("method", ["character_noise", "keyboard_typo"])
@given(sentence=sentences, strength=strengths, seed=seeds)
def test_a_word_changes_by_one_letter(method: str, sentence: str, strength: float, seed: int) -> None:
    before, after = sentence.split(), vary(method, sentence, strength, seed).split()
    assert len(before) == len(after)
    changed = [(word, other) for word, other in zip(before, after, strict=True) if word != other]
    assert len(changed) <= max(1, round(strength * len(before)))
    for word, other in changed:
        assert abs(len(word) - len(other)) <= (method == "character_noise")
        assert set(other) - set(word) <= set(sentence if method == "character_noise" else string.ascii_letters)


@pytest.mark.parametrize("method", ["random_deletion", "random_swap", "casing"])
@given(sentence=sentences, seed=seeds)
def test_negations_stay(method: str, sentence: str, seed: int) -> None:
    assert count_negations(vary(method, sentence, 0.3, seed)) == count_negations(sentence)


@pytest.mark.parametrize(
    ("sentence", "variant"),
    [
        ("I do not know.", "I don't know."),
        ("I don't know.", "I do not know."),
        ("I don’t know.", "I do not know."),
        ("it’s said that I am late", "it’s said that I’m late"),
        ("I AM late", "I'M late"),
        ("You will see", "You'll see"),
        ("We cannot go", "We can't go"),
        ("i won't", "i will not"),
        ("that is how it is", "that's how it is"),
        ("He's late; she'd know", "He's late; she'd know"),
        ("the is-land it isolates", "the is-land it isolates"),
        ("我很难过", "我很难过"),
    ],
)
def test_contractions(sentence: str, variant: str) -> None:
    assert vary("contraction", sentence) == variant


def test_a_weak_strength_changes_one_word_and_a_strong_one_its_share() -> None:
    sentence = " ".join(f"word{n}" for n in range(40))
    for strength, number in ((0.01, 1), (0.05, 2), (0.3, 12)):
        assert len(vary("random_deletion", sentence, strength).split()) == 40 - number
        typed = vary("keyboard_typo", sentence, strength).split()
        assert sum(word != other for word, other in zip(sentence.split(), typed, strict=True)) == number


@pytest.mark.parametrize("method", [method for method in SIMPLE if method != "contraction"])
def test_variants_differ_from_each_other(method: str) -> None:
    variants = {vary(method, SENTENCE, 0.2, seed_of(SENTENCE, method, 0.2, number)) for number in range(8)}
    assert len(variants - {SENTENCE}) >= 4


def test_a_seed_depends_on_all_that_a_variant_is_asked_by() -> None:
    seeds = {
        seed_of(sentence, method, strength, variant)
        for sentence in ODD
        for method in ("aeda", "casing")
        for strength in (0.05, 0.3)
        for variant in (0, 1)
    }
    assert len(seeds) == 8 * len(ODD)
    assert all(0 <= seed < 2**64 for seed in seeds)


def test_known_variants_stay_as_they_are() -> None:
    """A change here changes every bank: only on purpose."""
    seed = seed_of(SENTENCE, "aeda", 0.2, 0)
    assert seed == 12282676847800829747
    assert vary("aeda", SENTENCE, 0.2, seed) == "I have . not slept for three ? weeks and everything is grey."


def test_an_unknown_method_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"no simple augmentation method 'aedaa'; did you mean 'aeda'\?"):
        simple_method("aedaa")
