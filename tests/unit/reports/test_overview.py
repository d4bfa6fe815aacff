"""The overview: every number is of a result file, the page needs nothing else, and what is not known is said."""

from __future__ import annotations

import copy
import html
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from reports_toys import job, provenance
from tests.unit.evaluation.evaluation_toys import DIGEST, evaluation, retrain_summary, space, trials

from evidence_hpo.evaluation.importance import parameter_importances
from evidence_hpo.evaluation.reports import evaluation_report
from evidence_hpo.evaluation.summary import study_summary
from evidence_hpo.reports.costs import Spent, cost_report
from evidence_hpo.reports.overview import commits, overview, rendered

ROOT = Path(__file__).resolve().parents[3]
TEMPLATE = ROOT / "report" / "overview.html.jinja"
VOID = {"meta", "br", "line", "circle"}
JOBS = [job("share/stage1/round_0/shard_0", 0, 7200), job("draw_dag", 7200, 7230, step="draw_dag")]
COST = cost_report("toy", JOBS, {("share", "stage1"): Spent(20, 40, 60, 7000.0)}, 0)
REFITTED = evaluation("share", skill=5.0, refits=1)
PARAMETERS = {"learning_rate": 0.00123456, "pooling": "mean", "augmentation": "none", "batch_size": 16}
CORPUS = {"source": {"kind": "sample"}}
SPLITS = {"counts": {"train": {"posts": 80}, "validation": {"posts": 10}, "test": {"posts": 11}}}


def retrained(**parameters: Any) -> dict[str, Any]:
    found = retrain_summary("share")
    one = found["architectures"]["share"]
    one |= {"parameters": {**PARAMETERS, **parameters}, "refit": {"seeds": [{"seed_index": 0}]}}
    one["configurations"][0]["seeds"] = [{"seed_index": 0}, {"seed_index": 1}]
    one["final"]["seeds"] = [{"seed_index": 0}, {"seed_index": 1}]
    return found


def content(checked: dict[str, Any], summary: dict[str, Any] | None = None, cost: Any = COST) -> dict[str, Any]:
    """What the page shows of a study of one architecture with two stages."""
    retraining = summary or retrained()
    report = evaluation_report([checked], retraining)
    stages = []
    for name, count in (("stage1", 20), ("stage2", 8)):
        rows = trials(name, count)
        importances = parameter_importances(rows, space(name))
        found = {"values": importances.values, "note": importances.reason, "left_out": list(importances.left_out)}
        states = {"complete": count - 2, "pruned": 1, "failed": 1}
        epochs = {"full": 3.0 * count, "spent": 2.0 * count}
        facts = {"architecture": "share", "stage": name, "trials": count, "states": states, "reruns": None}
        best = {"number": 0, "value": rows[0]["value"]}
        stages.append(({**facts, "best": best, "epochs": epochs}, rows, {"importances": {"fanova": found}}))
    study = study_summary({"share": stages}, retraining, report, "results/evaluation_report.json", {"share": "x"})
    spaces = [space("stage1"), space("stage2")]
    return {
        **overview(
            summary=study,
            report=report,
            evaluations=[checked],
            retraining=retraining,
            spaces=spaces,
            cost=cost,
            corpus=CORPUS,
            splits=SPLITS,
        ),
        "commits": commits([provenance("evaluate", 0, 1)]),
        "configuration": "results/configuration.yaml",
    }


def page(shown: dict[str, Any]) -> str:
    return rendered(TEMPLATE, shown)


def text(source: str) -> str:
    """Return what a reader sees, spaces folded."""
    bare = re.sub(r"<style>.*?</style>|<[^>]+>", " ", source, flags=re.DOTALL)
    return re.sub(r"[\s\xa0]+", " ", html.unescape(bare))


class Balanced(HTMLParser):
    """Follows opening and closing tags."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert not {"src", "href", "onclick"} & {name for name, _ in attrs}
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag


def test_the_page_is_whole_and_needs_nothing_else() -> None:
    source = page(content(REFITTED))
    parser = Balanced()
    parser.feed(source)
    assert parser.open == []
    assert "<script" not in source
    assert "://" not in source
    assert "prefers-color-scheme: dark" in source


def test_scores_intervals_seeds_and_floors_are_those_of_the_evaluation() -> None:
    shown = text(page(content(REFITTED)))
    for task in ("criteria", "evidence"):
        headline = REFITTED["tasks"][task]["headline"]
        score = headline["score"]
        assert f"{score['mean']:.3f}" in shown
        assert f"95 % interval {score['low']:.3f} to {score['high']:.3f}" in shown
        assert ", ".join(f"{value:.3f}" for value in score["per_seed"]) in shown
        floor = REFITTED["tasks"][task]["floors"][0]
        gap = floor["differences"][headline["metric"]]
        assert f"{gap['mean']:+.3f} ({gap['low']:+.3f} to {gap['high']:+.3f})" in shown
        assert f"{floor['metrics'][headline['thresholds']][headline['metric']]['mean']:.3f}" in shown
    assert shown.count("clears every floor") >= 2


def test_the_level_of_the_intervals_is_not_rounded() -> None:
    assert "on the test split, 99.5 % interval" in text(page(content({**REFITTED, "confidence": 0.995})))


def test_a_model_below_its_floors_is_called_so_with_its_warnings() -> None:
    bad = evaluation("share", skill=0.0)
    shown = text(page(content(bad)))
    assert "does not clear every floor" in shown
    for warning in bad["warnings"]:
        assert warning["message"] in shown


def test_refits_are_mentioned_when_there_are_any() -> None:
    assert "Refit on training and validation posts: clears every floor" in text(page(content(REFITTED)))
    without = retrained()
    without["architectures"]["share"]["refit"] = None
    assert "refit" not in text(page(content(evaluation("share"), without))).lower()


def test_the_augmentation_of_the_winner_is_shown() -> None:
    used = retrained(augmentation="simple", simple_mask=5, augmentation_mode="add")
    shown = text(page(content(REFITTED, used)))
    assert "Augmentation of the training examples: augmentation simple, simple_mask 5, augmentation_mode add." in shown
    assert "Trained without augmentation." in text(page(content(REFITTED)))


def test_the_search_the_winner_and_the_digests_are_there() -> None:
    source = page(content(REFITTED))
    shown = text(source)
    assert "share stage1 20 18 1 1 40 60" in shown
    assert "learning_rate" in shown.split("What mattered most".lower())[1][:600]
    assert "learning_rate 0.001235" in shown
    assert "trial 2 of stage2" in shown
    assert source.count(DIGEST) == 1, "equal digests are one line"
    assert f"git checkout {'a' * 40}" in shown
    assert "evidence-hpo run --configfile results/configuration.yaml" in shown


def test_unknown_energy_is_said_and_known_energy_is_shown_with_its_reach() -> None:
    assert "energy unknown" in text(page(content(REFITTED)))
    metered = [job("share/stage1/round_0/shard_0", 0, 7200, cpu_joules=7.2e6), JOBS[1]]
    cost = cost_report("toy", metered, {("share", "stage1"): Spent(20, 40, 60, 7000.0)}, 0)
    shown = text(page(content(REFITTED, cost=cost)))
    assert "processors: 2 kWh (counted in 1 of 2 jobs)" in shown
    assert "energy unknown" not in shown


def test_names_are_escaped() -> None:
    odd = copy.deepcopy(content(REFITTED))
    odd["study"] = "<b>odd</b>"
    assert "&lt;b&gt;odd" in page(odd)


def test_a_value_that_the_page_has_no_content_for_is_an_error() -> None:
    shown = content(REFITTED)
    del shown["cost"]
    with pytest.raises(Exception, match="cost"):
        page(shown)


def test_the_commit_of_most_jobs_comes_first() -> None:
    other = provenance("evaluate", 0, 1) | {"git": {"commit": "b" * 40, "branch": "main", "dirty": True}}
    none = provenance("evaluate", 0, 1) | {"git": {}}
    found = commits([provenance("evaluate", 0, 1), other, other, none])
    assert [(one["commit"][0], one["dirty"], one["jobs"]) for one in found] == [("b", True, 2), ("a", False, 1)]
