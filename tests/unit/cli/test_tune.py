"""`tune`: the guides' options become settings of a preset, and what does not fit is refused before anything starts."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from finished_study import command, made_study
from run_files import complete_study
from snakemake.profiles import ProfileConfigFileParser

from evidence_hpo.cli import tune as module
from evidence_hpo.cli.studies import read_study
from evidence_hpo.cli.tuning import Tuning, numbers_of, overrides_of, preset_file, stage_targets
from evidence_hpo.cli.workflow import checked_configuration, workflow_folder
from evidence_hpo.config.configuration import Configuration
from evidence_hpo.errors import ConfigurationError
from evidence_hpo.files import read_json_lines, write_json_lines
from evidence_hpo.paths import STAGE_SUMMARY


def tuned(preset: str, *override: str, **asked: Any) -> Configuration:
    overlays = [preset_file(preset)]
    values = [*overrides_of(Tuning(**asked), overlays, override, Path.cwd()), *override]
    return checked_configuration(overlays, values)


def test_every_preset_is_known_by_its_name() -> None:
    presets = workflow_folder() / "presets"
    for path in presets.rglob("*.yaml"):
        assert preset_file(path.relative_to(presets).with_suffix("").as_posix()) == path


def test_trials_and_epochs_reach_the_stages_that_are_named() -> None:
    made = tuned("two_stage_long", trials={"stage_a": 38, "stage_b": 12}, epochs={"stage_a": 10})
    first, second = made.search.stages_for("evidence")
    assert (first.trials, second.trials, first.epochs, second.epochs) == (38, 12, 10, 100)


def test_one_number_is_enough_where_there_is_one_stage() -> None:
    made = tuned("single", trials={"": 5}, epochs={"": 2})
    (stage,) = made.search.stages_for("criteria")
    assert (stage.trials, stage.epochs) == (5, 2)
    assert sum(stage.round_sizes) == 5, "the preset's first round of ten gives way"
    assert stage.pruner.rungs == (1.0,), "a rung behind the last epoch goes"


def test_the_wrappers_options_reach_each_architecture_of_the_maximal_search() -> None:
    made = tuned("maximal", trials={"": 500}, jobs=4, architectures=("criteria", "share"))
    assert made.study.architectures == ("criteria", "share")
    for architecture in made.study.architectures:
        (stage,) = made.search.stages_for(architecture)
        assert (stage.trials, stage.shards) == (500, 4)
    assert made.search.stages_for("evidence")[0].trials == 1200


def test_the_multi_stage_options() -> None:
    made = tuned("multi_stage", model="bert-base", skip_sanity=True, seed=7, study_name="other")
    assert [stage.name for stage in made.search.stages_for("criteria")] == ["coarse", "fine"]
    assert (made.training.parameters.backbone, made.study.seed, made.study.name) == ("bert_base", 7, "other")


def test_the_metric_is_that_of_every_architecture() -> None:
    made = tuned("single", metric="val_accuracy")
    assert made.search.objective.criteria == "accuracy"
    assert tuned("single").search.objective.criteria == "macro_f1"


def test_a_value_of_ones_own_comes_last() -> None:
    made = tuned("single", "search.stages.trials.trials=12", trials={"": 15})
    assert made.search.stages_for("criteria")[0].trials == 12


@pytest.mark.parametrize(("texts", "numbers"), [(["20"], {"": 20}), (["a_1=3", "b=4"], {"a_1": 3, "b": 4})])
def test_numbers(texts: list[str], numbers: dict[str, int]) -> None:
    assert numbers_of(texts, "--trials") == numbers


@pytest.mark.parametrize("text", ["", "0", "-1", "x", "=3", "a=", "a=b", "1.5"])
def test_what_is_no_number(text: str) -> None:
    with pytest.raises(ConfigurationError, match="--trials"):
        numbers_of([text], "--trials")


def test_a_stage_is_made_for_the_architectures_that_have_it() -> None:
    made = tuned("maximal", "search.stages.maximal.name=other", "study.architectures=[criteria,share]")
    assert stage_targets(made, "maximal", STAGE_SUMMARY) == ["results/criteria/maximal/summary.json"]
    with pytest.raises(ConfigurationError, match="did you mean 'maximal'"):
        stage_targets(made, "maximum", STAGE_SUMMARY)


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--preset", "redsm"], 2, "did you mean 'redsm5'"),
        (["--preset", "smoke", "--mode", "maximal"], 2, "give one of them"),
        (["--preset", "smoke", "--trials", "3"], 2, "the search has several stages (stage1, stage2)"),
        (["--preset", "smoke", "--trials", "stag1=3"], 2, "did you mean 'stage1'"),
        (["--preset", "smoke", "--stage", "stage9"], 2, "--stage stage9"),
        (["--mode", "maximal", "--model", "roberta_base"], 2, "the space maximal searches the encoder"),
        (["--preset", "smoke", "--skip-sanity"], 2, "'sanity' is no stage"),
        (["--preset", "smoke", "--architectures", "criteria,evidenc"], 2, "study.architectures.1: 'evidenc'"),
        (["--preset", "single", "--optimization-metric", "val_f9"], 2, "'f9' is no metric of criteria"),
        (["--preset", "smoke", "--direction", "minimize"], 2, "minimize"),
        (["--preset", "smoke", "--timeout", "soon"], 2, "--time-budget soon"),
        (["--resume-study", "nothing"], 3, "must be one study below"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(
    tmp_path: Path, arguments: list[str], code: int, message: str
) -> None:
    refused = command("tune", *arguments, folder=tmp_path)
    assert refused.returncode == code
    assert message in " ".join(refused.stderr.replace("│", " ").split())
    assert "Traceback" not in refused.stderr
    assert not (tmp_path / "results").exists()


def test_a_search_with_failed_trials_is_a_partial_success(tmp_path: Path) -> None:
    made_study(tmp_path)
    complete_study(tmp_path)
    verdict = module._verdict(read_study(tmp_path), 0)
    states = {row["stage"]: row["failed"] for row in verdict["stages"]}
    if not sum(states.values()):
        assert (verdict["exit_code"], verdict["status"]) == (0, "completed")
    _fail_a_trial(tmp_path)
    verdict = module._verdict(read_study(tmp_path), 0)
    assert (verdict["exit_code"], verdict["status"]) == (1, "partial")
    assert module._verdict(read_study(tmp_path), 4)["exit_code"] == 4


def _fail_a_trial(root: Path) -> None:
    shard = root / "results/criteria/stage2/round_0/shard_0.jsonl"
    rows = read_json_lines(shard)
    rows[0] |= {"state": "failed", "value": None, "best_epoch": None, "reason": "non-finite loss"}
    write_json_lines(shard, rows)


Folder = Callable[[str], Path]


@pytest.fixture
def two(tmp_path: Path) -> Folder:
    for name in ("one", "other"):
        made_study(tmp_path / name)
        (tmp_path / name / "results/configuration.yaml").touch()
    return lambda name: tmp_path / name


def test_a_study_is_found_by_name_id_or_folder(two: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    root = two(".")
    with pytest.raises(module.DataError, match="must be one study below"):
        module._study_named("test", root)  # both have this name
    complete_study(two("other"))
    assert module._study_named(str(read_study(two("other")).study_id), root) == two("other").resolve()
    assert module._study_named(str(two("one")), root) == two("one").resolve()
    assert module._study_named("test", two("one")) == two("one")


def test_stopping_at_the_first_error_is_the_default_profile_without_keep_going(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    profile = module._impatient_profile(tmp_path) / "config.yaml"
    text = profile.read_text(encoding="utf-8")
    assert "keep-going" not in text
    assert "rerun-incomplete: true" in text
    monkeypatch.setattr(sys, "argv", ["snakemake"])
    with profile.open(encoding="utf-8") as stream:
        assert {"cores", "resources"} <= set(ProfileConfigFileParser().parse(stream)), "all else as without it"


def test_stopping_at_the_first_error_is_refused_beside_a_profile_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SNAKEMAKE_PROFILE", "profiles/gpu_workstation")
    refused = command("tune", "--preset", "smoke", "--stop-on-error", folder=tmp_path)
    assert refused.returncode == 2
    assert "--stop-on-error: a profile is named; take `keep-going` out of that instead" in refused.stderr
