"""The environment that jobs inherit from the Snakemake that starts them."""

from __future__ import annotations

import os
import sys
from pathlib import Path

__all__ = ["set_job_environment"]


def set_job_environment(workflow: Path) -> None:
    """Make jobs use this interpreter and the package of this workflow, wherever the shell's own `python` points.

    An activated conda environment still comes first. Torch's threads are a setting of the run, so the variables by
    which libraries would take all cores are set to one.

    Args:
        workflow: Folder of the Snakefile.
    """
    os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    os.environ["PYTHONPATH"] = str(workflow / "src")
    os.environ["OMP_NUM_THREADS"] = "1"
