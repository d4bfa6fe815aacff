import sys
from pathlib import Path

from evidence_hpo import paths
from evidence_hpo.code_digest import code_digest
from evidence_hpo.config.loading import load_configuration
from evidence_hpo.demands import Demands
from evidence_hpo.errors import ConfigurationError
from evidence_hpo.graph import StudyGraph
from evidence_hpo.jobs import set_job_environment

try:
    study = StudyGraph(load_configuration(config, Path.cwd()))
except ConfigurationError as error:
    print(error, file=sys.stderr)
    sys.exit(error.exit_code)

set_job_environment(Path(workflow.basedir), study.configuration)

demands = Demands(study, Path.cwd())


wildcard_constraints:
    architecture="|".join(study.architectures),
    stage="|".join(study.stage_names),
    backbone="|".join(study.configuration.backbones),
    task="|".join(paths.TASKS),
    split="train|validation|test",
    round=r"\d+",
    shard=r"\d+",
    rank=r"\d+",
    seed=r"\d+",


# Priority of the rules that train and of those that they wait for. A core that falls free goes to them before figures,
# tables and reports, whose priority is 0.
FIRST = 1


def code_of(step):
    """Return the digest of a step's code: a param of its rule, so that a change reruns exactly what depends on it."""
    return code_digest(f"evidence_hpo.steps.{step}")


def by_attempt(amount):
    """Return a resource that grows with each attempt, where a scheduler ended the one before for asking too little."""
    return lambda wildcards, attempt: amount * attempt
