import os
import sys
from pathlib import Path

from evidence_hpo import paths
from evidence_hpo.code_digest import code_digest
from evidence_hpo.config.loading import load_configuration
from evidence_hpo.errors import ConfigurationError
from evidence_hpo.graph import SEARCH_SPLITS, StudyGraph

try:
    study = StudyGraph(load_configuration(config, Path.cwd()))
except ConfigurationError as error:
    print(error, file=sys.stderr)
    sys.exit(error.exit_code)

# Jobs use the interpreter and the package of this workflow, wherever the shell's own `python` points; an activated
# conda environment still comes first.
os.environ["PATH"] = os.pathsep.join(
    [str(Path(sys.executable).parent), os.environ["PATH"]]
)
os.environ["PYTHONPATH"] = str(Path(workflow.basedir) / "src")
# Numbers must not depend on how many cores a machine has; torch's threads are a setting of the run.
os.environ["OMP_NUM_THREADS"] = "1"


wildcard_constraints:
    architecture="|".join(study.architectures),
    stage="|".join(study.stages),
    backbone="|".join(study.configuration.backbones),
    task="|".join(paths.TASKS),
    split="train|validation|test",
    round=r"\d+",
    shard=r"\d+",
    rank=r"\d+",
    seed=r"\d+",


def code_of(step):
    """Return the digest of a step's code: a param of its rule, so that a change reruns exactly what depends on it."""
    return code_digest(f"evidence_hpo.steps.{step}")
