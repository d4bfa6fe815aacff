"""Reports: verdicts are said in words, summaries have ids that follow from their content."""

from __future__ import annotations

import copy

import pytest
from evaluation_toys import evaluation, retrain_summary, space, trials

from evidence_hpo.errors import DataError
from evidence_hpo.evaluation.importance import parameter_importances
from evidence_hpo.evaluation.report_text import report_text
from evidence_hpo.evaluation.reports import evaluation_report, verdicts
from evidence_hpo.evaluation.summary import StageInput, study_summary
from evidence_hpo.schemas import check_artefact

GOOD, BAD = evaluation("share", skill=5.0), evaluation("criteria", skill=0.0)
RETRAINED = retrain_summary("share", "criteria")
REPORT = evaluation_report([GOOD, BAD], RETRAINED)


def test_the_report_fits_its_schema() -> None:
    check_artefact("evaluation_report", REPORT, "toy")


def test_a_model_above_its_floors_passes_and_one_without_skill_does_not() -> None:
    assert [verdict["above_all_floors"] for verdict in verdicts(GOOD)] == [True, True]
    assert [verdict["above_all_floors"] for verdict in verdicts(BAD)] == [False]


def test_a_collapsed_model_fails_even_above_its_floors() -> None:
    broken = copy.deepcopy(GOOD)
    broken["warnings"] = [{"code": "collapsed", "task": "evidence", "message": "It has collapsed."}]
    assert {verdict["task"]: verdict["above_all_floors"] for verdict in verdicts(broken)} == {
        "criteria": True,
        "evidence": False,
    }


def test_the_verdict_is_against_the_floor_that_is_hardest_to_clear() -> None:
    two = copy.deepcopy(GOOD)
    easy = copy.deepcopy(two["tasks"]["criteria"]["floors"][0])
    two["tasks"]["criteria"]["floors"].append(easy | {"name": "tfidf_logistic_regression"})
    two["tasks"]["criteria"]["floors"][1]["differences"]["macro_f1"] |= {"mean": 0.01, "low": -0.02, "high": 0.04}
    verdict = verdicts(two)[0]
    assert verdict["best_floor"] == "tfidf_logistic_regression"
    assert not verdict["above_all_floors"]
    assert (
        "not distinguishable from TF-IDF with logistic regression, difference +0.010 (-0.020 to +0.040)"
        in verdict["text"]
    )


def test_the_level_of_the_intervals_is_not_rounded() -> None:
    assert "(97.5 % interval" in verdicts({**GOOD, "confidence": 0.975})[0]["text"]
    assert "(95 % interval" in verdicts(GOOD)[0]["text"]


def test_the_text_holds_every_verdict_and_warning() -> None:
    text = report_text(REPORT, [GOOD, BAD])
    for name, one in REPORT["architectures"].items():
        for verdict in one["verdicts"]:
            assert f"- **{name}, {verdict['task']}** {verdict['text']}" in text
        for warning in one["warnings"]:
            assert warning["message"] in text
    assert "clears every floor" in text
    assert "does NOT clear every floor" in text
    assert REPORT["architectures"]["criteria"]["warnings"]


def test_refits_stand_beside_the_final_models_and_change_no_verdict() -> None:
    both = evaluation("share", skill=5.0, refits=1, refit_skill=0.0)
    report = evaluation_report([both, BAD], RETRAINED)
    check_artefact("evaluation_report", report, "toy")
    found = report["architectures"]["share"]
    assert found["verdicts"] == REPORT["architectures"]["share"]["verdicts"], "the headline is of the final models"
    assert report["architectures"]["criteria"]["refit"] is None
    text = report_text(report, [both, BAD])
    for verdict in found["refit"]["verdicts"]:
        assert f"- share, {verdict['task']}, refit on training and validation posts: {verdict['text']}" in text
        assert verdict["text"].startswith("does NOT clear every floor: ")
        assert not verdict["above_all_floors"]
        assert "below the final models, difference -" in verdict["text"]
        gap = both["refit"]["tasks"][verdict["task"]]["differences"][verdict["metric"]]
        assert f"| {gap['mean']:+.3f} ({gap['low']:+.3f} to {gap['high']:+.3f}) |" in text
    assert "Thresholds are the mean of the final models'" in text
    assert "**Refit.**" in text
    widths = [line.count(" | ") for line in text.splitlines() if line.startswith("|")]
    header = [line.count(" | ") for line in text.splitlines() if line.startswith("| ---")]
    assert set(widths) == set(header)
    assert "refit" not in report_text(REPORT, [GOOD, BAD]).lower(), "without refits nothing speaks of them"


def test_every_table_of_the_text_is_rectangular() -> None:
    widths = [line.count(" | ") for line in report_text(REPORT, [GOOD, BAD]).splitlines() if line.startswith("|")]
    header = [line.count(" | ") for line in report_text(REPORT, [GOOD, BAD]).splitlines() if line.startswith("| ---")]
    assert set(widths) == set(header)


def test_the_report_needs_evaluations_of_one_study() -> None:
    with pytest.raises(DataError, match="toy and other"):
        evaluation_report([GOOD, {**BAD, "study": "other"}], RETRAINED)
    with pytest.raises(DataError, match="criteria: is evaluated but not in the retrain summary"):
        evaluation_report([BAD], retrain_summary("share"))


def stage(name: str, count: int) -> StageInput:
    rows = trials(name, count)
    complete = [trial for trial in rows if trial["state"] == "complete"]
    best = max(complete, key=lambda trial: trial["value"])
    summary = {
        "architecture": "share",
        "stage": name,
        "trials": count,
        "states": {"complete": len(complete), "pruned": 1, "failed": 1},
        "best": {"number": best["number"], "value": best["value"]},
        "epochs": {"full": 3.0 * count, "spent": 2.0 * count},
        "reruns": None,
    }
    found = parameter_importances(rows, space(name))
    importances = {"values": found.values, "note": found.reason, "left_out": list(found.left_out)}
    return summary, rows, {"stage": name, "importances": {"fanova": importances}}


def summary_of(first: int = 20) -> dict[str, object]:
    stages = {"share": [stage("stage1", first), stage("stage2", 8)]}
    report = evaluation_report([GOOD], RETRAINED)
    paths = {"share": "results/share/evaluation/evaluation.json"}
    return study_summary(stages, RETRAINED, report, "results/evaluation_report.json", paths)


def test_the_summary_fits_its_schema_and_names_the_best_trial_of_the_last_stage() -> None:
    summary = summary_of()
    check_artefact("study_summary", summary, "toy")
    found = summary["architectures"]["share"]  # type: ignore[index]
    best = max((trial for trial in trials("stage2", 8) if trial["state"] == "complete"), key=lambda one: one["value"])
    assert found["best_trial_number"] == best["number"]
    assert found["best_validation_score"] == pytest.approx(best["value"], abs=1e-6)
    assert found["top_trials"][0]["trial_id"] == found["best_trial_id"]
    assert found["trials_count"] == 28
    assert next(iter(found["stages"][0]["importances"])) == "learning_rate"
    assert found["stages"][1]["importances_note"] == "6 complete trials: importances need 10"


def test_equal_studies_have_equal_ids_and_other_studies_others() -> None:
    assert summary_of() == summary_of()
    assert summary_of()["study_id"] != summary_of(first=19)["study_id"]
