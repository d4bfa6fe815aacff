"""Section `search`: the stages of the search, one after the other."""

from __future__ import annotations

import math
import os
from typing import Annotated, Literal

from pydantic import Field, model_validator

from evidence_hpo.config.base import Identifier, Section, suggestion
from evidence_hpo.config.metrics import objective_metrics
from evidence_hpo.config.parameters import ArchitectureName
from evidence_hpo.errors import ConfigurationError

__all__ = [
    "TRIALS_PER_GPU_VARIABLE",
    "NarrowingSettings",
    "ObjectiveSettings",
    "PrunerSettings",
    "SamplerName",
    "SearchSettings",
    "StageSettings",
    "trials_per_gpu",
]

TRIALS_PER_GPU_VARIABLE = "EVIDENCE_HPO_TRIALS_PER_GPU"
"""Environment variable by which the workflow hands `search.trials_per_gpu` to its jobs.

It is no param of the rule, because a changed param runs a rule again, and this setting changes no trial.
"""


def trials_per_gpu() -> int:
    """Return the number that the workflow handed to this job; one in a step started by hand.

    Raises:
        ConfigurationError: The variable holds no such number.
    """
    text = os.environ.get(TRIALS_PER_GPU_VARIABLE, "1")
    if not text.isdecimal() or int(text) < 1:
        raise ConfigurationError(f"{TRIALS_PER_GPU_VARIABLE}: {text!r} is no number of trials")
    return int(text)


SamplerName = Literal["tpe", "tpe_multivariate", "gp", "grid", "random"]


_SOBOL, _SOBOL_SHARE, _SOBOL_ROUNDS, _SOBOL_ROUND = 64, 0.6, 2, 143
_RERUNS, _RERUN_SHARE, _RERUN_ROUNDS, _RERUN_ROUND = 8, 0.2, 9, 16
_STARTUP, _SMALLEST_ROUND = 10, 8
"""The default plan, by measurement at both ends (docs/reference/measurements.md): 350 trials are 64 Sobol points and
2 x 143, 40 are 24 and 2 x 8; 150 trials are 8 again and 9 x 16, 20 are 4 and 2 x 8. TPE needs ten finished trials."""


class PrunerSettings(Section):
    """Which trials end early. Thresholds come from finished rounds and are written into the proposals."""

    kind: Literal["none", "successive_halving", "median"] = Field(
        "successive_halving",
        description=(
            "successive_halving: a trial below the best 1/eta of the finished trials ends; median: below the median "
            "of the complete ones; none."
        ),
    )
    eta: int = Field(3, ge=2, le=10, description="Reduction factor of successive halving.")
    rungs: tuple[float, ...] | None = Field(
        None,
        description=(
            "Epochs (fractions allowed) at which a trial is compared; null: 1, eta, eta squared and so on below the "
            "stage's epochs, and 0.5 where there are at most two."
        ),
    )
    minimum_trials: int = Field(
        5, ge=1, description="Finished trials that a threshold needs; with fewer, nothing is pruned."
    )

    @model_validator(mode="after")
    def _rungs(self) -> PrunerSettings:
        rungs = list(self.rungs or ())
        if any(rung <= 0 for rung in rungs) or rungs != sorted(set(rungs)):
            raise ValueError(f"rungs {rungs} must be positive and increase")
        return self

    def rungs_within(self, epochs: int) -> tuple[float, ...]:
        """Return the rungs of a trial of ``epochs`` epochs, in order."""
        if self.kind == "none":
            return ()
        if self.rungs is not None:
            return self.rungs
        powers = [float(self.eta**power) for power in range(epochs) if self.eta**power < epochs]
        return (*((0.5,) if epochs <= 2 else ()), *powers)


class NarrowingSettings(Section):
    """How the space of a stage follows from the trials of the stage before."""

    top: int = Field(50, ge=2, description="Best trials that define the narrowed space.")
    quantiles: tuple[float, float] = Field((0.1, 0.9), description="Quantiles of a numeric parameter that are kept.")
    margin: float | None = Field(
        None,
        ge=0.0,
        le=2.0,
        description=(
            "Share of the kept interval added on each side; null: 0.25 after a stage of at least 100 trials, else 0, "
            "as measured."
        ),
    )
    choice_share: float = Field(
        0.25,
        ge=0.0,
        le=1.0,
        description="A choice stays if its share is at least this over the number of choices.",
    )

    @model_validator(mode="after")
    def _quantiles(self) -> NarrowingSettings:
        low, high = self.quantiles
        if not 0.0 <= low < high <= 1.0:
            raise ValueError(f"quantiles {list(self.quantiles)} must increase within 0 and 1")
        return self


class StageSettings(Section):
    """One stage of the search."""

    name: Identifier = Field(description="Name; a folder of the results.")
    trials: int = Field(ge=1, le=100000, description="Number of trials.")
    first_round: int | None = Field(
        None,
        ge=1,
        description=(
            "Trials of round 0: the sampler's first points (Sobol points, except for grid and random), or the best of "
            "the stage before where the space is narrowed. null: by the default plan, 64 points (of few trials six in "
            "ten, at least 10), or 8 trials run again (of few two in ten)."
        ),
    )
    round_size: int | None = Field(
        None,
        ge=1,
        description=(
            "Trials of each later round; the last may be smaller. null: by the default plan, two equal rounds of 8 to "
            "143 after the sampler's first points, or nine of 8 to 16 after trials that were run again."
        ),
    )
    lag: int = Field(
        0, ge=0, le=10, description="Rounds that a proposal does not wait for: 0 waits for all earlier ones."
    )
    shards: int = Field(1, ge=1, le=1000, description="Jobs a round is divided into; changes no result.")
    epochs: int = Field(ge=1, le=1000, description="Epochs of a trial.")
    data_fraction: float = Field(1.0, gt=0.0, le=1.0, description="Share of the training posts that is used.")
    sampler: SamplerName = Field(
        "tpe",
        description=(
            "How trials are proposed: tpe (each parameter for itself), tpe_multivariate, gp (a Gaussian process, for "
            "few trials), grid or random."
        ),
    )
    grid_points: int = Field(
        3, ge=2, le=100, description="Values of a numeric parameter in a grid, evenly spaced, both ends included."
    )
    pruner: PrunerSettings = Field(PrunerSettings(), description="Early end of weak trials.")
    space: Identifier | None = Field(None, description="Name of a space; null: narrowed from the stage before.")
    narrowing: NarrowingSettings = Field(NarrowingSettings(), description="Used where `space` is null.")

    @model_validator(mode="after")
    def _check(self) -> StageSettings:
        if self.first_round is not None and self.first_round > self.trials:
            raise ValueError(f"first_round {self.first_round} is more than trials {self.trials}")
        late = [rung for rung in self.pruner.rungs_within(self.epochs) if rung >= self.epochs]
        if late:
            raise ValueError(f"pruner.rungs: {late[0]:g} is not below epochs {self.epochs}")
        return self

    @property
    def round_sizes(self) -> list[int]:
        """Number of trials of each round."""
        first, size = self._planned_rounds()
        full, rest = divmod(self.trials - first, size)
        return [first, *[size] * full, *([rest] if rest else [])]

    def shards_of(self, round_: int) -> int:
        """Number of shards of a round: never more than it has trials."""
        # Called for every round that a round waits for: no list of all sizes is made each time.
        first, size = self._planned_rounds()
        return min(self.shards, first if round_ == 0 else min(size, self.trials - first - (round_ - 1) * size))

    def _planned_rounds(self) -> tuple[int, int]:
        """Return the trials of round 0 and of a later round."""
        if self.space is None:
            first = self.first_round or min(_RERUNS, math.ceil(_RERUN_SHARE * self.trials))
            rounds, largest = _RERUN_ROUNDS, _RERUN_ROUND
        else:
            first = self.first_round or min(self.trials, _SOBOL, max(_STARTUP, round(_SOBOL_SHARE * self.trials)))
            rounds, largest = _SOBOL_ROUNDS, _SOBOL_ROUND
        rest = self.trials - first
        even = math.ceil(rest / max(rounds, math.ceil(rest / largest)))
        return first, self.round_size or max(_SMALLEST_ROUND, even)


class ObjectiveSettings(Section):
    """The validation metric that is maximised, for each architecture."""

    criteria: str = Field("macro_f1", description="Objective of criteria.")
    evidence: str = Field("char_f1", description="Objective of evidence (SQuAD style, no-answer pairs counted).")
    share: str = Field("mean_macro_f1_char_f1", description="Objective of share.")
    joint: str = Field("mean_macro_f1_char_f1", description="Objective of joint.")

    @model_validator(mode="after")
    def _known(self) -> ObjectiveSettings:
        for architecture, metric in self.model_dump().items():
            known = objective_metrics(architecture)
            if metric not in known:
                raise ValueError(
                    f"{architecture}: '{metric}' is no metric of {architecture}{suggestion(metric, known)}"
                )
        return self

    def of(self, architecture: str) -> str:
        """Return the objective of an architecture."""
        return str(getattr(self, architecture))


class SearchSettings(Section):
    """The section `search`."""

    objective: ObjectiveSettings = Field(ObjectiveSettings(), description="What is maximised.")
    stages: tuple[StageSettings, ...] = Field(min_length=1, description="The stages, in order.")
    stages_of: dict[ArchitectureName, Annotated[tuple[StageSettings, ...], Field(min_length=1)]] = Field(
        {}, description="Stages of an architecture whose search differs: its own whole list instead of `stages`."
    )
    skip: tuple[Identifier, ...] = Field((), description="Names of stages that are left out.")
    trials_per_gpu: int = Field(
        1,
        ge=1,
        le=64,
        description=(
            "Trials that a job runs at once on its GPU, each in a process of its own: short texts leave most of a "
            "large GPU idle. Changes no result; on a CPU use more shards instead."
        ),
    )

    @model_validator(mode="after")
    def _check(self) -> SearchSettings:
        known = {stage.name for stages in (self.stages, *self.stages_of.values()) for stage in stages}
        for name in self.skip:
            if name not in known:
                raise ValueError(f"skip: '{name}' is no stage{suggestion(name, known)}")
        _check_stages(self._kept(self.stages))
        for architecture, stages in self.stages_of.items():
            _check_stages(self._kept(stages), f"stages_of.{architecture}: ")
        return self

    def _kept(self, stages: tuple[StageSettings, ...]) -> tuple[StageSettings, ...]:
        return tuple(stage for stage in stages if stage.name not in self.skip)

    def stages_for(self, architecture: str) -> tuple[StageSettings, ...]:
        """Return the stages of an architecture, in order."""
        own = {str(name): stages for name, stages in self.stages_of.items()}
        return self._kept(own.get(architecture, self.stages))


def _check_stages(stages: tuple[StageSettings, ...], where: str = "") -> None:
    if not stages:
        raise ValueError(f"{where}every stage is skipped; leave one")
    names = [stage.name for stage in stages]
    if len(set(names)) != len(names):
        raise ValueError(f"{where}two stages have the same name: {', '.join(names)}")
    if set(names) & {"retrain", "evaluation"}:
        raise ValueError(f"{where}a stage cannot be named retrain or evaluation: these folders are taken")
    if stages[0].space is None:
        raise ValueError(
            f"{where}stage {names[0]}: the first stage has no stage before it to narrow from; name a space"
        )
