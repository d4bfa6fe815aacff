"""What the search says about itself: importances, edges, convergence, optimism, waiting."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from evaluation_toys import chosen, reruns, space, stage_summary, trials

from evidence_hpo.errors import DataError
from evidence_hpo.evaluation.importance import conditional_importances, parameter_importances, top_importances
from evidence_hpo.evaluation.round_times import shard_seconds, stage_times
from evidence_hpo.evaluation.search_analysis import AnalysedStage, analyse, convergence
from evidence_hpo.evaluation.search_edges import edge_report
from evidence_hpo.schemas import check_artefact


def stages(shards: int = 2) -> list[AnalysedStage]:
    first, second = trials("stage1", 40), trials("stage2", 8, seed=1)
    return [
        AnalysedStage(first, stage_summary("stage1", first, shards=shards), space("stage1")),
        AnalysedStage(second, stage_summary("stage2", second, reruns(4), shards), space("stage2"), lag=1),
    ]


def test_the_analysis_fits_its_schema_and_only_timing_depends_on_the_shards() -> None:
    one, other = analyse(stages(), chosen(), 1), analyse(stages(shards=3), chosen(), 1)
    check_artefact("search_analysis", one, "toy")
    assert one["timing"] != other["timing"]
    assert {**one, "timing": None} == {**other, "timing": None}


def test_files_of_two_architectures_are_refused() -> None:
    with pytest.raises(DataError, match="several architectures: joint, share"):
        analyse(stages(), {**chosen(), "architecture": "joint"}, 1)


def test_both_methods_find_the_parameter_that_decides() -> None:
    rows = trials("stage1", 80)
    for found in (parameter_importances(rows, space("stage1")), top_importances(rows, space("stage1"))):
        assert next(iter(found.values)) == "learning_rate"
        assert sum(found.values.values()) == pytest.approx(1.0, abs=1e-4)
    assert "head_activation" not in parameter_importances(rows, space("stage1")).values


def test_a_conditional_parameter_is_weighed_among_the_trials_in_which_it_acts() -> None:
    rows = trials("stage1", 60)
    for number, row in enumerate(rows):
        if "head_activation" in row["sampled"] and row["state"] == "complete":
            good = number % 2 == 0
            row["sampled"]["head_activation"] = "gelu" if good else "relu"
            row["value"] += 0.5 if good else 0.0
    acting = sum("head_activation" in row["sampled"] and row["state"] == "complete" for row in rows)
    found = conditional_importances(rows, space("stage1"))
    assert set(found) == {"head_activation"}
    assert found["head_activation"].trials == acting
    assert found["head_activation"].value is not None
    assert found["head_activation"].value > 0.4
    assert top_importances(rows, space("stage1")).values["head_activation"] > 0
    few = conditional_importances(rows[:14], space("stage1"))["head_activation"]
    assert few.value is None
    assert few.reason is not None
    assert "importances need 10" in few.reason


def test_convergence_is_where_95_percent_of_the_improvement_was_there() -> None:
    values = [0.5, 0.4, 0.9, 0.98, 0.97, 1.0, 0.2, 0.3]
    rows = [{"number": n, "round": n // 4, "state": "complete", "value": value} for n, value in enumerate(values)]
    rows[1]["state"] = "pruned"
    found = convergence(rows[::-1])
    assert [step["number"] for step in found["steps"]] == [0, 2, 3, 5]
    assert (found["trials_to_95"], found["share_of_trials"], found["trials_since_best"]) == (4, 0.5, 2)
    assert convergence([{**row, "state": "failed"} for row in rows])["trials_to_95"] is None


def test_optimism_is_of_the_best_trial_and_a_failed_configuration_has_none() -> None:
    found = analyse(stages(), chosen(), 1)
    assert found["optimism"]["best_trial"]["optimism"] == 0.04
    assert found["optimism"]["best_trial"]["seeds"] == 2
    assert found["optimism"]["configurations"][1]["mean"] is None
    best = found["stages"][1]["rank_correlation"]["best_before"]
    assert (best["number"], best["rerun_number"]) == (13, 3)
    assert best["optimism"] == pytest.approx(0.63 - 0.77)
    assert found["stages"][0]["rank_correlation"] is None


# --- edges -----------------------------------------------------------------------------------------------------


def box(**changes: Any) -> dict[str, Any]:
    dimension = {"name": "dropout", "kind": "float", "low": 0.1, "high": 0.5, "log": False, "note": "toy"} | changes
    return {"source": "configured", "dimensions": [dimension]}


def at(name: str, values: list[float]) -> list[dict[str, Any]]:
    """Complete trials, best first, with as many worse ones after them."""
    found = [
        {"number": n, "state": "complete", "value": 1.0 - n / 100, "sampled": {name: v}} for n, v in enumerate(values)
    ]
    worse = [{**one, "number": 100 + one["number"], "value": 0.0} for one in found]
    return [*found, *worse]


def test_trials_that_press_against_an_end_ask_to_widen_it() -> None:
    (found,) = edge_report(at("dropout", [0.1, 0.11, 0.115, 0.12, 0.05, 0.3, 0.3, 0.4, 0.2, 0.2]), box(), None)
    assert found["top"]["10"] == {"trials": 10, "low": 0.5, "high": 0.0}
    assert found["top"]["5"]["low"] == 1.0
    assert found["widen"] == ["low"]
    assert "5 of the best 10 trials with a value lie at the low end, 0.1: widen, lower `low`" in found["text"]


def test_the_end_is_on_the_scale_of_the_dimension() -> None:
    values = [1e-5, 1.1e-5, 1.2e-5, 1.3e-5, 1.35e-5, 1e-3, 1e-3, 1e-3, 1e-3, 1e-3]
    log = box(name="learning_rate", low=1e-5, high=1e-2, log=True)
    assert edge_report(at("learning_rate", values), log, None)[0]["top"]["10"]["low"] == 0.5
    linear = box(name="learning_rate", low=1e-5, high=1e-2)
    assert edge_report(at("learning_rate", values), linear, None)[0]["top"]["10"]["low"] == 0.5
    middle = [value * 10 for value in values[:5]] + values[5:]
    assert edge_report(at("learning_rate", middle), log, None)[0]["top"]["10"]["low"] == 0.0
    assert edge_report(at("learning_rate", middle), linear, None)[0]["top"]["10"]["low"] == 0.5


def test_an_end_that_is_the_parameters_own_limit_is_not_to_be_widened() -> None:
    (found,) = edge_report(at("dropout", [0.0] * 10), box(low=0.0), None)
    assert found["widen"] == []
    assert "the least that dropout can be" in found["text"]


def test_an_end_that_narrowing_cut_says_so() -> None:
    narrowed = {**box(high=0.4), "source": "narrowed"}
    rows = at("dropout", [0.4] * 10)
    (found,) = edge_report(rows, narrowed, box(high=0.5))
    assert found["widen"] == ["high"]
    assert "narrowing cut from 0.5: raise `narrowing.margin`" in found["text"]
    assert "widen, raise `high` of dropout" in edge_report(rows, narrowed, box(high=0.4))[0]["text"]


def test_half_of_two_whole_numbers_at_an_end_is_chance() -> None:
    layers = box(name="head_layers", kind="int", low=0, high=1)
    (found,) = edge_report(at("head_layers", [0, 1] * 5), layers, None)
    assert found["top"]["10"] == {"trials": 10, "low": 0.5, "high": 0.5}
    assert found["widen"] == []
    assert edge_report(at("head_layers", [1] * 10), layers, None)[0]["widen"] == ["high"]


def test_few_trials_give_no_verdict() -> None:
    (found,) = edge_report(at("dropout", [0.1] * 4), box(), None)
    assert found["widen"] == []
    assert "8 complete trials are too few to say" in found["text"]
    rows = at("dropout", [0.1] * 10)
    for row in rows[3:]:
        row["sampled"] = {}
    assert "acts in 3 of the best 10 trials" in edge_report(rows, box(), None)[0]["text"]
    fixed = box(low=0.1, high=0.1)
    assert edge_report(at("dropout", [0.1] * 10), fixed, None)[0]["widen"] == []


# --- waiting ---------------------------------------------------------------------------------------------------


def test_waiting_is_what_the_shards_lack_to_the_longest() -> None:
    rounds = [{"round": 0, "shards": [[10.0, 20.0], [25.0]]}, {"round": 1, "shards": [[5.0]]}]
    found = stage_times(rounds)
    assert found["rounds"][0] == {
        "round": 0,
        "trials": 3,
        "shards": 2,
        "work_seconds": 55.0,
        "longest_shard_seconds": 30.0,
        "waiting_seconds": 5.0,
        "waiting_share": round(5 / 60, 6),
    }
    assert (found["work_seconds"], found["longest_shards_seconds"], found["waiting_seconds"]) == (60.0, 35.0, 5.0)
    assert found["upper_bound"] is False
    assert stage_times(rounds, lag=1)["upper_bound"] is True
    assert stage_times([])["waiting_share"] == 0.0


def test_trials_at_once_overlap_on_a_gpu_alone() -> None:
    assert shard_seconds([4.0, 3.0, 2.0, 1.0], 1) == 10.0
    assert shard_seconds([4.0, 3.0, 2.0, 1.0], 2) == 5.0
    assert shard_seconds([4.0, 3.0], 8) == 4.0
    assert shard_seconds([], 2) == 0.0
    (cpu, _), gpu = stages(), copy.deepcopy(stages()[0])
    for trial in gpu.trials:
        trial["versions"]["device"] = "cuda"
    assert gpu.times(4)["work_seconds"] < cpu.times(4)["work_seconds"] == cpu.times(1)["work_seconds"]
