"""Trials of a round: their keys, and what their records say of the arithmetic."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from search_support import MACHINE, FakeResult, digests, fake_run, round_settings, space_of, stage

from evidence_hpo.config.search import SearchSettings
from evidence_hpo.config.spaces import Space
from evidence_hpo.schemas import check_artefact
from evidence_hpo.search.outcomes import RunRequest
from evidence_hpo.search.proposals import propose
from evidence_hpo.search.records import Proposals, TrialRecord
from evidence_hpo.search.trial_cache import TrialCache
from evidence_hpo.search.trials import run_shard, trial_request

PRECISIONS = ("auto", "fp32", "bf16", "fp16")


def proposals() -> Proposals:
    """Return a round whose trials differ in nothing but the precision, each at least twice."""
    space = Space.model_validate({"precision": {"choices": list(PRECISIONS)}})
    settings = round_settings(SearchSettings(stages=(stage(),)), "stage1", 0)
    round_ = propose(settings, space_of(space=space), [])
    counts = [sum(trial.parameters["precision"] == one for trial in round_.trials) for one in PRECISIONS]
    assert min(counts) >= 2
    return round_.model_copy(update={"trials": tuple(t.model_copy(update={"seed": 7}) for t in round_.trials)})


def by_precision(cache: Path, run: Callable[..., FakeResult] = fake_run) -> dict[str, TrialRecord]:
    round_ = proposals()
    records = run_shard(round_, round_.trials, run, TrialCache(cache), digests, MACHINE)
    return {str(record.parameters["precision"]): record for record in records}


def test_each_trial_has_the_arithmetic_that_its_own_precision_comes_to(tmp_path: Path) -> None:
    found = by_precision(tmp_path)
    used = {wanted: (record.versions["device"], record.versions["precision"]) for wanted, record in found.items()}
    assert used == {
        "auto": ("cpu", "fp32"),
        "fp32": ("cpu", "fp32"),
        "bf16": ("cpu", "bf16"),
        "fp16": ("cpu", "fp32"),
    }
    for record in found.values():
        check_artefact("trial", record.model_dump(mode="json"), "trial.json")


def test_equal_trials_of_one_precision_are_run_once(tmp_path: Path) -> None:
    asked: list[str] = []

    def run(request: RunRequest, work: Path, model: Path | None, report: Callable[[str], None]) -> FakeResult:
        asked.append(str(request.parameters["precision"]))
        return fake_run(request, work, model, report, fail=0.0)

    assert len({record.key for record in by_precision(tmp_path, run).values()}) == 4
    assert sorted(asked) == sorted(PRECISIONS)


def test_another_machine_changes_the_keys_of_the_trials_that_it_computes_otherwise() -> None:
    round_ = proposals()
    faster = replace(MACHINE, precisions={**MACHINE.precisions, "auto": "bf16", "fp16": "bf16"})
    changed = {
        trial.parameters["precision"]
        for trial in round_.trials
        if trial_request(round_, trial, digests, MACHINE).key != trial_request(round_, trial, digests, faster).key
    }
    assert changed == {"auto", "fp16"}
    gpu = replace(MACHINE, device="cuda")
    assert all(
        trial_request(round_, trial, digests, MACHINE).key != trial_request(round_, trial, digests, gpu).key
        for trial in round_.trials
    )
