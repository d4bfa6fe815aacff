"""Single values by dotted keys, and the spaces that need no entry."""

from __future__ import annotations

from typing import Any

import pytest

from evidence_hpo.config.configuration import default_configuration
from evidence_hpo.config.known_spaces import KNOWN_SPACES, SPACE_MEANINGS
from evidence_hpo.config.loading import load_configuration
from evidence_hpo.config.overrides import apply_overrides, parse_overrides
from evidence_hpo.config.spaces import Range
from evidence_hpo.errors import ConfigurationError


def raw(**overrides: Any) -> dict[str, Any]:
    return {**default_configuration().model_dump(mode="json"), "overrides": overrides}


def test_a_list_item_is_named_by_its_name_or_its_position() -> None:
    changed = load_configuration(raw(**{"search.stages.stage2.trials": 9, "search.stages.0.epochs": 3}))
    assert [stage.trials for stage in changed.search.stages] == [6, 9]
    assert [stage.epochs for stage in changed.search.stages] == [3, 9]
    assert changed.overrides == {}


def test_an_override_can_add_what_was_not_there() -> None:
    changed = load_configuration(raw(**{"spaces.sample.batch_size.choices": [8, 16]}))
    assert changed.spaces["sample"].root["batch_size"].model_dump() == {"when": {}, "choices": (8, 16)}


def test_the_given_configuration_is_left_as_it_was() -> None:
    given = raw(**{"study.seed": 7})
    assert apply_overrides(given)["study"]["seed"] == 7
    assert given["study"]["seed"] == 42


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("search.stages.stag1.trials", 3, ["overrides.search.stages.stag1.trials", "did you mean 'stage1'"]),
        ("search.stages.7.trials", 3, ["'7' is not in the list"]),
        ("study.seed.deep", 3, ["overrides.study.seed.deep", "nothing below", "42"]),
        ("study.seeds", 3, ["study.seeds", "did you mean 'seed'"]),
        ("search.stages.stage1.trials", "many", ["search.stages.0.trials", "'many'"]),
    ],
)
def test_a_wrong_override_is_one_line(key: str, value: Any, words: list[str]) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load_configuration(raw(**{key: value}))
    (line,) = str(caught.value).splitlines()
    assert all(word in line for word in words), line


def test_texts_are_read_as_yaml() -> None:
    texts = ["a.b=3", "c=[x, y]", "d=null", "e=1e-5", "f=true"]
    assert parse_overrides(texts) == {"a.b": 3, "c": ["x", "y"], "d": None, "e": "1e-5", "f": True}


@pytest.mark.parametrize("text", ["a.b", "=3", "a=[1"])
def test_a_text_that_is_no_override_is_one_line(text: str) -> None:
    with pytest.raises(ConfigurationError, match="--override"):
        parse_overrides([text])


def test_a_known_space_needs_no_entry_and_overrides_reach_into_it() -> None:
    values = {"search.stages.stage1.space": "classifier", "spaces.classifier.learning_rate.low": "1e-5"}
    spaces = load_configuration(raw(**values)).spaces
    assert set(spaces) == {"sample", "classifier"}
    rate = spaces["classifier"].root["learning_rate"]
    assert isinstance(rate, Range)
    assert (rate.low, rate.high) == (1e-5, 1e-4)
    assert KNOWN_SPACES["classifier"]["learning_rate"]["low"] == 1e-6


def test_an_entry_replaces_a_known_space_whole() -> None:
    own = raw(**{"search.stages.stage1.space": "maximal"})
    own["spaces"]["maximal"] = {"dropout": {"low": 0.1, "high": 0.2}}
    assert set(load_configuration(own).spaces["maximal"].root) == {"dropout"}


def test_the_space_s_name_is_suggested() -> None:
    with pytest.raises(ConfigurationError, match="did you mean 'two_stage'"):
        load_configuration(raw(**{"search.stages.stage1.space": "two_stages"}))


def test_every_known_space_is_described_and_valid_for_every_architecture() -> None:
    assert set(SPACE_MEANINGS) == set(KNOWN_SPACES)
    for name in KNOWN_SPACES:
        values = {"search.stages.stage1.space": name, "study.architectures": ["criteria", "evidence", "share", "joint"]}
        assert name in load_configuration(raw(**values)).spaces
