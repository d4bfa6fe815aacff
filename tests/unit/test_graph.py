"""What each job reads and depends on, as the Snakefile binds it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from evidence_hpo import paths
from evidence_hpo.config.configuration import Configuration, default_configuration
from evidence_hpo.config.loading import load_configuration, merge
from evidence_hpo.config.run import RunSettings
from evidence_hpo.errors import ConfigurationError
from evidence_hpo.graph import StudyGraph, single_run_settings

ROOT = Path(__file__).resolve().parents[2]


def configured(**changes: object) -> Configuration:
    return load_configuration(merge(default_configuration().model_dump(mode="json"), changes))


def with_stages(*changes: dict[str, object]) -> StudyGraph:
    stages = default_configuration().model_dump(mode="json")["search"]["stages"]
    return StudyGraph(
        configured(search={"stages": [{**stage, **change} for stage, change in zip(stages, changes, strict=True)]})
    )


def test_search_reads_training_and_validation_only() -> None:
    study = StudyGraph(configured(study={"architectures": ["share"]}))
    files = study.token_files("{backbone}/{task}/{split}", "share")
    assert files == [
        "small/criteria/train",
        "small/criteria/validation",
        "small/evidence/train",
        "small/evidence/validation",
    ]


def test_a_round_waits_for_all_rounds_before_it_but_the_lag() -> None:
    sizes = {"trials": 12, "first_round": 3, "round_size": 3, "shards": 1}
    waits = with_stages({**sizes, "lag": 0}, {})
    assert [path.split("/")[3] for path in waits.finished_shards("criteria", "stage1", 3)] == [
        "round_0",
        "round_1",
        "round_2",
    ]
    assert waits.pending_proposals("criteria", "stage1", 3) == []
    lagged = with_stages({**sizes, "lag": 1}, {})
    assert [path.split("/")[3] for path in lagged.finished_shards("criteria", "stage1", 3)] == ["round_0", "round_1"]
    assert lagged.pending_proposals("criteria", "stage1", 3) == ["results/criteria/stage1/round_2/proposals.json"]
    assert lagged.finished_shards("criteria", "stage1", 1) == []


def test_a_round_has_no_more_shards_than_trials() -> None:
    study = with_stages({"trials": 5, "first_round": 4, "round_size": 4, "shards": 3}, {"first_round": 2})
    assert len(study.shard_paths("criteria", "stage1", [0])) == 3
    assert len(study.shard_paths("criteria", "stage1", [1])) == 1


def test_only_round_zero_of_a_narrowed_stage_reruns_trials_of_the_stage_before() -> None:
    study = StudyGraph(default_configuration())
    assert study.previous_trials("criteria", "stage1", 0) == []
    assert study.previous_trials("criteria", "stage2", 0) == ["results/criteria/stage1/trials.jsonl"]
    assert study.previous_trials("criteria", "stage2", 1) == []


def test_the_lags_and_the_space_of_each_stage() -> None:
    study = with_stages({"lag": 1}, {})
    assert study.lags("criteria") == [1, 0]
    configured_space = study.configuration.spaces["sample"]
    assert study.searched_space("criteria", "stage2") == configured_space, "as before it was narrowed"


def test_settings_of_unused_sources_and_other_tasks_are_left_out() -> None:
    study = StudyGraph(default_configuration())
    assert set(json.loads(study.corpus_settings())) & {"sample", "files", "hub"} == {"sample"}
    assert set(json.loads(study.example_settings("criteria"))) == {"criteria"}
    official = StudyGraph(configured(data={"split": {"file": "official.csv"}}))
    assert json.loads(official.split_settings()) == {"file": "official.csv"}


def test_only_an_encoder_made_from_scratch_reads_posts_and_only_training_posts() -> None:
    hub = {"source": "hub", "model": "microsoft/deberta-v3-base"}
    study = StudyGraph(configured(backbones={"big": hub}))
    assert study.backbone_posts("small") == ["results/splits/train/posts.parquet"]
    assert study.backbone_posts("big") == []


@pytest.mark.parametrize("searched", [False, True])
def test_caches_are_made_for_the_encoders_that_a_search_may_use(searched: bool) -> None:
    hub = {"source": "hub", "model": "bert-base-uncased"}
    spaces = {"sample": {"backbone": {"choices": ["small", "big"]}}} if searched else {}
    study = StudyGraph(configured(backbones={"big": hub, "unused": hub}, spaces=spaces))
    assert study.backbones("criteria") == (["big", "small"] if searched else ["small"])


def augmenting(entries: dict[str, object], *stages: dict[str, object], **changes: object) -> StudyGraph:
    """Return a study whose first stage searches ``entries``; ``stages`` follow, with the space ``later``."""
    first = {"name": "stage1", "space": "own", "trials": 5, "epochs": 2}
    dropout = {"low": 0, "high": 0.5}
    spaces = {"own": {"dropout": dropout, **entries}, "later": {"simple_mask": {"low": 2, "high": 3}}}
    used = spaces if stages else {"own": spaces["own"]}
    return StudyGraph(configured(spaces=used, search={"stages": [first, *stages]}, **changes))


BOTH = {"choices": ["simple", "simple_then_textattack"]}


def test_without_augmentation_there_are_no_banks() -> None:
    study = StudyGraph(default_configuration())
    assert study.all_banks() == []
    assert study.augmented_files(paths.AUGMENTED_TEXTS, "criteria") == []


def test_banks_follow_from_policies_masks_and_strengths() -> None:
    entries = {
        "augmentation": BOTH,
        "simple_mask": {"choices": [1, 4]},
        "textattack_mask": {"choices": [2]},
        "simple_strength": {"low": 0, "high": 1},
    }
    study = augmenting(entries, study={"architectures": ["evidence"]}, augmentation={"parts": 2})
    originals = [
        f"results/augmentation/evidence/original/{method}/level_{level}/part_{part}.parquet"
        for method in ("aeda", "random_deletion")
        for level in (0, 1)
        for part in (0, 1)
    ]
    chained = [f"results/augmentation/evidence/simple/synonym_insertion/level_1/part_{part}.parquet" for part in (0, 1)]
    assert study.all_banks() == [*originals, *chained]
    assert study.original_banks("evidence", "simple") == originals
    assert study.original_banks("evidence", "textattack") == []
    assert study.original_banks("criteria", "simple") == [], "no architecture of the study has the task"
    assert study.augmented_files("{backbone} {task} {source} {method} {level}", "evidence") == [
        *(f"small evidence original {method} {level}" for method in ("aeda", "random_deletion") for level in (0, 1)),
        "small evidence simple synonym_insertion 1",
    ]


def test_what_is_varied_once_more_is_made_but_not_tokenised() -> None:
    entries = {"augmentation": {"choices": ["textattack_then_simple"]}, "simple_mask": {"choices": [4]}}
    study = augmenting(entries, training={"parameters": {"textattack_mask": 4}})
    assert study.original_banks("criteria", "textattack") == [
        "results/augmentation/criteria/original/word_deletion/level_1/part_0.parquet"
    ]
    assert study.augmented_files("{source} {method} {level}", "criteria") == ["textattack aeda 1"]
    assert len(study.all_banks()) == 2 * len(study.tasks("share"))


def test_a_conditional_policy_or_mask_needs_the_fixed_one_as_well() -> None:
    entries = {
        "pooling": {"choices": ["cls", "mean"]},
        "augmentation": {"choices": ["none"], "when": {"pooling": ["cls"]}},
    }
    fixed = {"parameters": {"augmentation": "simple", "simple_mask": 32}}
    assert augmenting(entries, training=fixed).augmented_files("{method}", "criteria") == ["casing"]


def test_a_stage_reads_the_banks_of_its_own_space() -> None:
    later = {"name": "stage2", "space": "later", "trials": 5, "epochs": 2}
    narrowed = {"name": "stage3", "trials": 5, "epochs": 2, "first_round": 5}
    fixed = {"parameters": {"augmentation": "simple", "simple_mask": 1}}
    study = augmenting({}, later, narrowed, training=fixed)
    assert study.augmented_files("{method}", "criteria", "stage1") == ["random_deletion"]
    for stage in ("stage2", "stage3", None):
        assert study.augmented_files("{method}", "criteria", stage) == ["random_deletion", "random_swap"]


def test_a_run_outside_the_search_reads_the_banks_of_its_fixed_parameters() -> None:
    fixed = {"augmentation": "simple_then_textattack", "simple_mask": 3, "textattack_mask": 4}
    searched = {"augmentation": {"choices": ["none"]}}
    study = augmenting(searched, training={"parameters": fixed}, run={"architecture": "criteria"})
    files = study.run_token_files(paths.TOKEN_TEXTS)
    assert files[2:] == ["results/tokens/small/criteria/augmented/simple/word_deletion/level_1/texts.arrow"]
    assert study.all_banks() == [], "the search has none"
    assert [path.split("/")[4] for path in study.original_banks("criteria", "simple")] == [
        "random_deletion",
        "random_swap",
    ]
    assert study.original_banks("evidence", "simple") == []


def test_no_pattern_of_a_bank_names_a_split() -> None:
    for pattern in (paths.AUGMENTED, paths.AUGMENTED_TEXTS, paths.AUGMENTED_EXAMPLES):
        assert "{split}" not in pattern


def test_a_conditional_choice_of_encoders_needs_the_fixed_one_as_well() -> None:
    hub = {"source": "hub", "model": "bert-base-uncased"}
    entry = {"choices": ["big"], "when": {"pooling": ["cls"]}}
    spaces = {"sample": {"backbone": entry, "pooling": {"choices": ["cls", "mean"]}}}
    study = StudyGraph(configured(backbones={"big": hub}, spaces=spaces))
    assert study.backbones("criteria") == ["big", "small"]


def test_only_a_gaussian_process_is_proposed_where_torch_is() -> None:
    stages = [
        {"name": "stage1", "trials": 4, "first_round": 4, "round_size": 4, "epochs": 2, "sampler": sampler} | own
        for sampler, own in (("gp", {"space": "sample"}), ("tpe", {"name": "stage2"}))
    ]
    study = StudyGraph(configured(search={"stages": stages}))
    environments = [
        Path("rules") / study.proposal_environment("criteria", stage) for stage in study.stages_of("criteria")
    ]
    pins = [(ROOT / path).read_text(encoding="utf-8") for path in environments]
    assert ["torch==" in text for text in pins] == [True, False]


def test_a_run_outside_the_search_uses_the_fixed_values_and_its_own_section() -> None:
    default = default_configuration()
    study = StudyGraph(default)
    settings = single_run_settings(default)
    assert (settings.architecture, settings.seed, settings.epochs) == ("criteria", default.study.seed, 9)
    assert "null_weight" not in settings.parameters, "acts on evidence alone"
    assert study.run_token_files(paths.TOKEN_TEXTS) == [
        "results/tokens/small/criteria/train/texts.arrow",
        "results/tokens/small/criteria/validation/texts.arrow",
    ]
    own = default.model_copy(update={"run": RunSettings(architecture="joint", epochs=3, seed=8)})
    changed = single_run_settings(own)
    assert (changed.architecture, changed.seed, changed.epochs) == ("joint", 8, 3)
    assert len(StudyGraph(own).run_token_files(paths.TOKEN_TEXTS)) == 4
    searched = {"spaces.sample.learning_rate": {"low": 1e-6, "high": 1e-5}}
    raw = {**default.model_dump(mode="json"), "overrides": searched}
    assert single_run_settings(load_configuration(raw)) == settings, "the search is no part of it"


def test_a_run_outside_the_search_needs_its_encoder() -> None:
    default = default_configuration()
    training = default.training.model_copy(
        update={"parameters": default.training.parameters.model_copy(update={"backbone": "smal"})}
    )
    with pytest.raises(
        ConfigurationError, match=r"training\.parameters\.backbone: 'smal' is not in .* did you mean 'small'"
    ):
        single_run_settings(default.model_copy(update={"training": training}))


def test_an_encoder_is_a_job_of_its_own_only_if_it_is_trained() -> None:
    assert not StudyGraph(configured()).pretrains_backbones
    assert StudyGraph(configured(backbones={"small": {"pretraining_epochs": 3}})).pretrains_backbones
