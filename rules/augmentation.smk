from evidence_hpo.config.augmentation import METHODS


wildcard_constraints:
    level=r"\d+",
    part=r"\d+",


rule augment_examples:
    input:
        examples=lambda wildcards: study.bank_examples(wildcards.task),
        sources=lambda wildcards: study.bank_sources(
            wildcards.task, wildcards.source, wildcards.part
        ),
    output:
        bank=paths.AUGMENTED,
        record=paths.AUGMENTED_RECORD,
    log:
        "results/logs/augment_examples/{task}.{source}.{method}.{level}.{part}.log",
    wildcard_constraints:
        source="original|textattack",
        method="|".join(METHODS["simple"]),
    conda:
        "../envs/core.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        settings=lambda wildcards: study.bank_settings(
            wildcards.task, wildcards.method, wildcards.level
        ),
        code=code_of("augment_examples"),
    message:
        "Varying the evidence of {wildcards.task} ({wildcards.source}) by {wildcards.method}, level {wildcards.level}"
    shell:
        "python -m evidence_hpo.steps.augment_examples --settings {params.settings:q} --task {wildcards.task}"
        " --source {wildcards.source} --method {wildcards.method} --level {wildcards.level} --part {wildcards.part}"
        " --examples {input.examples} --sources {input.sources} --output {output.bank} --record {output.record}"
        " --code {params.code} --log {log}"
