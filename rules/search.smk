rule define_space:
    input:
        # Only for the order: a stage with a space of its own does not depend on what the stage before found.
        before=lambda wildcards: ancient(
            study.earlier_summaries(wildcards.architecture, wildcards.stage)
        ),
    output:
        space=paths.SPACE,
    log:
        "results/logs/{architecture}/{stage}/define_space.log",
    wildcard_constraints:
        stage=study.stage_pattern(narrowed=False),
    priority: FIRST
    localrule: True
    conda:
        "../envs/core.yaml"
    resources:
        mem_mb=by_attempt(1000),
        runtime=by_attempt(10),
    params:
        settings=lambda wildcards: study.configured_space(
            wildcards.architecture, wildcards.stage
        ),
        parameters=study.fixed_parameters(),
        code=code_of("define_space"),
    message:
        "{wildcards.architecture}, {wildcards.stage}: defining the search space"
    shell:
        "exec python -m evidence_hpo.steps.define_space --settings {params.settings:q}"
        " --parameters {params.parameters:q} --architecture {wildcards.architecture} --stage {wildcards.stage}"
        " --output {output.space} --code {params.code} --log {log}"


rule narrow_space:
    input:
        space=lambda wildcards: paths.SPACE.format(
            architecture=wildcards.architecture,
            stage=study.stage_before(wildcards.architecture, wildcards.stage),
        ),
        trials=lambda wildcards: paths.TRIALS.format(
            architecture=wildcards.architecture,
            stage=study.stage_before(wildcards.architecture, wildcards.stage),
        ),
    output:
        space=paths.SPACE,
    log:
        "results/logs/{architecture}/{stage}/narrow_space.log",
    wildcard_constraints:
        stage=study.stage_pattern(narrowed=True),
    priority: FIRST
    localrule: True
    conda:
        "../envs/core.yaml"
    resources:
        mem_mb=by_attempt(1000),
        runtime=by_attempt(10),
    params:
        settings=lambda wildcards: study.narrowing_settings(
            wildcards.architecture, wildcards.stage
        ),
        code=code_of("narrow_space"),
    message:
        "{wildcards.architecture}, {wildcards.stage}: narrowing the search space"
    shell:
        "exec python -m evidence_hpo.steps.narrow_space --settings {params.settings:q} --space {input.space}"
        " --trials {input.trials} --stage {wildcards.stage} --output {output.space} --code {params.code} --log {log}"


rule propose_trials:
    input:
        space=paths.SPACE,
        finished=lambda wildcards: study.finished_shards(
            wildcards.architecture, wildcards.stage, int(wildcards.round)
        ),
        pending=lambda wildcards: study.pending_proposals(
            wildcards.architecture, wildcards.stage, int(wildcards.round)
        ),
        previous=lambda wildcards: study.previous_trials(
            wildcards.architecture, wildcards.stage, int(wildcards.round)
        ),
    output:
        proposals=paths.PROPOSALS,
    log:
        "results/logs/{architecture}/{stage}/round_{round}/propose_trials.log",
    priority: FIRST
    localrule: True
    conda:
        lambda wildcards: study.proposal_environment(
            wildcards.architecture, wildcards.stage
        )
    resources:
        mem_mb=by_attempt(1000),
        runtime=by_attempt(20),
    params:
        settings=lambda wildcards: study.proposal_settings(
            wildcards.architecture, wildcards.stage, int(wildcards.round)
        ),
        code=code_of("propose_trials"),
    message:
        "{wildcards.architecture}, {wildcards.stage}: proposing round {wildcards.round}"
    shell:
        "exec python -m evidence_hpo.steps.propose_trials --settings {params.settings:q} --space {input.space}"
        " --finished {input.finished} --pending {input.pending} --previous {input.previous}"
        " --output {output.proposals} --code {params.code} --log {log}"


rule run_trials:
    input:
        proposals=paths.PROPOSALS,
        backbones=lambda wildcards: study.backbone_paths(
            paths.BACKBONE, wildcards.architecture
        ),
        manifests=lambda wildcards: study.backbone_paths(
            paths.BACKBONE_MANIFEST, wildcards.architecture
        ),
        texts=lambda wildcards: study.token_files(
            paths.TOKEN_TEXTS, wildcards.architecture
        )
        + study.augmented_files(
            paths.AUGMENTED_TEXTS, wildcards.architecture, wildcards.stage
        ),
        examples=lambda wildcards: study.token_files(
            paths.TOKEN_EXAMPLES, wildcards.architecture
        )
        + study.augmented_files(
            paths.AUGMENTED_EXAMPLES, wildcards.architecture, wildcards.stage
        ),
    output:
        trials=paths.SHARD,
    log:
        "results/logs/{architecture}/{stage}/round_{round}/shard_{shard}.log",
    benchmark:
        paths.SHARD_BENCHMARK
    priority: FIRST
    conda:
        "../envs/training.yaml"
    threads: study.threads * study.trials_per_gpu
    resources:
        mem_mb=lambda wildcards, attempt: demands.trial_memory(
            wildcards.architecture, wildcards.stage, int(wildcards.round), attempt
        ),
        runtime=lambda wildcards, attempt: demands.trial_minutes(
            wildcards.architecture, wildcards.stage, int(wildcards.round), attempt
        ),
    params:
        shards=lambda wildcards: study.shards(
            wildcards.architecture, wildcards.stage, int(wildcards.round)
        ),
        code=code_of("run_trials"),
    message:
        "{wildcards.architecture}, {wildcards.stage}: running shard {wildcards.shard} of round {wildcards.round}"
    shell:
        "exec python -m evidence_hpo.steps.run_trials --proposals {input.proposals} --shard {wildcards.shard}"
        " --shards {params.shards} --backbones {input.backbones} --manifests {input.manifests}"
        " --texts {input.texts} --examples {input.examples} --output {output.trials} --code {params.code} --log {log}"


rule collect_trials:
    input:
        shards=lambda wildcards: study.shard_paths(
            wildcards.architecture,
            wildcards.stage,
            study.rounds(wildcards.architecture, wildcards.stage),
        ),
        previous=lambda wildcards: study.previous_trials(
            wildcards.architecture, wildcards.stage, 0
        ),
    output:
        trials=paths.TRIALS,
        summary=paths.STAGE_SUMMARY,
    log:
        "results/logs/{architecture}/{stage}/collect_trials.log",
    priority: FIRST
    localrule: True
    conda:
        "../envs/core.yaml"
    resources:
        mem_mb=by_attempt(1000),
        runtime=by_attempt(10),
    params:
        code=code_of("collect_trials"),
    message:
        "{wildcards.architecture}, {wildcards.stage}: collecting the trials"
    shell:
        "exec python -m evidence_hpo.steps.collect_trials --shards {input.shards} --previous {input.previous}"
        " --trials {output.trials} --summary {output.summary} --code {params.code} --log {log}"
