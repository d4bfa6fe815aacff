"""Floors on a toy corpus: what they must reach, and that the test labels do not reach them."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evidence_hpo.evaluation.floors import criteria_floors, evidence_floors, floors_of, sentence_spans
from evidence_hpo.evaluation.predictions import COLUMNS, best_spans, gold_spans
from evidence_hpo.training.metrics import criteria_metrics, evidence_metrics

CRITERIA = [
    {"id": "SLEEP", "name": "Sleep", "text": "The person cannot sleep at night"},
    {"id": "FOOD", "name": "Food", "text": "The person eats less, no appetite"},
]
SAID = {"SLEEP": "I cannot sleep at night", "FOOD": "there is no appetite and I eat less"}
FILLER = ("We went to the park", "My cat is grey", "It rained on Monday", "The bus was late")


def examples(count: int, seed: int) -> pd.DataFrame:
    """Posts of three sentences; each criterion's sentence is in half of them. Every post is asked for both."""
    generator = np.random.default_rng(seed)
    rows = []
    for post in range(count):
        present = {name: bool(generator.random() < 0.5) for name in SAID}
        sentences = [FILLER[generator.integers(4)], *[SAID[name] for name in SAID if present[name]]]
        text = ". ".join(sentences) + "."
        for name, said in SAID.items():
            start = text.find(said)
            spans = [{"start": start, "end": start + len(said) + 1}] if present[name] else []
            rows.append((f"{seed}-{post}-{name}", f"{seed}-{post}", name, text, int(present[name]), spans))
    columns = ["example_id", "post_id", "criterion", "text", "label", "spans"]
    return pd.DataFrame(rows, columns=columns)


TRAIN, VALIDATION, TEST = examples(60, 1), examples(30, 2), examples(30, 3)


def test_the_majority_floor_says_the_majority_of_the_training_split() -> None:
    train = TRAIN.assign(label=[1] * 70 + [0] * 50)
    floor = criteria_floors(train, VALIDATION, TEST)[0]
    assert floor.name == "majority"
    assert set(floor.predictions.test["probability"]) == {1.0}


def test_the_criterion_floor_says_the_share_of_each_criterion_and_reads_no_text() -> None:
    train = TRAIN.assign(label=(TRAIN["criterion"] == "SLEEP").astype(int))
    unknown = TEST.assign(criterion=TEST["criterion"].replace("FOOD", "NEW"), text="")
    floor = criteria_floors(train, VALIDATION, unknown)[1]
    assert floor.name == "criterion_share"
    said = floor.predictions.test.groupby("criterion")["probability"].unique().map(list).to_dict()
    assert said == {"NEW": [0.5], "SLEEP": [1.0]}
    assert set(floor.predictions.validation["probability"]) == {0.0, 1.0}


def test_the_regression_tells_apart_what_depends_on_text_and_criterion_together() -> None:
    floor = criteria_floors(TRAIN, VALIDATION, TEST)[2]
    table = floor.predictions.test
    assert list(table.columns) == list(COLUMNS["criteria"])
    assert criteria_metrics(table["label"].to_numpy(), table["probability"].to_numpy())["macro_f1"] > 0.95
    assert "chosen on the validation split" in floor.method


def test_the_sentence_floor_finds_the_sentence_that_resembles_the_criterion() -> None:
    silent, sentence = evidence_floors(TRAIN, VALIDATION, TEST, CRITERIA)
    table = sentence.predictions.test
    assert list(table.columns) == list(COLUMNS["evidence"])
    given_ = (table["span_score"] > table["null_score"]).tolist()
    spans = [span if keep else None for span, keep in zip(best_spans(table), given_, strict=True)]
    assert evidence_metrics(gold_spans(table), spans)["char_f1"] > 0.9
    assert not (silent.predictions.test["span_score"] > silent.predictions.test["null_score"]).any()


@pytest.mark.parametrize("task", ["criteria", "evidence"])
def test_floors_do_not_see_the_answers_of_the_test_split(task: str) -> None:
    hidden = TEST.assign(label=1 - TEST["label"], spans=[[] for _ in range(len(TEST))])
    splits = {"train": TRAIN, "validation": VALIDATION}
    columns = [name for name in COLUMNS[task] if name not in ("label", "gold")]
    for one, other in zip(
        floors_of(task, {**splits, "test": TEST}, CRITERIA),
        floors_of(task, {**splits, "test": hidden}, CRITERIA),
        strict=True,
    ):
        pd.testing.assert_frame_equal(one.predictions.test[columns], other.predictions.test[columns])


def test_a_training_split_of_one_class_still_has_floors() -> None:
    floors = criteria_floors(TRAIN.assign(label=0), VALIDATION, TEST)
    assert all((floor.predictions.test["probability"] == 0).all() for floor in floors)


def test_sentences_by_hand() -> None:
    text = "I am tired. Why?? No idea\n\n  Next line…  "
    assert [text[start:end] for start, end in sentence_spans(text)] == ["I am tired.", "Why??", "No idea", "Next line…"]
    assert sentence_spans(" \n...") == []


@given(st.text(alphabet="ab .!?\n", max_size=60))
def test_sentences_are_ordered_disjoint_and_hold_all_words(text: str) -> None:
    spans = sentence_spans(text)
    assert all(end > start for start, end in spans)
    assert all(one[1] <= other[0] for one, other in itertools.pairwise(spans))
    kept = "".join(text[start:end] for start, end in spans)
    assert [c for c in kept if c in "ab"] == [c for c in text if c in "ab"]
