"""The resolved configuration as a file: all values, overrides carried out, fit for --configfile."""

from __future__ import annotations

import os

import yaml

from evidence_hpo.config.configuration import Configuration
from evidence_hpo.errors import ConfigurationError
from evidence_hpo.files import digest_json

__all__ = ["SETTINGS_VARIABLE", "configuration_digest", "render_resolved", "settings_of_environment"]

SETTINGS_VARIABLE = "EVIDENCE_HPO_SETTINGS"
"""Environment variable that holds the whole configuration of the Snakemake that started a job, as JSON."""


def configuration_digest(configuration: Configuration) -> str:
    """Return the SHA-256 of a configuration; equal ones have equal digests, however they were written."""
    return digest_json(configuration.model_dump(mode="json"))


def settings_of_environment() -> Configuration:
    """Return the whole configuration, for a job that keeps a copy but depends on its own settings alone.

    Raises:
        ConfigurationError: The job was not started by the workflow.
    """
    settings = os.environ.get(SETTINGS_VARIABLE)
    if settings is None:
        raise ConfigurationError(f"{SETTINGS_VARIABLE}: is not set; start the step through the workflow")
    return Configuration.model_validate_json(settings)


def render_resolved(configuration: Configuration) -> str:
    """Return a configuration as YAML that, named with --configfile, gives the same configuration again."""
    values = configuration.model_dump(mode="json")
    header = (
        f"# The resolved configuration of the study {configuration.study.name}: every value, with all overlays and\n"
        "# overrides carried out. To run the study again: evidence-hpo run --configfile and this file.\n"
        f"# Digest: {configuration_digest(configuration)}\n\n"
    )
    return header + yaml.safe_dump(values, sort_keys=False, allow_unicode=True, width=120)
