"""The one place that knows where results lie. Patterns hold Snakemake wildcards in braces."""

from __future__ import annotations

from pathlib import Path

__all__ = [
    "AUGMENTATION_FIGURE",
    "AUGMENTATION_SUMMARY",
    "AUGMENTED",
    "AUGMENTED_EXAMPLES",
    "AUGMENTED_RECORD",
    "AUGMENTED_TEXTS",
    "BACKBONE",
    "BACKBONE_MANIFEST",
    "CHOSEN",
    "CORPUS_ANNOTATIONS",
    "CORPUS_POSTS",
    "CORPUS_REPORT",
    "COST",
    "COST_FIGURE",
    "CRITERIA",
    "DAG",
    "EVALUATION",
    "EVALUATION_FIGURE",
    "EVALUATION_FIGURES",
    "EVALUATION_PREDICTIONS",
    "EVALUATION_REPORT",
    "EVALUATION_REPORT_TEXT",
    "EVENTS",
    "EXAMPLES",
    "EXPORTED_MODEL",
    "FINAL_MODEL",
    "FINAL_RECORD",
    "NLTK_DATA",
    "OPTUNA_STORAGE",
    "OVERVIEW",
    "PROPOSALS",
    "PROVENANCE",
    "REFIT_MODEL",
    "REFIT_RECORD",
    "RESOLVED_CONFIGURATION",
    "RETRAIN_MODEL",
    "RETRAIN_RECORD",
    "RETRAIN_SUMMARY",
    "RULEGRAPH",
    "RUN_CONFIGURATION",
    "RUN_CONFUSION",
    "RUN_MODEL",
    "RUN_RECORD",
    "RUN_REPORT",
    "SEARCH_ANALYSIS",
    "SEARCH_FIGURE",
    "SEARCH_FIGURES",
    "SELECTED",
    "SHARD",
    "SHARD_BENCHMARK",
    "SPACE",
    "SPLITS",
    "SPLIT_ANNOTATIONS",
    "SPLIT_POSTS",
    "STAGE_SUMMARY",
    "STUDY_LOG",
    "STUDY_SUMMARY",
    "TASKS",
    "TEXTATTACK_ENVIRONMENT",
    "TIMELINE",
    "TOKEN_EXAMPLES",
    "TOKEN_TEXTS",
    "TRACKING_ARTIFACTS",
    "TRACKING_DATABASE",
    "TRACKING_STATE",
    "TRIALS",
    "WORK",
]

TASKS = ("criteria", "evidence")

RESOLVED_CONFIGURATION = "results/configuration.yaml"

# --- data ------------------------------------------------------------------------------------------------------
CORPUS_POSTS = "results/corpus/posts.parquet"
CORPUS_ANNOTATIONS = "results/corpus/annotations.parquet"
CRITERIA = "results/corpus/criteria.json"
CORPUS_REPORT = "results/corpus/report.json"
SPLITS = "results/splits/splits.json"
SPLIT_POSTS = "results/splits/{split}/posts.parquet"
SPLIT_ANNOTATIONS = "results/splits/{split}/annotations.parquet"
EXAMPLES = "results/examples/{task}/{split}.parquet"

# --- augmentation ----------------------------------------------------------------------------------------------
AUGMENTED = "results/augmentation/{task}/{source}/{method}/level_{level}/part_{part}.parquet"
AUGMENTED_RECORD = "results/augmentation/{task}/{source}/{method}/level_{level}/part_{part}.json"
AUGMENTATION_SUMMARY = "results/augmentation/summary.json"
AUGMENTED_TEXTS = "results/tokens/{backbone}/{task}/augmented/{source}/{method}/level_{level}/texts.arrow"
AUGMENTED_EXAMPLES = "results/tokens/{backbone}/{task}/augmented/{source}/{method}/level_{level}/examples.arrow"
TEXTATTACK_ENVIRONMENT = "results/augmentation/textattack.json"
NLTK_DATA = "results/augmentation/nltk_data"

# --- tokens ----------------------------------------------------------------------------------------------------
BACKBONE = "results/backbones/{backbone}"
BACKBONE_MANIFEST = "results/backbones/{backbone}.json"
TOKEN_TEXTS = "results/tokens/{backbone}/{task}/{split}/texts.arrow"
TOKEN_EXAMPLES = "results/tokens/{backbone}/{task}/{split}/examples.arrow"

# --- search ----------------------------------------------------------------------------------------------------
SPACE = "results/{architecture}/{stage}/space.json"
PROPOSALS = "results/{architecture}/{stage}/round_{round}/proposals.json"
SHARD = "results/{architecture}/{stage}/round_{round}/shard_{shard}.jsonl"
SHARD_BENCHMARK = "results/benchmarks/{architecture}/{stage}/round_{round}/shard_{shard}.tsv"
TRIALS = "results/{architecture}/{stage}/trials.jsonl"
STAGE_SUMMARY = "results/{architecture}/{stage}/summary.json"
SEARCH_ANALYSIS = "results/{architecture}/search_analysis.json"
OPTUNA_STORAGE = "results/optuna.db"

# --- retrain and evaluation ------------------------------------------------------------------------------------
SELECTED = "results/{architecture}/retrain/selected.json"
RETRAIN_RECORD = "results/{architecture}/retrain/rank_{rank}/seed_{seed}/record.json"
RETRAIN_MODEL = "results/{architecture}/retrain/rank_{rank}/seed_{seed}/model"
CHOSEN = "results/{architecture}/retrain/chosen.json"
FINAL_RECORD = "results/{architecture}/retrain/final/seed_{seed}/record.json"
FINAL_MODEL = "results/{architecture}/retrain/final/seed_{seed}/model"
REFIT_RECORD = "results/{architecture}/retrain/refit/seed_{seed}/record.json"
REFIT_MODEL = "results/{architecture}/retrain/refit/seed_{seed}/model"
RETRAIN_SUMMARY = "results/retrain_summary.json"
EVALUATION = "results/{architecture}/evaluation/evaluation.json"
EVALUATION_PREDICTIONS = "results/{architecture}/evaluation/predictions.parquet"
EVALUATION_REPORT = "results/evaluation_report.json"
EVALUATION_REPORT_TEXT = "results/evaluation_report.md"
EXPORTED_MODEL = "results/models/{architecture}"
STUDY_SUMMARY = "results/study_summary.json"

# --- one run outside the search --------------------------------------------------------------------------------
RUN_RECORD = "results/runs/{run}/record.json"
RUN_MODEL = "results/runs/{run}/model"
RUN_CONFIGURATION = "results/runs/{run}/config/config.yaml"
RUN_REPORT = "results/runs/{run}/classification_report.json"
RUN_CONFUSION = "results/runs/{run}/confusion_matrix.png"

# --- figures ---------------------------------------------------------------------------------------------------
RULEGRAPH = "results/reports/rulegraph.svg"
DAG = "results/reports/dag.svg"
AUGMENTATION_FIGURE = "results/reports/augmentation.svg"
SEARCH_FIGURE = "results/{architecture}/figures/search_{figure}.svg"
SEARCH_FIGURES = ("history", "importance", "curves", "slices", "parallel", "correlation", "rounds")
EVALUATION_FIGURE = "results/{architecture}/figures/evaluation_{figure}.svg"
TIMELINE = "results/reports/timeline.svg"
COST_FIGURE = "results/reports/cost.svg"
COST = "results/reports/cost.json"
OVERVIEW = "results/reports/overview.html"
PROVENANCE = "results/provenance"
EVALUATION_FIGURES = ("scores", "by_criterion", "confusion", "reliability")

# --- tracking --------------------------------------------------------------------------------------------------
EVENTS = "results/events"
TRACKING_STATE = "results/tracking/state.json"
TRACKING_DATABASE = "results/mlflow.db"
TRACKING_ARTIFACTS = "results/mlartifacts"

# --- the run as a whole ----------------------------------------------------------------------------------------
STUDY_LOG = "results/logs/study.jsonl"

WORK = Path("results/work")
"""State that no rule declares: trial cache, resume points, locks. Deleting it costs time, never correctness."""
