"""What all commands share: the workflow's folder, its command line, the checked configuration."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from evidence_hpo.config.configuration import Configuration
from evidence_hpo.config.loading import load_configuration, merge, read_yaml

__all__ = ["Overlays", "checked_configuration", "overlay_options", "snakemake_command", "workflow_folder"]

Overlays = Annotated[
    list[Path] | None,
    typer.Option("--configfile", help="Overlay on workflow_config.yaml, as presets/smoke.yaml; may be repeated."),
]


def checked_configuration(configfile: list[Path] | None) -> Configuration:
    """Return the default configuration with the overlays laid over it.

    Raises:
        ConfigurationError: One line per problem.
    """
    raw = read_yaml(workflow_folder() / "workflow_config.yaml")
    for overlay in configfile or []:
        raw = merge(raw, read_yaml(overlay))
    return load_configuration(raw, Path.cwd())


def overlay_options(configfile: list[Path] | None) -> list[str]:
    """Return the overlays as Snakemake takes them."""
    return ["--configfile", *map(str, configfile)] if configfile else []


def snakemake_command(configfile: list[Path] | None) -> list[str]:
    """Return Snakemake's command line with the Snakefile and the overlays."""
    snakefile = str(workflow_folder() / "Snakefile")
    return [sys.executable, "-m", "snakemake", "--snakefile", snakefile, *overlay_options(configfile)]


def workflow_folder() -> Path:
    """Return the folder of the Snakefile: the checkout that this package is installed from."""
    return Path(__file__).resolve().parents[3]
