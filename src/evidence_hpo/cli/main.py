"""The `evidence-hpo` command: starts the workflow and its report, and checks a configuration."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer

from evidence_hpo.cli.locks import claim_folder
from evidence_hpo.config.loading import load_configuration, merge, read_yaml
from evidence_hpo.errors import EvidenceHpoError

__all__ = ["app", "main"]

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False, help=__doc__)

REPORT = Path("results/report.html")

Overlays = Annotated[
    list[Path] | None,
    typer.Option("--configfile", help="Overlay on workflow_config.yaml, as presets/smoke.yaml; may be repeated."),
]
Cores = Annotated[str, typer.Option(help="Processor cores to use, or 'all'.")]
Targets = Annotated[list[str] | None, typer.Argument(help="Files to make; default: the whole study.")]


@app.command(context_settings={"ignore_unknown_options": True})
def run(targets: Targets = None, configfile: Overlays = None, cores: Cores = "all") -> None:
    """Run the study, or continue it after any interruption.

    Clears a stale lock that a killed run left behind, if no live run holds this folder. Options that are not listed
    here go to Snakemake.

    Example: evidence-hpo run --configfile presets/smoke.yaml --cores 2
    """
    _check(configfile)
    claim_folder(Path.cwd())
    command = [*_snakemake(), *(targets or []), "--cores", cores, *_overlays(configfile)]
    # Replaces this process: the folder's claim is held exactly as long as Snakemake lives, and signals reach it.
    os.execv(command[0], command)


@app.command()
def report(configfile: Overlays = None, output: Annotated[Path, typer.Option(help="HTML file.")] = REPORT) -> None:
    """Write the HTML report of a finished study.

    Example: evidence-hpo report --output results/report.html
    """
    _check(configfile)
    command = [*_snakemake(), "--report", str(output), "--quiet", "all", *_overlays(configfile)]
    # Snakemake's renderer warns about its own link targets once for every caption; that is shown only if it failed.
    finished = subprocess.run(command, check=False, capture_output=True, text=True)
    typer.echo(f"{output}: written" if finished.returncode == 0 else finished.stderr, err=True)
    raise typer.Exit(finished.returncode)


@app.command()
def check(configfile: Overlays = None) -> None:
    """Check the configuration and say what is wrong, without starting anything.

    Example: evidence-hpo check --configfile presets/redsm5.yaml
    """
    _check(configfile)
    typer.echo("configuration: no problem found")


def _check(configfile: list[Path] | None) -> None:
    raw = read_yaml(workflow_folder() / "workflow_config.yaml")
    for overlay in configfile or []:
        raw = merge(raw, read_yaml(overlay))
    load_configuration(raw, Path.cwd())


def _overlays(configfile: list[Path] | None) -> list[str]:
    return ["--configfile", *map(str, configfile)] if configfile else []


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
