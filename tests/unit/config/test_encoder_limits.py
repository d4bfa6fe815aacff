"""What an encoder cannot do is said before anything runs, as far as the configuration and a local folder tell."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from evidence_hpo.config.configuration import default_configuration
from evidence_hpo.config.loading import load_configuration
from evidence_hpo.errors import ConfigurationError


def _study(root: Path, described: Any, weights: str = "model.safetensors") -> dict[str, Any]:
    """Return a configuration whose encoder is a folder with the given config.json."""
    (root / "encoder").mkdir()
    (root / "encoder" / "config.json").write_text(json.dumps(described), encoding="utf-8")
    (root / "encoder" / weights).touch()
    raw = default_configuration().model_dump(mode="json")
    raw["backbones"] = {"mine": {"source": "folder", "path": "encoder"}}
    raw["training"]["parameters"]["backbone"] = "mine"
    return raw


def _problems(raw: dict[str, Any], root: Path) -> list[str]:
    with pytest.raises(ConfigurationError) as caught:
        load_configuration(raw, root)
    return [line.removeprefix("configuration: ") for line in str(caught.value).splitlines()]


def test_values_beyond_a_folder_encoder_are_refused(tmp_path: Path) -> None:
    raw = _study(tmp_path, {"max_position_embeddings": 512, "num_hidden_layers": 6})
    raw["training"]["parameters"] |= {"max_length": 1024, "frozen_layers": 7}
    raw["spaces"]["sample"] |= {"max_length": {"choices": [256, 768]}, "frozen_layers": {"low": 0, "high": 8}}
    assert _problems(raw, tmp_path) == [
        "training.parameters.max_length: 1024 is more than the 512 positions of backbones.mine",
        "spaces.sample.max_length: 768 is more than the 512 positions of backbones.mine",
        "training.parameters.frozen_layers: 7 is more than the 6 layers of backbones.mine",
        "spaces.sample.frozen_layers: 8 is more than the 6 layers of backbones.mine",
    ]


def test_searched_values_beyond_an_encoder_from_scratch_are_refused(tmp_path: Path) -> None:
    raw = default_configuration().model_dump(mode="json")
    raw["spaces"]["sample"]["max_length"] = {"low": 64, "high": 600}
    assert _problems(raw, tmp_path) == [
        "spaces.sample.max_length: 600 is more than backbones.small.max_positions 512",
    ]


def test_the_largest_values_are_accepted(tmp_path: Path) -> None:
    raw = _study(tmp_path, {"max_position_embeddings": 512, "num_hidden_layers": 6})
    raw["training"]["parameters"] |= {"max_length": 512, "frozen_layers": 6}
    assert load_configuration(raw, tmp_path).training.parameters.max_length == 512


def test_a_space_of_several_encoders_is_left_to_its_trials(tmp_path: Path) -> None:
    raw = _study(tmp_path, {"max_position_embeddings": 512, "num_hidden_layers": 6})
    raw["backbones"]["long"] = {"source": "hub", "model": "some/long-encoder"}
    raw["spaces"]["sample"] |= {"backbone": {"choices": ["mine", "long"]}, "max_length": {"choices": [512, 2048]}}
    assert load_configuration(raw, tmp_path).spaces["sample"].root.keys() >= {"backbone", "max_length"}


@pytest.mark.parametrize("described", [{}, [], {"max_position_embeddings": None}])
def test_a_folder_that_does_not_tell_is_left_to_its_preparation(described: Any, tmp_path: Path) -> None:
    raw = _study(tmp_path, described)
    raw["training"]["parameters"]["max_length"] = 4096
    assert load_configuration(raw, tmp_path).training.parameters.max_length == 4096


def test_a_folder_without_safetensors_is_refused(tmp_path: Path) -> None:
    raw = _study(tmp_path, {"max_position_embeddings": 512, "num_hidden_layers": 6}, weights="pytorch_model.bin")
    (problem,) = _problems(raw, tmp_path)
    assert problem.startswith("backbones.mine.path: encoder: no model.safetensors; ")
    assert "save_pretrained" in problem
