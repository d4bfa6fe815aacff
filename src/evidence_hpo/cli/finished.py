"""Targets of a study that is searched already: made without searching again, whatever else has changed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from evidence_hpo.cli.dry_run import dry_run, grouped
from evidence_hpo.cli.launch import Launch, launch
from evidence_hpo.cli.studies import recorded_configuration
from evidence_hpo.cli.workflow import checked_configuration, settings_options, snakemake_command
from evidence_hpo.config.configuration import Configuration
from evidence_hpo.errors import ConfigurationError, DataError
from evidence_hpo.paths import RESOLVED_CONFIGURATION

__all__ = ["make_of_finished", "settings_of"]

_SEARCH = {"define_space", "narrow_space", "propose_trials", "run_trials", "collect_trials"}
"""Rules that such a target never runs. What they rest on is not among them: where that changes, they would run too."""


def settings_of(
    folder: Path, configfile: list[Path] | None, override: list[str] | None
) -> tuple[Configuration, list[str]]:
    """Return the configuration of a study and Snakemake's options: as it was run, or as the given overlays have it.

    Raises:
        DataError: No configuration is recorded or given.
        ConfigurationError: It is wrong.
    """
    if configfile or override:
        return checked_configuration(configfile, override, folder), settings_options(configfile, override, folder)
    configuration = recorded_configuration(folder)
    return configuration, settings_options([folder / RESOLVED_CONFIGURATION], None)


def make_of_finished(
    folder: Path,
    configuration: Configuration,
    options: Sequence[str],
    targets: Sequence[str],
    cores: str | None,
    *,
    plain: bool,
) -> int:
    """Make targets that come after the search, and return the exit code.

    Raises:
        DataError: The search is not finished, or would run again.
    """
    command = [*snakemake_command(), *targets, "--cores", "1", "--directory", str(folder), *options]
    try:
        jobs = dry_run(command)
    except ConfigurationError as error:
        raise DataError(f"{folder}: {error}") from error
    searching = grouped(job for job in jobs if job.rule in _SEARCH)
    if searching:
        rule, reasons = next(iter(searching.items()))
        raise DataError(
            f"{folder}: the search is not finished, or not up to date: {rule} would run ({next(iter(reasons))}); "
            "see `evidence-hpo plan`, then `evidence-hpo run`"
        )
    if not jobs:
        return 0
    return launch(Launch(folder, configuration, targets, options, cores, plain=plain))
