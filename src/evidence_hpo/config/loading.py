"""From raw mappings to a checked :class:`Configuration`: every problem in one report, each in one line."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin

import yaml
from pydantic import BaseModel, RootModel, Tag, ValidationError

from evidence_hpo.config.backbones import KNOWN_MODELS, HubBackbone
from evidence_hpo.config.base import suggestion
from evidence_hpo.config.configuration import Configuration
from evidence_hpo.config.encoder_limits import encoder_problems
from evidence_hpo.config.known_spaces import KNOWN_SPACES
from evidence_hpo.config.overrides import apply_overrides
from evidence_hpo.config.parameters import (
    EFFECTIVE_BATCH_SIZES,
    active_parameters,
    parameter_conditions,
    parameter_names,
    resolved_accumulation,
)
from evidence_hpo.config.resources import augmentation_problems
from evidence_hpo.config.search import StageSettings
from evidence_hpo.config.spaces import Choices, Space
from evidence_hpo.config.tracking import WHERE_SECRETS_GO, looks_secret
from evidence_hpo.errors import ConfigurationError

__all__ = ["load_configuration", "merge", "read_yaml", "resolved_parameters"]

_MOVED = {"training.runtime.precision": "training.parameters.precision"}
"""Keys of earlier configurations, and those that took their place."""


def read_yaml(path: Path) -> dict[str, Any]:
    """Read a YAML mapping.

    Raises:
        ConfigurationError: The file is missing, is not YAML, or is not a mapping.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ConfigurationError(f"{path}: no such file") from error
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"{path}: not UTF-8 text") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" in line {mark.line + 1}" if mark else ""
        raise ConfigurationError(f"{path}: not valid YAML{where}") from error
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise ConfigurationError(f"{path}: must be a mapping of sections, is a {type(content).__name__}")
    return content


def merge(base: Mapping[str, Any], overlay: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``base`` with ``overlay`` laid over it; mappings merge, everything else is replaced."""
    merged = dict(base)
    for key, value in overlay.items():
        if isinstance(value, Mapping) and isinstance(merged.get(key), Mapping):
            merged[key] = merge(merged[key], value)
        else:
            merged[key] = value
    return merged


def load_configuration(raw: Mapping[str, Any], root: Path | None = None) -> Configuration:
    """Check a raw configuration.

    Args:
        raw: The merged content of the configuration files.
        root: Folder to which the configuration's paths are relative; None: files are not looked for.

    Raises:
        ConfigurationError: One line per problem: key, value, what is allowed.
    """
    raw = _ordered(apply_overrides(_with_known_spaces(raw)))
    try:
        configuration = Configuration.model_validate(raw)
    except ValidationError as error:
        raise ConfigurationError(_report([_line(item) for item in error.errors()])) from error
    configuration = _with_known_models(configuration)
    problems = [*_cross_section_problems(configuration), *encoder_problems(configuration, root)]
    problems += augmentation_problems(configuration, root)
    if root is not None:
        problems += [*_missing_files(configuration, root), *_token_file_problems(configuration, root)]
    if problems:
        raise ConfigurationError(_report(problems))
    return configuration


def _ordered(value: Any) -> Any:
    """Sort all keys: the order in which files were laid over each other must not look like a change of the settings."""
    if isinstance(value, Mapping):
        return {key: _ordered(value[key]) for key in sorted(value, key=str)}
    return [_ordered(item) for item in value] if isinstance(value, list) else value


def _with_known_spaces(raw: Mapping[str, Any]) -> dict[str, Any]:
    """Give the known spaces that a stage or an override names an entry, so that overrides can reach into them."""
    named = {*_values_of("space", raw.get("search")), *_overridden_spaces(raw.get("overrides"))}
    spaces = raw.get("spaces")
    own = dict(spaces) if isinstance(spaces, Mapping) else {}
    added = {name: copy.deepcopy(space) for name, space in KNOWN_SPACES.items() if name in named and name not in own}
    return {**raw, "spaces": {**own, **added}} if added else dict(raw)


def _values_of(key: str, value: Any) -> Iterable[Any]:
    """Yield the texts under ``key`` at any depth of an unchecked value."""
    if isinstance(value, Mapping):
        if isinstance(value.get(key), str):
            yield value[key]
        for inner in value.values():
            yield from _values_of(key, inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _values_of(key, inner)


def _overridden_spaces(overrides: Any) -> Iterable[Any]:
    for key, value in overrides.items() if isinstance(overrides, Mapping) else ():
        parts = str(key).split(".")
        if parts[0] == "spaces" and len(parts) > 1:
            yield parts[1]
        elif parts[-1] == "space" and isinstance(value, str):
            yield value
        else:
            yield from _values_of("space", value)


def _with_known_models(configuration: Configuration) -> Configuration:
    """Give the known hub models that are named without an entry of their own one with default settings."""
    named = {configuration.training.parameters.backbone}
    for space in configuration.spaces.values():
        entry = space.root.get("backbone")
        named |= set(entry.choices) if isinstance(entry, Choices) else set()
    missing = sorted(name for name in named & set(KNOWN_MODELS) if name not in configuration.backbones)
    added = {name: HubBackbone(model=KNOWN_MODELS[name]) for name in missing}
    return configuration.model_copy(update={"backbones": {**configuration.backbones, **added}})


def _report(problems: list[str]) -> str:
    lines = list(dict.fromkeys(problems))
    return "\n".join(f"configuration: {line}" for line in lines)


def _line(item: Any) -> str:
    location = [str(part) for part in item["loc"]]
    # A union's branch names are pydantic's, not keys of the file.
    keys = [part for part in location if part not in {"range", "choices:", "hub", "folder", "scratch"}]
    if location[:2] == ["data", "corpus"]:
        keys = location
    key = ".".join(keys)
    if item["type"] == "extra_forbidden" and key in _MOVED:
        return f"{key}: {_shown(item['input'])}: is a parameter of a run now; give it as {_MOVED[key]}"
    if item["type"] == "extra_forbidden" and looks_secret(keys[-1]):
        return f"{key}: {WHERE_SECRETS_GO}"
    if item["type"] == "extra_forbidden":
        return f"{key}: unknown key{suggestion(keys[-1], _known_keys(location[:-1]))}"
    if item["type"] == "missing":
        return f"{key}: is required"
    message = item["msg"].removeprefix("Value error, ")
    if item["type"] == "value_error":
        return f"{key}: {message}"
    return f"{key}: {_shown(item['input'])}: {message[0].lower() + message[1:]}"


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _known_keys(location: list[str]) -> list[str]:
    """Return the keys that the model at an error's location knows; empty where it is no model."""
    models: list[Any] = [Configuration]
    for part in location:
        models = [found for model in models for found in _descend(model, part)]
    keys = [key for model in models for key in getattr(model, "model_fields", {}) if key != "root"]
    return list(dict.fromkeys(keys))


def _descend(annotation: Any, part: str) -> list[Any]:
    """Follow one part of an error's location: a key, a position in a list, or the tag of a union's branch."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        field = annotation.model_fields.get("root" if issubclass(annotation, RootModel) else part)
        if field is None:
            return []
        inner = field.annotation
        return _descend(inner, part) if issubclass(annotation, RootModel) else [inner]
    arguments = [argument for argument in get_args(annotation) if argument is not Ellipsis]
    if get_origin(annotation) in (dict, tuple, list):
        return arguments[-1:]
    if get_origin(annotation) is Annotated:
        tags = [item.tag for item in arguments[1:] if isinstance(item, Tag)]
        return _descend(arguments[0], part) if not tags else [arguments[0]] if part in tags else []
    branches = []
    for argument in arguments:
        source = getattr(argument, "model_fields", {}).get("source")
        if source is not None and source.default == part:
            branches.append(argument)
        elif get_origin(argument) is Annotated:
            branches += _descend(argument, part)
    return branches


def _cross_section_problems(configuration: Configuration) -> Iterable[str]:
    yield from _backbone_problems(configuration)
    yield from _stage_problems(configuration)
    for name, space in configuration.spaces.items():
        yield from _space_problems(configuration, name, space)
    yield from _augmentation_problems(configuration)


def _augmentation_problems(configuration: Configuration) -> Iterable[str]:
    """A run can use no more variants of a sentence than the banks hold."""
    held, parameter = configuration.augmentation.variants, "augmentation_variants"
    wanted = {f"training.parameters.{parameter}": getattr(configuration.training.parameters, parameter)}
    wanted |= {
        f"spaces.{name}.{parameter}": max(_possible_values(space, parameter, held))
        for name, space in configuration.spaces.items()
        if parameter in space.root
    }
    for key, most in wanted.items():
        if most > held:
            yield f"{key}: {most} is more than the {held} of augmentation.variants; raise that or lower this"


def _stage_problems(configuration: Configuration) -> Iterable[str]:
    search = configuration.search
    narrowed: dict[str, set[bool]] = {}
    for architecture in configuration.study.architectures:
        section = f"search.stages_of.{architecture}" if architecture in search.stages_of else "search.stages"
        stages = search.stages_for(architecture)
        for number, stage in enumerate(stages):
            yield from _one_stage_problems(configuration, f"{section}.{stage.name}", stages[:number], stage)
            narrowed.setdefault(stage.name, set()).add(stage.space is None)
        last = stages[-1]
        if configuration.retrain.top_k > last.trials:
            yield f"retrain.top_k: {configuration.retrain.top_k} is more than the {last.trials} trials of {last.name}"
    for name, kinds in narrowed.items():
        if len(kinds) > 1:
            yield (
                f"search.stages_of: stage {name} names a space for one architecture and is narrowed for another; give "
                "the two different names"
            )


def _one_stage_problems(
    configuration: Configuration, key: str, earlier: Sequence[StageSettings], stage: StageSettings
) -> Iterable[str]:
    if stage.space is not None and stage.space not in configuration.spaces:
        yield f"{key}.space: '{stage.space}' is not in spaces{suggestion(stage.space, _known_spaces(configuration))}"
    if stage.space is None and earlier and (stage.first_round or 0) > earlier[-1].trials:
        yield (
            f"{key}.first_round: {stage.first_round} trials are re-run from {earlier[-1].name}, "
            f"which has only {earlier[-1].trials}"
        )


def _known_spaces(configuration: Configuration) -> set[str]:
    return {*configuration.spaces, *KNOWN_SPACES}


def _backbone_problems(configuration: Configuration) -> Iterable[str]:
    known = configuration.backbones
    nameable = {*known, *KNOWN_MODELS}
    if not known:
        yield "backbones: name at least one encoder"
    fixed = configuration.training.parameters
    searched = {
        space: entry.choices
        for space, settings in configuration.spaces.items()
        if isinstance(entry := settings.root.get("backbone"), Choices)
    }
    for space, choices in searched.items():
        for choice in choices:
            if choice not in known:
                yield f"spaces.{space}.backbone: '{choice}' is not in backbones{suggestion(choice, nameable)}"
    everywhere = all(
        (entry := configuration.spaces[stage.space].root.get("backbone")) is not None and not entry.when
        for architecture in configuration.study.architectures
        for stage in configuration.search.stages_for(architecture)
        if stage.space in configuration.spaces
    )
    if fixed.backbone not in known and not everywhere:
        yield (
            f"training.parameters.backbone: '{fixed.backbone}' is not in "
            f"backbones{suggestion(fixed.backbone, nameable)}"
        )


def _space_problems(configuration: Configuration, name: str, space: Space) -> Iterable[str]:
    architectures = configuration.study.architectures
    fixed = configuration.training.parameters.model_dump()
    for parameter, entry in space.root.items():
        # A known space is made for all architectures: what cannot act on one is left out there, with a note.
        acts = any(parameter in parameter_names(architecture) for architecture in architectures)
        if not acts and name not in KNOWN_SPACES:
            yield f"spaces.{name}.{parameter}: acts on none of the architectures {', '.join(architectures)}"
        for other, needed in parameter_conditions(parameter).items():
            if not set(_possible_values(space, other, fixed[other])) & set(needed):
                yield (
                    f"spaces.{name}.{parameter}: acts on nothing, because {other} is never "
                    f"{' or '.join(map(str, needed))}"
                )
        for other, values in entry.when.items():
            if other not in space.root and fixed[other] not in values:
                yield (
                    f"spaces.{name}.{parameter}.when.{other}: never holds, because {other} is always {fixed[other]}; "
                    f"give {other} choices in the space, or remove {parameter}"
                )
    yield from _head_problems(f"spaces.{name}", space, fixed)
    flash = configuration.training.runtime.attention == "flash_attention_2"
    if flash and "fp32" in _possible_values(space, "precision", fixed["precision"]):
        key = f"spaces.{name}" if "precision" in space.root else "training.parameters"
        yield f"{key}.precision: fp32 does not go with training.runtime.attention flash_attention_2; use bf16 or fp16"
    sizes = _possible_values(space, "batch_size", fixed["batch_size"])
    steps = _possible_values(space, "gradient_accumulation_steps", fixed["gradient_accumulation_steps"])
    for size in sizes:
        if all(resolved_accumulation(size, step) is None for step in steps):
            yield (
                f"spaces.{name}.batch_size: {size} with gradient_accumulation_steps {', '.join(map(str, steps))} gives "
                f"no effective batch of {', '.join(map(str, EFFECTIVE_BATCH_SIZES))}"
            )


def _head_problems(key: str, space: Space, fixed: Mapping[str, Any]) -> Iterable[str]:
    """A list of widths fits one number of layers, so it must fit every number that the space may draw."""
    layers = [count for count in _possible_values(space, "head_layers", fixed["head_layers"]) if count]
    for widths in _possible_values(space, "head_hidden", fixed["head_hidden"]):
        if isinstance(widths, list) and any(count != len(widths) for count in layers):
            yield (
                f"{key}.head_hidden: {widths} needs head_layers {len(widths)}, which may be "
                f"{' or '.join(map(str, layers))}; give one width for all layers, or fix head_layers"
            )


def _possible_values(space: Space, parameter: str, fixed: Any) -> list[Any]:
    entry = space.root.get(parameter)
    if entry is None:
        return [fixed]
    values = list(entry.choices) if isinstance(entry, Choices) else list(range(int(entry.low), int(entry.high) + 1))
    return [*values, fixed] if entry.when and fixed not in values else values


def _missing_files(configuration: Configuration, root: Path) -> list[str]:
    corpus = configuration.data.corpus
    named = {
        "data.corpus.criteria_file": corpus.criteria_file,
        "data.split.file": configuration.data.split.file,
    }
    if corpus.source == "files":
        named["data.corpus.files.posts"] = corpus.files.posts
        named["data.corpus.files.annotations"] = corpus.files.annotations
    problems = [
        f"{key}: {value}: no such file"
        for key, value in named.items()
        if value is not None and not (root / value).is_file()
    ]
    for name, backbone in configuration.backbones.items():
        if backbone.source == "folder":
            problems += _folder_problems(f"backbones.{name}.path: {backbone.path}", root / backbone.path)
    return problems


def _token_file_problems(configuration: Configuration, root: Path) -> Iterable[str]:
    file = configuration.tracking.token_file
    if file is None:
        return
    path = (root / Path(file).expanduser()).resolve()
    if not path.is_file():
        yield f"tracking.token_file: {file}: no such file"
    if any((folder / ".git").exists() for folder in path.parents):
        yield f"tracking.token_file: {file}: lies in a repository; move it out, or it will be published with it"


def _folder_problems(key: str, folder: Path) -> list[str]:
    if not (folder / "config.json").is_file():
        return [f"{key}: no such folder with a config.json"]
    if not any(folder.glob("model*.safetensors")):
        return [
            f"{key}: no model.safetensors; load the encoder in a place you trust and write it with "
            "save_pretrained, tokeniser too"
        ]
    return []


def resolved_parameters(configuration: Configuration, sampled: Mapping[str, Any], architecture: str) -> dict[str, Any]:
    """Return the values of all parameters that act in a run: the fixed ones overlaid with the sampled ones."""
    values = {**configuration.training.parameters.model_dump(), **sampled}
    return {name: values[name] for name in active_parameters(values, architecture)}
