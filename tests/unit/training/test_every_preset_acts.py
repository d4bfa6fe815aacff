"""Every dimension of every space of the default study and the presets acts: moved alone, it changes the weights."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from tests.unit.training.training_toys import Banks

from evidence_hpo.config.configuration import default_configuration
from evidence_hpo.config.known_spaces import KNOWN_SPACES
from evidence_hpo.config.loading import load_configuration, merge, read_yaml
from evidence_hpo.config.parameters import TrialParameters, parameter_conditions
from evidence_hpo.files import canonical_json
from evidence_hpo.search.spaces import (
    BATCHING,
    Dimension,
    SearchSpace,
    concrete_space,
    is_active,
    parameters_of,
    resolve,
)
from evidence_hpo.training.run import RunSpec, run

ROOT = Path(__file__).parents[3]
NEEDS_A_GPU = ["adamw_8bit", "fp16"]
LENGTHS = (24, 32, 40, 48, 56, 64)
"""Lengths that the tiny encoder can take, for those of the presets in ascending order."""


@dataclass(frozen=True)
class Case:
    """One space, made concrete for one architecture."""

    label: str
    fixed: TrialParameters
    space: SearchSpace


def _cases() -> list[Case]:
    overlays: dict[str, dict[str, Any]] = {"default": {}}
    overlays |= {path.stem: read_yaml(path) for path in sorted((ROOT / "presets").glob("*.yaml"))}
    overlays |= {name: _with_space(name) for name in KNOWN_SPACES}
    cases: dict[tuple[str, str], Case] = {}
    for preset, overlay in overlays.items():
        study = load_configuration(merge(default_configuration().model_dump(mode="json"), overlay))
        for architecture in study.study.architectures:
            stages = study.search.stages_for(architecture)
            for name in dict.fromkeys(stage.space for stage in stages if stage.space):
                fixed = study.training.parameters
                space = concrete_space(study.spaces[name], fixed, architecture, "stage1")
                cases.setdefault((name, architecture), Case(f"{preset}-{name}-{architecture}", fixed, space))
    return list(cases.values())


def _with_space(name: str) -> dict[str, Any]:
    """Return an overlay that searches a known space with every architecture."""
    stage = {"name": "stage1", "space": name, "trials": 5, "epochs": 2}
    search, architectures = {"stages": [stage]}, ["criteria", "evidence", "share", "joint"]
    return {"study": {"architectures": architectures}, "search": search, "retrain": {"top_k": 1}}


CASES = _cases()


def _values(dimension: Dimension) -> list[Any]:
    if dimension.name == "backbone":
        return list(dimension.choices[:2])  # there are two tiny encoders to stand for them
    if dimension.kind == "categorical":
        return [choice for choice in dimension.choices if choice not in NEEDS_A_GPU]
    return list(dimension.bounds)


def _base(case: Case, moved: Dimension) -> dict[str, Any]:
    """Return a point of the space at which ``moved`` acts."""
    needed = {} if moved.name == BATCHING else parameter_conditions(moved.name)
    sampled: dict[str, Any] = {}
    for dimension in case.space.dimensions:
        if is_active(dimension, sampled, case.fixed):
            allowed = needed.get(dimension.name, _values(dimension))
            value = next(value for value in [*_values(dimension), *allowed] if value in allowed)
            sampled |= parameters_of(dimension, value)
    return sampled


def _scaled(parameters: dict[str, Any], names: list[str], lengths: list[int]) -> dict[str, Any]:
    """Put the tiny encoders and lengths that they can take in the place of a preset's."""
    backbone = ("tiny", "other")[min(1, names.index(parameters["backbone"]))]
    return {**parameters, "backbone": backbone, "max_length": LENGTHS[lengths.index(parameters["max_length"])]}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.label)
def test_every_dimension_changes_the_weights(
    tmp_path: Path, banks: Banks, make_spec: Callable[..., RunSpec], case: Case
) -> None:
    choices = {dimension.name: list(dimension.choices) for dimension in case.space.dimensions}
    names = choices.get("backbone", [case.fixed.backbone])
    lengths = sorted(choices.get("max_length", [case.fixed.max_length]))
    known: dict[str, dict[str, torch.Tensor]] = {}

    def weights(sampled: dict[str, Any]) -> dict[str, torch.Tensor]:
        parameters = _scaled(resolve(case.fixed, sampled, case.space.architecture), names, lengths)
        key = canonical_json(parameters)
        if key not in known:
            spec = make_spec(case.space.architecture, parameters, epochs=2)
            given = banks.given(parameters["backbone"], parameters)
            run(spec, given, tmp_path / "w", model=tmp_path / "m", report=lambda _: None)
            known[key] = {name: one.clone() for name, one in load_file(tmp_path / "m" / "model.safetensors").items()}
        return known[key]

    for dimension in case.space.dimensions:
        base = _base(case, dimension)
        points = [weights({**base, **parameters_of(dimension, value)}) for value in _values(dimension)]
        for number, one in enumerate(points[1:], start=1):
            for before in points[:number]:
                same = one.keys() == before.keys() and all(torch.equal(one[name], before[name]) for name in one)
                assert not same, f"{dimension.name} acts on nothing"
