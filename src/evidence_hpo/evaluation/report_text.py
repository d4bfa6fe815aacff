"""The evaluation report for people, in Markdown: verdicts first, then the tables they rest on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from evidence_hpo.evaluation.augmentation_text import augmentation_text
from evidence_hpo.evaluation.markdown import gap as _gap
from evidence_hpo.evaluation.markdown import score as _score
from evidence_hpo.evaluation.markdown import table as _table
from evidence_hpo.evaluation.reports import FLOOR_NAMES, refit_verdicts

__all__ = ["report_text"]

_METRICS = {
    "criteria": ("macro_f1", "f1", "precision", "recall", "roc_auc", "f1_over_criteria"),
    "evidence": ("char_f1", "exact_match", "has_answer", "has_answer_char_f1", "no_answer_accuracy"),
}
_OF_CRITERION = {
    "criteria": ("precision", "recall", "f1", "macro_f1"),
    "evidence": ("char_f1", "exact_match", "has_answer_char_f1", "no_answer_accuracy"),
}
_STRATEGIES = {
    "none": "default threshold",
    "global": "one threshold",
    "per_criterion": "a threshold for each criterion",
}
_HOW_TO_READ = """\
## How to read this

- **Split.** All scores are of the test split, which no search, training or threshold has seen. Thresholds are tuned on
  the validation split, for the floors as for the models.
- **Score.** The mean over fresh training seeds that chose nothing; `sd` is their standard deviation. The interval is a
  bootstrap over posts: how the score would vary over other posts of the same kind. A criterion with positives in fewer
  than five posts has none.
- **Floor.** What a method without a transformer reaches on the same rows. A difference whose interval reaches zero
  is no evidence that the transformer helps.
- **Criteria.** `macro_f1` is the mean F1 of both classes; `f1`, `precision` and `recall` are of the class *met*;
  `f1_over_criteria` is the mean F1 of the criteria that have positives.
- **Evidence.** `char_f1` compares characters of spans as SQuAD does, a rightly silent model scoring 1; `exact_match`
  wants the same offsets; `has_answer` is the share of pairs where giving a span or none was right.
"""
_REFIT = """\
- **Refit.** The chosen configuration, trained on the training and validation posts together for as many epochs as were
  best on average before. Nothing is left to judge it by or to tune thresholds on: it decides at the mean of the final
  models' thresholds, and the headline stays theirs. Differences are over the same posts in each resample; their
  intervals say nothing about other training seeds.
"""


def report_text(report: Mapping[str, Any], evaluations: Sequence[Mapping[str, Any]]) -> str:
    """Return the report as Markdown, equal for equal inputs.

    Args:
        report: Content of ``evaluation_report.json``.
        evaluations: Contents of the architectures' ``evaluation.json``.
    """
    lines = [f"# Evaluation of the study `{report['study']}`", "", "## Verdicts", ""]
    for evaluation in evaluations:
        name = evaluation["architecture"]
        for verdict in report["architectures"][name]["verdicts"]:
            lines.append(f"- **{name}, {verdict['task']}** {verdict['text']}")
        for verdict in refit_verdicts(evaluation):
            lines.append(f"- {name}, {verdict['task']}, refit on training and validation posts: {verdict['text']}")
    for evaluation in evaluations:
        lines += ["", *_architecture(report["architectures"][evaluation["architecture"]], evaluation)]
    refit = _REFIT if any(evaluation["refit"] for evaluation in evaluations) else ""
    return "\n".join([*lines, "", _HOW_TO_READ + refit])


def _architecture(report: Mapping[str, Any], evaluation: Mapping[str, Any]) -> list[str]:
    lines = [f"## {evaluation['architecture']}", ""]
    for warning in report["warnings"]:
        lines.append(f"> **Warning.** {warning['message']}")
        lines.append("")
    for name, task in sorted(evaluation["tasks"].items()):
        lines += _task(evaluation, name, task)
    if evaluation["combined"]:
        combined = evaluation["combined"]
        lines += [f"Both tasks, `{combined['metric']}`: {_score(combined['score'])}.", ""]
    lines += _refit(evaluation)
    lines += _configuration(report, evaluation)
    return [*lines, *_candidates(evaluation)]


def _task(evaluation: Mapping[str, Any], name: str, task: Mapping[str, Any]) -> list[str]:
    rows = task["rows"]["test"]
    strategy = task["headline"]["thresholds"]
    metrics = _METRICS[name]
    lines = [f"### {evaluation['architecture']}: {name}", ""]
    lines += [f"{rows['examples']} test examples of {rows['posts']} posts, {rows['positives']} of them positive.", ""]
    body = [
        [f"model, {described}{' (headline)' if one == strategy else ''}"]
        + [_score(task["metrics"][one][metric]) for metric in metrics]
        for one, described in _STRATEGIES.items()
        if one in task["metrics"]
    ]
    body += [
        [FLOOR_NAMES.get(floor["name"], floor["name"])]
        + [_score(floor["metrics"][strategy][metric]) for metric in metrics]
        for floor in task["floors"]
    ]
    body += [
        [f"model minus {FLOOR_NAMES.get(floor['name'], floor['name'])}"]
        + [_gap(floor["differences"][metric]) for metric in metrics]
        for floor in task["floors"]
    ]
    lines += [*_table(["", *metrics], body), ""]
    lines += [f"- {FLOOR_NAMES.get(floor['name'], floor['name'])}: {floor['method']}" for floor in task["floors"]]
    lines += ["", *_by_criterion(name, task), "", *_confusion(name, task), ""]
    return lines + _thresholds(task) + _calibration(task)


def _by_criterion(name: str, task: Mapping[str, Any]) -> list[str]:
    metrics = _OF_CRITERION[name]
    body = [
        [row["criterion"], str(row["examples"]), str(row["positives"])]
        + [", ".join(f"{value:.2f}" for value in row["thresholds"])]
        + [_score(row["metrics"][metric]) for metric in metrics]
        for row in task["by_criterion"]
    ]
    return _table(["criterion", "examples", "positives", "threshold of each seed", *metrics], body)


def _confusion(name: str, task: Mapping[str, Any]) -> list[str]:
    cells = task["confusion"]["mean"]
    yes, no = ("met", "not met") if name == "criteria" else ("span", "no span")
    body = [
        [f"annotated: {yes}", f"{cells['true_positives']:.1f}", f"{cells['false_negatives']:.1f}"],
        [f"annotated: {no}", f"{cells['false_positives']:.1f}", f"{cells['true_negatives']:.1f}"],
    ]
    return _table(["examples, mean over seeds", f"predicted: {yes}", f"predicted: {no}"], body)


def _thresholds(task: Mapping[str, Any]) -> list[str]:
    of_seeds = task["thresholds"]["per_seed"]
    tuned = ", ".join(f"{one['global']:.3f}" for one in of_seeds)
    lines = [f"Threshold tuned on the validation split, of each seed: {tuned}."]
    fallbacks = sorted({name for one in of_seeds for name in one.get("fallbacks", {})})
    if fallbacks:
        lines.append(f"Criteria without a threshold of their own (too little validation data): {', '.join(fallbacks)}.")
    return [*lines, ""]


def _calibration(task: Mapping[str, Any]) -> list[str]:
    found = task["calibration"]
    if found is None:
        return []
    text = (
        f"Calibration: expected error {found['expected_calibration_error']:.3f}, Brier score "
        f"{found['brier_score']:.3f} (always predicting the share of positives: "
        f"{found['brier_score_of_validation_share']:.3f})."
    )
    return [text, ""]


def _refit(evaluation: Mapping[str, Any]) -> list[str]:
    refit = evaluation["refit"]
    if refit is None:
        return []
    lines = [f"### {evaluation['architecture']}: refit on training and validation posts", ""]
    for warning in refit["warnings"]:
        lines += [f"> **Warning.** {warning['message']}", ""]
    lines += [
        f"{len(refit['seeds'])} of the configuration, ended after epoch {refit['models'][0]['refit_epochs']} of "
        f"{refit['models'][0]['epochs']}. Thresholds are the mean of the final models', which were tuned on the "
        "validation split; the refit has seen that split, so it has none of its own.",
        "",
    ]
    for name, task in sorted(refit["tasks"].items()):
        strategy, metrics = task["headline"]["thresholds"], _METRICS[name]
        final = evaluation["tasks"][name]["metrics"][strategy]
        body = [
            [f"{name}, refit", *(_score(task["metrics"][strategy][metric]) for metric in metrics)],
            [f"{name}, final models (headline)", *(_score(final[metric]) for metric in metrics)],
            ["refit minus final models", *(_gap(task["differences"][metric]) for metric in metrics)],
        ]
        lines += [*_table([_STRATEGIES[strategy], *metrics], body), ""]
    if refit["combined"]:
        both = refit["combined"]
        lines += [f"Both tasks, `{both['metric']}`: {_score(both['score'])}; {_gap(both['difference'])}.", ""]
    return lines


def _configuration(report: Mapping[str, Any], evaluation: Mapping[str, Any]) -> list[str]:
    validation, configuration = report["validation"], evaluation["configuration"]
    origin = configuration["origin"]
    body = [
        ["search, best of many trials (too good on average)", _number(validation["search_value"])],
        ["retrained, mean of the seeds that chose it", _number(validation["retrained_mean"])],
        ["fresh seeds, mean", _number(validation["final_mean"])],
        ["fresh seeds, sd", _number(validation["final_standard_deviation"])],
    ]
    rate = configuration["effective_learning_rate"]
    augmented = augmentation_text(configuration["parameters"])
    return [
        f"Configuration: trial {origin['number']} of {origin['stage']}, effective batch "
        f"{configuration['effective_batch_size']}, effective learning rate {rate:.3g}.",
        *([augmented] if augmented else []),
        "",
        *_table([f"validation {validation['objective']}", ""], body),
        "",
    ]


def _candidates(evaluation: Mapping[str, Any]) -> list[str]:
    found = evaluation["candidates"]
    if not found["against"]:
        return []
    body = [
        [f"rank {row['rank']}", str(row["seeds"]), _gap(row) if row["mean"] is not None else "-"]
        for row in found["against"]
    ]
    return [
        f"Chosen (rank {found['chosen_rank']}) minus the other configurations: validation {found['objective']}, paired "
        "by seed (it was chosen by these values, which flatters it):",
        "",
        *_table(["against", "seeds", "difference"], body),
    ]


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"
