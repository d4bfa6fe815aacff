"""The `evidence-hpo` command: plans and starts the workflow, shows what it found, checks a configuration."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer

from evidence_hpo.cli.budget import seconds_of
from evidence_hpo.cli.cleanup import cleanup
from evidence_hpo.cli.doctor import doctor
from evidence_hpo.cli.evaluate_study import evaluate_study
from evidence_hpo.cli.export_best import export_best
from evidence_hpo.cli.export_groundtruth import export_groundtruth
from evidence_hpo.cli.launch import Launch, launch
from evidence_hpo.cli.list_checkpoints import list_checkpoints
from evidence_hpo.cli.list_studies import list_studies
from evidence_hpo.cli.plan import plan
from evidence_hpo.cli.reproduce import reproduce
from evidence_hpo.cli.show_best import show_best
from evidence_hpo.cli.summarize_study import summarize_study
from evidence_hpo.cli.track import track
from evidence_hpo.cli.train import train
from evidence_hpo.cli.tune import tune
from evidence_hpo.cli.workflow import (
    Overlays,
    Overrides,
    checked_configuration,
    settings_options,
    snakemake_command,
    workflow_folder,
)
from evidence_hpo.errors import EvidenceHpoError

__all__ = ["app", "main"]

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False, help=__doc__)

app.command()(tune)
app.command()(plan)
app.command()(show_best)
app.command()(export_best)
app.command()(export_groundtruth)
app.command()(evaluate_study)
app.command()(summarize_study)
app.command()(list_studies)
app.command()(list_checkpoints)
app.command()(cleanup)
app.command()(doctor)
app.command()(train)
app.command()(reproduce)
app.command()(track)

REPORT = Path("results/report.html")

Cores = Annotated[str | None, typer.Option(help="Processor cores to use, or 'all'; default: as the profile says.")]
Budget = Annotated[
    str | None,
    typer.Option(help="Time after which training stops at the end of its epoch: seconds, or 90m, 12h, 7d."),
]
Plain = Annotated[bool, typer.Option("--plain", help="Print lines, as without a terminal, instead of the display.")]
Targets = Annotated[list[str] | None, typer.Argument(help="Files to make; default: the whole study.")]


@app.command(context_settings={"ignore_unknown_options": True})
def run(
    targets: Targets = None,
    configfile: Overlays = None,
    override: Overrides = None,
    cores: Cores = None,
    time_budget: Budget = None,
    plain: Plain = False,
) -> None:
    """Run the study, or continue it after any interruption.

    Clears a stale lock that a killed run left behind, if no live run holds this folder. Options that are not listed
    here go to Snakemake. On a terminal a display shows the stages; the jobs' own lines are in results/logs, and every
    job and trial is a JSON line in results/logs/study.jsonl.

    Example: evidence-hpo run --configfile presets/smoke.yaml --cores 2
    """
    seconds = seconds_of(time_budget) if time_budget else None
    configuration = checked_configuration(configfile, override)
    options = settings_options(configfile, override)
    raise typer.Exit(launch(Launch(Path.cwd(), configuration, targets or [], options, cores, seconds, plain)))


@app.command()
def report(
    configfile: Overlays = None,
    override: Overrides = None,
    output: Annotated[Path, typer.Option(help="HTML file, or a .zip archive.")] = REPORT,
) -> None:
    """Write the HTML report of a finished study, as one file or, with a name that ends in .zip, as an archive.

    Example: evidence-hpo report --output results/report.html
    """
    checked_configuration(configfile, override)
    options = settings_options(configfile, override)
    command = [*snakemake_command(), "--report", str(output), "--quiet", "all", *options]
    command += ["--report-stylesheet", str(workflow_folder() / "report" / "style.css")]
    # What Snakemake says of its progress is shown only if it failed.
    finished = subprocess.run(command, check=False, capture_output=True, text=True)
    typer.echo(f"{output}: written" if finished.returncode == 0 else finished.stderr, err=True)
    raise typer.Exit(finished.returncode)


@app.command()
def check(configfile: Overlays = None, override: Overrides = None) -> None:
    """Check the configuration and say what is wrong, without starting anything.

    Example: evidence-hpo check --configfile presets/redsm5.yaml --override search.stages.stage1.trials=200
    """
    checked_configuration(configfile, override)
    typer.echo("configuration: no problem found")


def main() -> None:
    """Run the command; an expected error is one line on standard error and its exit code."""
    try:
        app()
    except EvidenceHpoError as error:
        typer.echo(str(error), err=True)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
