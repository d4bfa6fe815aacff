"""Write the resolved configuration."""

from __future__ import annotations

from pathlib import Path

from evidence_hpo.config.configuration import Configuration
from evidence_hpo.config.resolved import render_resolved
from evidence_hpo.files import write_text
from evidence_hpo.step import run_step


def write_configuration(settings: Configuration, output: Path) -> None:
    """Write all values of the configuration, with overlays and overrides carried out, fit for --configfile.

    Args:
        settings: The configuration.
        output: YAML file to write.
    """
    write_text(output, render_resolved(settings))


if __name__ == "__main__":
    run_step(write_configuration)
