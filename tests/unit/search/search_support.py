"""A stand-in for training, and the way of a stage through the real steps; used by the tests of the search only."""

from __future__ import annotations

import functools
import hashlib
import json
import math
import random
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from evidence_hpo.config.parameters import TrialParameters
from evidence_hpo.config.search import NarrowingSettings, PrunerSettings, SearchSettings, StageSettings
from evidence_hpo.config.spaces import Space
from evidence_hpo.config.study import StudySettings
from evidence_hpo.config.training import TrainingSettings
from evidence_hpo.schemas import write_artefact_lines
from evidence_hpo.search.outcomes import Machine, RunRequest
from evidence_hpo.search.proposals import propose
from evidence_hpo.search.records import Proposals, TrialRecord, read_proposals
from evidence_hpo.search.settings import ProposalSettings
from evidence_hpo.search.sharding import assign
from evidence_hpo.search.spaces import SearchSpace, concrete_space
from evidence_hpo.search.trial_cache import TrialCache
from evidence_hpo.search.trials import run_shard
from evidence_hpo.steps.collect_trials import collect_trials
from evidence_hpo.steps.define_space import define_space
from evidence_hpo.steps.narrow_space import narrow_space
from evidence_hpo.steps.propose_trials import propose_trials

T = TypeVar("T")

FIXED = TrialParameters(learning_rate=1e-3)
MACHINE = Machine("cpu", {"auto": "fp32", "fp32": "fp32", "bf16": "bf16", "fp16": "fp32"})

SPACE = Space.model_validate(
    {
        "learning_rate": {"low": 1e-5, "high": 1e-2, "log": True},
        "weight_decay": {"low": 1e-4, "high": 1e-1, "log": True},
        "warmup_ratio": {"low": 0.0, "high": 0.3},
        "dropout": {"low": 0.0, "high": 0.5},
        "backbone_dropout": {"low": 0.0, "high": 0.3},
        "layer_decay": {"low": 0.7, "high": 1.0},
        "optimizer": {"choices": ["adamw", "adafactor"]},
        "adam_beta2": {"low": 0.9, "high": 0.999},
        "head_layers": {"low": 0, "high": 3},
        "head_hidden": {"low": 16, "high": 1024, "log": True},
        "pooling": {"choices": ["cls", "mean", "max"]},
        "loss": {"choices": ["cross_entropy", "focal", "label_smoothing"]},
        "focal_gamma": {"low": 1.0, "high": 5.0},
        "batch_size": {"choices": [8, 16, 32]},
        "gradient_accumulation_steps": {"choices": [1, 2, 8]},
    }
)

CONDITIONAL = Space.model_validate(
    {
        **SPACE.model_dump(),
        "dropout": {"low": 0.0, "high": 0.5, "when": {"pooling": ["cls", "max"]}},
        "warmup_ratio": {"low": 0.0, "high": 0.3, "when": {"loss": ["focal"], "head_layers": [0, 1]}},
        "batch_size": {"choices": [8, 16, 32], "when": {"optimizer": ["adamw"]}},
        "gradient_accumulation_steps": {"choices": [1, 2, 8], "when": {"optimizer": ["adamw"]}},
    }
)
"""The same space with conditions of its own."""

DIGESTS = {
    "train": {"criteria": "a" * 64},
    "validation": {"criteria": "b" * 64},
    "backbone": "c" * 64,
    "code": "d" * 64,
}


def digests(_parameters: Mapping[str, Any], _architecture: str) -> dict[str, Any]:
    return DIGESTS


def space_of(architecture: str = "criteria", stage: str = "stage1", space: Space = SPACE) -> SearchSpace:
    return concrete_space(space, FIXED, architecture, stage)


@dataclass
class FakeResult:
    state: str = "complete"
    value: float | None = 0.5
    best_epoch: float | None = 1.0
    evaluations: list[dict[str, Any]] = field(default_factory=list)
    reason: str | None = None
    precision: str = "fp32"
    duration_seconds: float = 1.0
    notes: list[str] = field(default_factory=list)
    augmented: dict[str, int] = field(default_factory=dict)


def uniform(*parts: object) -> float:
    """Return a number in [0, 1) that depends on the parts alone."""
    return int.from_bytes(hashlib.sha256(repr(parts).encode()).digest()[:6], "big") / 2**48


def quality(request: RunRequest) -> float:
    rate = math.log10(float(request.parameters["learning_rate"]))
    regular = abs(float(request.parameters["dropout"]) - 0.2)
    noise = 0.03 * (uniform(request.seed, "noise") - 0.5)
    return 0.8 - 0.1 * (rate + 3.3) ** 2 - 0.2 * regular + noise


def fake_run(
    request: RunRequest, work: Path, model: Path | None, report: Callable[[str], None], fail: float = 0.08
) -> FakeResult:
    """A pure function of the request, with the states and evaluations of a real run."""
    if uniform(request.seed, "fails") < fail:
        return FakeResult("failed", None, None, [], "non-finite loss at step 3 (epoch 1)")
    if model is not None:
        model.mkdir(parents=True, exist_ok=True)
        (model / "model.safetensors").write_bytes(repr((request.parameters, request.seed)).encode())
    thresholds = {float(epoch): None for epoch in range(1, request.epochs + 1)}
    thresholds |= {rung.epoch: rung.threshold for rung in request.rungs}
    evaluations: list[dict[str, Any]] = []
    for epoch, threshold in sorted(thresholds.items()):
        value = quality(request) * (1 - 0.3 * math.exp(-epoch))
        evaluations.append({"epoch": epoch, "train": {"loss": 1 / epoch}, "metrics": {request.objective: value}})
        report(f"epoch {epoch:g}: {request.objective} {value:.4f}")
        if request.refit_epochs is not None:
            evaluations[-1]["metrics"] = {}
            if epoch == request.refit_epochs:
                return FakeResult("complete", None, None, evaluations)
        if threshold is not None and value < threshold:
            return FakeResult("pruned", value, epoch, evaluations, f"below {threshold:.6g}")
    best = max(evaluations, key=lambda one: one["metrics"][request.objective])
    return FakeResult("complete", best["metrics"][request.objective], best["epoch"], evaluations)


def stage(name: str = "stage1", **values: Any) -> StageSettings:
    defaults: dict[str, Any] = {
        "trials": 40,
        "first_round": 16,
        "round_size": 12,
        "epochs": 4,
        "space": "space",
        "pruner": PrunerSettings(rungs=(1.0, 2.5), minimum_trials=5),
    }
    return StageSettings(name=name, **{**defaults, **values})


def round_settings(search: SearchSettings, name: str, round_: int, architecture: Any = "criteria") -> ProposalSettings:
    training = TrainingSettings(parameters=FIXED)
    return ProposalSettings.of_round(StudySettings(name="test"), training, search, architecture, name, round_)


def records_of(proposals: Proposals, cache: Path) -> list[TrialRecord]:
    """Run a round in one shard."""
    return run_shard(proposals, proposals.trials, fake_run, TrialCache(cache), digests, MACHINE)


def history(
    settings: StageSettings,
    cache: Path,
    rounds: int,
    architecture: Any = "criteria",
    space: SearchSpace | None = None,
) -> list[TrialRecord]:
    """Return the finished trials of the first rounds of a stage."""
    search = SearchSettings(stages=(settings,))
    space = space or space_of(architecture, settings.name)
    finished: list[TrialRecord] = []
    for round_ in range(rounds):
        proposal = propose(round_settings(search, settings.name, round_, architecture), space, finished)
        finished += records_of(proposal, cache)
    return finished


@dataclass
class FileStudy:
    """A study that goes through the files of a real one, with any number of shards, and all things in any order.

    ``shuffle`` is the seed of the order in which shards run, trials run within a shard, and files are named.
    """

    root: Path
    search: SearchSettings
    shards: int = 1
    shuffle: int | None = None
    space: Space = field(default_factory=lambda: SPACE)
    fail: float = 0.08

    def folder(self, name: str) -> Path:
        return self.root / "results" / name

    def __post_init__(self) -> None:
        self._order = random.Random(self.shuffle)

    def _shuffled(self, items: Iterable[T]) -> list[T]:
        items = list(items)
        if self.shuffle is not None:
            self._order.shuffle(items)
        return items

    def run(self) -> None:
        before: StageSettings | None = None
        for settings in self.search.stages:
            self._space(settings, before)
            for round_ in range(len(settings.round_sizes)):
                self._propose(settings, before, round_)
                self._run(settings, round_)
            shards = self._shards(settings, range(len(settings.round_sizes)))
            previous = [self.folder(before.name) / "trials.jsonl"] if before and settings.space is None else []
            folder = self.folder(settings.name)
            collect_trials(shards, previous, folder / "trials.jsonl", folder / "summary.json")
            before = settings

    def _space(self, settings: StageSettings, before: StageSettings | None) -> None:
        output = self.folder(settings.name) / "space.json"
        if settings.space is not None:
            define_space(self.space, FIXED, "criteria", settings.name, output)
            return
        assert before is not None
        folder = self.folder(before.name)
        narrow_space(NarrowingSettings(), folder / "space.json", folder / "trials.jsonl", settings.name, output)

    def _shards(self, settings: StageSettings, rounds: range) -> list[Path]:
        files = [
            self.folder(settings.name) / f"round_{round_}" / f"shard_{shard}.jsonl"
            for round_ in rounds
            for shard in range(min(self.shards, settings.round_sizes[round_]))
        ]
        return self._shuffled(files)

    def _propose(self, settings: StageSettings, before: StageSettings | None, round_: int) -> None:
        folder = self.folder(settings.name)
        seen = max(0, round_ - settings.lag)
        previous = round_ == 0 and settings.space is None and before is not None
        propose_trials(
            round_settings(self.search, settings.name, round_),
            folder / "space.json",
            self._shards(settings, range(seen)),
            self._shuffled(folder / f"round_{other}" / "proposals.json" for other in range(seen, round_)),
            [self.folder(before.name) / "trials.jsonl"] if previous and before else [],
            folder / f"round_{round_}" / "proposals.json",
        )

    def _run(self, settings: StageSettings, round_: int) -> None:
        folder = self.folder(settings.name) / f"round_{round_}"
        proposals = read_proposals(folder / "proposals.json")
        shards = min(self.shards, settings.round_sizes[round_])
        runner = functools.partial(fake_run, fail=self.fail)
        for shard in self._shuffled(range(shards)):
            trials = self._shuffled(assign(proposals, {}, shards)[shard])
            records = run_shard(proposals, trials, runner, TrialCache(self.root / "cache"), digests, MACHINE)
            rows = [record.model_dump(mode="json") for record in records]
            write_artefact_lines(folder / f"shard_{shard}.jsonl", "trial", rows)

    def contents(self) -> dict[str, bytes]:
        """Return the bytes of everything that must not depend on the sharding."""
        files = [path for path in self.folder("").rglob("*") if path.is_file() and "shard_" not in path.name]
        found = {path.relative_to(self.root).as_posix(): path.read_bytes() for path in sorted(files)}
        for name in found:
            if name.endswith("/summary.json"):
                summary = json.loads(found[name])
                assert summary.pop("timing")
                found[name] = json.dumps(summary, sort_keys=True).encode()
        return found
