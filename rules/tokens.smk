rule prepare_backbone:
    input:
        posts=lambda wildcards: study.backbone_posts(wildcards.backbone),
        files=lambda wildcards: study.backbone_files(wildcards.backbone),
    output:
        directory=directory(paths.BACKBONE),
        manifest=paths.BACKBONE_MANIFEST,
    log:
        "results/logs/prepare_backbone/{backbone}.log",
    priority: FIRST
    localrule: not study.pretrains_backbones
    conda:
        "../envs/training.yaml"
    threads: 1
    resources:
        mem_mb=by_attempt(4000),
        runtime=by_attempt(60),
    params:
        settings=lambda wildcards: study.backbone_settings(wildcards.backbone),
        seed=study.configuration.study.seed,
        code=code_of("prepare_backbone"),
    message:
        "Preparing the encoder {wildcards.backbone}"
    shell:
        "exec python -m evidence_hpo.steps.prepare_backbone --name {wildcards.backbone} --settings {params.settings:q}"
        " --seed {params.seed} --posts {input.posts} --directory {output.directory} --manifest {output.manifest}"
        " --code {params.code} --log {log}"


rule tokenize_examples:
    input:
        examples=paths.EXAMPLES,
        criteria=paths.CRITERIA,
        backbone=paths.BACKBONE,
        manifest=paths.BACKBONE_MANIFEST,
    output:
        texts=paths.TOKEN_TEXTS,
        rows=paths.TOKEN_EXAMPLES,
    log:
        "results/logs/tokenize_examples/{backbone}.{task}.{split}.log",
    priority: FIRST
    localrule: True
    conda:
        "../envs/training.yaml"
    threads: 1
    resources:
        mem_mb=by_attempt(4000),
        runtime=by_attempt(30),
    params:
        code=code_of("tokenize_examples"),
    message:
        "Tokenising the {wildcards.split} examples of {wildcards.task} for {wildcards.backbone}"
    shell:
        "exec python -m evidence_hpo.steps.tokenize_examples --task {wildcards.task} --examples {input.examples}"
        " --criteria {input.criteria}"
        " --backbone {input.backbone} --manifest {input.manifest} --texts {output.texts} --rows {output.rows}"
        " --code {params.code} --log {log}"


rule tokenize_augmented:
    input:
        # Of the training split alone: no bank of another one can be asked for.
        examples=paths.EXAMPLES.replace("{split}", "train"),
        evidence=lambda wildcards: study.bank_examples(wildcards.task),
        parts=lambda wildcards: study.bank_paths(
            wildcards.task, wildcards.source, wildcards.method, wildcards.level
        ),
        criteria=paths.CRITERIA,
        backbone=paths.BACKBONE,
        manifest=paths.BACKBONE_MANIFEST,
    output:
        texts=paths.AUGMENTED_TEXTS,
        rows=paths.AUGMENTED_EXAMPLES,
    log:
        "results/logs/tokenize_augmented/{backbone}.{task}.{source}.{method}.{level}.log",
    wildcard_constraints:
        source="original|simple|textattack",
        method="[a-z_]+",
    priority: FIRST
    localrule: True
    conda:
        "../envs/training.yaml"
    threads: 1
    resources:
        mem_mb=by_attempt(4000),
        runtime=by_attempt(60),
    params:
        whole_text=lambda wildcards: study.whole_text(wildcards.task),
        code=code_of("tokenize_augmented"),
    message:
        "Tokenising the {wildcards.task} examples varied by {wildcards.method} ({wildcards.source}), level"
        " {wildcards.level}, for {wildcards.backbone}"
    shell:
        "exec python -m evidence_hpo.steps.tokenize_augmented --task {wildcards.task} --whole-text {params.whole_text}"
        " --examples {input.examples} --evidence {input.evidence} --parts {input.parts} --criteria {input.criteria}"
        " --backbone {input.backbone} --manifest {input.manifest} --texts {output.texts} --rows {output.rows}"
        " --code {params.code} --log {log}"
