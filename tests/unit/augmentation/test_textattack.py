"""The TextAttack family in its real environment: every method that can work, on any text."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.textattack_environment import textattack_interpreter
from tests.unit.augmentation.conftest import ENVIRONMENT, TextAttackProcess
from tests.unit.augmentation.odd_sentences import ODD, sentences
from tests.unit.augmentation.test_making import command, rows, write_examples
from tests.unit.augmentation.test_making import settings as bank_settings

from evidence_hpo.augmentation.rejection import Judge
from evidence_hpo.augmentation.splicing import splice
from evidence_hpo.config.textattack import TEXTATTACK_METHODS
from evidence_hpo.schemas import read_artefact

USABLE = [name for name, method in TEXTATTACK_METHODS.items() if not method.unusable]
AVAILABLE = [name for name in USABLE if set(TEXTATTACK_METHODS[name].needs) <= {"wordnet"}]
WITH_MODELS = [name for name in USABLE if name not in AVAILABLE]
SENTENCE = "I have not slept for 3 weeks, I don't eat and I am so tired of everything today."

Pair = tuple[TextAttackProcess, TextAttackProcess]


def check(sentence: str, variant: object) -> None:
    """Check that a variant can take its place, or that it is rejected for a reason that has a name."""
    if not isinstance(variant, str):
        assert isinstance(variant, dict)
        assert variant["error"].isidentifier()
        return
    if Judge(sentence).reason_against(variant, sentence) is None:
        before, after = "Before 😀. ", " After."
        place = (len(before), len(before) + len(sentence))
        text, spans = splice(before + sentence + after, [(0, 6), place], place, variant)
        assert text == before + variant + after
        assert spans == [(0, 6), (len(before), len(before) + len(variant))]


@pytest.mark.parametrize("method", AVAILABLE)
def test_odd_sentences_give_a_variant_or_a_named_error_and_always_the_same(textattack: Pair, method: str) -> None:
    forwards = [textattack[0].vary(method, 0.2, 7, sentence) for sentence in ODD]
    backwards = [textattack[1].vary(method, 0.2, 7, sentence) for sentence in reversed(ODD)]
    assert forwards == backwards[::-1]
    for sentence, variant in zip(ODD, forwards, strict=True):
        check(sentence, variant)


@pytest.mark.parametrize("method", AVAILABLE)
def test_every_method_changes_a_plain_sentence(textattack: Pair, method: str) -> None:
    variants = {textattack[0].vary(method, 0.2, seed, SENTENCE) for seed in range(4)}
    assert variants - {SENTENCE}


@settings(max_examples=60)
@given(
    method=st.sampled_from(AVAILABLE),
    sentence=sentences.filter(lambda text: len(text) < 200),
    strength=st.sampled_from([0.05, 0.3]),
    seed=st.integers(0, 2**64 - 1),
)
def test_a_variant_depends_on_nothing_that_was_varied_before(
    textattack: Pair, method: str, sentence: str, strength: float, seed: int
) -> None:
    first, second = textattack
    variant = first.vary(method, strength, seed, sentence)
    second.vary("char_swap", strength, seed + 1, SENTENCE)
    assert second.vary(method, strength, seed, sentence) == variant
    check(sentence, variant)


def test_a_random_hash_seed_is_refused(tmp_path: Path, nltk_data: Path) -> None:
    examples = write_examples(tmp_path / "examples.parquet")
    arguments = command(tmp_path, examples, bank_settings(), method="qwerty")
    step = [textattack_interpreter(), "-m", "evidence_hpo.steps.augment_with_textattack", "--nltk-data", nltk_data]
    environment = {**ENVIRONMENT, "PYTHONHASHSEED": "random"}
    finished = subprocess.run([*step, *arguments], env=environment, capture_output=True, text=True, check=False)
    assert finished.returncode == 2
    assert finished.stderr == "error: PYTHONHASHSEED: must be 0, or TextAttack's results would differ from run to run\n"


def test_a_bank_of_textattack_and_a_chain_of_it(tmp_path: Path, nltk_data: Path) -> None:
    examples = write_examples(tmp_path / "examples.parquet")
    step = [textattack_interpreter(), "-m", "evidence_hpo.steps.augment_with_textattack", "--nltk-data", nltk_data]
    own = bank_settings(variants=2)
    (tmp_path / "simple").mkdir()
    simple = [sys.executable, "-m", "evidence_hpo.steps.augment_examples"]
    subprocess.run(
        [*simple, *command(tmp_path / "simple", examples, own, method="casing")],
        env={**ENVIRONMENT, "PYTHONPATH": os.environ.get("PYTHONPATH", ENVIRONMENT["PYTHONPATH"])},
        check=True,
        capture_output=True,
    )
    (tmp_path / "chain").mkdir()
    sources = str(tmp_path / "simple" / "bank.parquet")
    arguments = command(tmp_path / "chain", examples, own, method="qwerty", source="simple", sources=sources)
    finished = subprocess.run([*step, *arguments], env=ENVIRONMENT, capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stderr[-2000:]
    chained = rows(tmp_path / "chain" / "bank.parquet")
    assert {row["source_method"] for row in chained} == {"casing"}
    assert len(chained) == len(rows(tmp_path / "simple" / "bank.parquet"))
    record = read_artefact(tmp_path / "chain" / "bank.json", "augmentation_record")
    assert record["versions"]["textattack"] == "0.3.11"
    assert record["versions"]["wordnet"] == json.loads((nltk_data / "manifest.json").read_text())["wordnet"]["digest"]
    assert record["errors"].get("ValueError", 0) > 0, "a literal <SPLIT> raises"
    metadata = pq.read_schema(tmp_path / "chain" / "bank.parquet").metadata
    assert metadata[b"method"] == b"qwerty"
    for sentence in (sentence for sentence in ODD if len(sentence.strip()) > 8):
        assert sentence not in finished.stderr


@pytest.fixture(scope="session")
def resources(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Return a tiny masked language model, classifier and word vectors."""
    folder = tmp_path_factory.mktemp("resources") / "models"
    script = Path(__file__).with_name("tiny_models.py")
    subprocess.run([textattack_interpreter(), script, folder], env=ENVIRONMENT, check=True, capture_output=True)
    words = ["tired", "sleepy", "sad", "unhappy", "food", "meal", "sleep", "rest"]
    lines = [f"{word} {number // 2}.0 {number % 2 * 0.01} 1.0" for number, word in enumerate(words)]
    (folder / "vectors.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return {
        "masked_lm": str(folder / "masked_lm"),
        "victim": str(folder / "victim"),
        "embedding": str(folder / "vectors.txt"),
    }


@pytest.mark.parametrize("method", WITH_MODELS)
def test_methods_with_models_work_where_the_models_are_given(
    textattack: Pair, resources: dict[str, str], method: str
) -> None:
    sentences = ["i am so tired and sad today .", "the food and sleep of it !", "i am happy today"]
    asked = [(seed, sentence) for sentence in sentences for seed in range(2)]
    own = {name: resources[name] for name in TEXTATTACK_METHODS[method].needs if name != "wordnet"}
    forwards = [textattack[0].vary(method, 0.3, *one, own) for one in asked]
    backwards = [textattack[1].vary(method, 0.3, *one, own) for one in reversed(asked)]
    assert forwards == backwards[::-1]
    assert all(isinstance(variant, str) for variant in forwards), forwards
    assert any(variant != sentence for variant, (_, sentence) in zip(forwards, asked, strict=True))


@pytest.mark.parametrize("method", WITH_MODELS)
def test_a_model_that_is_not_given_or_cannot_be_read_is_named(textattack: Pair, method: str, tmp_path: Path) -> None:
    needed = sorted(set(TEXTATTACK_METHODS[method].needs) - {"wordnet"})
    answer = textattack[0].vary(method, 0.2, 0, SENTENCE, {})
    assert answer == {"error": f"--method: {method}: needs augmentation.{needed[0]}, which is not given"}
    nowhere = {name: str(tmp_path / "nowhere") for name in needed}
    answer = textattack[0].vary(method, 0.2, 0, SENTENCE, nowhere)
    assert str(tmp_path / "nowhere") in answer["error"]
    assert "\n" not in answer["error"]


def test_a_method_that_cannot_be_used_says_why(textattack: Pair) -> None:
    answers = [textattack[0].vary(method, 0.2, 0, SENTENCE)["error"] for method in ("textfooler", "wordnett")]
    assert answers == [
        "--method: textfooler: cannot be used: it needs the Universal Sentence Encoder, which runs in TensorFlow alone",
        "--method: no TextAttack method 'wordnett'; did you mean 'wordnet'?",
    ]
