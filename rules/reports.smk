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
        "exec python -m evidence_hpo.steps.plot_search --trials {input.trials} --spaces {input.spaces}"
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
        "exec python -m evidence_hpo.steps.analyse_search --trials {input.trials} --summaries {input.summaries}"
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
        "exec python -m evidence_hpo.steps.export_study --trials {input.trials} --spaces {input.spaces}"
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
        "exec python -m evidence_hpo.steps.plot_evaluation --evaluation {input.evaluation} --scores {output.scores}"
        " --by-criterion {output.by_criterion} --confusion {output.confusion} --reliability {output.reliability}"
        " --code {params.code} --log {log}"


rule plot_augmentation:
    input:
        summary=paths.AUGMENTATION_SUMMARY,
    output:
        figure=report(
            paths.AUGMENTATION_FIGURE,
            caption="../report/augmentation.rst",
            category="Training data",
            labels={"figure": "variants made and rejected"},
        ),
    log:
        "results/logs/plot_augmentation.log",
    localrule: True
    conda:
        "../envs/core.yaml"
    resources:
        mem_mb=by_attempt(1000),
        runtime=by_attempt(10),
    params:
        code=code_of("plot_augmentation"),
    message:
        "Drawing the banks of variants"
    shell:
        "exec python -m evidence_hpo.steps.plot_augmentation --summary {input.summary} --figure {output.figure}"
        " --code {params.code} --log {log}"


rule draw_dag:
    output:
        rulegraph=report(
            paths.RULEGRAPH,
            caption="../report/rulegraph.rst",
            category="Work and cost",
            labels={"figure": "rules"},
        ),
        dag=report(
            paths.DAG,
            caption="../report/dag.rst",
            category="Work and cost",
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
        "exec python -m evidence_hpo.steps.draw_dag --settings {params.settings:q} --snakefile {params.snakefile:q}"
        " --rulegraph {output.rulegraph} --dag {output.dag} --code {params.code} --log {log}"


rule write_configuration:
    output:
        configuration=report(
            paths.RESOLVED_CONFIGURATION,
            caption="../report/configuration.rst",
            category="Work and cost",
            labels={"table": "configuration"},
        ),
    log:
        "results/logs/write_configuration.log",
    localrule: True
    conda:
        "../envs/core.yaml"
    resources:
        mem_mb=by_attempt(500),
        runtime=by_attempt(5),
    params:
        settings=study.configuration.model_dump_json(),
        code=code_of("write_configuration"),
    message:
        "Writing the resolved configuration"
    shell:
        "exec python -m evidence_hpo.steps.write_configuration --settings {params.settings:q}"
        " --output {output.configuration} --code {params.code} --log {log}"


rule report_cost:
    # After everything that it counts; what it reads of each job is that job's provenance.
    input:
        summaries=study.all_stage_paths(paths.STAGE_SUMMARY),
        records=study.model_records(),
        retraining=paths.RETRAIN_SUMMARY,
        counted=[
            paths.STUDY_SUMMARY,
            paths.OPTUNA_STORAGE,
            *expand(paths.EXPORTED_MODEL, architecture=study.architectures),
            *expand(paths.SEARCH_ANALYSIS, architecture=study.architectures),
            *study.figures(),
            paths.RESOLVED_CONFIGURATION,
        ],
    output:
        cost=report(
            paths.COST,
            caption="../report/cost.rst",
            category="Work and cost",
            labels={"table": "cost"},
        ),
        timeline=report(
            paths.TIMELINE,
            caption="../report/timeline.rst",
            category="Work and cost",
            labels={"figure": "timeline of jobs"},
        ),
        costs=report(
            paths.COST_FIGURE,
            caption="../report/cost_figure.rst",
            category="Work and cost",
            labels={"figure": "hours, epochs, energy"},
        ),
    log:
        "results/logs/report_cost.log",
    localrule: True
    conda:
        "../envs/core.yaml"
    resources:
        mem_mb=by_attempt(2000),
        runtime=by_attempt(20),
    params:
        provenance=paths.PROVENANCE,
        code=code_of("report_cost"),
    message:
        "Counting what the study cost"
    shell:
        "exec python -m evidence_hpo.steps.report_cost --summaries {input.summaries} --records {input.records}"
        " --retraining {input.retraining} --provenance {params.provenance} --cost {output.cost}"
        " --timeline {output.timeline} --costs {output.costs} --code {params.code} --log {log}"


rule write_overview:
    input:
        summary=paths.STUDY_SUMMARY,
        report=paths.EVALUATION_REPORT,
        evaluations=expand(paths.EVALUATION, architecture=study.architectures),
        retraining=paths.RETRAIN_SUMMARY,
        spaces=study.all_stage_paths(paths.SPACE),
        cost=paths.COST,
        corpus=paths.CORPUS_REPORT,
        splits=paths.SPLITS,
        configuration=paths.RESOLVED_CONFIGURATION,
        template=f"{workflow.basedir}/report/overview.html.jinja",
    output:
        page=report(
            paths.OVERVIEW,
            caption="../report/overview.rst",
            category="Overview",
            labels={"page": "the study in a minute"},
        ),
    log:
        "results/logs/write_overview.log",
    localrule: True
    conda:
        "../envs/core.yaml"
    resources:
        mem_mb=by_attempt(1000),
        runtime=by_attempt(10),
    params:
        provenance=paths.PROVENANCE,
        code=code_of("write_overview"),
    message:
        "Writing the overview"
    shell:
        "exec python -m evidence_hpo.steps.write_overview --summary {input.summary}"
        " --report {input.report} --evaluations {input.evaluations} --retraining {input.retraining}"
        " --spaces {input.spaces} --cost {input.cost} --corpus {input.corpus} --splits {input.splits}"
        " --provenance {params.provenance} --template {input.template:q} --page {output.page}"
        " --configuration {input.configuration} --code {params.code} --log {log}"
