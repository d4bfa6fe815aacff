# One run outside the search: `snakemake results/runs/<name>/record.json`, or `evidence-hpo train`. No other rule
# depends on it.


rule train_model:
    input:
        backbone=lambda wildcards: study.run_backbone(paths.BACKBONE),
        manifest=lambda wildcards: study.run_backbone(paths.BACKBONE_MANIFEST),
        texts=lambda wildcards: study.run_token_files(paths.TOKEN_TEXTS),
        examples=lambda wildcards: study.run_token_files(paths.TOKEN_EXAMPLES),
    output:
        record=paths.RUN_RECORD,
        model=directory(paths.RUN_MODEL),
        report=paths.RUN_REPORT,
        confusion=paths.RUN_CONFUSION,
        configuration=paths.RUN_CONFIGURATION,
    log:
        "results/logs/runs/{run}.log",
    benchmark:
        "results/benchmarks/runs/{run}.tsv"
    wildcard_constraints:
        run=r"[A-Za-z0-9][\w-]*",
    priority: FIRST
    conda:
        "../envs/training.yaml"
    threads: study.threads
    resources:
        mem_mb=by_attempt(6000),
        runtime=by_attempt(240),
    params:
        settings=lambda wildcards: study.run_settings(),
        code=code_of("train_model"),
    message:
        "Training the run {wildcards.run}"
    shell:
        "exec python -m evidence_hpo.steps.train_model --settings {params.settings:q} --run {wildcards.run}"
        " --backbones {input.backbone} --manifests {input.manifest} --texts {input.texts}"
        " --examples {input.examples} --record {output.record} --model {output.model}"
        " --report {output.report} --confusion {output.confusion}"
        " --configuration {output.configuration} --code {params.code} --log {log}"
