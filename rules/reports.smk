rule plot_search:
    input:
        trials=lambda wildcards: study.stage_paths(paths.TRIALS, wildcards.architecture),
        spaces=lambda wildcards: study.stage_paths(paths.SPACE, wildcards.architecture),
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
    log:
        "results/logs/{architecture}/plot_search.log",
    conda:
        "../envs/core.yaml"
    resources:
        mem_mb=2000,
        runtime=20,
    params:
        code=code_of("plot_search"),
    message:
        "{wildcards.architecture}: drawing the search"
    shell:
        "python -m evidence_hpo.steps.plot_search --trials {input.trials} --spaces {input.spaces}"
        " --history {output.history} --importance {output.importance} --curves {output.curves}"
        " --slices {output.slices} --code {params.code} --log {log}"


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
    conda:
        "../envs/core.yaml"
    resources:
        mem_mb=1000,
        runtime=10,
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
    conda:
        "../envs/core.yaml"
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        settings=study.configuration.model_dump_json(),
        snakefile=f"{workflow.basedir}/Snakefile",
        code=code_of("draw_dag"),
    message:
        "Drawing the job graph"
    shell:
        "python -m evidence_hpo.steps.draw_dag --settings {params.settings:q} --snakefile {params.snakefile:q}"
        " --rulegraph {output.rulegraph} --dag {output.dag} --code {params.code} --log {log}"
