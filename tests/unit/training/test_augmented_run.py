"""Runs that train on variants: as pure, and as robust, as any other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.unit.training.training_toys import Banks

from evidence_hpo.config.policies import POLICIES
from evidence_hpo.files import canonical_json, digest_directory
from evidence_hpo.models.architectures import ARCHITECTURE_TASKS
from evidence_hpo.training import loop
from evidence_hpo.training.batches import training_data
from evidence_hpo.training.run import RunResult, RunSpec, run

Make = Callable[..., RunSpec]

AUGMENTED = {
    "augmentation": "one_of",
    "simple_mask": 5,
    "textattack_mask": 2,
    "augmentation_variants": 2,
    "augmentation_probability": 0.8,
    "augmentation_nulls": True,
}


class KilledError(Exception):
    """Stands for a signal."""


def silent(_: str) -> None:
    return None


def killed_at(line: str) -> Callable[[str], None]:
    def report(message: str) -> None:
        if message.startswith(line):
            raise KilledError

    return report


def comparable(result: RunResult) -> str:
    return canonical_json({**vars(result), "duration_seconds": None})


def trainings(monkeypatch: pytest.MonkeyPatch) -> list[loop.Training]:
    """Return a list that receives the trainings that would have been run."""
    seen: list[loop.Training] = []

    def watched(self: loop.Training) -> loop.Ending:
        seen.append(self)
        return loop.Ending("complete")

    monkeypatch.setattr(loop.Training, "train", watched)
    return seen


@pytest.mark.parametrize("architecture", ARCHITECTURE_TASKS)
def test_a_killed_run_ends_in_the_same_bits(tmp_path: Path, banks: Banks, make_spec: Make, architecture: str) -> None:
    spec = make_spec(architecture, AUGMENTED, epochs=3, data_fraction=0.7)
    given = banks.given("tiny", spec.parameters)
    whole = run(spec, given, tmp_path / "whole", model=tmp_path / "model", report=silent)
    with pytest.raises(KilledError):
        run(spec, given, tmp_path / "work", model=tmp_path / "resumed", report=killed_at("epoch 2 of"))
    torch.rand(3)
    np.random.rand(3)
    resumed = run(spec, given, tmp_path / "work", model=tmp_path / "resumed", report=silent)
    assert comparable(resumed) == comparable(whole)
    assert digest_directory(tmp_path / "resumed") == digest_directory(tmp_path / "model")
    assert set(whole.augmented) == set(ARCHITECTURE_TASKS[architecture])
    assert all(count > 0 for count in whole.augmented.values())


def test_the_resume_point_of_other_banks_is_not_taken(tmp_path: Path, banks: Banks, make_spec: Make) -> None:
    spec = make_spec("criteria", AUGMENTED, epochs=3)
    given = banks.given("tiny", spec.parameters)
    with pytest.raises(KilledError):
        run(spec, given, tmp_path / "work", report=killed_at("epoch 2 of"))
    lines: list[str] = []
    fewer = replace(given, banks={"criteria": given.banks["criteria"][:1]})
    run(spec, fewer, tmp_path / "work", report=lines.append)
    assert "of another run" in lines[0]


def test_another_seed_trains_on_other_variants(banks: Banks, make_spec: Make) -> None:
    parameters = make_spec("evidence", AUGMENTED).parameters
    given = banks.given("tiny", parameters)
    cache, used = given.train["evidence"], given.banks["evidence"]
    lengths = [training_data(cache, parameters, 1.0, used, seed).features.length.tolist() for seed in (0, 0, 1, 2)]
    assert lengths[0] == lengths[1]
    assert lengths[0] != lengths[2] != lengths[3]


@pytest.mark.parametrize("policy", [policy for policy in POLICIES if policy != "none"])
@pytest.mark.parametrize("architecture", ["evidence", "share"])
def test_the_record_tells_how_many_variants_were_trained_on(
    tmp_path: Path,
    banks: Banks,
    make_spec: Make,
    monkeypatch: pytest.MonkeyPatch,
    policy: str,
    architecture: str,
) -> None:
    seen = trainings(monkeypatch)
    spec = make_spec(architecture, {**AUGMENTED, "augmentation": policy})
    given = banks.given("tiny", spec.parameters)
    result = run(spec, given, tmp_path / "work", report=silent)
    for task, data in seen[0].data.items():
        originals = len(given.train[task])
        assert result.augmented[task] == int((data.rows >= originals).sum()) > 0
        assert len(data.cache) == originals + result.augmented[task]
    plain = make_spec(architecture)
    assert run(plain, banks.given("tiny", plain.parameters), tmp_path / "work", report=silent).augmented == {}
    assert seen[0].steps_per_epoch > seen[1].steps_per_epoch, "an epoch is larger, and that is all"


@pytest.mark.parametrize("mode", ["add", "replace"])
@pytest.mark.parametrize("refit", [None, 1])
def test_nothing_but_training_examples_is_varied(
    tmp_path: Path,
    banks: Banks,
    make_spec: Make,
    monkeypatch: pytest.MonkeyPatch,
    mode: str,
    refit: int | None,
) -> None:
    seen = trainings(monkeypatch)
    spec = make_spec("share", {**AUGMENTED, "augmentation_mode": mode}, refit_epochs=refit)
    given = banks.given("tiny", spec.parameters)
    run(spec, given, tmp_path / "work", report=silent)
    for task, data in seen[0].data.items():
        train, validation = given.train[task], given.validation[task]
        if refit:
            assert np.isin(np.arange(len(train), len(train) + len(validation)), data.rows).all()
        else:
            assert [len(one.cache) for one in seen[0].validation.values()] == [len(validation)] * 2
        first = len(train) + (len(validation) if refit else 0)
        ids = np.array(data.cache.example_ids)
        varied = set(ids[first:])
        assert varied <= set(train.example_ids)
        kept = set(ids[data.rows[data.rows < len(train)]])
        assert kept == set(train.example_ids) - (varied if mode == "replace" else set())


def test_only_posts_of_the_slice_are_varied(banks: Banks, make_spec: Make) -> None:
    parameters = make_spec("evidence", AUGMENTED).parameters
    given = banks.given("tiny", parameters)
    cache, used = given.train["evidence"], given.banks["evidence"]
    plain = training_data(cache, {**parameters, "augmentation": "none"}, 0.4)
    half = training_data(cache, parameters, 0.4, used, 3)
    assert set(half.cache.post_ids[half.rows]) == set(cache.post_ids[plain.rows])
    assert half.augmented == len(half.rows) - len(plain.rows) > 0


def test_masks_that_differ_train_on_other_texts(banks: Banks, make_spec: Make) -> None:
    def tokens(values: dict[str, Any]) -> list[int]:
        parameters = make_spec("criteria", {"augmentation": "simple", **values}).parameters
        given = banks.given("tiny", parameters)
        data = training_data(given.train["criteria"], parameters, 1.0, given.banks["criteria"], 0)
        found: list[int] = data.cache.input_ids.tolist()
        return found

    known = [tokens({"simple_mask": mask, "simple_strength": level}) for mask in (1, 2, 3) for level in (0, 1)]
    assert all(one != other for number, one in enumerate(known) for other in known[:number])
