"""Figures: equal data give equal bytes, whatever the user's matplotlib settings; odd inputs still draw."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib as mpl
import pytest
from evaluation_toys import evaluation, reruns, space, stage_summary, trials
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from evidence_hpo.evaluation.evaluation_plots import (
    confusion_figure,
    criteria_figure,
    reliability_figure,
    scores_figure,
)
from evidence_hpo.evaluation.figures import write_svg
from evidence_hpo.evaluation.importance import parameter_importances
from evidence_hpo.evaluation.parallel_coordinates import parallel_figure
from evidence_hpo.evaluation.round_times import stage_times
from evidence_hpo.evaluation.search_plots import (
    StageTrials,
    correlation_figure,
    curves_figure,
    history_figure,
    importance_figure,
    rounds_figure,
    slices_figure,
)


def staged(name: str, count: int, seed: int = 0, again: int = 0, lag: int = 0) -> StageTrials:
    rows = trials(name, count, seed=seed)
    times = stage_times(stage_summary(name, rows)["timing"], lag=lag)
    return StageTrials(name, rows, space(name), reruns(again) if again else None, times)


STAGES = [staged("stage1", 20), staged("stage2", 6, seed=1, again=4, lag=1)]
SEARCH_FIGURES: list[Callable[..., Figure]] = [
    history_figure,
    importance_figure,
    curves_figure,
    slices_figure,
    parallel_figure,
    correlation_figure,
    rounds_figure,
]
DRAWINGS: list[tuple[Callable[..., Figure], Any]] = [
    *((draw, STAGES) for draw in SEARCH_FIGURES),
    *((draw, evaluation()) for draw in (confusion_figure, criteria_figure, reliability_figure, scores_figure)),
]


def texts(figure: Figure) -> str:
    found = [text.get_text() for axes in figure.axes for text in axes.texts]
    return "\n".join(found + [axes.get_title() for axes in figure.axes])


@pytest.mark.parametrize(("draw", "content"), DRAWINGS, ids=lambda value: getattr(value, "__name__", ""))
def test_equal_data_give_equal_bytes(draw: Callable[..., Figure], content: Any, tmp_path: Path) -> None:
    write_svg(draw(content), tmp_path / "one.svg")
    with mpl.rc_context({"font.size": 20, "axes.grid": True, "svg.hashsalt": "other"}):
        write_svg(draw(content), tmp_path / "two.svg")
    one = (tmp_path / "one.svg").read_bytes()
    assert one == (tmp_path / "two.svg").read_bytes()
    assert b"<dc:date>" not in one


def test_the_parameter_that_decides_is_the_most_important() -> None:
    found = parameter_importances(STAGES[0].trials, STAGES[0].space)
    assert max(found.values, key=found.values.__getitem__) == "learning_rate"
    assert found.left_out == ("head_activation",)
    assert found == parameter_importances(list(reversed(STAGES[0].trials)), STAGES[0].space)


def test_few_trials_say_so() -> None:
    assert "4 complete trials: importances need 10" in texts(importance_figure(STAGES))
    same = [dict(trial, value=0.5, state="complete") for trial in STAGES[0].trials]
    assert parameter_importances(same, STAGES[0].space).reason == "all complete trials have the same objective"


def test_a_stage_without_a_single_value_still_draws(tmp_path: Path) -> None:
    rows = [dict(trial, state="failed", value=None, evaluations=[]) for trial in trials("stage1", 4)]
    stages = [StageTrials("stage1", rows, space("stage1"))]
    for draw in SEARCH_FIGURES:
        write_svg(draw(stages), tmp_path / "figure.svg")
    assert "no trial has a value" in texts(history_figure(stages))


def test_lines_break_at_a_parameter_that_does_not_act() -> None:
    (axes, *_) = parallel_figure(STAGES[:1]).axes
    drawn = [text.get_text() for text in axes.texts]
    assert "learning_rate (log)" in drawn
    assert {"cls", "mean", "gelu"} <= set(drawn), "a choice is named"
    names = [text for text in drawn if text.removesuffix(" (log)") in STAGES[0].trials[0]["sampled"] or "head_" in text]
    place = names.index("head_activation")
    lines = [collection.get_segments() for collection in axes.collections if isinstance(collection, LineCollection)]
    complete = [trial for trial in STAGES[0].trials if trial["state"] == "complete"]
    assert len(lines) == len(complete)
    reaching = sum(any(max(x for x, _ in segment) >= place for segment in segments) for segments in lines)
    assert reaching == sum("head_activation" in trial["sampled"] for trial in complete)
    assert reaching < len(lines)


def test_the_widths_of_a_head_can_be_drawn_and_weighed() -> None:
    rows = [
        {**trial, "sampled": {**trial["sampled"], "head_hidden": [64, 32] if number % 2 else 16}}
        for number, trial in enumerate(trials("stage1", 20))
    ]
    stage = StageTrials("stage1", rows, space("stage1"))
    assert "head_hidden" in stage.importances.values
    assert "[64,32]" in texts(parallel_figure([stage]))
    assert slices_figure([stage]).axes


def test_the_rank_correlation_stands_above_its_points() -> None:
    assert "4 re-run trials\nSpearman -1.00, Kendall -1.00" in texts(correlation_figure(STAGES))
    assert "10\n11\n12\n13" in texts(correlation_figure(STAGES)), "each point bears the number of its trial"
    few = [staged("stage2", 6, again=2)]
    assert "too few that differ" in texts(correlation_figure(few))
    assert "no stage re-ran trials" in texts(correlation_figure(STAGES[:1]))


def test_a_round_is_as_high_as_its_work_and_its_waiting() -> None:
    figure = rounds_figure(STAGES)
    times = STAGES[0].times
    assert times is not None
    bars = [patch.get_height() for patch in figure.axes[0].patches if isinstance(patch, Rectangle)]
    expected = [one[key] / 60 for key in ("work_seconds", "waiting_seconds") for one in times["rounds"]]
    unit = 60 if "minutes" in figure.axes[0].get_ylabel() else 1
    assert bars == pytest.approx([value * 60 / unit for value in expected])
    assert f"stage1: {times['waiting_share']:.0%} of the jobs' time was waited" in texts(figure)
    assert "stage2: at most" in texts(figure)


def test_an_architecture_without_probabilities_says_so() -> None:
    assert "evidence gives no probabilities of criteria" in texts(reliability_figure(evaluation("evidence")))


def test_the_confusion_matrix_shows_the_counts() -> None:
    content = evaluation("criteria")
    shown = texts(confusion_figure(content))
    cells = content["tasks"]["criteria"]["confusion"]["mean"]
    for value in cells.values():
        assert f"{value:.4g}\n" in shown
