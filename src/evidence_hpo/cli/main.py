"""The `evidence-hpo` command: starts the workflow and its report, and checks a configuration."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer

from evidence_hpo.cli.budget import run_within, seconds_of
from evidence_hpo.cli.locks import claim_folder
from evidence_hpo.config.loading import load_configuration, merge, read_yaml
from evidence_hpo.config.overrides import parse_overrides
from evidence_hpo.errors import EvidenceHpoError
from evidence_hpo.files import canonical_json

__all__ = ["app", "main"]

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False, help=__doc__)

REPORT = Path("results/report.html")

Overlays = Annotated[
    list[Path] | None,
    typer.Option("--configfile", help="Overlay on workflow_config.yaml, as presets/smoke.yaml; may be repeated."),
]
Cores = Annotated[str, typer.Option(help="Processor cores to use, or 'all'.")]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--override", help="One value, as search.stages.stage1.trials=20; may be repeated."),
]
Budget = Annotated[
    str | None,
    typer.Option(help="Time after which training stops at the end of its epoch: seconds, or 90m, 12h, 7d."),
]
Targets = Annotated[list[str] | None, typer.Argument(help="Files to make; default: the whole study.")]


@app.command(context_settings={"ignore_unknown_options": True})
def run(
    targets: Targets = None,
    configfile: Overlays = None,
    override: Overrides = None,
    cores: Cores = "all",
    time_budget: Budget = None,
) -> None:
    """Run the study, or continue it after any interruption.

    Clears a stale lock that a killed run left behind, if no live run holds this folder. Options that are not listed
    here go to Snakemake.

    Example: evidence-hpo run --configfile presets/smoke.yaml --cores 2
    """
    seconds = seconds_of(time_budget) if time_budget else None
    _check(configfile, override)
    claim_folder(Path.cwd())
    command = [*_snakemake(), *(targets or []), "--cores", cores, *_settings(configfile, override)]
    if seconds is not None:
        raise typer.Exit(run_within(command, seconds))
    # Replaces this process: the folder's claim is held exactly as long as Snakemake lives, and signals reach it.
    os.execv(command[0], command)


@app.command()
def report(
    configfile: Overlays = None,
    override: Overrides = None,
    output: Annotated[Path, typer.Option(help="HTML file.")] = REPORT,
) -> None:
    """Write the HTML report of a finished study.

    Example: evidence-hpo report --output results/report.html
    """
    _check(configfile, override)
    command = [*_snakemake(), "--report", str(output), "--quiet", "all", *_settings(configfile, override)]
    # Snakemake's renderer warns about its own link targets once for every caption; that is shown only if it failed.
    finished = subprocess.run(command, check=False, capture_output=True, text=True)
    typer.echo(f"{output}: written" if finished.returncode == 0 else finished.stderr, err=True)
    raise typer.Exit(finished.returncode)


@app.command()
def check(configfile: Overlays = None, override: Overrides = None) -> None:
    """Check the configuration and say what is wrong, without starting anything.

    Example: evidence-hpo check --configfile presets/redsm5.yaml --override search.stages.stage1.trials=200
    """
    _check(configfile, override)
    typer.echo("configuration: no problem found")


def _check(configfile: list[Path] | None, override: list[str] | None) -> None:
    raw = read_yaml(workflow_folder() / "workflow_config.yaml")
    for overlay in configfile or []:
        raw = merge(raw, read_yaml(overlay))
    load_configuration(merge(raw, {"overrides": parse_overrides(override or [])}), Path.cwd())


def _settings(configfile: list[Path] | None, override: list[str] | None) -> list[str]:
    """Return Snakemake's arguments for the overlays and the overrides."""
    overlays = ["--configfile", *map(str, configfile)] if configfile else []
    values = parse_overrides(override or [])
    return [*overlays, *(["--config", f"overrides={canonical_json(values)}"] if values else [])]


def _snakemake() -> list[str]:
    return [sys.executable, "-m", "snakemake", "--snakefile", str(workflow_folder() / "Snakefile")]


def workflow_folder() -> Path:
    """Return the folder of the Snakefile: the checkout that this package is installed from."""
    return Path(__file__).resolve().parents[3]


def main() -> None:
    """Run the command; an expected error is one line on standard error and its exit code."""
    try:
        app()
    except EvidenceHpoError as error:
        typer.echo(str(error), err=True)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
