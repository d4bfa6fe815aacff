"""From the options of `tune` to overrides of the configuration: which preset, which stages, how many trials."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from evidence_hpo.cli.workflow import workflow_folder
from evidence_hpo.config.base import suggestion
from evidence_hpo.config.configuration import Configuration
from evidence_hpo.config.loading import load_configuration, merge, read_yaml
from evidence_hpo.config.overrides import parse_overrides
from evidence_hpo.config.search import StageSettings
from evidence_hpo.config.spaces import Choices
from evidence_hpo.errors import ConfigurationError
from evidence_hpo.graph import StudyGraph

__all__ = ["MODES", "Tuning", "numbers_of", "overrides_of", "preset_file", "stage_targets"]

MODES = {"multistage": "multi_stage", "maximal": "maximal"}
"""Searches by the names of an earlier wrapper, and their presets."""

_SANITY = "sanity"


@dataclass(frozen=True)
class Tuning:
    """What `tune` was asked for, apart from overlays and single values; None: as the preset has it.

    Attributes:
        study_name: Name of the study.
        architectures: Which are searched.
        model: The encoder that is not searched.
        trials: Numbers of trials: of each named stage, or under ``""`` of the only one.
        epochs: Numbers of epochs, in the same way.
        jobs: Jobs of a round at once.
        skip_sanity: Leave the stage `sanity` out.
        metric: What is maximised.
        seed: Global seed.
    """

    study_name: str | None = None
    architectures: tuple[str, ...] = ()
    model: str | None = None
    trials: Mapping[str, int] = field(default_factory=dict)
    epochs: Mapping[str, int] = field(default_factory=dict)
    jobs: int | None = None
    skip_sanity: bool = False
    metric: str | None = None
    seed: int | None = None


def preset_file(name: str) -> Path:
    """Return the overlay of a preset.

    Raises:
        ConfigurationError: There is no such preset.
    """
    folder = workflow_folder() / "presets"
    known = {path.relative_to(folder).with_suffix("").as_posix(): path for path in folder.rglob("*.yaml")}
    if name not in known:
        raise ConfigurationError(f"--preset {name}: there is no such preset{suggestion(name, known)}")
    return known[name]


def numbers_of(texts: Sequence[str], option: str) -> dict[str, int]:
    """Return the numbers of `20` (under the empty name) or `stage1=20`.

    Raises:
        ConfigurationError: A text is neither.
    """
    found = {}
    for text in texts:
        match = re.fullmatch(r"(?:([a-z0-9_]+)=)?([1-9]\d*)", text.strip())
        if match is None:
            raise ConfigurationError(f"{option} {text}: must be a number, or stage=number as stage1=20")
        found[match[1] or ""] = int(match[2])
    return found


def overrides_of(wanted: Tuning, configfile: Sequence[Path], override: Sequence[str], folder: Path) -> list[str]:
    """Return the options of `tune` as overrides, in the form that `--override` takes.

    Args:
        wanted: The options.
        configfile: Overlays, the preset first.
        override: The user's own single values; those of the stages are known with them only.
        folder: Folder of the study.

    Raises:
        ConfigurationError: The configuration is wrong, or an option does not fit it.
    """
    plain = {
        "study.name": wanted.study_name,
        "study.seed": wanted.seed,
        "study.architectures": f"[{','.join(wanted.architectures)}]" if wanted.architectures else None,
        "training.parameters.backbone": wanted.model and wanted.model.replace("-", "_"),
        "search.skip": f"[{_SANITY}]" if wanted.skip_sanity else None,
    }
    found = [f"{key}={value}" for key, value in plain.items() if value is not None]
    raw = read_yaml(workflow_folder() / "workflow_config.yaml")
    for overlay in configfile:
        raw = merge(raw, read_yaml(overlay))
    configuration = load_configuration(merge(raw, {"overrides": parse_overrides([*found, *override])}), folder)
    if wanted.model:
        _check_model(configuration)
    found += _objectives(configuration, wanted.metric)
    return [*found, *_of_stages(configuration, wanted)]


def _check_model(configuration: Configuration) -> None:
    study = StudyGraph(configuration)
    for architecture in study.architectures:
        for stage in study.stages_of(architecture):
            if isinstance(study.searched_space(architecture, stage).root.get("backbone"), Choices):
                space = study.stages_of(architecture)[stage].space
                raise ConfigurationError(
                    f"--model: the space {space} searches the encoder; name its choices with "
                    f"--override spaces.{space}.backbone.choices=[...]"
                )


def _objectives(configuration: Configuration, metric: str | None) -> list[str]:
    if metric is None:
        return []
    name = re.sub(r"^val[_/]", "", metric)
    return [f"search.objective.{architecture}={name}" for architecture in configuration.study.architectures]


def _of_stages(configuration: Configuration, wanted: Tuning) -> list[str]:
    """Return the overrides of trials, epochs and shards, for the stages that the chosen architectures have."""
    found: dict[str, Any] = {}
    known: set[str] = set()
    for architecture in configuration.study.architectures:
        own = {str(name) for name in configuration.search.stages_of}
        prefix = f"search.stages_of.{architecture}" if architecture in own else "search.stages"
        stages = configuration.search.stages_for(architecture)
        known |= {stage.name for stage in stages}
        for stage in stages:
            only = len(stages) == 1
            place = f"{prefix}.{stage.name}"
            trials = wanted.trials.get(stage.name, wanted.trials.get("") if only else None)
            epochs = wanted.epochs.get(stage.name, wanted.epochs.get("") if only else None)
            found |= {f"{place}.{key}": value for key, value in _changes(stage, trials, epochs, wanted.jobs).items()}
    _check_names(wanted, known)
    return [f"{key}={'null' if value is None else value}" for key, value in found.items()]


def _changes(stage: StageSettings, trials: int | None, epochs: int | None, jobs: int | None) -> dict[str, Any]:
    changes: dict[str, Any] = {}
    if trials is not None:
        changes["trials"] = trials
        if stage.first_round is not None and stage.first_round > trials:
            changes["first_round"] = None  # as the default plan has it for so few
    if epochs is not None:
        changes["epochs"] = epochs
        if stage.pruner.rungs is not None:
            changes["pruner.rungs"] = [rung for rung in stage.pruner.rungs if rung < epochs]
    if jobs is not None:
        changes["shards"] = jobs
    return changes


def _check_names(wanted: Tuning, known: set[str]) -> None:
    for option, numbers in (("--trials", wanted.trials), ("--epochs", wanted.epochs)):
        for name, number in numbers.items():
            if name and name not in known:
                raise ConfigurationError(f"{option} {name}={number}: '{name}' is no stage{suggestion(name, known)}")
            if not name and len(known) > 1:
                names = ", ".join(sorted(known))
                raise ConfigurationError(
                    f"{option} {number}: the search has several stages ({names}); say stage=number"
                )


def stage_targets(configuration: Configuration, stage: str, pattern: str) -> list[str]:
    """Return the files that make a stage of all architectures, and what comes before it.

    Raises:
        ConfigurationError: No architecture has such a stage.
    """
    study = StudyGraph(configuration)
    having = [name for name in study.architectures if stage in study.stages_of(name)]
    if not having:
        raise ConfigurationError(f"--stage {stage}: there is no such stage{suggestion(stage, study.stage_names)}")
    return [pattern.format(architecture=name, stage=stage) for name in having]
