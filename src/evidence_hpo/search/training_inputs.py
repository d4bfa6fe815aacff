"""The encoders and token caches of a job that trains, opened once and picked for each run."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evidence_hpo import paths
from evidence_hpo.code_digest import code_digest
from evidence_hpo.errors import ConfigurationError, DataError
from evidence_hpo.schemas import read_artefact
from evidence_hpo.tokens.cache import TokenCache

__all__ = ["Backbone", "RunData", "TrainingInputs", "open_training_inputs"]

_SPLITS = ("train", "validation")

Caches = dict[str, dict[str, TokenCache]]
"""Token caches by split, then task."""


@dataclass(frozen=True)
class Backbone:
    """An encoder: its folder and manifest."""

    directory: Path
    manifest: Mapping[str, Any]


@dataclass(frozen=True)
class RunData:
    """What one run reads: its encoder, and the token caches by task."""

    backbone: Backbone
    train: dict[str, TokenCache]
    validation: dict[str, TokenCache]

    def digests(self) -> dict[str, Any]:
        """Return the content digests of everything the run reads, and of the code that trains."""
        return {
            "train": {task: cache.digest for task, cache in sorted(self.train.items())},
            "validation": {task: cache.digest for task, cache in sorted(self.validation.items())},
            "backbone": self.backbone.manifest["digest"],
            "code": code_digest("evidence_hpo.training.run"),
        }


@dataclass(frozen=True)
class TrainingInputs:
    """Encoders by name, and token caches by the digest of the encoder."""

    backbones: dict[str, Backbone]
    caches: dict[str, Caches]

    @property
    def manifests(self) -> dict[str, Mapping[str, Any]]:
        """Manifests of the encoders by name."""
        return {name: backbone.manifest for name, backbone in self.backbones.items()}

    def of_run(self, backbone: str, architecture: str) -> RunData:
        """Return what a run of ``architecture`` with the encoder ``backbone`` reads.

        Raises:
            ConfigurationError: The encoder is not among the inputs.
            DataError: A token cache is not among the inputs.
        """
        if backbone not in self.backbones:
            raise ConfigurationError(f"backbone '{backbone}' is not among the inputs: {', '.join(self.backbones)}")
        chosen = self.backbones[backbone]
        caches = self.caches.get(chosen.manifest["digest"], {})
        tasks = (architecture,) if architecture in paths.TASKS else paths.TASKS
        train, validation = ({task: _cache(caches, split, task, backbone) for task in tasks} for split in _SPLITS)
        return RunData(chosen, train, validation)

    def digests(self, backbone: str, architecture: str) -> dict[str, Any]:
        """Return the content digests of what such a run reads; see :meth:`of_run`."""
        return self.of_run(backbone, architecture).digests()


def _cache(caches: Caches, split: str, task: str, backbone: str) -> TokenCache:
    cache = caches.get(split, {}).get(task)
    if cache is None:
        raise DataError(f"no token cache of {task}, {split} split, for backbone {backbone} is among the inputs")
    return cache


def open_training_inputs(
    backbones: Sequence[Path],
    manifests: Sequence[Path],
    texts: Sequence[Path],
    examples: Sequence[Path],
    open_cache: Callable[[Path, Path], TokenCache] = TokenCache.open,
) -> TrainingInputs:
    """Open the inputs of a job.

    Args:
        backbones: Encoder folders.
        manifests: Their manifests, in the same order.
        texts: Token caches' text files of the training and validation splits; the folder names the split.
        examples: Their example files, in the same order.
        open_cache: Opens one cache.

    Raises:
        DataError: Lists do not match, a file is of the test split, or is missing or damaged.
    """
    if len(backbones) != len(manifests) or len(texts) != len(examples):
        raise DataError(
            f"{len(backbones)} backbones with {len(manifests)} manifests and {len(texts)} text files with "
            f"{len(examples)} example files: each list must match the other"
        )
    opened: dict[str, Backbone] = {}
    for directory, path in zip(backbones, manifests, strict=True):
        manifest = read_artefact(path, "backbone")
        opened[manifest["name"]] = Backbone(directory, manifest)
    caches: dict[str, Caches] = {}
    for text, example in zip(texts, examples, strict=True):
        split = _split_of(text)
        cache = open_cache(text, example)
        caches.setdefault(cache.backbone_digest, {}).setdefault(split, {})[cache.task] = cache
    return TrainingInputs(opened, caches)


_TEXTS_PATTERN = re.compile(re.sub(r"\\{(\w+)\\}", r"(?P<\1>[^/]+)", re.escape(paths.TOKEN_TEXTS)) + "$")


def _split_of(path: Path) -> str:
    """Return the split that a token cache's path names: the cache itself knows its task and encoder only."""
    found = _TEXTS_PATTERN.search(path.as_posix())
    split = found["split"] if found else None
    if split not in _SPLITS:
        raise DataError(f"{path}: is not a token cache of the training or validation split ({paths.TOKEN_TEXTS})")
    return split
