import os

from snakemake.utils import min_version

from evidence_hpo.cli.start import start_run

min_version("9.0")


configfile: workflow.source_path("workflow_config.yaml")


report: "report/workflow.rst"


# Of effect with `--sdm apptainer` only: each job runs in this image (docs/how-to/containers.md).
container: os.environ.get("EVIDENCE_HPO_IMAGE") or f"{workflow.basedir}/docker/evidence-hpo.sif"


include: "rules/common.smk"
include: "rules/data.smk"
include: "rules/augmentation.smk"
include: "rules/tokens.smk"
include: "rules/search.smk"
include: "rules/retrain.smk"
include: "rules/evaluation.smk"
include: "rules/reports.smk"
include: "rules/tracking.smk"
include: "rules/train.smk"


onstart:
    start_run(workflow)


rule all:
    default_target: True
    input:
        paths.RETRAIN_SUMMARY,
        paths.EVALUATION_REPORT,
        paths.STUDY_SUMMARY,
        paths.RESOLVED_CONFIGURATION,
        paths.OPTUNA_STORAGE,
        expand(paths.EXPORTED_MODEL, architecture=study.architectures),
        study.figures(),
        paths.OVERVIEW,
        study.tracking(),
