"""Stages: the default plan at any size, stages of one architecture, stages that are left out."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from evidence_hpo.config.configuration import default_configuration
from evidence_hpo.config.loading import load_configuration
from evidence_hpo.config.search import PrunerSettings, SearchSettings, StageSettings
from evidence_hpo.errors import ConfigurationError
from evidence_hpo.graph import StudyGraph


def stage(name: str = "stage1", **values: Any) -> StageSettings:
    return StageSettings(name=name, **{"trials": 20, "epochs": 4, "space": "sample", **values})


def test_the_default_plan_at_its_own_size() -> None:
    assert stage(trials=350).round_sizes == [64, 143, 143]
    assert stage(trials=150, space=None).round_sizes == [8, *[16] * 8, 14]


def test_the_default_plan_in_a_small_search() -> None:
    assert stage(trials=40).round_sizes == [24, 8, 8]
    assert stage(trials=20, space=None).round_sizes == [4, 8, 8]
    assert stage(trials=12).round_sizes == [10, 2]
    assert stage(trials=3).round_sizes == [3]


@given(trials=st.integers(1, 5000), narrowed=st.booleans(), first=st.none() | st.integers(1, 100))
def test_rounds_are_all_trials_and_none_is_larger_than_planned(trials: int, narrowed: bool, first: int | None) -> None:
    first = min(first, trials) if first else None
    sizes = stage(trials=trials, space=None if narrowed else "sample", first_round=first).round_sizes
    assert sum(sizes) == trials
    assert min(sizes) >= 1
    assert max(sizes[1:], default=0) <= (16 if narrowed else 143)
    assert first is None or sizes[0] == first


@pytest.mark.parametrize(
    ("epochs", "rungs"),
    [(1, (0.5,)), (2, (0.5, 1.0)), (3, (1.0,)), (8, (1.0, 3.0)), (100, (1.0, 3.0, 9.0, 27.0, 81.0))],
)
def test_rungs_follow_from_the_epochs(epochs: int, rungs: tuple[float, ...]) -> None:
    assert PrunerSettings().rungs_within(epochs) == rungs
    assert PrunerSettings(kind="none").rungs_within(epochs) == ()
    assert PrunerSettings(rungs=(2.0,)).rungs_within(epochs) == (2.0,)


def configured(**search: Any) -> StudyGraph:
    raw = default_configuration().model_dump(mode="json")
    raw["search"] |= search
    return StudyGraph(load_configuration(raw))


LARGE = {"name": "large", "space": "sample", "trials": 30, "epochs": 2, "sampler": "random"}


def test_an_architecture_may_have_stages_of_its_own() -> None:
    study = configured(stages_of={"evidence": [LARGE]})
    assert list(study.stages_of("criteria")) == ["stage1", "stage2"]
    assert list(study.stages_of("evidence")) == ["large"]
    assert study.stage_names == ["stage1", "stage2", "large"]
    assert study.last_stage("evidence") == "large"
    assert '"sampler":"random"' in study.proposal_settings("evidence", "large", 0)
    assert study.stage_pattern(narrowed=True) == "stage2"


def test_a_skipped_stage_is_gone_and_the_next_follows_the_one_before() -> None:
    sanity = {**LARGE, "name": "sanity", "trials": 3}
    stages = default_configuration().model_dump(mode="json")["search"]["stages"]
    assert configured(stages=[sanity, *stages]).earlier_summaries("criteria", "stage1") == [
        "results/criteria/sanity/summary.json"
    ]
    skipped = configured(stages=[sanity, *stages], skip=["sanity"])
    assert list(skipped.stages_of("criteria")) == ["stage1", "stage2"]
    assert skipped.earlier_summaries("criteria", "stage1") == []


@pytest.mark.parametrize(
    ("search", "words"),
    [
        ({"skip": ["stage3"]}, "skip: 'stage3' is no stage; did you mean 'stage1'|skip: 'stage3' is no stage"),
        ({"skip": ["stage1", "stage2"]}, "every stage is skipped"),
        ({"skip": ["stage1"]}, "stage2: the first stage has no stage before it"),
        ({"stages_of": {"evidence": [{**LARGE, "space": None}]}}, "stages_of.evidence: stage large"),
        ({"stages_of": {"evidence": []}}, "stages_of.evidence"),
        ({"stages_of": {"evidenc": [LARGE]}}, "stages_of.evidenc"),
        ({"stages_of": {"evidence": [{**LARGE, "name": "stage2"}]}}, "give the two different names"),
        ({"stages_of": {"evidence": [{**LARGE, "space": "sampel"}]}}, "stages_of.evidence.large.space: 'sampel'"),
    ],
)
def test_a_wrong_list_of_stages_is_one_line(search: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        configured(**search)


def test_a_search_without_stages_is_refused() -> None:
    with pytest.raises(ValidationError):
        SearchSettings(stages=())
