from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
from collections import Counter

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rapidfuzz import fuzz
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score

from evidence_hpo.data import sample_lexicon as lexicon
from evidence_hpo.data.criteria import DSM5_CRITERIA
from evidence_hpo.data.sample import ANNOTATION_COLUMNS, POST_COLUMNS, generate_corpus
from evidence_hpo.data.sample_grammar import CONSTRUCTIONS, Draw, draw_frame, inflect

Corpus = tuple[pd.DataFrame, pd.DataFrame]
_FINGERPRINT = """
import hashlib
from evidence_hpo.data.sample import generate_corpus
print(hashlib.sha256("".join(frame.to_csv() for frame in generate_corpus(80, 7)).encode()).hexdigest())
"""


@pytest.fixture(scope="module")
def corpus() -> Corpus:
    return generate_corpus(1500, 7)


def _words(text: str) -> list[str]:
    return re.findall(r"[\w'-]+", text.lower())


def _sentences(text: str) -> list[str]:
    return [sentence.strip() for sentence in re.findall(r"[^.]+\.", text)]


def test_criteria_are_the_nine_labels_of_the_corpus(corpus: Corpus) -> None:
    assert len(DSM5_CRITERIA) == 9
    assert {criterion.id for criterion in DSM5_CRITERIA} == set(corpus[1]["DSM5_symptom"]) == set(lexicon.WEIGHTS)


@pytest.mark.parametrize("hash_seed", ["0", "1", "4242"])
def test_corpus_does_not_depend_on_the_process(hash_seed: str) -> None:
    here = hashlib.sha256("".join(frame.to_csv() for frame in generate_corpus(80, 7)).encode()).hexdigest()
    there = subprocess.run(
        [sys.executable, "-c", _FINGERPRINT],
        env=os.environ | {"PYTHONHASHSEED": hash_seed},
        capture_output=True,
        text=True,
        check=True,
    )
    assert there.stdout.strip() == here


def test_smaller_corpus_is_a_prefix_and_the_seed_matters(corpus: Corpus) -> None:
    posts, annotations = generate_corpus(60, 7)
    pd.testing.assert_frame_equal(posts, corpus[0].head(60))
    pd.testing.assert_frame_equal(annotations, corpus[1].head(len(annotations)))
    assert not posts["text"].equals(generate_corpus(60, 8)[0]["text"])


def test_layout(corpus: Corpus) -> None:
    posts, annotations = corpus
    assert tuple(posts.columns) == POST_COLUMNS
    assert tuple(annotations.columns) == ANNOTATION_COLUMNS
    assert posts["post_id"].is_unique
    assert posts["post_id"].str.fullmatch(r"s_\d+_\d+").all()
    assert not annotations.duplicated("sentence_id").any()
    assert (annotations["sentence_id"].str.rsplit("_", n=1).str[0] == annotations["post_id"]).all()
    assert annotations["explanation"].str.startswith("Synthetic").all()


def test_shares(corpus: Corpus) -> None:
    posts, annotations = corpus
    counts = annotations["DSM5_symptom"].value_counts()
    assert 0.17 <= 1 - annotations["post_id"].nunique() / len(posts) <= 0.23
    assert annotations["post_id"].value_counts().between(1, 2).all()
    assert 0.45 <= (annotations["status"] == 0).mean() <= 0.50
    assert counts.idxmax() == "DEPRESSED_MOOD"
    assert counts.idxmin() == "PSYCHOMOTOR"
    assert counts.min() >= 60


def test_lengths(corpus: Corpus) -> None:
    lengths = corpus[0]["text"].str.split().str.len()
    assert 0.007 <= (lengths >= 500).mean() <= 0.02
    assert not lengths.between(250, 499).any()
    assert 35 <= lengths.mean() <= 60


def test_evidence_lies_anywhere_in_long_posts(corpus: Corpus) -> None:
    posts, annotations = corpus
    long = posts[posts["text"].str.split().str.len() >= 500].set_index("post_id")["text"]
    rows = annotations[annotations["post_id"].isin(long.index)]
    places = rows["sentence_id"].str.rsplit("_", n=1).str[1].astype(int)
    relative = places / rows["post_id"].map(lambda post_id: len(_sentences(long[post_id])))
    assert (relative < 0.15).any()
    assert (relative > 0.85).any()


def test_vocabulary_is_modest(corpus: Corpus) -> None:
    assert 450 <= len({word for text in corpus[0]["text"] for word in _words(text)}) <= 1100


def test_sentence_id_names_the_one_sentence_that_the_text_aligns_to(corpus: Corpus) -> None:
    posts, annotations = corpus
    sentences = dict(zip(posts["post_id"], map(_sentences, posts["text"]), strict=True))
    changed = 0
    for row in annotations.itertuples():
        inside = sentences[row.post_id]
        place = int(str(row.sentence_id).rsplit("_", 1)[1])
        scores = [fuzz.ratio(sentence.lower(), str(row.sentence_text).lower()) for sentence in inside]
        best = scores.pop(place)
        assert best >= 75
        assert best > max(scores, default=0) + 5
        changed += row.sentence_text != inside[place]
    assert 0.25 <= changed / len(annotations) <= 0.40


@given(st.integers(0, 10**6), st.sampled_from(sorted(lexicon.PHRASES)))
def test_minimal_pairs_hold_the_same_words(seed: int, criterion: str) -> None:
    for construction in CONSTRUCTIONS:
        frame = draw_frame(Draw(str(seed)), criterion, set(), construction.name)
        assert frame.positive != frame.negative
        if construction.name != "direct":
            assert Counter(_words(frame.positive)) == Counter(_words(frame.negative))


def test_every_construction_occurs_with_both_statuses_about_equally(corpus: Corpus) -> None:
    names = corpus[1]["explanation"].str.extract(r"\((.*)\)")[0]
    shares = corpus[1].groupby(names)["status"].mean()
    assert set(shares.index) == {construction.name for construction in CONSTRUCTIONS}
    assert shares.between(0.38, 0.62).all()
    assert 0.5 <= (names == "direct").mean() <= 0.6


def test_criteria_also_appear_in_one_post_with_both_statuses(corpus: Corpus) -> None:
    statuses = corpus[1].groupby(["post_id", "DSM5_symptom"])["status"].agg(set)
    assert (statuses == {0, 1}).mean() >= 0.10
    assert (statuses == {0}).mean() >= 0.25


def test_every_phrase_inflects() -> None:
    for symptom, health in lexicon.PHRASES.values():
        assert len(symptom) >= 8
        for phrase in (*symptom, *health):
            assert phrase.startswith("*")
            assert len({inflect(phrase, tense) for tense in ("base", "third", "past")}) >= 2


def test_bag_of_words_is_a_poor_judge(corpus: Corpus) -> None:
    annotations = corpus[1]
    train = annotations["post_id"].isin(corpus[0]["post_id"][:800])
    vectorizer = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True)
    features = vectorizer.fit_transform(annotations["sentence_text"][train])
    model = LogisticRegression(max_iter=1000).fit(features, annotations["status"][train])
    predicted = model.predict(vectorizer.transform(annotations["sentence_text"][~train]))
    assert 0.55 <= f1_score(annotations["status"][~train], predicted, average="macro") <= 0.80
