"""A method that cannot work is refused before anything runs, in one line that names what is missing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from evidence_hpo.config.augmentation import METHODS
from evidence_hpo.config.configuration import default_configuration
from evidence_hpo.config.loading import load_configuration, merge
from evidence_hpo.config.textattack import TEXTATTACK_METHODS
from evidence_hpo.errors import ConfigurationError
from evidence_hpo.graph import StudyGraph


def mask(*methods: str) -> int:
    return sum(1 << METHODS["textattack"].index(method) for method in methods)


def raw(methods: int, root: Path | None = None, **augmentation: Any) -> Any:
    changes = {
        "training": {"parameters": {"augmentation": "textattack", "textattack_mask": methods}},
        "augmentation": augmentation,
    }
    return load_configuration(merge(default_configuration().model_dump(mode="json"), changes), root)


def test_the_bits_of_the_default_methods_never_change() -> None:
    assert METHODS["textattack"][:6] == (
        "wordnet",
        "synonym_insertion",
        "word_deletion",
        "word_swap",
        "char_swap",
        "qwerty",
    )
    assert METHODS["textattack"] == tuple(TEXTATTACK_METHODS)
    assert not set(METHODS["textattack"]) & set(METHODS["simple"])


@pytest.mark.parametrize(
    ("method", "line"),
    [
        (
            "embedding",
            "configuration: textattack_mask: embedding: needs augmentation.embedding, which is not given; give it, or "
            "leave out bit 19 (524288) of textattack_mask",
        ),
        (
            "pwws",
            "configuration: textattack_mask: pwws: needs augmentation.victim, which is not given; give it, or leave "
            "out bit 21 (2097152) of textattack_mask",
        ),
        (
            "textfooler",
            "configuration: textattack_mask: textfooler: cannot be used: it needs the Universal Sentence Encoder, "
            "which runs in TensorFlow alone; leave out bit 31 (2147483648)",
        ),
    ],
)
def test_a_method_that_cannot_work_is_refused(method: str, line: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        raw(mask("word_swap", method))
    assert str(caught.value) == line


def test_a_method_of_a_searched_mask_is_noticed() -> None:
    changes = {
        "training": {"parameters": {"augmentation": "textattack"}},
        "spaces": {"sample": {"textattack_mask": {"choices": [1, mask("hownet")]}}},
    }
    with pytest.raises(
        ConfigurationError, match="textattack_mask: hownet: cannot be used: it needs OpenHowNet's table"
    ):
        load_configuration(merge(default_configuration().model_dump(mode="json"), changes))


def test_a_method_is_usable_once_its_resource_is_given(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    configuration = raw(mask("masked_lm_swap"), tmp_path, masked_lm="model")
    study = StudyGraph(configuration)
    assert study.bank_resources("masked_lm_swap") == ["model/config.json"]
    assert '"resources":{"masked_lm":"model"}' in study.bank_settings("criteria", "masked_lm_swap", "1")
    assert '"resources":{}' in study.bank_settings("criteria", "word_swap", "1")


def test_a_resource_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as caught:
        raw(mask("iga"), tmp_path, victim="model", embedding="vectors.txt")
    assert str(caught.value).splitlines() == [
        "configuration: augmentation.embedding: vectors.txt: no such file",
        "configuration: augmentation.victim: model: no such folder",
    ]


def test_unusable_methods_trouble_no_study_that_does_not_use_them() -> None:
    changes = {"training": {"parameters": {"augmentation": "simple", "textattack_mask": mask("hownet")}}}
    assert load_configuration(merge(default_configuration().model_dump(mode="json"), changes))


def test_a_post_as_a_criteria_example_takes_its_evidence_from_the_evidence_example() -> None:
    changes: dict[str, Any] = {"data": {"examples": {"criteria": {"unit": "post"}}}}
    study = StudyGraph(load_configuration(merge(default_configuration().model_dump(mode="json"), changes)))
    assert study.bank_examples("criteria") == "results/examples/evidence/train.parquet"
    assert '"whole_text":false' in study.bank_settings("criteria", "aeda", "0")
    default = StudyGraph(default_configuration())
    assert default.bank_examples("criteria") == "results/examples/criteria/train.parquet"
    assert '"whole_text":true' in default.bank_settings("criteria", "aeda", "0")
    assert '"whole_text":false' in default.bank_settings("evidence", "aeda", "0")
