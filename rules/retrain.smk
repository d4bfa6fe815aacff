rule select_configs:
    input:
        trials=lambda wildcards: paths.TRIALS.format(
            architecture=wildcards.architecture,
            stage=study.last_stage(wildcards.architecture),
        ),
    output:
        selected=paths.SELECTED,
    log:
        "results/logs/{architecture}/retrain/select_configs.log",
    priority: FIRST
    localrule: True
    conda:
        "../envs/core.yaml"
    resources:
        mem_mb=by_attempt(1000),
        runtime=by_attempt(10),
    params:
        top_k=study.configuration.retrain.top_k,
        code=code_of("select_configs"),
    message:
        "{wildcards.architecture}: selecting the best configurations"
    shell:
        "exec python -m evidence_hpo.steps.select_configs --trials {input.trials} --top-k {params.top_k}"
        " --output {output.selected} --code {params.code} --log {log}"


rule retrain_config:
    input:
        selected=paths.SELECTED,
        backbones=lambda wildcards: study.backbone_paths(
            paths.BACKBONE, wildcards.architecture
        ),
        manifests=lambda wildcards: study.backbone_paths(
            paths.BACKBONE_MANIFEST, wildcards.architecture
        ),
        texts=lambda wildcards: study.token_files(
            paths.TOKEN_TEXTS, wildcards.architecture
        )
        + study.augmented_files(paths.AUGMENTED_TEXTS, wildcards.architecture),
        examples=lambda wildcards: study.token_files(
            paths.TOKEN_EXAMPLES, wildcards.architecture
        )
        + study.augmented_files(paths.AUGMENTED_EXAMPLES, wildcards.architecture),
    output:
        record=paths.RETRAIN_RECORD,
        model=directory(paths.RETRAIN_MODEL),
    log:
        "results/logs/{architecture}/retrain/rank_{rank}/seed_{seed}.log",
    benchmark:
        "results/benchmarks/{architecture}/retrain/rank_{rank}/seed_{seed}.tsv"
    priority: FIRST
    conda:
        "../envs/training.yaml"
    threads: study.threads
    resources:
        mem_mb=lambda wildcards, attempt: demands.training_memory(
            wildcards.architecture, attempt
        ),
        runtime=lambda wildcards, attempt: demands.run_minutes(
            wildcards.architecture, attempt
        ),
    params:
        settings=study.retrain_settings(),
        code=code_of("retrain_config"),
    message:
        "{wildcards.architecture}: retraining configuration {wildcards.rank} with seed {wildcards.seed}"
    shell:
        "exec python -m evidence_hpo.steps.retrain_config --settings {params.settings:q} --selected {input.selected}"
        " --rank {wildcards.rank} --seed {wildcards.seed} --backbones {input.backbones}"
        " --manifests {input.manifests} --texts {input.texts} --examples {input.examples}"
        " --record {output.record} --model {output.model} --code {params.code} --log {log}"


rule choose_config:
    input:
        selected=paths.SELECTED,
        records=lambda wildcards: study.retrain_records(wildcards.architecture),
    output:
        chosen=paths.CHOSEN,
    log:
        "results/logs/{architecture}/retrain/choose_config.log",
    priority: FIRST
    localrule: True
    conda:
        "../envs/core.yaml"
    resources:
        mem_mb=by_attempt(1000),
        runtime=by_attempt(10),
    params:
        code=code_of("choose_config"),
    message:
        "{wildcards.architecture}: choosing the configuration with the best mean over seeds"
    shell:
        "exec python -m evidence_hpo.steps.choose_config --selected {input.selected} --records {input.records}"
        " --output {output.chosen} --code {params.code} --log {log}"


rule retrain_chosen:
    input:
        chosen=paths.CHOSEN,
        backbones=lambda wildcards: study.backbone_paths(
            paths.BACKBONE, wildcards.architecture
        ),
        manifests=lambda wildcards: study.backbone_paths(
            paths.BACKBONE_MANIFEST, wildcards.architecture
        ),
        texts=lambda wildcards: study.token_files(
            paths.TOKEN_TEXTS, wildcards.architecture
        )
        + study.augmented_files(paths.AUGMENTED_TEXTS, wildcards.architecture),
        examples=lambda wildcards: study.token_files(
            paths.TOKEN_EXAMPLES, wildcards.architecture
        )
        + study.augmented_files(paths.AUGMENTED_EXAMPLES, wildcards.architecture),
    output:
        record=paths.FINAL_RECORD,
        model=directory(paths.FINAL_MODEL),
    log:
        "results/logs/{architecture}/retrain/final/seed_{seed}.log",
    benchmark:
        "results/benchmarks/{architecture}/retrain/final/seed_{seed}.tsv"
    priority: FIRST
    conda:
        "../envs/training.yaml"
    threads: study.threads
    resources:
        mem_mb=lambda wildcards, attempt: demands.training_memory(
            wildcards.architecture, attempt
        ),
        runtime=lambda wildcards, attempt: demands.run_minutes(
            wildcards.architecture, attempt
        ),
    params:
        settings=study.retrain_settings(),
        code=code_of("retrain_chosen"),
    message:
        "{wildcards.architecture}: training the chosen configuration with fresh seed {wildcards.seed}"
    shell:
        "exec python -m evidence_hpo.steps.retrain_chosen --settings {params.settings:q} --chosen {input.chosen}"
        " --seed {wildcards.seed} --backbones {input.backbones} --manifests {input.manifests}"
        " --texts {input.texts} --examples {input.examples} --record {output.record} --model {output.model}"
        " --code {params.code} --log {log}"


rule refit_chosen:
    input:
        chosen=paths.CHOSEN,
        backbones=lambda wildcards: study.backbone_paths(
            paths.BACKBONE, wildcards.architecture
        ),
        manifests=lambda wildcards: study.backbone_paths(
            paths.BACKBONE_MANIFEST, wildcards.architecture
        ),
        texts=lambda wildcards: study.token_files(
            paths.TOKEN_TEXTS, wildcards.architecture
        )
        + study.augmented_files(paths.AUGMENTED_TEXTS, wildcards.architecture),
        examples=lambda wildcards: study.token_files(
            paths.TOKEN_EXAMPLES, wildcards.architecture
        )
        + study.augmented_files(paths.AUGMENTED_EXAMPLES, wildcards.architecture),
    output:
        record=paths.REFIT_RECORD,
        model=directory(paths.REFIT_MODEL),
    log:
        "results/logs/{architecture}/retrain/refit/seed_{seed}.log",
    benchmark:
        "results/benchmarks/{architecture}/retrain/refit/seed_{seed}.tsv"
    priority: FIRST
    conda:
        "../envs/training.yaml"
    threads: study.threads
    resources:
        mem_mb=lambda wildcards, attempt: demands.training_memory(
            wildcards.architecture, attempt
        ),
        runtime=lambda wildcards, attempt: demands.run_minutes(
            wildcards.architecture, attempt
        ),
    params:
        settings=study.retrain_settings(),
        code=code_of("refit_chosen"),
    message:
        "{wildcards.architecture}: training the chosen configuration on training and validation posts, seed {wildcards.seed}"
    shell:
        "exec python -m evidence_hpo.steps.refit_chosen --settings {params.settings:q} --chosen {input.chosen}"
        " --seed {wildcards.seed} --backbones {input.backbones} --manifests {input.manifests}"
        " --texts {input.texts} --examples {input.examples} --record {output.record} --model {output.model}"
        " --code {params.code} --log {log}"


rule summarize_retraining:
    input:
        chosen=expand(paths.CHOSEN, architecture=study.architectures),
        records=[
            record
            for name in study.architectures
            for record in study.retrain_records(name)
        ],
        final=[
            record
            for name in study.architectures
            for record in study.final_paths(paths.FINAL_RECORD, name)
        ],
        refit=[
            record
            for name in study.architectures
            for record in study.refit_paths(paths.REFIT_RECORD, name)
        ],
    output:
        summary=report(
            paths.RETRAIN_SUMMARY,
            caption="../report/retrain_summary.rst",
            category="Retraining",
            labels={"table": "retrained configurations"},
        ),
    log:
        "results/logs/summarize_retraining.log",
    localrule: True
    conda:
        "../envs/core.yaml"
    resources:
        mem_mb=by_attempt(1000),
        runtime=by_attempt(10),
    params:
        code=code_of("summarize_retraining"),
    message:
        "Summarising the retrained configurations"
    shell:
        "exec python -m evidence_hpo.steps.summarize_retraining --chosen {input.chosen} --records {input.records}"
        " --final {input.final} --refit {input.refit} --output {output.summary} --code {params.code} --log {log}"
