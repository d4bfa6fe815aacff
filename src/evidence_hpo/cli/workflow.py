"""What all commands share: the workflow's folder, its command line, the checked configuration."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from evidence_hpo.config.configuration import Configuration
from evidence_hpo.config.loading import load_configuration, merge, read_yaml
from evidence_hpo.config.overrides import parse_overrides
from evidence_hpo.files import digest_json, write_json
from evidence_hpo.paths import WORK

__all__ = [
    "Overlays",
    "Overrides",
    "checked_configuration",
    "settings_options",
    "snakemake_command",
    "workflow_folder",
]

Overlays = Annotated[
    list[Path] | None,
    typer.Option("--configfile", help="Overlay on workflow_config.yaml, as presets/smoke.yaml; may be repeated."),
]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--override", help="One value, as search.stages.stage1.trials=20; may be repeated."),
]


def checked_configuration(
    configfile: list[Path] | None, override: list[str] | None, folder: Path | None = None
) -> Configuration:
    """Return the default configuration with the overlays and then the overrides laid over it.

    Args:
        configfile: Overlays.
        override: Texts ``key=value``.
        folder: Folder of the study; None: the working directory.

    Raises:
        ConfigurationError: One line per problem.
    """
    raw = read_yaml(workflow_folder() / "workflow_config.yaml")
    for overlay in configfile or []:
        raw = merge(raw, read_yaml(overlay))
    return load_configuration(merge(raw, {"overrides": parse_overrides(override or [])}), folder or Path.cwd())


def settings_options(
    configfile: list[Path] | None, override: list[str] | None, folder: Path | None = None
) -> list[str]:
    """Return the overlays and the overrides as Snakemake takes them.

    Overrides become one more overlay, a file in the work folder: on a cluster every job's command repeats the options,
    through several shells, in which a value with quotes or a dollar sign would not survive.

    Args:
        configfile: Overlays.
        override: Texts ``key=value``.
        folder: Folder of the study; None: the working directory.
    """
    overlays = list(configfile or [])
    values = parse_overrides(override or [])
    if values:
        path = (folder or Path.cwd()) / WORK / "overrides" / f"{digest_json(values)[:16]}.json"
        write_json(path, {"overrides": values})
        overlays.append(path)
    return ["--configfile", *(str(path.resolve()) for path in overlays)] if overlays else []


def snakemake_command() -> list[str]:
    """Return Snakemake's command line with the Snakefile."""
    return [sys.executable, "-m", "snakemake", "--snakefile", str(workflow_folder() / "Snakefile")]


def workflow_folder() -> Path:
    """Return the folder of the Snakefile: the checkout that this package is installed from."""
    return Path(__file__).resolve().parents[3]
