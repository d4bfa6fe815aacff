"""`cleanup`: removes what nothing needs, whatever state a study is in, and nothing that something refers to."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest
from filelock import FileLock
from finished_study import command, made_study
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from run_files import (
    complete_study,
    files_below,
    finished_run,
    interrupted_run,
    key_of,
    retrained_run,
    used_bytes,
)

from evidence_hpo.cli.cleanup import clean
from evidence_hpo.cli.removable import Finding, StudyFiles, findings, freed_bytes
from evidence_hpo.config.checkpoints import CheckpointSettings
from evidence_hpo.files import read_json_lines
from evidence_hpo.storage import temporary_prefix
from evidence_hpo.training.checkpoints import Checkpoints

DEAD = 2**22 - 3
"""A process id that no process has here."""


def cleaned(folder: Path, *arguments: str) -> dict[str, object]:
    done = command("cleanup", "--json", *arguments, folder=folder)
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


def removed(content: dict[str, object]) -> set[str]:
    rows = content["removed"]
    assert isinstance(rows, list)
    return {row["path"].removeprefix("results/") for row in rows}


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("study")
    made_study(root)
    return root


@pytest.fixture
def study(searched: Path, tmp_path: Path) -> Path:
    """A search with a retrained model, a run that was interrupted, one of earlier settings and one of a record."""
    import shutil

    shutil.copytree(searched / "results", tmp_path / "results")
    retrained_run(tmp_path, key_of(1), "final/seed_0", [0.3, 0.9, 0.5])
    interrupted_run(tmp_path, key_of(2), [0.5, 0.4, 0.3, 0.2])
    finished_run(tmp_path, key_of(3))
    known = read_json_lines(tmp_path / "results/criteria/stage1/trials.jsonl")[0]["key"]
    finished_run(tmp_path, known)
    return tmp_path


def of(number: int, name: str = "") -> str:
    return f"work/trials/00/{key_of(number)}" + (f"/{name}" if name else "")


def test_the_policy_removes_old_resume_points_and_weights_and_leaves_the_rest(study: Path) -> None:
    before = files_below(study / "results")
    content = cleaned(study)
    # keep_last_n is 2 and the best weights are those of epoch 1; keep_best_k_max is 2 of the three epochs' weights.
    gone = {
        *(of(2, f"resume/epoch_00{n}.{kind}") for n in (1, 2) for kind in ("json", "optimizer.safetensors")),
        of(2, "resume/epoch_002.safetensors"),
        "criteria/retrain/final/seed_0/model/checkpoints/epoch_001.json",
        "criteria/retrain/final/seed_0/model/checkpoints/epoch_001.safetensors",
    }
    assert removed(content) == gone
    after = files_below(study / "results")
    assert {name for name in before if name not in after} == gone
    assert all(after[name] == before[name] for name in after if name in before)
    assert of(2, "resume/epoch_004.json") in {str(one).removeprefix("results/") for one in content["preserved"]}  # type: ignore[attr-defined]


def test_an_interrupted_run_goes_on_from_its_newest_point_after_any_cleanup(study: Path) -> None:
    cleaned(study, "--aggressive")
    folder = study / "results" / of(2)
    files = Checkpoints(folder / "resume", key_of(2), CheckpointSettings(), lambda line: pytest.fail(line))
    found = files.latest()
    assert found is not None
    progress, model, _ = found
    assert (progress.epoch, model["weight"][0].item()) == (4, 4.0)
    assert [weights.epoch for weights in files.best] == [1.0]


def test_nothing_is_without_reference_before_the_study_is_complete(study: Path) -> None:
    assert removed(cleaned(study, "--orphaned-only")) == set()
    complete_study(study)
    gone = removed(cleaned(study, "--orphaned-only"))
    assert gone == {of(2, "resume"), of(3, "record.json")}
    assert (study / "results" / of(1, "record.json")).is_file(), "the retrained model's record names it"


def test_aggressive_keeps_the_best_weights_only(study: Path) -> None:
    complete_study(study)
    best = (study / "results/criteria/retrain/final/seed_0/model/model.safetensors").read_bytes()
    cleaned(study, "--aggressive")
    model = study / "results/criteria/retrain/final/seed_0/model"
    assert (model / "model.safetensors").read_bytes() == best
    assert {path.name for path in (model / "checkpoints").iterdir()} == {"epoch_002.json", "epoch_002.safetensors"}
    assert not (study / "results" / of(1, "model")).exists()


def test_a_dry_run_says_the_same_and_removes_nothing(study: Path) -> None:
    complete_study(study)
    before = files_below(study)
    planned = cleaned(study, "--aggressive", "--dry-run")
    assert files_below(study) == before
    used = used_bytes(study)
    done = cleaned(study, "--aggressive")
    assert removed(done) == removed(planned)
    assert done["freed_gb"] == planned["freed_gb"] == pytest.approx((used - used_bytes(study)) / 1e9)
    assert done["preserved"] == planned["preserved"]
    assert removed(cleaned(study, "--aggressive")) == set(), "a second call finds nothing"


def test_a_run_under_way_is_left_alone(study: Path) -> None:
    complete_study(study)
    before = files_below(study / "results" / of(2))
    with FileLock(study / "results" / of(2, "lock")):
        content = cleaned(study, "--aggressive")
    assert content["in_use"] == [f"results/{of(2)}"]
    assert files_below(study / "results" / of(2)) == before


def test_what_killed_writers_left_goes_and_what_living_ones_write_stays(study: Path) -> None:
    target = study / "results/criteria/stage1/summary.json"
    prefix = temporary_prefix(target)
    living = target.with_name(f"{prefix}a.tmp")
    dead = target.with_name(f"{prefix.replace(f'-{os.getpid()}.', f'-{DEAD}.')}b.tmp")
    living.touch()
    dead.touch()
    assert f"criteria/stage1/{dead.name}" in removed(cleaned(study, "--orphaned-only"))
    assert living.exists()
    assert not dead.exists()


def test_only_what_is_old_enough(study: Path) -> None:
    complete_study(study)
    week = time.time() - 8 * 86400
    for path in (study / "results" / of(3)).rglob("*"):
        os.utime(path, (week, week))
    assert removed(cleaned(study, "--older-than", "7d")) == {of(3, "record.json")}


def test_only_the_run_that_is_named(study: Path) -> None:
    complete_study(study)
    named = f"results/{of(3)}"
    assert removed(cleaned(study, "--trial-dir", named)) == {of(3, "record.json")}
    assert cleaned(study, "--trial-dir", "results/criteria/retrain/final/seed_0", "--aggressive")["freed_gb"] == 0.0


def test_a_file_that_cannot_be_removed_is_one_line_and_exit_code_1(
    study: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: Path) -> None:
        raise PermissionError(13, "Permission denied", str(self))

    complete_study(study)
    found = list(findings(StudyFiles(study, CheckpointSettings(), True), aggressive=True))
    monkeypatch.setattr(Path, "unlink", refuse)
    problems = clean(found, dry_run=False).problems
    assert problems
    assert all(line.endswith("cannot be removed: Permission denied") for line in problems)


def test_a_damaged_record_means_that_nothing_is_removed(study: Path) -> None:
    complete_study(study)
    (study / "results/criteria/retrain/final/seed_0/record.json").write_text("{", encoding="utf-8")
    before = files_below(study / "results/work/trials")
    refused = command("cleanup", "--aggressive", folder=study)
    assert refused.returncode == 1
    assert "not known what is needed" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert files_below(study / "results/work/trials") == before


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--study-dir", "nowhere"], 2, "nowhere: no such folder"),
        (["--trial-dir", "nowhere"], 2, "nowhere: no such folder"),
        (["--study-dir", "."], 2, "no study there"),
        (["--trial-dir", "."], 2, "lies in no folder `results`"),
        (["--study-dir", ".", "--trial-dir", "."], 2, "give one of them"),
        (["--older-than", "soon"], 2, "--older-than soon"),
    ],
)
def test_wrong_folders_and_options(tmp_path: Path, arguments: list[str], code: int, message: str) -> None:
    refused = command("cleanup", *arguments, folder=tmp_path)
    assert refused.returncode == code
    assert message in refused.stderr
    assert "Traceback" not in refused.stderr


STATES = st.sampled_from(["interrupted", "finished", "killed after its record", "retrained", "locked"])


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    runs=st.lists(st.tuples(STATES, st.lists(st.integers(0, 9), min_size=1, max_size=5)), min_size=1, max_size=5),
    complete=st.booleans(),
    aggressive=st.booleans(),
    keep=st.integers(1, 3),
    stops_after=st.integers(0, 8),
)
def test_whatever_the_state_what_is_needed_stays(
    tmp_path_factory: pytest.TempPathFactory,
    runs: list[tuple[str, list[int]]],
    complete: bool,
    aggressive: bool,
    keep: int,
    stops_after: int,
) -> None:
    """Also where the cleanup is killed after any number of files: then again, which finishes it."""
    root = tmp_path_factory.mktemp("state")
    (root / "results").mkdir()
    policy = CheckpointSettings(keep_last_n=keep, keep_best_k_max=keep, keep_best_k=1)
    locks = []
    for number, (state, numbers) in enumerate(runs):
        scores = [one / 10 for one in numbers]
        if state == "retrained":
            retrained_run(root, key_of(number), f"final/seed_{number}", scores)
        elif state == "finished":
            finished_run(root, key_of(number), scores)
        else:
            run = interrupted_run(root, key_of(number), scores)
            if state == "killed after its record":
                finished_run(root, key_of(number))
            elif state == "locked":
                locks.append(FileLock(run / "lock"))
    for lock in locks:
        lock.acquire(timeout=0)
    before, used = files_below(root), used_bytes(root)
    study = StudyFiles(root, policy, complete)

    def found() -> list[Finding]:
        return list(findings(study, aggressive=aggressive))

    partial = [one for finding in found() for one in _each_file(finding)][:stops_after]
    clean(partial, dry_run=False)
    once = clean(found(), dry_run=False)
    assert once.problems == []
    assert clean(found(), dry_run=False).removed == []
    after = files_below(root)
    assert used - used_bytes(root) >= once.freed
    for number, (state, numbers) in enumerate(runs):
        _check_run(root, number, state, len(numbers), before, after, complete=complete)
    for lock in locks:
        lock.release()


def _each_file(finding: Finding) -> list[Finding]:
    return [Finding(finding.what, (path,), finding.run, finding.orphaned) for path in finding.files]


def _check_run(
    root: Path,
    number: int,
    state: str,
    epochs: int,
    before: dict[str, bytes],
    after: dict[str, bytes],
    *,
    complete: bool,
) -> None:
    folder = f"results/{of(number)}/"
    own = {name: content for name, content in before.items() if name.startswith(folder)}
    if state == "locked":
        assert {name: after.get(name) for name in own} == own
    elif state == "interrupted" and not complete:
        files = Checkpoints(root / folder / "resume", key_of(number), CheckpointSettings(), lambda _: None)
        latest = files.latest()
        assert latest is not None
        assert latest[0].epoch == epochs
    elif state == "retrained":
        model = f"results/criteria/retrain/final/seed_{number}"
        for name in (f"{model}/record.json", f"{model}/model/model.safetensors"):
            assert after[name] == before[name]
    elif state == "finished" and not complete:
        assert after[f"{folder}record.json"] == before[f"{folder}record.json"]
    cached = f"{folder}model/model.safetensors"
    if f"{folder}record.json" in after and cached in before:
        assert cached in after, "a record never stays without its weights"


def test_hard_links_count_once_and_only_if_all_names_go(tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    one.write_bytes(b"x" * 1000)
    other.hardlink_to(one)
    assert freed_bytes([one]) == 0
    assert freed_bytes([one, other]) == 1000
    assert freed_bytes([tmp_path]) == 1000
