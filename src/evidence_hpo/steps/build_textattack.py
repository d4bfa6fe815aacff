"""Make TextAttack's virtual environment, once; used where jobs do not run in conda environments."""

from __future__ import annotations

from pathlib import Path

from evidence_hpo.augmentation.environment import build_environment
from evidence_hpo.files import write_text
from evidence_hpo.logs import log_event
from evidence_hpo.schemas import write_artefact
from evidence_hpo.step import run_step


def build_textattack(*, requirements: Path, folder: Path, manifest: Path, ready: Path) -> None:
    """Make the environment unless it is there, and describe it.

    Args:
        requirements: File of exact pins.
        folder: Where the environment lies.
        manifest: Output; what it holds, JSON.
        ready: Output; lies beside the environment, so that it is made again where both were deleted.

    Raises:
        ConfigurationError: A package could not be installed.
    """
    described = build_environment(requirements, folder)
    write_artefact(manifest, "textattack_environment", described)
    write_text(ready, described["requirements"] + "\n")
    versions = described["versions"]
    log_event("environment_ready", f"TextAttack {versions['textattack']}, {len(versions)} packages")


if __name__ == "__main__":
    run_step(build_textattack)
