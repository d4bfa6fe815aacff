"""Figures: equal data give equal bytes, whatever the user's matplotlib settings; odd inputs still draw."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib as mpl
import pytest
from evaluation_toys import evaluation, space, trials
from matplotlib.figure import Figure

from evidence_hpo.evaluation.evaluation_plots import (
    confusion_figure,
    criteria_figure,
    reliability_figure,
    scores_figure,
)
from evidence_hpo.evaluation.figures import write_svg
from evidence_hpo.evaluation.importance import parameter_importances
from evidence_hpo.evaluation.search_plots import (
    StageTrials,
    curves_figure,
    history_figure,
    importance_figure,
    slices_figure,
)

STAGES = [
    StageTrials("stage1", trials("stage1", 20), space("stage1")),
    StageTrials("stage2", trials("stage2", 6, seed=1), space("stage2")),
]
DRAWINGS: list[tuple[Callable[..., Figure], Any]] = [
    *((draw, STAGES) for draw in (history_figure, importance_figure, curves_figure, slices_figure)),
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
    for draw in (history_figure, importance_figure, curves_figure, slices_figure):
        write_svg(draw(stages), tmp_path / "figure.svg")
    assert "no trial has a value" in texts(history_figure(stages))


def test_an_architecture_without_probabilities_says_so() -> None:
    assert "evidence gives no probabilities of criteria" in texts(reliability_figure(evaluation("evidence")))


def test_the_confusion_matrix_shows_the_counts() -> None:
    content = evaluation("criteria")
    shown = texts(confusion_figure(content))
    cells = content["tasks"]["criteria"]["confusion"]["mean"]
    for value in cells.values():
        assert f"{value:.4g}\n" in shown
