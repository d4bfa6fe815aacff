"""The resolved configuration as a file: all values, overrides carried out, fit for --configfile."""

from __future__ import annotations

import yaml

from evidence_hpo.config.configuration import Configuration
from evidence_hpo.files import digest_json

__all__ = ["configuration_digest", "render_resolved"]


def configuration_digest(configuration: Configuration) -> str:
    """Return the SHA-256 of a configuration; equal ones have equal digests, however they were written."""
    return digest_json(configuration.model_dump(mode="json"))


def render_resolved(configuration: Configuration) -> str:
    """Return a configuration as YAML that, named with --configfile, gives the same configuration again."""
    values = configuration.model_dump(mode="json")
    header = (
        f"# The resolved configuration of the study {configuration.study.name}: every value, with all overlays and\n"
        "# overrides carried out. To run the study again: evidence-hpo run --configfile and this file.\n"
        f"# Digest: {configuration_digest(configuration)}\n\n"
    )
    return header + yaml.safe_dump(values, sort_keys=False, allow_unicode=True, width=120)
