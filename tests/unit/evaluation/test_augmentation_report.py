"""What reports say about augmentation: counts, names of methods, and no text."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from evidence_hpo.augmentation.rejection import REASONS
from evidence_hpo.augmentation.summary import summarize_records
from evidence_hpo.config.parameters import TrialParameters, active_parameters
from evidence_hpo.config.policies import POLICIES
from evidence_hpo.evaluation.augmentation_plot import _COLOURS, augmentation_figure
from evidence_hpo.evaluation.augmentation_text import augmentation_text
from evidence_hpo.schemas import write_artefact
from evidence_hpo.steps.plot_augmentation import plot_augmentation


def active(architecture: str = "evidence", **values: Any) -> dict[str, Any]:
    full = TrialParameters(**values).model_dump()
    return {name: full[name] for name in active_parameters(full, architecture)}


def test_a_configuration_without_augmentation_is_not_mentioned() -> None:
    assert augmentation_text(active()) == ""
    assert augmentation_text({}) == ""


def test_the_sentence_names_methods_shares_and_mode() -> None:
    parameters = active(
        augmentation="simple_then_textattack",
        simple_mask=5,
        textattack_mask=2,
        simple_strength=0,
        augmentation_variants=3,
        augmentation_probability=0.5,
        augmentation_nulls=True,
    )
    assert augmentation_text(parameters) == (
        "Trained with augmentation: of 50% of the evidence sentences of the training examples at most 3 variants each, "
        "by random_deletion or aeda (simple, strength level 0), varied once more by synonym_insertion (textattack, "
        "strength level 1), beside the examples themselves. Altered posts were also shown with criteria that they do "
        "not meet. Validation and test examples are never varied."
    )


@pytest.mark.parametrize("policy", [policy for policy in POLICIES if policy != "none"])
@pytest.mark.parametrize("architecture", ["criteria", "share"])
def test_every_policy_is_said_with_the_families_that_it_uses(policy: str, architecture: str) -> None:
    text = augmentation_text(active(architecture, augmentation=policy, augmentation_mode="replace"))
    assert ("(simple," in text) == ("simple" in policy or policy == "one_of")
    assert ("(textattack," in text) == ("textattack" in policy or policy == "one_of")
    assert "in the place of the examples" in text


def record(task: str, source: str, method: str, made: int, **rejected: int) -> dict[str, Any]:
    return {
        "task": task,
        "source": source,
        "method": method,
        "level": 1,
        "strength": 0.1,
        "part": 0,
        "parts": 1,
        "items": 10,
        "rows": made + sum(rejected.values()),
        "made": made,
        "rejected": dict.fromkeys(REASONS, 0) | rejected,
        "errors": {},
        "varied": 10,
        "seconds": 2.0,
        "versions": {},
        "content": "0" * 64,
    }


RECORDS = [
    record("criteria", "original", "aeda", 15, unchanged=3, negation=2),
    record("evidence", "original", "aeda", 20),
    record("evidence", "simple", "wordnet", 5, no_source=5, error=10),
    record("evidence", "original", "casing", 0, too_long=20),
]


def test_the_figure_shows_every_method_of_each_task_and_source(tmp_path: Path) -> None:
    summary = summarize_records(RECORDS)
    write_artefact(tmp_path / "summary.json", "augmentation_summary", summary)
    files = [tmp_path / f"{number}.svg" for number in range(2)]
    for file in files:
        plot_augmentation(summary=tmp_path / "summary.json", figure=file)
    assert files[0].read_bytes() == files[1].read_bytes()
    figure = augmentation_figure(summary)
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    assert titles == [
        "criteria: sentences varied by",
        "evidence: sentences varied by",
        "evidence: variants by simple methods varied by",
    ]
    labels = [[label.get_text() for label in axes.get_yticklabels()] for axes in figure.axes]
    assert labels == [["aeda"], ["casing", "aeda"], ["wordnet"]]
    notes = [text.get_text() for axes in figure.axes for text in axes.texts]
    assert notes == ["15 of 20, 2 s", "0 of 20, 2 s", "20 of 20, 2 s", "5 of 20, 2 s"]
    legend = {text.get_text() for text in figure.legends[0].get_texts()}
    assert legend == {"made", "unchanged", "negation", "no_source", "error", "too_long"}


def test_every_reason_has_a_colour_of_its_own() -> None:
    assert set(_COLOURS) == {"made", *REASONS}
    assert len(set(_COLOURS.values())) == len(_COLOURS)
    assert all(re.fullmatch(r"#[0-9A-F]{6}", colour, re.IGNORECASE) for colour in _COLOURS.values())
