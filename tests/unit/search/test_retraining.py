"""Selection, retraining, choice and summary, through the real steps where they need no torch."""

from __future__ import annotations

from pathlib import Path

import pytest
from search_support import MACHINE, digests, fake_run
from test_narrowing import record

from evidence_hpo.errors import DataError, TrainingError
from evidence_hpo.files import digest_file, read_json
from evidence_hpo.schemas import check_artefact, write_artefact, write_artefact_lines
from evidence_hpo.search.choosing import Chosen, choose
from evidence_hpo.search.outcomes import RunRequest
from evidence_hpo.search.retrain_records import RetrainRecord, Role
from evidence_hpo.search.retraining import absent_record, retrain
from evidence_hpo.search.selection import Selected, select
from evidence_hpo.search.settings import RetrainRunSettings
from evidence_hpo.search.trial_cache import TrialCache
from evidence_hpo.steps.choose_config import choose_config
from evidence_hpo.steps.select_configs import select_configs
from evidence_hpo.steps.summarize_retraining import summarize_retraining

SETTINGS = RetrainRunSettings(study="test", seed=42, epochs=3)
TRIALS = [record(i, 0.9 - i / 100, {"dropout": 0.02 * (i % 4), "learning_rate": 1e-4}) for i in range(6)]


def never_fails(one: RunRequest, work: Path, model: Path | None, report: object) -> object:
    return fake_run(one, work, model, report, fail=0.0)  # type: ignore[arg-type]


def values(rows: list[list[float | None]]) -> tuple[Selected, list[RetrainRecord]]:
    """Return a selection and records with the given values by rank and seed; None: failed."""
    selected = select([record(i, 0.9, {"dropout": i / 20}) for i in range(len(rows))], len(rows))
    base = absent_record(selected, "retrain", 0, 0, SETTINGS, 0)
    records = [
        base.model_copy(
            update={
                "rank": rank,
                "seed_index": seed,
                "state": "failed" if value is None else "complete",
                "value": value,
                "best_epoch": None if value is None else 1.0 + seed,
                "reason": None if value is not None else "non-finite loss",
            }
        )
        for rank, row in enumerate(rows)
        for seed, value in enumerate(row)
    ]
    return selected, records


def test_selection_takes_each_configuration_once() -> None:
    selected = select(TRIALS, 4)
    assert [one.origin.number for one in selected.configurations] == [0, 1, 2, 3]
    assert [one.rank for one in selected.configurations] == [0, 1, 2, 3]
    fewer = select(TRIALS, 6)
    assert len(fewer.configurations) == 4
    assert fewer.notes == ("only 4 of 6 configurations: the stage has no more distinct complete ones",)
    pruned = [record(0, 0.9, {"dropout": 0.1}, "pruned")]
    with pytest.raises(TrainingError, match="none of 1 trials"):
        select(pruned, 1)


def test_the_best_mean_wins_not_the_best_run() -> None:
    selected, records = values([[0.9, 0.5, 0.5], [0.7, 0.7, 0.7]])
    chosen = choose(selected, records[::-1])
    assert chosen.chosen_rank == 1
    assert chosen.configurations[0].mean == pytest.approx(1.9 / 3)
    assert chosen.configurations[1].standard_deviation == 0
    assert chosen.configurations[1].optimism == pytest.approx(0.2)
    assert chosen == choose(selected, records)


def test_ties_go_to_the_lower_rank_and_one_seed_has_no_deviation() -> None:
    chosen = choose(*values([[0.5], [0.7], [0.7]]))
    assert chosen.chosen_rank == 1
    assert chosen.configurations[1].standard_deviation is None


def test_a_configuration_with_a_failed_seed_is_the_last_resort() -> None:
    chosen = choose(*values([[0.9, None], [0.5, 0.5]]))
    assert chosen.chosen_rank == 1
    assert chosen.notes == ("rank 0: 1 of 2 seeds failed; its mean is of the others",)
    assert choose(*values([[0.9, None], [0.5, None]])).chosen_rank == 0
    with pytest.raises(TrainingError, match=r"all retrained runs failed: non-finite loss \(2 runs\)"):
        choose(*values([[None], [None]]))


def test_from_trials_to_the_summary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    cache = TrialCache(Path("results/work/trials"))
    write_artefact_lines(Path("trials.jsonl"), "trial", [trial.model_dump(mode="json") for trial in TRIALS])
    select_configs(Path("trials.jsonl"), 5, Path("selected.json"))
    selected = Selected.model_validate(read_json(Path("selected.json")))
    paths = []
    for rank in range(5):
        for seed in range(2):
            model = Path(f"results/rank_{rank}/seed_{seed}/model")
            if rank < len(selected.configurations):
                one = selected.configurations[rank]
                done = retrain(selected, one, "retrain", seed, SETTINGS, never_fails, cache, digests, MACHINE, model)
            else:
                done = absent_record(selected, "retrain", rank, seed, SETTINGS, 4)
            paths.append(Path(f"record_{rank}_{seed}.json"))
            write_artefact(paths[-1], "retrain_record", done.model_dump(mode="json"))
    choose_config(Path("selected.json"), paths, Path("chosen.json"))
    chosen = Chosen.model_validate(read_json(Path("chosen.json")))
    finals = []
    for seed in range(3):
        model = Path(f"results/final/seed_{seed}/model")
        done = retrain(
            chosen, chosen.configuration, "final", seed, SETTINGS, never_fails, cache, digests, MACHINE, model
        )
        finals.append(Path(f"final_{seed}.json"))
        write_artefact(finals[-1], "retrain_record", done.model_dump(mode="json"))
    summarize_retraining([Path("chosen.json")], paths, finals, [], Path("summary.json"))
    _check_records([read_json(path) for path in paths], [read_json(path) for path in finals])
    _check_summary(read_json(Path("summary.json")), [read_json(path) for path in finals])
    assert read_json(Path("summary.json"))["architectures"]["criteria"]["refit"] is None
    refits = [_refit(chosen, seed, cache) for seed in range(2)]
    summarize_retraining([Path("chosen.json")], paths, finals, refits, Path("refit_summary.json"))
    _check_refits(chosen, [read_json(path) for path in refits], [read_json(path) for path in finals])
    _check_summary(read_json(Path("refit_summary.json")), [read_json(path) for path in finals])


def _refit(chosen: Chosen, seed: int, cache: TrialCache) -> Path:
    model, path = Path(f"results/refit/seed_{seed}/model"), Path(f"refit_{seed}.json")
    epochs = chosen.refit_epochs
    given = (chosen.configuration, "refit", seed, SETTINGS, never_fails, cache, digests, MACHINE, model)
    done = retrain(chosen, *given, refit_epochs=epochs)
    assert retrain(chosen, *given, refit_epochs=epochs) == done, "it is taken from the trial cache"
    write_artefact(path, "retrain_record", done.model_dump(mode="json"))
    return path


def _check_refits(chosen: Chosen, refits: list[dict], finals: list[dict]) -> None:
    for row in refits:
        assert (row["state"], row["value"], row["best_epoch"], row["metrics"]) == ("complete", None, None, {})
        assert (row["epochs"], row["refit_epochs"]) == (finals[0]["epochs"], chosen.refit_epochs)
        assert (row["parameters"], row["digests"]) == (finals[0]["parameters"], finals[0]["digests"])
    seeds = {row["seed"] for row in refits}
    assert len(seeds) == 2
    assert not seeds & {row["seed"] for row in finals}
    listed = read_json(Path("refit_summary.json"))["architectures"]["criteria"]["refit"]
    assert listed["refit_epochs"] == chosen.refit_epochs
    assert [one["checkpoint"] for one in listed["seeds"]] == [row["checkpoint"] for row in refits]
    assert [one["value"] for one in listed["seeds"]] == [None, None]


@pytest.mark.parametrize(
    ("role", "changes", "message"),
    [
        ("refit", {"value": 0.9}, "value"),
        ("refit", {"best_epoch": 1.0}, "best_epoch"),
        ("refit", {"refit_epochs": None}, "refit_epochs"),
        ("final", {"value": None}, "value"),
        ("final", {"refit_epochs": 2}, "refit_epochs"),
        ("final", {"checkpoint": None}, "checkpoint"),
    ],
)
def test_a_refit_has_no_value_and_every_other_run_has_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, role: Role, changes: dict, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    selected = select(TRIALS, 1)
    given = (SETTINGS, never_fails, TrialCache(Path("work")), digests, MACHINE, Path("model"))
    epochs = 2 if role == "refit" else None
    done = retrain(selected, selected.configurations[0], role, 0, *given, refit_epochs=epochs).model_dump(mode="json")
    check_artefact("retrain_record", done, "record.json")
    with pytest.raises(DataError, match=message):
        check_artefact("retrain_record", {**done, **changes}, "record.json")


@pytest.mark.parametrize(("best", "expected"), [([1, 2], 2), ([2, 3], 3), ([1, 1, 2], 1), ([4], 4), ([0.5, 0.5], 1)])
def test_a_refit_ends_at_the_rounded_mean_of_the_best_epochs(best: list[float], expected: int) -> None:
    selected, records = values([[0.9] * len(best), [0.5] * len(best)])
    found = [
        record.model_copy(update={"best_epoch": best[record.seed_index] if record.rank == 0 else 9.0})
        for record in records
    ]
    assert choose(selected, found).refit_epochs == expected


def test_failed_seeds_do_not_decide_where_a_refit_ends() -> None:
    selected, records = values([[0.9, None, 0.9]])
    assert [record.best_epoch for record in records] == [1.0, None, 3.0]
    assert choose(selected, records).refit_epochs == 2


def _check_records(records: list[dict], finals: list[dict]) -> None:
    by_rank = [[row["seed"] for row in records if row["rank"] == rank] for rank in range(5)]
    assert all(seeds == by_rank[0] for seeds in by_rank), "configurations are compared on the same seeds"
    assert len({row["seed"] for row in finals}) == 3
    assert not {row["seed"] for row in finals} & set(by_rank[0]), "seeds that choose are never reported"
    assert [row["state"] for row in records] == ["complete"] * 8 + ["absent"] * 2
    assert all(row["data_fraction"] == 1.0 and row["epochs"] == 3 for row in records)
    complete = records[0]
    assert complete["metrics"]["macro_f1"] == complete["value"]
    assert complete["checkpoint"]["path"] == "results/rank_0/seed_0/model"
    assert digest_file(Path("results/rank_0/seed_0/model/model.safetensors")) == complete["checkpoint"]["sha256"]


def _check_summary(summary: dict, finals: list[dict]) -> None:
    one = summary["architectures"]["criteria"]
    final = [row["value"] for row in finals]
    mean = sum(final) / 3
    deviation = (sum((value - mean) ** 2 for value in final) / 2) ** 0.5
    assert one["score_mean"] == one["final"]["mean"] == pytest.approx(mean)
    assert one["score_std"] == pytest.approx(deviation)
    assert one["adjusted"] == pytest.approx(mean - 0.1 * deviation)
    best = max(finals, key=lambda row: row["value"])
    assert one["best_checkpoint"]["path"] == best["checkpoint"]["path"]
    assert one["best_checkpoint"]["sha256"] == best["checkpoint"]["sha256"]
    means = [row["mean"] for row in one["configurations"]]
    assert one["chosen_rank"] == means.index(max(means))


def test_failed_run_leaves_an_empty_folder_and_a_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    def fails(*_: object) -> object:
        raise RuntimeError("shapes differ")

    selected = select(TRIALS, 1)
    cache = TrialCache(Path("work"))
    done = retrain(
        selected, selected.configurations[0], "retrain", 0, SETTINGS, fails, cache, digests, MACHINE, Path("model")
    )
    check_artefact("retrain_record", done.model_dump(mode="json"), "record.json")
    assert (done.state, done.checkpoint, done.reason) == ("failed", None, "RuntimeError: shapes differ")
    assert list(Path("model").iterdir()) == []
