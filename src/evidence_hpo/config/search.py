"""Section `search`: the stages of the search, one after the other."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from evidence_hpo.config.base import Identifier, Section, suggestion
from evidence_hpo.config.metrics import objective_metrics

__all__ = [
    "NarrowingSettings",
    "ObjectiveSettings",
    "PrunerSettings",
    "SamplerName",
    "SearchSettings",
    "StageSettings",
]

SamplerName = Literal["tpe", "tpe_multivariate", "gp", "grid", "random"]


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
    rungs: tuple[float, ...] = Field((1.0,), description="Epochs (fractions allowed) at which a trial is compared.")
    minimum_trials: int = Field(
        5, ge=1, description="Finished trials that a threshold needs; with fewer, nothing is pruned."
    )

    @model_validator(mode="after")
    def _rungs(self) -> PrunerSettings:
        if any(rung <= 0 for rung in self.rungs) or list(self.rungs) != sorted(set(self.rungs)):
            raise ValueError(f"rungs {list(self.rungs)} must be positive and increase")
        return self


class NarrowingSettings(Section):
    """How the space of a stage follows from the trials of the stage before."""

    top: int = Field(50, ge=2, description="Best trials that define the narrowed space.")
    quantiles: tuple[float, float] = Field((0.1, 0.9), description="Quantiles of a numeric parameter that are kept.")
    margin: float = Field(0.25, ge=0.0, le=2.0, description="Share of the kept interval added on each side.")
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
    first_round: int = Field(
        ge=1,
        description=(
            "Trials of round 0: the sampler's first points (Sobol points, except for grid and random), or the best of "
            "the stage before where the space is narrowed."
        ),
    )
    round_size: int = Field(ge=1, description="Trials of each later round; the last may be smaller.")
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
        if self.first_round > self.trials:
            raise ValueError(f"first_round {self.first_round} is more than trials {self.trials}")
        if self.pruner.kind != "none":
            late = [rung for rung in self.pruner.rungs if rung >= self.epochs]
            if late:
                raise ValueError(f"pruner.rungs: {late[0]:g} is not below epochs {self.epochs}")
        return self

    @property
    def round_sizes(self) -> list[int]:
        """Number of trials of each round."""
        full, rest = divmod(self.trials - self.first_round, self.round_size)
        return [self.first_round, *[self.round_size] * full, *([rest] if rest else [])]

    def shards_of(self, round_: int) -> int:
        """Number of shards of a round: never more than it has trials."""
        if round_ == 0:
            return min(self.shards, self.first_round)
        # Called for every round that a round waits for: no list of all sizes is made each time.
        return min(self.shards, self.round_size, self.trials - self.first_round - (round_ - 1) * self.round_size)


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
        names = [stage.name for stage in self.stages]
        if len(set(names)) != len(names):
            raise ValueError(f"two stages have the same name: {', '.join(names)}")
        if set(names) & {"retrain", "evaluation"}:
            raise ValueError("a stage cannot be named retrain or evaluation: these folders are taken")
        if self.stages[0].space is None:
            raise ValueError(f"stage {names[0]}: the first stage has no stage before it to narrow from; name a space")
        return self
