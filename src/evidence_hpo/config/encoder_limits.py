"""What an encoder allows (longest input, number of layers), as far as that is known before it is loaded."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evidence_hpo.config.backbones import BackboneSettings, ScratchBackbone
from evidence_hpo.config.configuration import Configuration
from evidence_hpo.config.spaces import Choices, Space

__all__ = ["encoder_problems"]


@dataclass(frozen=True)
class _Limit:
    """The largest value of a parameter that an encoder can do, and what the encoder calls it."""

    largest: int
    meaning: str


def encoder_problems(configuration: Configuration, root: Path | None) -> Iterable[str]:
    """Yield a line for each value of `max_length` and `frozen_layers` that no encoder of its trial can do.

    Without this the trials fail one by one, after the data and the tokens were made. Nothing is known about an encoder
    of the hub before it is downloaded, and a space that searches encoders of several sizes is left to its trials.

    Args:
        configuration: The configuration, without other problems of its backbones.
        root: Folder to which the paths of folder backbones are relative; None: they are not read.
    """
    parameters = configuration.training.parameters
    backbone = configuration.backbones.get(parameters.backbone)
    if backbone is None:
        return
    for parameter, limit in _limits(parameters.backbone, backbone, root).items():
        value = getattr(parameters, parameter)
        if value > limit.largest:
            yield f"training.parameters.{parameter}: {value} is more than {limit.meaning}"
        for name, space in configuration.spaces.items():
            highest = _highest(space, parameter)
            if "backbone" not in space.root and highest is not None and highest > limit.largest:
                yield f"spaces.{name}.{parameter}: {highest} is more than {limit.meaning}"


def _limits(name: str, backbone: BackboneSettings, root: Path | None) -> dict[str, _Limit]:
    key = f"backbones.{name}"
    if isinstance(backbone, ScratchBackbone):
        positions: Any = backbone.max_positions
        layers: Any = backbone.layers
        meaning = f"{key}.max_positions {positions}"
    elif backbone.source == "folder" and root is not None:
        described = _described(root / backbone.path / "config.json")
        # RoBERTa's count includes two rows that no token uses; an input between the two is left to the trial.
        positions, layers = described.get("max_position_embeddings"), described.get("num_hidden_layers")
        meaning = f"the {positions} positions of {key}"
    else:
        return {}
    limits = {
        "max_length": _Limit(positions, meaning) if isinstance(positions, int) else None,
        "frozen_layers": _Limit(layers, f"the {layers} layers of {key}") if isinstance(layers, int) else None,
    }
    return {parameter: limit for parameter, limit in limits.items() if limit is not None}


def _described(path: Path) -> dict[str, Any]:
    """Return the content of a model's config.json; empty where it is no mapping, which its preparation reports."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _highest(space: Space, parameter: str) -> int | None:
    entry = space.root.get(parameter)
    if entry is None:
        return None
    return int(max(entry.choices) if isinstance(entry, Choices) else entry.high)
