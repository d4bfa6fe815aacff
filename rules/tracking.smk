rule sync_tracking:
    input:
        paths.RETRAIN_SUMMARY,
        paths.EVALUATION_REPORT,
        paths.EVALUATION_REPORT_TEXT,
        paths.STUDY_SUMMARY,
        study.all_stage_paths(paths.TRIALS),
        study.all_stage_paths(paths.STAGE_SUMMARY),
        expand(paths.SEARCH_ANALYSIS, architecture=study.architectures),
        expand(paths.EVALUATION, architecture=study.architectures),
        expand(paths.EXPORTED_MODEL, architecture=study.architectures),
        study.figures(),
    output:
        state=paths.TRACKING_STATE,
    log:
        "results/logs/sync_tracking.log",
    localrule: True
    conda:
        "../envs/tracking.yaml"
    resources:
        mem_mb=by_attempt(2000),
        runtime=by_attempt(60),
    params:
        settings=study.configuration.tracking.model_dump_json(),
        code=code_of("sync_tracking"),
    message:
        "Replaying the study into MLflow"
    shell:
        "exec python -m evidence_hpo.steps.sync_tracking --settings {params.settings:q} --root . --state {output.state}"
        " --code {params.code} --log {log}"
