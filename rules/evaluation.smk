rule evaluate:
    input:
        chosen=paths.CHOSEN,
        models=lambda wildcards: study.final_paths(
            paths.FINAL_MODEL, wildcards.architecture
        ),
        records=lambda wildcards: study.final_paths(
            paths.FINAL_RECORD, wildcards.architecture
        ),
        refit_models=lambda wildcards: study.refit_paths(
            paths.REFIT_MODEL, wildcards.architecture
        ),
        refit_records=lambda wildcards: study.refit_paths(
            paths.REFIT_RECORD, wildcards.architecture
        ),
        validation_texts=lambda wildcards: study.token_files(
            paths.TOKEN_TEXTS, wildcards.architecture, ["validation"]
        ),
        validation_rows=lambda wildcards: study.token_files(
            paths.TOKEN_EXAMPLES, wildcards.architecture, ["validation"]
        ),
        test_texts=lambda wildcards: study.token_files(
            paths.TOKEN_TEXTS, wildcards.architecture, ["test"]
        ),
        test_rows=lambda wildcards: study.token_files(
            paths.TOKEN_EXAMPLES, wildcards.architecture, ["test"]
        ),
        train_examples=lambda wildcards: study.example_paths(
            wildcards.architecture, "train"
        ),
        validation_examples=lambda wildcards: study.example_paths(
            wildcards.architecture, "validation"
        ),
        test_examples=lambda wildcards: study.example_paths(
            wildcards.architecture, "test"
        ),
        criteria=paths.CRITERIA,
    output:
        evaluation=report(
            paths.EVALUATION,
            caption="../report/evaluation.rst",
            category="Results",
            subcategory="{architecture}",
            labels={"table": "evaluation"},
        ),
        predictions=paths.EVALUATION_PREDICTIONS,
    log:
        "results/logs/{architecture}/evaluate.log",
    benchmark:
        "results/benchmarks/{architecture}/evaluate.tsv"
    conda:
        "../envs/training.yaml"
    threads: study.threads
    resources:
        mem_mb=lambda wildcards, attempt: demands.training_memory(
            wildcards.architecture, attempt
        ),
        runtime=by_attempt(60),
    params:
        settings=study.configuration.evaluation.model_dump_json(),
        runtime=study.configuration.training.runtime.model_dump_json(),
        seed=study.configuration.study.seed,
        code=code_of("evaluate"),
    message:
        "{wildcards.architecture}: the one look at the test split"
    shell:
        "exec python -m evidence_hpo.steps.evaluate --settings {params.settings:q} --runtime {params.runtime:q}"
        " --architecture {wildcards.architecture} --seed {params.seed} --chosen {input.chosen}"
        " --models {input.models} --records {input.records}"
        " --refit-models {input.refit_models} --refit-records {input.refit_records}"
        " --validation-texts {input.validation_texts} --validation-rows {input.validation_rows}"
        " --test-texts {input.test_texts} --test-rows {input.test_rows} --train-examples {input.train_examples}"
        " --validation-examples {input.validation_examples} --test-examples {input.test_examples}"
        " --criteria {input.criteria} --evaluation {output.evaluation} --predictions {output.predictions}"
        " --code {params.code} --log {log}"


rule report_evaluation:
    input:
        evaluations=expand(paths.EVALUATION, architecture=study.architectures),
        retraining=paths.RETRAIN_SUMMARY,
    output:
        report=report(
            paths.EVALUATION_REPORT,
            caption="../report/evaluation_report_data.rst",
            category="Results",
            subcategory="all architectures",
            labels={"table": "evaluation report (data)"},
        ),
        text=report(
            paths.EVALUATION_REPORT_TEXT,
            caption="../report/evaluation_report.rst",
            category="Results",
            subcategory="all architectures",
            labels={"table": "evaluation report"},
        ),
    log:
        "results/logs/report_evaluation.log",
    localrule: True
    conda:
        "../envs/core.yaml"
    resources:
        mem_mb=by_attempt(1000),
        runtime=by_attempt(10),
    params:
        code=code_of("report_evaluation"),
    message:
        "Writing the evaluation report"
    shell:
        "exec python -m evidence_hpo.steps.report_evaluation --evaluations {input.evaluations}"
        " --retraining {input.retraining} --report {output.report} --text {output.text}"
        " --code {params.code} --log {log}"


rule summarize_study:
    input:
        trials=study.all_stage_paths(paths.TRIALS),
        summaries=study.all_stage_paths(paths.STAGE_SUMMARY),
        analyses=expand(paths.SEARCH_ANALYSIS, architecture=study.architectures),
        evaluations=expand(paths.EVALUATION, architecture=study.architectures),
        retraining=paths.RETRAIN_SUMMARY,
        report=paths.EVALUATION_REPORT,
    output:
        summary=report(
            paths.STUDY_SUMMARY,
            caption="../report/study_summary.rst",
            category="Results",
            subcategory="all architectures",
            labels={"table": "study summary"},
        ),
    log:
        "results/logs/summarize_study.log",
    localrule: True
    conda:
        "../envs/core.yaml"
    resources:
        mem_mb=by_attempt(1000),
        runtime=by_attempt(10),
    params:
        code=code_of("summarize_study"),
    message:
        "Summarising the study"
    shell:
        "exec python -m evidence_hpo.steps.summarize_study --trials {input.trials} --summaries {input.summaries}"
        " --analyses {input.analyses} --evaluations {input.evaluations} --retraining {input.retraining}"
        " --report {input.report} --output {output.summary} --code {params.code} --log {log}"


rule export_model:
    input:
        evaluation=paths.EVALUATION,
        models=lambda wildcards: study.final_paths(
            paths.FINAL_MODEL, wildcards.architecture
        ),
        records=lambda wildcards: study.final_paths(
            paths.FINAL_RECORD, wildcards.architecture
        ),
        refit_models=lambda wildcards: study.refit_paths(
            paths.REFIT_MODEL, wildcards.architecture
        ),
        refit_records=lambda wildcards: study.refit_paths(
            paths.REFIT_RECORD, wildcards.architecture
        ),
        manifests=lambda wildcards: study.backbone_paths(
            paths.BACKBONE_MANIFEST, wildcards.architecture
        ),
        criteria=paths.CRITERIA,
        corpus=paths.CORPUS_REPORT,
        splits=paths.SPLITS,
        train_examples=lambda wildcards: study.example_paths(
            wildcards.architecture, "train"
        ),
        validation_examples=lambda wildcards: study.example_paths(
            wildcards.architecture, "validation"
        ),
    output:
        model=report(
            directory(paths.EXPORTED_MODEL),
            patterns=["{card}.md"],
            caption="../report/model_card.rst",
            category="Results",
            subcategory="{architecture}",
            labels={"table": "model card"},
        ),
    log:
        "results/logs/{architecture}/export_model.log",
    benchmark:
        "results/benchmarks/{architecture}/export_model.tsv"
    conda:
        "../envs/training.yaml"
    threads: 1
    resources:
        mem_mb=by_attempt(6000),
        runtime=by_attempt(30),
    params:
        settings=study.configuration.data.examples.model_dump_json(),
        code=code_of("export_model"),
    message:
        "{wildcards.architecture}: exporting the model with its card"
    shell:
        "exec python -m evidence_hpo.steps.export_model --settings {params.settings:q}"
        " --evaluation {input.evaluation} --models {input.models} --records {input.records}"
        " --refit-models {input.refit_models} --refit-records {input.refit_records}"
        " --manifests {input.manifests} --criteria {input.criteria}"
        " --corpus {input.corpus} --splits {input.splits} --train-examples {input.train_examples}"
        " --validation-examples {input.validation_examples} --directory {output.model}"
        " --code {params.code} --log {log}"
