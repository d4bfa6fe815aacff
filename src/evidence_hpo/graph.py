"""The study as a graph of files: what each rule reads and which settings it depends on. The Snakefile only binds it.

Settings are cut to what a job really uses, so that a change of the configuration reruns what depends on it and
nothing else.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property

from evidence_hpo import paths
from evidence_hpo.config.augmentation import FAMILIES
from evidence_hpo.config.backbones import ScratchBackbone
from evidence_hpo.config.banks import Bank, Variation, possible_banks, possible_sources
from evidence_hpo.config.base import suggestion
from evidence_hpo.config.configuration import Configuration
from evidence_hpo.config.loading import resolved_parameters
from evidence_hpo.config.parameters import TrialParameters
from evidence_hpo.config.policies import ORIGINAL
from evidence_hpo.config.search import StageSettings
from evidence_hpo.config.spaces import Choices, Space
from evidence_hpo.errors import ConfigurationError
from evidence_hpo.paths import TASKS
from evidence_hpo.search.settings import ProposalSettings, RetrainRunSettings, SingleRunSettings

__all__ = ["SEARCH_SPLITS", "StudyGraph", "single_run_settings"]

SEARCH_SPLITS = ("train", "validation")
"""The splits that search and training may read. The test split is read by `evaluate` alone."""

_AUGMENTED = {paths.TOKEN_TEXTS: paths.AUGMENTED_TEXTS, paths.TOKEN_EXAMPLES: paths.AUGMENTED_EXAMPLES}
_NOTHING = Space({})
"""The space of a run outside the search: all its parameters are fixed."""


class StudyGraph:
    """Files and settings of all jobs of one configuration."""

    def __init__(self, configuration: Configuration) -> None:
        self.configuration = configuration

    # --- names -------------------------------------------------------------------------------------------------

    @cached_property
    def architectures(self) -> tuple[str, ...]:
        """Architectures of the study."""
        return tuple(self.configuration.study.architectures)

    def stages_of(self, architecture: str) -> dict[str, StageSettings]:
        """Return the stages of an architecture by name, in order."""
        return self._stages[architecture]

    @cached_property
    def _stages(self) -> dict[str, dict[str, StageSettings]]:
        search = self.configuration.search
        return {name: {stage.name: stage for stage in search.stages_for(name)} for name in self.architectures}

    @cached_property
    def stage_names(self) -> list[str]:
        """Names of the stages of all architectures."""
        return list(dict.fromkeys(stage for name in self.architectures for stage in self.stages_of(name)))

    def stage_before(self, architecture: str, stage: str) -> str | None:
        """Return the name of the stage before, or None for the first."""
        names = list(self.stages_of(architecture))
        position = names.index(stage)
        return names[position - 1] if position else None

    def stage_pattern(self, *, narrowed: bool) -> str:
        """Return a pattern of the stages whose space is narrowed, or of those that name one."""
        stages = [stage for name in self.architectures for stage in self.stages_of(name).values()]
        names = [stage.name for stage in stages if (stage.space is None) == narrowed]
        return "|".join(dict.fromkeys(names)) or "(?!)"

    def last_stage(self, architecture: str) -> str:
        """Return the name of the last stage, whose best trials are retrained."""
        return list(self.stages_of(architecture))[-1]

    def tasks(self, architecture: str) -> tuple[str, ...]:
        """Return the tasks that an architecture is trained on."""
        return (architecture,) if architecture in TASKS else TASKS

    def backbones(self, architecture: str) -> list[str]:
        """Return the encoders that the search of an architecture may use, sorted."""
        names: set[str] = set()
        for stage in self.stages_of(architecture).values():
            if stage.space is None:
                continue
            entry = self.configuration.spaces[stage.space].root.get("backbone")
            if isinstance(entry, Choices):
                names.update(map(str, entry.choices))
            if not isinstance(entry, Choices) or entry.when:
                names.add(self.configuration.training.parameters.backbone)
        return sorted(names)

    def searched_space(self, architecture: str, stage: str) -> Space:
        """Return the configured space that a stage of an architecture searches, before any narrowing."""
        names = list(self.stages_of(architecture))
        for name in reversed(names[: names.index(stage) + 1]):
            space = self.stages_of(architecture)[name].space
            if space is not None:
                return self.configuration.spaces[space]
        raise AssertionError("the first stage names a space")

    # --- data and tokens ---------------------------------------------------------------------------------------

    def source_files(self) -> list[str]:
        """Return the user's files that the corpus is read from."""
        corpus = self.configuration.data.corpus
        files = [corpus.criteria_file]
        if corpus.source == "files":
            files += [corpus.files.posts, corpus.files.annotations]
        return [file for file in files if file is not None]

    def corpus_settings(self) -> str:
        """Return the corpus settings, without those of sources that are not used."""
        corpus = self.configuration.data.corpus
        unused = {"sample", "files", "hub"} - {corpus.source}
        return corpus.model_dump_json(exclude=unused)

    def split_settings(self) -> str:
        """Return the split settings; an official file makes the ratios irrelevant."""
        split = self.configuration.data.split
        return split.model_dump_json(include={"file"} if split.file else None)

    def split_files(self) -> list[str]:
        """Return the official split file, where there is one."""
        return [file for file in [self.configuration.data.split.file] if file is not None]

    def example_settings(self, task: str) -> str:
        """Return the settings of one task's examples."""
        return self.configuration.data.examples.model_dump_json(include={task})

    def backbone_settings(self, backbone: str) -> str:
        """Return the settings of one encoder."""
        return self.configuration.backbones[backbone].model_dump_json()

    def backbone_posts(self, backbone: str) -> list[str]:
        """Return the training posts for an encoder that is made from scratch, else nothing."""
        scratch = self.configuration.backbones[backbone].source == "scratch"
        return [paths.SPLIT_POSTS.format(split="train")] if scratch else []

    def backbone_files(self, backbone: str) -> list[str]:
        """Return a local encoder folder's configuration file, so that another encoder there is noticed."""
        settings = self.configuration.backbones[backbone]
        return [f"{settings.path}/config.json"] if settings.source == "folder" else []

    def token_files(self, pattern: str, architecture: str, splits: Sequence[str] = SEARCH_SPLITS) -> list[str]:
        """Return the token caches of an architecture's tasks, for all encoders that its search may use."""
        return [
            pattern.format(backbone=backbone, task=task, split=split)
            for backbone in self.backbones(architecture)
            for task in self.tasks(architecture)
            for split in splits
        ]

    def backbone_paths(self, pattern: str, architecture: str) -> list[str]:
        """Return one path for each encoder that the search of an architecture may use."""
        return [pattern.format(backbone=backbone) for backbone in self.backbones(architecture)]

    # --- augmentation ------------------------------------------------------------------------------------------

    def banks(self, architecture: str, stage: str) -> list[Bank]:
        """Return the banks that the runs of a stage may take variants from, sorted."""
        return sorted(possible_banks(self.searched_space(architecture, stage), self._fixed))

    def original_banks(self, task: str, family: str) -> list[str]:
        """Return the banks of a family whose variants are varied once more by the other one: all parts, in order."""
        variations = self._varied_again(task, family)
        if task in self.tasks(self.run_architecture):
            variations |= possible_sources(_NOTHING, self._fixed, family)
        return self._original_paths(task, variations)

    def _varied_again(self, task: str, family: str) -> set[Variation]:
        """Return by what the search may vary sentences before it varies them once more."""
        spaces = [
            self.searched_space(architecture, stage)
            for architecture in self.architectures
            if task in self.tasks(architecture)
            for stage in self.stages_of(architecture)
        ]
        return {one for space in spaces for one in possible_sources(space, self._fixed, family)}

    def _original_paths(self, task: str, variations: Iterable[Variation]) -> list[str]:
        banks = [Bank(ORIGINAL, *variation) for variation in sorted(variations)]
        return [path for bank in banks for path in self.bank_paths(task, *bank)]

    def bank_paths(self, task: str, source: str, method: str, level: int | str) -> list[str]:
        """Return the parts of one bank, in order."""
        pattern = paths.AUGMENTED
        return [
            pattern.format(task=task, source=source, method=method, level=level, part=part)
            for part in range(self.configuration.augmentation.parts)
        ]

    def all_banks(self) -> list[str]:
        """Return all banks that the search may use, all parts; none where nothing is augmented."""
        found: set[tuple[str, Bank]] = set()
        for architecture in self.architectures:
            for stage in self.stages_of(architecture):
                banks = self.banks(architecture, stage)
                found |= {(task, bank) for task in self.tasks(architecture) for bank in banks}
        own = [path for task, bank in sorted(found) for path in self.bank_paths(task, *bank)]
        varied_again = [
            path
            for task in TASKS
            for family in FAMILIES
            for path in self._original_paths(task, self._varied_again(task, family))
        ]
        return list(dict.fromkeys([*own, *varied_again]))

    def augmented_files(self, pattern: str, architecture: str, stage: str | None = None) -> list[str]:
        """Return the tokenised banks that the runs of a stage may use, for all encoders.

        Args:
            pattern: ``AUGMENTED_TEXTS`` or ``AUGMENTED_EXAMPLES``.
            architecture: Name of the architecture.
            stage: Name of the stage; None: the last, whose configurations are retrained.
        """
        return [
            pattern.format(backbone=backbone, task=task, **bank._asdict())
            for backbone in self.backbones(architecture)
            for task in self.tasks(architecture)
            for bank in self.banks(architecture, stage or self.last_stage(architecture))
        ]

    def bank_examples(self, task: str) -> str:
        """Return the training examples whose evidence a task's banks vary.

        A post as a whole is a criteria example without spans; its evidence is that of the evidence
        example of the same id.
        """
        return paths.EXAMPLES.format(task=task if self.whole_text(task) else "evidence", split="train")

    def bank_settings(self, task: str, method: str, level: str) -> str:
        """Return what the banks of a method at a level depend on."""
        settings = self.configuration.augmentation
        return settings.bank(method, int(level), whole_text=self.whole_text(task)).model_dump_json()

    def bank_sources(self, task: str, source: str, part: str) -> list[str]:
        """Return the banks whose variants a part of a chained bank varies once more: the same part of each."""
        banks = [] if source == ORIGINAL else self.original_banks(task, source)
        return [path for path in banks if path.endswith(f"/part_{part}.parquet")]

    def bank_resources(self, method: str) -> list[str]:
        """Return files that tell whether what a method needs has changed: a file itself, or a model's configuration."""
        given = self.configuration.augmentation.resources(method)
        return [path if name == "embedding" else f"{path}/config.json" for name, path in given.items()]

    def bank_records(self) -> list[str]:
        """Return the records of all banks of the study, all parts."""
        return [f"{path.removesuffix('.parquet')}.json" for path in self.all_banks()]

    def whole_text(self, task: str) -> bool:
        """Return whether an example's whole text is the sentence that is varied, not the evidence within it."""
        return task == "criteria" and self.configuration.data.examples.criteria.unit == "sentence"

    # --- search ------------------------------------------------------------------------------------------------

    def rounds(self, architecture: str, stage: str) -> range:
        """Return the numbers of the rounds of a stage."""
        return range(len(self.stages_of(architecture)[stage].round_sizes))

    def shards(self, architecture: str, stage: str, round_: int) -> int:
        """Return into how many shards a round is divided."""
        return self.stages_of(architecture)[stage].shards_of(round_)

    def shard_paths(self, architecture: str, stage: str, rounds: Iterable[int]) -> list[str]:
        """Return the shard files of the given rounds, in canonical order."""
        return [
            paths.SHARD.format(architecture=architecture, stage=stage, round=round_, shard=shard)
            for round_ in rounds
            for shard in range(self.shards(architecture, stage, round_))
        ]

    def finished_shards(self, architecture: str, stage: str, round_: int) -> list[str]:
        """Return the shard files that a round's proposals are made from: all rounds but the last `lag` ones."""
        return self.shard_paths(architecture, stage, range(self._visible(architecture, stage, round_)))

    def pending_proposals(self, architecture: str, stage: str, round_: int) -> list[str]:
        """Return the proposals that are made but not waited for."""
        return [
            paths.PROPOSALS.format(architecture=architecture, stage=stage, round=other)
            for other in range(self._visible(architecture, stage, round_), round_)
        ]

    def _visible(self, architecture: str, stage: str, round_: int) -> int:
        return max(0, round_ - self.stages_of(architecture)[stage].lag)

    def previous_trials(self, architecture: str, stage: str, round_: int) -> list[str]:
        """Return the trials whose best a narrowed stage re-runs in its round 0."""
        before = self.stage_before(architecture, stage)
        if round_ > 0 or self.stages_of(architecture)[stage].space is not None or before is None:
            return []
        return [paths.TRIALS.format(architecture=architecture, stage=before)]

    def earlier_summaries(self, architecture: str, stage: str) -> list[str]:
        """Return the summary that a stage with a space of its own waits for: of the stage before, all trials made."""
        before = self.stage_before(architecture, stage)
        return [paths.STAGE_SUMMARY.format(architecture=architecture, stage=before)] if before else []

    def configured_space(self, architecture: str, stage: str) -> str:
        """Return the space that a stage names."""
        space = self.stages_of(architecture)[stage].space
        assert space is not None
        return self.configuration.spaces[space].model_dump_json()

    @property
    def _fixed(self) -> TrialParameters:
        return self.configuration.training.parameters

    def fixed_parameters(self) -> str:
        """Return the values of the parameters that are not searched."""
        return self._fixed.model_dump_json()

    def narrowing_settings(self, architecture: str, stage: str) -> str:
        """Return how a stage's space is narrowed."""
        return self.stages_of(architecture)[stage].narrowing.model_dump_json()

    def proposal_settings(self, architecture: str, stage: str, round_: int) -> str:
        """Return the settings of one round."""
        configuration = self.configuration
        return ProposalSettings.of_round(
            configuration.study, configuration.training, configuration.search, architecture, stage, round_
        ).model_dump_json()

    def proposal_environment(self, architecture: str, stage: str) -> str:
        """Return the environment file, seen from the rules, in which a stage's rounds are proposed."""
        return "../envs/gp.yaml" if self.stages_of(architecture)[stage].sampler == "gp" else "../envs/core.yaml"

    # --- retrain and evaluation --------------------------------------------------------------------------------

    def retrain_records(self, architecture: str) -> list[str]:
        """Return the records of the top configurations over all seeds."""
        retrain = self.configuration.retrain
        return [
            paths.RETRAIN_RECORD.format(architecture=architecture, rank=rank, seed=seed)
            for rank in range(retrain.top_k)
            for seed in range(retrain.seeds)
        ]

    def final_paths(self, pattern: str, architecture: str) -> list[str]:
        """Return one path for each fresh seed of the chosen configuration."""
        return [
            pattern.format(architecture=architecture, seed=seed)
            for seed in range(self.configuration.retrain.final_seeds)
        ]

    def refit_paths(self, pattern: str, architecture: str) -> list[str]:
        """Return one path for each refit of the chosen configuration."""
        return [
            pattern.format(architecture=architecture, seed=seed)
            for seed in range(self.configuration.retrain.refit_seeds)
        ]

    def model_records(self) -> list[str]:
        """Return the records of all models that are trained after the search."""
        return [
            record
            for architecture in self.architectures
            for record in (
                *self.retrain_records(architecture),
                *self.final_paths(paths.FINAL_RECORD, architecture),
                *self.refit_paths(paths.REFIT_RECORD, architecture),
            )
        ]

    def retrain_settings(self) -> str:
        """Return the settings of a retrained model."""
        study, retrain = self.configuration.study, self.configuration.retrain
        return RetrainRunSettings(study=study.name, seed=study.seed, epochs=retrain.epochs).model_dump_json()

    def example_paths(self, architecture: str, split: str) -> list[str]:
        """Return the examples of one split, which floors are fitted or scored on: criteria before evidence."""
        return [paths.EXAMPLES.format(task=task, split=split) for task in self.tasks(architecture)]

    def stage_paths(self, pattern: str, architecture: str) -> list[str]:
        """Return one path for each stage, in order."""
        return [pattern.format(architecture=architecture, stage=stage) for stage in self.stages_of(architecture)]

    def all_stage_paths(self, pattern: str) -> list[str]:
        """Return one path for each stage of each architecture."""
        return [path for architecture in self.architectures for path in self.stage_paths(pattern, architecture)]

    def lags(self, architecture: str) -> list[int]:
        """Return of each stage, in order, how many rounds a proposal does not wait for."""
        return [stage.lag for stage in self.stages_of(architecture).values()]

    # --- one run outside the search ----------------------------------------------------------------------------

    @property
    def run_architecture(self) -> str:
        """Architecture of a run outside the search."""
        return self.configuration.run.architecture or self.architectures[0]

    def run_settings(self) -> str:
        """Return the settings of a run outside the search."""
        return single_run_settings(self.configuration).model_dump_json()

    def run_token_files(self, pattern: str) -> list[str]:
        """Return the token caches of such a run, for its one encoder, and the tokenised banks that it uses.

        Args:
            pattern: ``TOKEN_TEXTS`` or ``TOKEN_EXAMPLES``.
        """
        tasks, place = self.tasks(self.run_architecture), {"backbone": self._fixed.backbone}
        banks = sorted(possible_banks(_NOTHING, self._fixed))
        return [
            *(pattern.format(**place, task=task, split=split) for task in tasks for split in SEARCH_SPLITS),
            *(_AUGMENTED[pattern].format(**place, task=task, **bank._asdict()) for task in tasks for bank in banks),
        ]

    def run_backbone(self, pattern: str) -> str:
        """Return the path of such a run's encoder."""
        return pattern.format(backbone=self.configuration.training.parameters.backbone)

    # --- reports -----------------------------------------------------------------------------------------------

    def figures(self) -> list[str]:
        """Return all figures of the study."""
        found = [paths.RULEGRAPH, paths.DAG]
        if self.all_banks():
            found.append(paths.AUGMENTATION_FIGURE)
        for architecture in self.architectures:
            for pattern, names in (
                (paths.SEARCH_FIGURE, paths.SEARCH_FIGURES),
                (paths.EVALUATION_FIGURE, paths.EVALUATION_FIGURES),
            ):
                found += [pattern.format(architecture=architecture, figure=name) for name in names]
        return found

    def tracking(self) -> list[str]:
        """Return the state of the tracking store, if the study is replayed into one."""
        return [paths.TRACKING_STATE] if self.configuration.tracking.enabled else []

    @property
    def threads(self) -> int:
        """CPU threads of a job that trains."""
        return self.configuration.training.runtime.threads

    @property
    def trials_per_gpu(self) -> int:
        """Trials that a job of the search runs at once where it has a GPU."""
        return self.configuration.search.trials_per_gpu

    @property
    def pretrains_backbones(self) -> bool:
        """Whether preparing an encoder is more than fetching or making one."""
        return any(
            isinstance(backbone, ScratchBackbone) and backbone.pretraining_epochs > 0
            for backbone in self.configuration.backbones.values()
        )


def single_run_settings(configuration: Configuration) -> SingleRunSettings:
    """Return what a run outside the search is made with: the fixed parameters, and what the section `run` says.

    Raises:
        ConfigurationError: The fixed encoder is not among the encoders.
    """
    run, training = configuration.run, configuration.training
    backbone = training.parameters.backbone
    if backbone not in configuration.backbones:
        raise ConfigurationError(
            f"configuration: training.parameters.backbone: '{backbone}' is not in "
            f"backbones{suggestion(backbone, configuration.backbones)}"
        )
    study = StudyGraph(configuration)
    architecture = study.run_architecture
    last = configuration.search.stages_for(architecture)[-1]
    return SingleRunSettings.model_validate(
        {
            "study": configuration.study.name,
            "architecture": architecture,
            "parameters": resolved_parameters(configuration, {}, architecture),
            "seed": configuration.study.seed if run.seed is None else run.seed,
            "epochs": run.epochs or configuration.retrain.epochs or last.epochs,
            "objective": configuration.search.objective.of(architecture),
            "early_stopping_patience": training.early_stopping_patience,
            "runtime": training.runtime,
            "resume_from": run.resume_from,
        }
    )
