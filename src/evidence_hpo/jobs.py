"""The environment that jobs inherit from the Snakemake that starts them."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from evidence_hpo.config.checkpoints import CHECKPOINTS_VARIABLE
from evidence_hpo.config.configuration import Configuration
from evidence_hpo.config.resolved import SETTINGS_VARIABLE, configuration_digest
from evidence_hpo.config.search import TRIALS_PER_GPU_VARIABLE
from evidence_hpo.provenance import CONFIGURATION_VARIABLE

__all__ = ["set_job_environment"]


def set_job_environment(workflow: Path, configuration: Configuration) -> None:
    """Make jobs use this interpreter and the package of this workflow, wherever the shell's own `python` points.

    An activated conda environment still comes first. Torch's threads are a setting of the run, so the variables by
    which libraries would take all cores are set to one.

    Args:
        workflow: Folder of the Snakefile.
        configuration: Which files a running run keeps, the trials at once on a GPU, the whole for the copy beside a
            run, and its digest for the provenance go this way, not as params, so that changing them reruns nothing; a
            job on a cluster reads the Snakefile again, and so has them too.
    """
    os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    os.environ["PYTHONPATH"] = str(workflow / "src")
    os.environ["OMP_NUM_THREADS"] = "1"
    os.environ[CHECKPOINTS_VARIABLE] = configuration.training.checkpoints.model_dump_json()
    os.environ[TRIALS_PER_GPU_VARIABLE] = str(configuration.search.trials_per_gpu)
    os.environ[SETTINGS_VARIABLE] = configuration.model_dump_json()
    os.environ[CONFIGURATION_VARIABLE] = configuration_digest(configuration)
