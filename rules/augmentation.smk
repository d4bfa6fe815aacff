from snakemake.settings.types import DeploymentMethod

from evidence_hpo.augmentation.environment import environment_folder, interpreter_of
from evidence_hpo.config.augmentation import METHODS

TEXTATTACK_PINS = Path(workflow.basedir) / "envs/textattack.txt"
TEXTATTACK_FOLDER = environment_folder(TEXTATTACK_PINS)
TEXTATTACK_READY = f"{TEXTATTACK_FOLDER}.ready"
# Jobs in conda environments need no other.
in_conda = DeploymentMethod.CONDA in workflow.deployment_settings.deployment_method
textattack_python = "python" if in_conda else str(interpreter_of(TEXTATTACK_FOLDER))
textattack_files = [] if in_conda else [paths.TEXTATTACK_ENVIRONMENT, TEXTATTACK_READY]


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
    priority: FIRST
    conda:
        "../envs/core.yaml"
    threads: 1
    resources:
        mem_mb=by_attempt(2000),
        runtime=by_attempt(30),
    params:
        settings=lambda wildcards: study.bank_settings(
            wildcards.task, wildcards.method, wildcards.level
        ),
        code=code_of("augment_examples"),
    message:
        "Varying the evidence of {wildcards.task} ({wildcards.source}) by {wildcards.method}, level {wildcards.level}"
    shell:
        "exec python -m evidence_hpo.steps.augment_examples --settings {params.settings:q} --task {wildcards.task}"
        " --source {wildcards.source} --method {wildcards.method} --level {wildcards.level} --part {wildcards.part}"
        " --examples {input.examples} --sources {input.sources} --output {output.bank} --record {output.record}"
        " --code {params.code} --log {log}"


rule build_textattack:
    input:
        requirements=TEXTATTACK_PINS,
    output:
        manifest=paths.TEXTATTACK_ENVIRONMENT,
        ready=TEXTATTACK_READY,
    log:
        "results/logs/build_textattack.log",
    priority: FIRST
    localrule: True
    conda:
        "../envs/core.yaml"
    threads: 1
    resources:
        mem_mb=by_attempt(2000),
        runtime=by_attempt(60),
    params:
        folder=TEXTATTACK_FOLDER,
        code=code_of("build_textattack"),
    message:
        "Making TextAttack's environment, once"
    shell:
        "exec python -m evidence_hpo.steps.build_textattack --requirements {input.requirements:q} --folder {params.folder}"
        " --manifest {output.manifest} --ready {output.ready} --code {params.code} --log {log}"


rule prepare_wordnet:
    input:
        textattack_files,
    output:
        directory(paths.NLTK_DATA),
    log:
        "results/logs/prepare_wordnet.log",
    priority: FIRST
    localrule: True
    conda:
        "../envs/textattack.yaml"
    threads: 1
    resources:
        mem_mb=by_attempt(2000),
        runtime=by_attempt(10),
    params:
        python=textattack_python,
        wordnet=study.configuration.augmentation.wordnet or "",
        code=code_of("prepare_wordnet"),
    message:
        "Gathering WordNet and stop words"
    shell:
        "exec {params.python} -m evidence_hpo.steps.prepare_wordnet --wordnet {params.wordnet:q} --output {output}"
        " --code {params.code} --log {log}"


rule augment_with_textattack:
    input:
        textattack_files,
        examples=lambda wildcards: study.bank_examples(wildcards.task),
        sources=lambda wildcards: study.bank_sources(
            wildcards.task, wildcards.source, wildcards.part
        ),
        resources=lambda wildcards: study.bank_resources(wildcards.method),
        nltk_data=paths.NLTK_DATA,
    output:
        bank=paths.AUGMENTED,
        record=paths.AUGMENTED_RECORD,
    log:
        "results/logs/augment_with_textattack/{task}.{source}.{method}.{level}.{part}.log",
    wildcard_constraints:
        source="original|simple",
        method="|".join(METHODS["textattack"]),
    priority: FIRST
    conda:
        "../envs/textattack.yaml"
    threads: 1
    resources:
        mem_mb=by_attempt(4000),
        runtime=by_attempt(600),
    params:
        python=textattack_python,
        settings=lambda wildcards: study.bank_settings(
            wildcards.task, wildcards.method, wildcards.level
        ),
        code=code_of("augment_with_textattack"),
    message:
        "Varying the evidence of {wildcards.task} ({wildcards.source}) by {wildcards.method}, level {wildcards.level}"
    shell:
        "exec env PYTHONHASHSEED=0 {params.python} -m evidence_hpo.steps.augment_with_textattack"
        " --settings {params.settings:q} --task {wildcards.task} --source {wildcards.source}"
        " --method {wildcards.method} --level {wildcards.level} --part {wildcards.part}"
        " --examples {input.examples} --sources {input.sources} --nltk-data {input.nltk_data}"
        " --output {output.bank} --record {output.record} --code {params.code} --log {log}"


rule summarize_augmentation:
    input:
        lambda wildcards: study.bank_records(),
    output:
        report(
            paths.AUGMENTATION_SUMMARY,
            caption="../report/augmentation_data.rst",
            category="Training data",
            labels={"table": "counts by bank"},
        ),
    log:
        "results/logs/summarize_augmentation.log",
    localrule: True
    conda:
        "../envs/core.yaml"
    threads: 1
    resources:
        mem_mb=by_attempt(1000),
        runtime=by_attempt(10),
    params:
        code=code_of("summarize_augmentation"),
    message:
        "Counting the variants that were made and rejected"
    shell:
        "exec python -m evidence_hpo.steps.summarize_augmentation --records {input} --output {output}"
        " --code {params.code} --log {log}"
