"""The command `tune`: a search by a preset and options of its own; `run` with other words, and its verdict."""

from __future__ import annotations

import os
from collections import Counter
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml

from evidence_hpo import paths
from evidence_hpo.cli.budget import seconds_of
from evidence_hpo.cli.launch import Launch, launch
from evidence_hpo.cli.studies import Study, find_studies, read_study, study_folder
from evidence_hpo.cli.tables import OutputFormat, show_json, show_rows
from evidence_hpo.cli.tuning import MODES, Tuning, numbers_of, overrides_of, preset_file, stage_targets
from evidence_hpo.cli.workflow import (
    Overlays,
    Overrides,
    checked_configuration,
    settings_options,
    workflow_folder,
)
from evidence_hpo.errors import ConfigurationError, DataError
from evidence_hpo.files import write_text
from evidence_hpo.profiles import is_profile_named

__all__ = ["tune"]

_DEFAULT_PRESET = "redsm5"
_STAGE_TITLES = {
    "architecture": "Architecture",
    "stage": "Stage",
    "trials": "Trials",
    "complete": "Complete",
    "pruned": "Pruned",
    "failed": "Failed",
    "best": "Best",
}


class Mode(StrEnum):
    """Searches of a wrapper of earlier times, by its names."""

    multistage = "multistage"
    maximal = "maximal"


class Direction(StrEnum):
    """Scores are maximised; losses are none of the objectives."""

    maximize = "maximize"


Preset = Annotated[str | None, typer.Option(help=f"Preset, as in presets/; default: {_DEFAULT_PRESET}.")]
ModeOption = Annotated[Mode | None, typer.Option("--mode", help="multistage (preset multi_stage) or maximal.")]
Architectures = Annotated[
    list[str] | None,
    typer.Option("--architectures", "--architecture", help="Architectures, repeated or with commas."),
]
Model = Annotated[str | None, typer.Option(help="Encoder, as roberta_base, where the search does not choose it.")]
Stage = Annotated[str | None, typer.Option(help="End after this stage, as stage1; default: the whole study.")]
Trials = Annotated[
    list[str] | None,
    typer.Option("--trials", "--n-trials", "--num-trials", help="Trials: 20, or stage1=20 of several stages."),
]
Epochs = Annotated[list[str] | None, typer.Option(help="Epochs of a trial: 8, or stage1=8 of several stages.")]
Jobs = Annotated[
    int | None, typer.Option("--jobs", "--parallel", min=1, help="Jobs that search at once; changes no result.")
]
Cores = Annotated[str | None, typer.Option(help="Processor cores; default: those of --jobs, or as the profile says.")]
Budget = Annotated[str | None, typer.Option("--time-budget", "--timeout", help="Seconds, or as 90m, 12h, 7d.")]
Outdir = Annotated[
    Path, typer.Option("--outdir", "--study-dir", help="Folder of the study; it is made, and receives `results`.")
]
Resume = Annotated[
    str | None,
    typer.Option("--resume-study", help="Continue the study of this id, name or folder with its own settings."),
]
SkipSanity = Annotated[
    bool, typer.Option("--skip-sanity", help="Leave out the stage `sanity` of the multi-stage search.")
]
StopOnError = Annotated[bool, typer.Option("--stop-on-error", help="Start nothing more once a job has failed.")]
Name = Annotated[str | None, typer.Option("--study-name", help="Name of the study; part of every trial's seed.")]
Metric = Annotated[str | None, typer.Option("--optimization-metric", help="Validation metric, as macro_f1.")]
DirectionOption = Annotated[Direction, typer.Option("--direction", help="Only maximize.")]
Seed = Annotated[int | None, typer.Option(min=0, help="Global seed.")]
Plain = Annotated[bool, typer.Option("--plain", help="Print lines, as without a terminal, instead of the display.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the verdict as JSON on standard output.")]


def tune(
    preset: Preset = None,
    mode: ModeOption = None,
    architectures: Architectures = None,
    model: Model = None,
    stage: Stage = None,
    trials: Trials = None,
    epochs: Epochs = None,
    jobs: Jobs = None,
    cores: Cores = None,
    time_budget: Budget = None,
    outdir: Outdir = Path(),
    resume_study: Resume = None,
    skip_sanity: SkipSanity = False,
    stop_on_error: StopOnError = False,
    study_name: Name = None,
    optimization_metric: Metric = None,
    direction: DirectionOption = Direction.maximize,
    seed: Seed = None,
    configfile: Overlays = None,
    override: Overrides = None,
    plain: Plain = False,
    as_json: AsJson = False,
) -> None:
    """Search, retrain and evaluate by a preset; the same command continues it after any interruption.

    The options are names for settings; what has none is set with --configfile and --override, as in `run`. The exit
    code is 0 if all trials are complete or pruned, 1 if some failed, else that of the error.

    Example: evidence-hpo tune --preset two_stage_long --trials stage_a=40 --trials stage_b=20 --time-budget 12h
    """
    asked = Tuning(
        study_name=study_name and study_name.replace("-", "_"),
        architectures=tuple(name for text in architectures or () for name in text.split(",") if name),
        model=model,
        trials=numbers_of(_of_stage(trials, stage), "--trials"),
        epochs=numbers_of(_of_stage(epochs, stage), "--epochs"),
        jobs=jobs,
        skip_sanity=skip_sanity,
        metric=optimization_metric,
        seed=seed,
    )
    seconds = seconds_of(time_budget) if time_budget else None
    folder, overlays = _folder_and_overlays(preset, mode, outdir, resume_study)
    overlays += configfile or []
    values = [*overrides_of(asked, overlays, override or [], folder), *(override or [])]
    configuration = checked_configuration(overlays, values, folder)
    targets = stage_targets(configuration, stage, paths.STAGE_SUMMARY) if stage else []
    options = settings_options(overlays, values, folder)
    folder.mkdir(parents=True, exist_ok=True)
    if stop_on_error:
        if is_profile_named():
            raise ConfigurationError("--stop-on-error: a profile is named; take `keep-going` out of that instead")
        options += ["--workflow-profile", str(_impatient_profile(folder))]
    available = cores or (None if jobs is None else str(jobs * configuration.training.runtime.threads))
    code = launch(Launch(folder, configuration, targets, options, available, seconds, plain, stage))
    verdict = _verdict(read_study(folder, own=True), code)
    _show(verdict, as_json=as_json)
    raise typer.Exit(verdict["exit_code"])


def _of_stage(texts: list[str] | None, stage: str | None) -> list[str]:
    """Return numbers of trials or epochs; one without a name is of the stage that is asked for, if one is."""
    return [f"{stage}={text}" if stage and "=" not in text else text for text in texts or []]


def _folder_and_overlays(
    preset: str | None, mode: Mode | None, outdir: Path, resume: str | None
) -> tuple[Path, list[Path]]:
    """Return where to search, and the overlay that says how."""
    if sum(given is not None for given in (preset, mode, resume)) > 1:
        raise ConfigurationError("--preset, --mode and --resume-study: give one of them")
    if resume is not None:
        folder = _study_named(resume, outdir.resolve())
        recorded = folder / paths.RESOLVED_CONFIGURATION
        if not recorded.is_file():
            raise DataError(f"{recorded}: no such file; continue the study with the options that it was started with")
        return folder, [recorded]
    return outdir.resolve(), [preset_file(preset or (MODES[mode] if mode else _DEFAULT_PRESET))]


def _study_named(wanted: str, root: Path) -> Path:
    """Return the folder of the study with this id, name or path.

    Raises:
        DataError: There is none, or there are several.
    """
    if Path(wanted).is_dir():
        return study_folder(Path(wanted).resolve())
    studies = [read_study(folder) for folder in find_studies(root)] if root.is_dir() else []
    named = [study for study in studies if wanted in (study.name, study.study_id)]
    if len(named) != 1:
        known = ", ".join(sorted(f"{study.name} ({study.folder})" for study in named or studies)) or "none"
        raise DataError(f"--resume-study {wanted}: must be one study below {root}; there are {known}")
    return named[0].folder


def _impatient_profile(folder: Path) -> Path:
    """Write the default profile without `keep-going`, and return its folder."""
    content = yaml.safe_load((workflow_folder() / "profiles/default/config.yaml").read_text(encoding="utf-8"))
    for entries in content.values():
        if isinstance(entries, dict):
            entries.pop("keep-going", None)
    profile = folder / paths.WORK / "stop_on_error"
    write_text(profile / "config.yaml", yaml.safe_dump(content))
    return profile


def _verdict(study: Study, code: int) -> dict[str, Any]:
    """Return what came of the search, and the exit code: 1 if all jobs went well but some trials failed."""
    rows: list[dict[str, Any]] = []
    failed = 0
    for one in study.stages:
        states = Counter(trial["state"] for trial in one.trials)
        best = max((trial["value"] for trial in one.trials if trial["state"] == "complete"), default=None)
        counts = {state: states[state] for state in ("complete", "pruned", "failed")}
        where = {"architecture": one.architecture, "stage": one.stage}
        failed += states["failed"]
        rows.append({**where, "trials": f"{len(one.trials)}/{one.proposed}", **counts, "best": best})
    return {
        "study": study.name,
        "study_dir": str(study.folder),
        "study_id": study.study_id,
        "exit_code": code or (1 if failed else 0),
        "status": study.status if code or not failed else "partial",
        "stages": rows,
    }


def _show(verdict: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        show_json(verdict)
        return
    show_rows(verdict["stages"], _STAGE_TITLES, OutputFormat.table)
    report = Path(verdict["study_dir"]) / paths.EVALUATION_REPORT_TEXT
    if verdict["status"] == "completed":
        typer.echo(f"{os.path.relpath(report)}: what the models are worth on the test split", err=True)
    elif verdict["status"] == "partial":
        typer.echo("some trials failed: their reasons are in trials.jsonl of each stage", err=True)
