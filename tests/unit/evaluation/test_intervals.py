"""Bootstrap: resamples are posts, sums agree with a loop, intervals cover, differences are paired."""

from __future__ import annotations

import numpy as np
import pytest
from evaluation_toys import criteria_table, evidence_table
from sklearn.metrics import f1_score, roc_auc_score

from evidence_hpo.evaluation.intervals import Resampler, difference, score
from evidence_hpo.evaluation.predictions import answer_scores, best_spans, gold_spans
from evidence_hpo.evaluation.scorers import CriteriaScorer, EvidenceScorer
from evidence_hpo.evaluation.thresholds import CriteriaThresholds, EvidenceThreshold
from evidence_hpo.training.metrics import criteria_metrics, evidence_metrics


def repeated(resampler: Resampler, posts: list[str], number: int) -> np.ndarray:
    """Rows of a resample, each post's rows as often as the post was drawn."""
    of_row = resampler._weights[number, resampler.positions(posts)]
    return np.repeat(np.arange(len(posts)), of_row)


def test_a_resample_draws_as_many_posts_as_there_are() -> None:
    resampler = Resampler(["b", "a", "c", "a"], 50, 0)
    assert (resampler._weights.sum(axis=1) == 3).all()
    assert (resampler._weights[0] == 1).all()


def test_the_same_seed_gives_the_same_resamples_whatever_the_order_of_the_rows() -> None:
    one, two = Resampler(["a", "b", "c"], 20, 7), Resampler(["c", "c", "a", "b"], 20, 7)
    assert (one._weights == two._weights).all()
    assert (one._weights != Resampler(["a", "b", "c"], 20, 8)._weights).any()


def test_scores_of_resamples_equal_those_of_the_repeated_rows() -> None:
    table = criteria_table(20, skill=1.0)
    posts = table["post_id"].tolist()
    resampler = Resampler(posts, 5, 0)
    scored = CriteriaScorer(resampler, table).scored(table, CriteriaThresholds(0.4))["global"]
    for number in range(6):
        sample = table.iloc[repeated(resampler, posts, number)]
        expected = criteria_metrics(sample["label"].to_numpy(), sample["probability"].to_numpy(), 0.4)
        assert {name: scored.overall[name][number] for name in expected} == pytest.approx(expected)
        assert scored.overall["roc_auc"][number] == pytest.approx(roc_auc_score(sample["label"], sample["probability"]))
        by_criterion = [
            f1_score(part["label"], part["probability"] >= 0.4) for _, part in sample.groupby("criterion", sort=True)
        ]
        assert scored.by_criterion["f1"][:, number].tolist() == pytest.approx(by_criterion)
        assert scored.overall["f1_over_criteria"][number] == pytest.approx(np.mean(by_criterion))


def test_evidence_scores_of_resamples_equal_those_of_the_repeated_rows() -> None:
    table = evidence_table(20, skill=1.0)
    posts = table["post_id"].tolist()
    resampler = Resampler(posts, 5, 0)
    scored = EvidenceScorer(resampler, table).scored(table, EvidenceThreshold(0.3))["global"]
    for number in range(6):
        sample = table.iloc[repeated(resampler, posts, number)]
        kept = answer_scores(sample) > 0.3
        spans = [span if keep else None for span, keep in zip(best_spans(sample), kept, strict=True)]
        expected = evidence_metrics(gold_spans(sample), spans)
        assert {name: values[number] for name, values in scored.overall.items()} == pytest.approx(expected)


def test_a_score_is_the_mean_over_seeds() -> None:
    draws = np.array([[0.6, 0.5, 0.7], [0.8, 0.7, 0.9]])
    assert score(draws, 0.9) == {
        "mean": 0.7,
        "sd": pytest.approx(0.141421),
        "low": pytest.approx(0.61),
        "high": pytest.approx(0.79),
        "per_seed": [0.6, 0.8],
    }
    assert score(draws[:1], 0.9)["sd"] is None


def test_a_difference_is_paired_by_resample() -> None:
    # Both vary wildly over resamples, but together: the difference is certain.
    floor = np.random.default_rng(0).random((1, 501))
    gap = difference(floor + 0.01, floor, 0.95)
    assert (gap["low"], gap["high"], gap["excludes_zero"]) == (0.01, 0.01, True)
    assert not difference(floor, floor, 0.95)["excludes_zero"]


def test_intervals_over_posts_cover_the_truth_and_those_over_rows_would_not() -> None:
    """Rows of a post are equal here, so the effective sample is the posts: 95 % intervals must know that."""
    generator = np.random.default_rng(0)
    truth, posts, rows = 0.7, 60, 5
    covered = {"posts": 0, "rows": 0}
    studies = 100
    for study in range(studies):
        right = np.repeat(generator.random(posts) < truth, rows).astype(float)[:, None]
        for unit, ids in (("posts", np.repeat(np.arange(posts), rows)), ("rows", np.arange(posts * rows))):
            names = [f"{number:04d}" for number in ids]
            resampler = Resampler(names, 300, study)
            draws = resampler.sums(right, resampler.positions(names))
            size = resampler.sums(np.ones_like(right), resampler.positions(names))
            interval = score((draws / size).T, 0.95)
            covered[unit] += interval["low"] <= truth <= interval["high"]
    assert 0.89 <= covered["posts"] / studies <= 0.99
    assert covered["rows"] / studies < 0.8
