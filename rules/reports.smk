rule plot_search:
    input:
        trials=lambda wildcards: study.stage_paths(paths.TRIALS, wildcards.architecture),
        spaces=lambda wildcards: study.stage_paths(paths.SPACE, wildcards.architecture),
        summaries=lambda wildcards: study.stage_paths(
            paths.STAGE_SUMMARY, wildcards.architecture
        ),
    output:
        history=report(
            paths.SEARCH_FIGURE.replace("{figure}", "history"),
            caption="../report/search_history.rst",
            category="Search",
            subcategory="{architecture}",
            labels={"figure": "history"},
        ),
        importance=report(
            paths.SEARCH_FIGURE.replace("{figure}", "importance"),
            caption="../report/search_importance.rst",
            category="Search",
            subcategory="{architecture}",
            labels={"figure": "importance"},
        ),
        curves=report(
            paths.SEARCH_FIGURE.replace("{figure}", "curves"),
            caption="../report/search_curves.rst",
            category="Search",
            subcategory="{architecture}",
            labels={"figure": "curves"},
        ),
        slices=report(
            paths.SEARCH_FIGURE.replace("{figure}", "slices"),
            caption="../report/search_slices.rst",
            category="Search",
            subcategory="{architecture}",
            labels={"figure": "slices"},
        ),
        parallel=report(
            paths.SEARCH_FIGURE.replace("{figure}", "parallel"),
            caption="../report/search_parallel.rst",
            category="Search",
            subcategory="{architecture}",
            labels={"figure": "parallel coordinates"},
        ),
        correlation=report(
            paths.SEARCH_FIGURE.replace("{figure}", "correlation"),
            caption="../report/search_correlation.rst",
            category="Search",
            subcategory="{architecture}",
            labels={"figure": "stages compared"},
        ),
        rounds=report(
            paths.SEARCH_FIGURE.replace("{figure}", "rounds"),
            caption="../report/search_rounds.rst",
            category="Search",
            subcategory="{architecture}",
            labels={"figure": "rounds"},
        ),
    log:
        "results/logs/{architecture}/plot_search.log",
    localrule: True
    conda:
        "../envs/core.yaml"
    resources:
        mem_mb=by_attempt(2000),
        runtime=by_attempt(20),
    params:
        lags=lambda wildcards: study.lags(wildcards.architecture),
        trials_per_gpu=study.trials_per_gpu,
        code=code_of("plot_search"),
    message:
        "{wildcards.architecture}: drawing the search"
    shell:
        "python -m evidence_hpo.steps.plot_search --trials {input.trials} --spaces {input.spaces}"
        " --summaries {input.summaries} --lags {params.lags} --trials-per-gpu {params.trials_per_gpu}"
        " --history {output.history} --importance {output.importance} --curves {output.curves}"
        " --slices {output.slices} --parallel {output.parallel} --correlation {output.correlation}"
        " --rounds {output.rounds} --code {params.code} --log {log}"


rule analyse_search:
    input:
        trials=lambda wildcards: study.stage_paths(paths.TRIALS, wildcards.architecture),
        summaries=lambda wildcards: study.stage_paths(
            paths.STAGE_SUMMARY, wildcards.architecture
        ),
        spaces=lambda wildcards: study.stage_paths(paths.SPACE, wildcards.architecture),
        chosen=paths.CHOSEN,
    output:
        analysis=report(
            paths.SEARCH_ANALYSIS,
            caption="../report/search_analysis.rst",
            category="Search",
            subcategory="{architecture}",
            labels={"table": "analysis"},
        ),
    log:
        "results/logs/{architecture}/analyse_search.log",
    localrule: True
    conda:
        "../envs/core.yaml"
    resources:
        mem_mb=by_attempt(2000),
        runtime=by_attempt(30),
    params:
        lags=lambda wildcards: study.lags(wildcards.architecture),
        trials_per_gpu=study.trials_per_gpu,
        code=code_of("analyse_search"),
    message:
        "{wildcards.architecture}: analysing the search"
    shell:
        "python -m evidence_hpo.steps.analyse_search --trials {input.trials} --summaries {input.summaries}"
        " --spaces {input.spaces} --lags {params.lags} --chosen {input.chosen}"
        " --trials-per-gpu {params.trials_per_gpu} --output {output.analysis} --code {params.code} --log {log}"


rule export_study:
    input:
        trials=study.all_stage_paths(paths.TRIALS),
        spaces=study.all_stage_paths(paths.SPACE),
    output:
        storage=paths.OPTUNA_STORAGE,
    log:
        "results/logs/export_study.log",
    localrule: True
    conda:
        "../envs/core.yaml"
    resources:
        mem_mb=by_attempt(2000),
        runtime=by_attempt(60),
    params:
        code=code_of("export_study"),
    message:
        "Exporting the study for Optuna"
    shell:
        "python -m evidence_hpo.steps.export_study --trials {input.trials} --spaces {input.spaces}"
        " --output {output.storage} --code {params.code} --log {log}"


rule plot_evaluation:
    input:
        evaluation=paths.EVALUATION,
    output:
        scores=report(
            paths.EVALUATION_FIGURE.replace("{figure}", "scores"),
            caption="../report/evaluation_scores.rst",
            category="Results",
            subcategory="{architecture}",
            labels={"figure": "scores"},
        ),
        by_criterion=report(
            paths.EVALUATION_FIGURE.replace("{figure}", "by_criterion"),
            caption="../report/evaluation_criteria.rst",
            category="Results",
            subcategory="{architecture}",
            labels={"figure": "by criterion"},
        ),
        confusion=report(
            paths.EVALUATION_FIGURE.replace("{figure}", "confusion"),
            caption="../report/evaluation_confusion.rst",
            category="Results",
            subcategory="{architecture}",
            labels={"figure": "confusion"},
        ),
        reliability=report(
            paths.EVALUATION_FIGURE.replace("{figure}", "reliability"),
            caption="../report/evaluation_reliability.rst",
            category="Results",
            subcategory="{architecture}",
            labels={"figure": "reliability"},
        ),
    log:
        "results/logs/{architecture}/plot_evaluation.log",
    localrule: True
    conda:
        "../envs/core.yaml"
    resources:
        mem_mb=by_attempt(1000),
        runtime=by_attempt(10),
    params:
        code=code_of("plot_evaluation"),
    message:
        "{wildcards.architecture}: drawing the evaluation"
    shell:
        "python -m evidence_hpo.steps.plot_evaluation --evaluation {input.evaluation} --scores {output.scores}"
        " --by-criterion {output.by_criterion} --confusion {output.confusion} --reliability {output.reliability}"
        " --code {params.code} --log {log}"


rule draw_dag:
    output:
        rulegraph=report(
            paths.RULEGRAPH,
            caption="../report/rulegraph.rst",
            category="Workflow",
            labels={"figure": "rules"},
        ),
        dag=report(
            paths.DAG,
            caption="../report/dag.rst",
            category="Workflow",
            labels={"figure": "jobs by stage"},
        ),
    log:
        "results/logs/draw_dag.log",
    localrule: True
    conda:
        "../envs/core.yaml"
    resources:
        mem_mb=by_attempt(1000),
        runtime=by_attempt(10),
    params:
        settings=study.configuration.model_dump_json(),
        snakefile=f"{workflow.basedir}/Snakefile",
        code=code_of("draw_dag"),
    message:
        "Drawing the job graph"
    shell:
        "python -m evidence_hpo.steps.draw_dag --settings {params.settings:q} --snakefile {params.snakefile:q}"
        " --rulegraph {output.rulegraph} --dag {output.dag} --code {params.code} --log {log}"
