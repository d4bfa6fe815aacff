"""The command `train`: one run outside the search, through the workflow for the files that it needs."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from evidence_hpo import paths
from evidence_hpo.cli.launch import Launch, launch
from evidence_hpo.cli.workflow import Overlays, Overrides, checked_configuration, settings_options
from evidence_hpo.errors import ConfigurationError

if TYPE_CHECKING:
    from evidence_hpo.graph import StudyGraph

__all__ = ["train"]

_NAME = re.compile(r"[A-Za-z0-9][\w-]*")
_CACHES = (paths.TOKEN_TEXTS, paths.TOKEN_EXAMPLES)

Architecture = Annotated[
    str | None, typer.Option(help="criteria, evidence, share or joint; default: the study's first.")
]
MaxEpochs = Annotated[
    int | None, typer.Option(min=1, help="Epochs; default: retrain.epochs, or else as in the last stage.")
]
Seed = Annotated[int | None, typer.Option(min=0, help="Seed of the run; default: study.seed.")]
Name = Annotated[str | None, typer.Option(help="Name of the run: its files are in results/runs/<name>.")]
ResumeFrom = Annotated[
    Path | None,
    typer.Option(
        help="results/runs/<name> of a finished or interrupted run, or one of its resume points, to go on from."
    ),
]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Make the data ready, then build the model and take one step; write no model.")
]
Cores = Annotated[str | None, typer.Option(help="Processor cores to use, or 'all'; default: as the profile says.")]


def train(
    configfile: Overlays = None,
    override: Overrides = None,
    architecture: Architecture = None,
    max_epochs: MaxEpochs = None,
    seed: Seed = None,
    name: Name = None,
    resume_from: ResumeFrom = None,
    dry_run: DryRun = False,
    cores: Cores = None,
) -> None:
    """Train one model with the values of training.parameters; no search, and the test split is not read.

    Corpus, tokens and encoder are made first where they are missing. The same command continues an interrupted run
    after its last finished epoch. With --resume-from a run goes on from another one, most often with more
    --max-epochs; the learning rate then follows the schedule of the new number of epochs.

    Exit codes: 0 trained, 1 training failed, 2 configuration, 3 data or model not found, 4 storage.

    Example: evidence-hpo train --architecture criteria --max-epochs 5 --override training.parameters.learning_rate=2e-5
    """
    given = {"architecture": architecture, "epochs": max_epochs, "seed": seed, "resume_from": _source(resume_from)}
    own = [f"run.{key}={value}" for key, value in given.items() if value is not None]
    overrides = [*(override or []), *own]
    from evidence_hpo.graph import StudyGraph

    study = StudyGraph(checked_configuration(configfile, overrides))
    run = _name(name, study, resume_from)
    options = settings_options(configfile, overrides)
    wanted = _input_files(study) if dry_run else [paths.RUN_RECORD.format(run=run)]
    code = launch(Launch(Path.cwd(), study.configuration, wanted, options, cores, plain=True, is_study=False))
    if code:
        raise typer.Exit(code)
    if dry_run:
        _print_rehearsal(_rehearsed(study))
        return
    _print_record(run)


def _source(path: Path | None) -> str | None:
    """Return the path as the configuration states it, after a look at whether there is anything to go on from."""
    if path is None:
        return None
    from evidence_hpo.search.resume_points import resume_source

    resume_source(path)
    full = path.resolve()
    return (full.relative_to(Path.cwd()) if full.is_relative_to(Path.cwd()) else full).as_posix()


def _name(name: str | None, study: StudyGraph, resume_from: Path | None) -> str:
    """Return the run's name; a run that goes on keeps its name unless another is given."""
    from evidence_hpo.graph import single_run_settings

    settings = single_run_settings(study.configuration)
    if name is None and resume_from is not None and resume_from.parent.name == "runs":
        name = resume_from.name
    name = name or f"{settings.architecture}_seed_{settings.seed}"
    if not _NAME.fullmatch(name):
        raise ConfigurationError(f"--name {name}: use letters, digits, - and _ only")
    return name


def _input_files(study: StudyGraph) -> list[str]:
    caches = [path for pattern in _CACHES for path in study.run_token_files(pattern)]
    return [*caches, study.run_backbone(paths.BACKBONE_MANIFEST)]


def _rehearsed(study: StudyGraph) -> dict[str, Any]:
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    from evidence_hpo.graph import single_run_settings
    from evidence_hpo.search.runs import spec_of
    from evidence_hpo.search.single_runs import single_request
    from evidence_hpo.search.training_inputs import open_training_inputs
    from evidence_hpo.training.rehearsal import rehearse
    from evidence_hpo.training.spec import RunInputs

    settings = single_run_settings(study.configuration)
    texts, examples = ([Path(path) for path in study.run_token_files(pattern)] for pattern in _CACHES)
    backbone, manifest = (Path(study.run_backbone(pattern)) for pattern in (paths.BACKBONE, paths.BACKBONE_MANIFEST))
    inputs = open_training_inputs([backbone], [manifest], texts, examples)
    request = single_request("dry run", settings, inputs)
    data = inputs.of_run(settings.parameters, settings.architecture)
    opened = RunInputs(data.backbone.directory, data.train, data.validation, data.banks)
    return rehearse(spec_of(request), opened, lambda line: typer.echo(line, err=True))


def _print_rehearsal(found: Mapping[str, Any]) -> None:
    count = found["parameters"]
    typer.echo(
        f"dry run: {found['device']}, {found['precision']}; {count['all']:,} weights, {count['trained']:,} trained"
    )
    for task, of_task in found["tasks"].items():
        shown = ", ".join(
            f"{split} {of_task['examples'][split]} examples in {of_task['windows'][split]} windows"
            for split in ("train", "validation")
        )
        typer.echo(f"dry run: {task}: {shown}; first batch {of_task['batch'][0]} x {of_task['batch'][1]} tokens")
    steps, seconds = found["steps_per_epoch"], found["seconds_per_step"]
    typer.echo(
        f"dry run: one step in {seconds:.2f} s, loss {found['loss']:.4f}; an epoch has {steps} steps, about "
        f"{steps * seconds:.0f} s"
    )
    typer.echo("dry run: " + ", ".join(f"{name} {value:.4f}" for name, value in sorted(found["metrics"].items())))
    typer.echo("dry run: no problem found; nothing was kept but the data", err=True)


def _print_record(run: str) -> None:
    from rich.console import Console
    from rich.table import Table

    from evidence_hpo.schemas import read_artefact

    place = Path(paths.RUN_RECORD.format(run=run))
    record = read_artefact(place, "retrain_record")
    epoch = f"epoch {record['best_epoch']:g} of {record['epochs']}"
    table = Table("metric", "validation", title=f"{run}: {record['architecture']}, {epoch}", title_justify="left")
    for name, value in sorted(record["metrics"].items()):
        table.add_row(name, "-" if value is None else f"{value:.4f}")
    Console(width=None if sys.stdout.isatty() else 160).print(table)
    typer.echo(f"{place.parent}: written", err=True)
