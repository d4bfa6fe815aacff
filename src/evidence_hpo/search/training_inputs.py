"""The encoders, token caches and banks of a job that trains, opened once and picked for each run."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from evidence_hpo import paths
from evidence_hpo.code_digest import code_digest
from evidence_hpo.config.banks import Bank, banks_of_run, sources_of_run
from evidence_hpo.errors import ConfigurationError, DataError
from evidence_hpo.schemas import read_artefact
from evidence_hpo.tokens.banks import TokenBank
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
    """What one run reads: its encoder, the token caches by task, and the banks that it takes variants from.

    Attributes:
        parameters: The parameters that act in the run.
        backbone: The encoder.
        train: Token caches of the training split.
        validation: Token caches of the validation split.
        banks: By task; none without augmentation.
    """

    parameters: Mapping[str, Any]
    backbone: Backbone
    train: dict[str, TokenCache]
    validation: dict[str, TokenCache]
    banks: dict[str, tuple[TokenBank, ...]]

    def digests(self) -> dict[str, Any]:
        """Return the content digests of everything the run reads, and of the code that trains.

        Of a bank only what the run may take counts. Without augmentation nothing tells of banks.
        """
        digests: dict[str, Any] = {
            "train": {task: cache.digest for task, cache in sorted(self.train.items())},
            "validation": {task: cache.digest for task, cache in sorted(self.validation.items())},
            "backbone": self.backbone.manifest["digest"],
            "code": code_digest("evidence_hpo.training.run"),
        }
        if self.banks:
            digests["augmentation"] = {
                task: {str(one.bank): one.digest(sources_of_run(self.parameters, one.bank.source)) for one in banks}
                for task, banks in sorted(self.banks.items())
            }
        return digests


@dataclass
class _BankFiles:
    """A tokenised bank that is opened when a run first needs it: a job may have hundreds."""

    texts: Path
    examples: Path
    opened: TokenBank | None = None

    def open(self) -> TokenBank:
        if self.opened is None:
            self.opened = TokenBank.open(self.texts, self.examples)
        return self.opened


BankKey = tuple[str, str, Bank]
"""Names of encoder and task, and which bank."""


@dataclass(frozen=True)
class TrainingInputs:
    """Encoders by name, token caches by the digest of the encoder, and banks by the name of the encoder."""

    backbones: dict[str, Backbone]
    caches: dict[str, Caches]
    banks: dict[BankKey, _BankFiles] = field(default_factory=dict)

    @property
    def manifests(self) -> dict[str, Mapping[str, Any]]:
        """Manifests of the encoders by name."""
        return {name: backbone.manifest for name, backbone in self.backbones.items()}

    def of_run(self, parameters: Mapping[str, Any], architecture: str) -> RunData:
        """Return what a run of ``architecture`` with the given parameters reads.

        Args:
            parameters: The parameters that act in the run.
            architecture: Name of the architecture.

        Raises:
            ConfigurationError: The encoder is not among the inputs.
            DataError: A token cache or a bank is not among the inputs, or a bank is damaged.
        """
        backbone = str(parameters["backbone"])
        if backbone not in self.backbones:
            raise ConfigurationError(f"backbone '{backbone}' is not among the inputs: {', '.join(self.backbones)}")
        chosen = self.backbones[backbone]
        caches = self.caches.get(chosen.manifest["digest"], {})
        tasks = (architecture,) if architecture in paths.TASKS else paths.TASKS
        train, validation = ({task: _cache(caches, split, task, backbone) for task in tasks} for split in _SPLITS)
        used = banks_of_run(parameters)
        banks = {task: tuple(self._bank(backbone, task, bank) for bank in used) for task in tasks} if used else {}
        return RunData(parameters, chosen, train, validation, banks)

    def _bank(self, backbone: str, task: str, bank: Bank) -> TokenBank:
        files = self.banks.get((backbone, task, bank))
        if files is None:
            raise DataError(f"no tokenised bank {bank} of {task} for backbone {backbone} is among the inputs")
        return files.open()

    def digests(self, parameters: Mapping[str, Any], architecture: str) -> dict[str, Any]:
        """Return the content digests of what such a run reads; see :meth:`of_run`."""
        return self.of_run(parameters, architecture).digests()


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
        texts: Text files of token caches of the training and validation splits and of tokenised banks; the folder says
            which.
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
    banks: dict[BankKey, _BankFiles] = {}
    for text, example in zip(texts, examples, strict=True):
        key = _bank_of(text)
        if key is not None:
            banks[key] = _BankFiles(text, example)
            continue
        split = _split_of(text)
        cache = open_cache(text, example)
        caches.setdefault(cache.backbone_digest, {}).setdefault(split, {})[cache.task] = cache
    return TrainingInputs(opened, caches, banks)


_TEXTS_PATTERN, _BANK_PATTERN = (
    re.compile(re.sub(r"\\{(\w+)\\}", r"(?P<\1>[^/]+)", re.escape(pattern)) + "$")
    for pattern in (paths.TOKEN_TEXTS, paths.AUGMENTED_TEXTS)
)


def _bank_of(path: Path) -> BankKey | None:
    """Return which bank a path names; None: it names none."""
    found = _BANK_PATTERN.search(path.as_posix())
    if found is None:
        return None
    return found["backbone"], found["task"], Bank(found["source"], found["method"], int(found["level"]))


def _split_of(path: Path) -> str:
    """Return the split that a token cache's path names: the cache itself knows its task and encoder only."""
    found = _TEXTS_PATTERN.search(path.as_posix())
    split = found["split"] if found else None
    if split not in _SPLITS:
        raise DataError(f"{path}: is not a token cache of the training or validation split ({paths.TOKEN_TEXTS})")
    return split
