rule prepare_corpus:
    input:
        sources=study.source_files(),
    output:
        posts=paths.CORPUS_POSTS,
        annotations=paths.CORPUS_ANNOTATIONS,
        criteria=paths.CRITERIA,
        report=paths.CORPUS_REPORT,
    log:
        "results/logs/prepare_corpus.log",
    priority: FIRST
    localrule: True
    conda:
        "../envs/core.yaml"
    resources:
        mem_mb=by_attempt(2000),
        runtime=by_attempt(10),
    params:
        settings=study.corpus_settings(),
        code=code_of("prepare_corpus"),
    message:
        "Reading, checking and aligning the corpus"
    shell:
        "exec python -m evidence_hpo.steps.prepare_corpus --settings {params.settings:q}"
        " --posts {output.posts} --annotations {output.annotations} --criteria {output.criteria}"
        " --report {output.report} --code {params.code} --log {log}"


rule split_corpus:
    input:
        posts=paths.CORPUS_POSTS,
        annotations=paths.CORPUS_ANNOTATIONS,
        criteria=paths.CRITERIA,
        official=study.split_files(),
    output:
        splits=paths.SPLITS,
        train_posts=paths.SPLIT_POSTS.format(split="train"),
        train_annotations=paths.SPLIT_ANNOTATIONS.format(split="train"),
        validation_posts=paths.SPLIT_POSTS.format(split="validation"),
        validation_annotations=paths.SPLIT_ANNOTATIONS.format(split="validation"),
        test_posts=paths.SPLIT_POSTS.format(split="test"),
        test_annotations=paths.SPLIT_ANNOTATIONS.format(split="test"),
    log:
        "results/logs/split_corpus.log",
    priority: FIRST
    localrule: True
    conda:
        "../envs/core.yaml"
    resources:
        mem_mb=by_attempt(2000),
        runtime=by_attempt(10),
    params:
        settings=study.split_settings(),
        seed=study.configuration.study.seed,
        code=code_of("split_corpus"),
    message:
        "Splitting the posts into training, validation and test"
    shell:
        "exec python -m evidence_hpo.steps.split_corpus --settings {params.settings:q} --seed {params.seed}"
        " --posts {input.posts} --annotations {input.annotations} --splits {output.splits}"
        " --train-posts {output.train_posts} --train-annotations {output.train_annotations}"
        " --validation-posts {output.validation_posts} --validation-annotations {output.validation_annotations}"
        " --test-posts {output.test_posts} --test-annotations {output.test_annotations}"
        " --code {params.code} --log {log}"


rule build_examples:
    input:
        posts=paths.SPLIT_POSTS,
        annotations=paths.SPLIT_ANNOTATIONS,
        criteria=paths.CRITERIA,
    output:
        examples=paths.EXAMPLES,
    log:
        "results/logs/build_examples/{task}.{split}.log",
    priority: FIRST
    localrule: True
    conda:
        "../envs/core.yaml"
    resources:
        mem_mb=by_attempt(2000),
        runtime=by_attempt(10),
    params:
        settings=lambda wildcards: study.example_settings(wildcards.task),
        seed=study.configuration.study.seed,
        code=code_of("build_examples"),
    message:
        "Building the {wildcards.split} examples of {wildcards.task}"
    shell:
        "exec python -m evidence_hpo.steps.build_examples --settings {params.settings:q} --task {wildcards.task}"
        " --seed {params.seed} --posts {input.posts} --annotations {input.annotations} --criteria {input.criteria}"
        " --output {output.examples} --code {params.code} --log {log}"
