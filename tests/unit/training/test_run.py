from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import pytest
import torch
from safetensors.torch import load_file

from evidence_hpo.config.checkpoints import CheckpointSettings
from evidence_hpo.config.parameters import TrialParameters
from evidence_hpo.errors import ConfigurationError
from evidence_hpo.files import canonical_json, digest_directory, read_json
from evidence_hpo.models.architectures import ARCHITECTURE_TASKS
from evidence_hpo.training import loop
from evidence_hpo.training.run import Rung, RunInputs, RunResult, RunSpec, run

Make = Callable[..., RunSpec]
Inputs = dict[str, RunInputs]


ANY_DISK = CheckpointSettings(disk_space_threshold_percent=0.0)


class KilledError(Exception):
    """Stands for a signal."""


def silent(_: str) -> None:
    return None


def killed_at(line: str) -> Callable[[str], None]:
    def report(message: str) -> None:
        if message.startswith(line):
            raise KilledError

    return report


def comparable(result: RunResult) -> str:
    """Return everything of a result but its duration."""
    return canonical_json({**vars(result), "duration_seconds": None})


@pytest.mark.parametrize("architecture", ARCHITECTURE_TASKS)
@pytest.mark.parametrize("optimizer", ["adamw", "adafactor", "lion"])
def test_a_run_killed_anywhere_ends_in_the_same_bits(
    tmp_path: Path, inputs: Inputs, make_spec: Make, architecture: str, optimizer: str
) -> None:
    spec = make_spec(architecture, {"optimizer": optimizer}, epochs=3, rungs=(Rung(1.5),))
    whole = run(spec, inputs["tiny"], tmp_path / "whole", model=tmp_path / "model", report=silent)
    for number, line in enumerate(["epoch 1 of", "epoch 1.5:", "epoch 2 of"]):
        work, model = tmp_path / f"work{number}", tmp_path / f"model{number}"
        with pytest.raises(KilledError):
            run(spec, inputs["tiny"], work, model=model, report=killed_at(line))
        torch.rand(number)  # the state of the generators at the start must not matter
        resumed = run(spec, inputs["tiny"], work, model=model, report=silent)
        assert comparable(resumed) == comparable(whole)
        assert digest_directory(model) == digest_directory(tmp_path / "model")
        assert not work.exists()


def test_a_run_lost_before_its_result_was_stored_repeats_its_last_epoch_only(
    tmp_path: Path, inputs: Inputs, make_spec: Make
) -> None:
    spec = make_spec("share", epochs=3)
    work, model = tmp_path / "work", tmp_path / "model"
    lost = run(spec, inputs["tiny"], work, model=model, report=silent, keep_points=True)
    before, lines = digest_directory(model), list[str]()
    again = run(spec, inputs["tiny"], work, model=model, report=lines.append, keep_points=True)
    assert lines
    assert all(line.startswith("epoch 3") for line in lines)
    assert comparable(again) == comparable(lost)
    assert digest_directory(model) == before


@pytest.mark.parametrize("schedule", get_args(TrialParameters.model_fields["schedule"].annotation))
def test_a_killed_run_takes_up_its_schedule(tmp_path: Path, inputs: Inputs, make_spec: Make, schedule: str) -> None:
    spec = make_spec("share", {"schedule": schedule}, epochs=3)
    whole = run(spec, inputs["tiny"], tmp_path / "whole", model=tmp_path / "model", report=silent)
    with pytest.raises(KilledError):
        run(spec, inputs["tiny"], tmp_path / "work", model=tmp_path / "resumed", report=killed_at("epoch 2 of"))
    resumed = run(spec, inputs["tiny"], tmp_path / "work", model=tmp_path / "resumed", report=silent)
    assert comparable(resumed) == comparable(whole)
    assert digest_directory(tmp_path / "resumed") == digest_directory(tmp_path / "model")


def test_a_run_killed_after_every_epoch_ends_in_the_same_bits(tmp_path: Path, inputs: Inputs, make_spec: Make) -> None:
    spec = make_spec("share", epochs=5)
    whole = run(spec, inputs["tiny"], tmp_path / "whole", model=tmp_path / "model", report=silent)
    for epoch in range(1, 5):
        with pytest.raises(KilledError):
            run(spec, inputs["tiny"], tmp_path / "w", model=tmp_path / "m", report=killed_at(f"epoch {epoch} of"))
    resumed = run(spec, inputs["tiny"], tmp_path / "w", model=tmp_path / "m", report=silent)
    assert comparable(resumed) == comparable(whole)
    assert digest_directory(tmp_path / "m") == digest_directory(tmp_path / "model")


def test_what_ran_before_in_the_process_does_not_matter(tmp_path: Path, inputs: Inputs, make_spec: Make) -> None:
    spec = make_spec("criteria")
    first = run(spec, inputs["tiny"], tmp_path / "a", model=tmp_path / "m1", report=silent)
    run(make_spec("joint", {"dropout": 0.4}), inputs["other"], tmp_path / "b", report=silent)
    again = run(spec, inputs["tiny"], tmp_path / "a", model=tmp_path / "m2", report=silent)
    assert comparable(first) == comparable(again)
    assert digest_directory(tmp_path / "m1") == digest_directory(tmp_path / "m2")


@pytest.mark.parametrize("damaged", ["epoch_003.safetensors", "epoch_003.optimizer.safetensors"])
def test_a_damaged_resume_point_gives_way_to_the_one_before(
    tmp_path: Path, inputs: Inputs, make_spec: Make, damaged: str
) -> None:
    spec = make_spec("evidence", epochs=4)
    whole = run(spec, inputs["tiny"], tmp_path / "whole", report=silent)
    work = tmp_path / "work"
    with pytest.raises(KilledError):
        run(spec, inputs["tiny"], work, report=killed_at("epoch 3 of"), checkpoints=ANY_DISK)
    assert sorted(p.name for p in work.iterdir()) == [
        f"epoch_00{epoch}.{suffix}" for epoch in (2, 3) for suffix in ("json", "optimizer.safetensors", "safetensors")
    ]
    tensors = bytearray((work / damaged).read_bytes())
    tensors[-1] ^= 1
    (work / damaged).write_bytes(tensors)
    lines: list[str] = []
    resumed = run(spec, inputs["tiny"], work, report=lines.append)
    assert lines[0] == "resume point ignored: epoch_003.json: its tensors are damaged"
    assert lines[1].startswith("epoch 3:")
    assert comparable(resumed) == comparable(whole)


@pytest.mark.parametrize("damage", ["{}", "not json", '{"content": {"run": 1}, "digest": "0"}'])
def test_resume_points_without_sense_are_passed_over(
    tmp_path: Path, inputs: Inputs, make_spec: Make, damage: str
) -> None:
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "epoch_001.json").write_text(damage)
    lines: list[str] = []
    result = run(make_spec("criteria", epochs=1), inputs["tiny"], tmp_path / "work", report=lines.append)
    assert lines[0].startswith("resume point ignored: ")
    assert result.state == "complete"


def test_another_runs_resume_point_is_not_taken(tmp_path: Path, inputs: Inputs, make_spec: Make) -> None:
    with pytest.raises(KilledError):
        run(make_spec("criteria", epochs=3), inputs["tiny"], tmp_path / "work", report=killed_at("epoch 2 of"))
    other = make_spec("criteria", epochs=3, seed=8)
    lines: list[str] = []
    result = run(other, inputs["tiny"], tmp_path / "work", report=lines.append)
    assert [line for line in lines if "of another run" in line] == lines[:2]
    assert comparable(result) == comparable(run(other, inputs["tiny"], tmp_path / "fresh", report=silent))


def test_another_runs_later_resume_points_do_not_push_out_those_of_this_run(
    tmp_path: Path, inputs: Inputs, make_spec: Make
) -> None:
    with pytest.raises(KilledError):
        run(make_spec("criteria", epochs=4), inputs["tiny"], tmp_path / "work", report=killed_at("epoch 3 of"))
    spec = make_spec("criteria", epochs=4, seed=8)
    with pytest.raises(KilledError):
        run(spec, inputs["tiny"], tmp_path / "work", report=killed_at("epoch 1 of"))
    lines: list[str] = []
    run(spec, inputs["tiny"], tmp_path / "work", report=lines.append)
    assert lines[0].startswith("epoch 2:")


def test_parameters_that_do_not_fit_the_backbone_are_errors(tmp_path: Path, inputs: Inputs, make_spec: Make) -> None:
    with pytest.raises(ConfigurationError, match="max_length: 128 is more than the backbone's 96 positions"):
        run(make_spec("criteria", {"max_length": 128}), inputs["tiny"], tmp_path / "work", report=silent)
    with pytest.raises(ConfigurationError, match="frozen_layers: 3 is more than the 2 layers"):
        run(make_spec("criteria", {"frozen_layers": 3}), inputs["tiny"], tmp_path / "work", report=silent)


def test_evaluations_come_at_rungs_and_epoch_ends_and_the_best_counts(
    tmp_path: Path, inputs: Inputs, make_spec: Make
) -> None:
    spec = make_spec("evidence", epochs=2, rungs=(Rung(0.5, 0.0), Rung(1.0, 0.0)))
    result = run(spec, inputs["tiny"], tmp_path / "work", report=silent)
    assert [e["epoch"] for e in result.evaluations] == [0.5, 1.0, 2.0]
    values = [e["metrics"]["char_f1"] for e in result.evaluations]
    assert result.value == max(values)
    assert result.best_epoch == result.evaluations[values.index(max(values))]["epoch"]
    assert (result.state, result.reason, result.precision, result.notes) == ("complete", None, "fp32", [])


def test_long_epochs_say_how_far_they_are(
    tmp_path: Path, inputs: Inputs, make_spec: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines: list[str] = []
    run(make_spec("criteria", epochs=1), inputs["tiny"], tmp_path / "work", report=lines.append)
    assert not any("steps" in line for line in lines)
    monkeypatch.setattr(loop, "_PROGRESS_SECONDS", 0.0)
    run(make_spec("criteria", epochs=1), inputs["tiny"], tmp_path / "work", report=lines.append)
    shown = [line for line in lines if "steps" in line]
    assert shown == ["epoch 1: 2 of 3 steps, about 0 s left", "epoch 1: 3 of 3 steps, about 0 s left"]


def test_a_value_below_the_threshold_prunes_and_one_at_it_does_not(
    tmp_path: Path, inputs: Inputs, make_spec: Make
) -> None:
    free = run(make_spec("criteria"), inputs["tiny"], tmp_path / "work", report=silent)
    value = free.evaluations[0]["metrics"]["macro_f1"]
    kept = run(make_spec("criteria", rungs=(Rung(1.0, value),)), inputs["tiny"], tmp_path / "work", report=silent)
    assert comparable(kept) == comparable(free)
    cut = make_spec("criteria", rungs=(Rung(1.0, value + 1e-9),))
    pruned = run(cut, inputs["tiny"], tmp_path / "work", report=silent)
    assert (pruned.state, pruned.value, pruned.best_epoch) == ("pruned", value, 1.0)
    assert pruned.evaluations == free.evaluations[:1]
    assert not (tmp_path / "work").exists()


def test_early_stopping_waits_for_its_patience(tmp_path: Path, inputs: Inputs, make_spec: Make) -> None:
    still = {"learning_rate": 1e-12}
    spec = make_spec("criteria", still, epochs=6, early_stopping_patience=2, rungs=(Rung(0.2), Rung(0.6)))
    result = run(spec, inputs["tiny"], tmp_path / "work", report=silent)
    assert [e["epoch"] for e in result.evaluations][-1] == 3.0
    assert result.state == "complete"
    assert result.reason == "stopped early after epoch 3: 2 epochs without improvement"
    patient = make_spec("criteria", still, epochs=6, early_stopping_patience=0)
    assert len(run(patient, inputs["tiny"], tmp_path / "work", report=silent).evaluations) == 6


def test_the_exported_weights_are_those_of_the_best_epoch(
    tmp_path: Path, inputs: Inputs, make_spec: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = iter([0.1, 0.9, 0.5])
    seen: list[dict[str, torch.Tensor]] = []

    def scripted(model: torch.nn.Module, *_: Any) -> tuple[dict[str, float], dict[str, float]]:
        seen.append({name: tensor.clone() for name, tensor in model.state_dict().items()})
        return {"macro_f1": next(values)}, {"criteria": 0.5}

    monkeypatch.setattr(loop, "evaluate_model", scripted)
    result = run(
        make_spec("criteria", epochs=3), inputs["tiny"], tmp_path / "work", model=tmp_path / "model", report=silent
    )
    assert (result.value, result.best_epoch) == (0.9, 2.0)
    exported = load_file(tmp_path / "model" / "model.safetensors")
    assert set(exported) == set(seen[1])
    assert all(torch.equal(exported[name], tensor) for name, tensor in seen[1].items())
    assert not torch.equal(exported["criteria_head.1.weight"], seen[2]["criteria_head.1.weight"])


def test_the_export_holds_run_encoder_configuration_and_tokeniser(
    tmp_path: Path, inputs: Inputs, make_spec: Make
) -> None:
    spec = make_spec("criteria", epochs=1)
    run(spec, inputs["tiny"], tmp_path / "work", model=tmp_path / "model", report=silent)
    names = {path.name for path in (tmp_path / "model").iterdir()}
    assert names == {"model.safetensors", "config.json", "tokenizer.json", "tokenizer_config.json", "run.json"}
    assert RunSpec.from_json(read_json(tmp_path / "model" / "run.json")) == spec


def test_a_non_finite_loss_fails_and_names_the_step(
    tmp_path: Path, inputs: Inputs, make_spec: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken = 0
    original = loop.window_losses

    def spoilt(*arguments: Any) -> torch.Tensor:
        nonlocal taken
        taken += 1
        return original(*arguments) * (float("nan") if taken == 6 else 1.0)

    monkeypatch.setattr(loop, "window_losses", spoilt)
    # An epoch calls it three times for its steps and once for its evaluation.
    result = run(make_spec("criteria"), inputs["tiny"], tmp_path / "work", report=silent)
    assert (result.state, result.reason) == ("failed", "non-finite loss at step 5 (epoch 2)")
    assert [e["epoch"] for e in result.evaluations] == [1.0]


def test_weights_that_diverge_in_the_last_step_fail_the_run(
    tmp_path: Path, inputs: Inputs, make_spec: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = loop.Training.optimize

    def spoilt(self: loop.Training, *arguments: Any) -> torch.Tensor:
        loss = original(self, *arguments)
        with torch.no_grad():
            self.trained[0].fill_(float("nan"))
        return loss

    monkeypatch.setattr(loop.Training, "optimize", spoilt)
    spec = make_spec("evidence", rungs=(Rung(0.01),))
    result = run(spec, inputs["tiny"], tmp_path / "work", report=silent)
    assert (result.state, result.reason) == ("failed", "non-finite prediction at step 1 (epoch 1)")
    assert result.value is None


def _out_of_memory(monkeypatch: pytest.MonkeyPatch, largest: int) -> None:
    """Let batches of more than ``largest`` windows run out of memory."""
    original = loop.load_batch

    def limited(data: Any, windows: Any, device: torch.device) -> Any:
        if len(windows) > largest:
            raise torch.OutOfMemoryError("injected")
        return original(data, windows, device)

    monkeypatch.setattr(loop, "load_batch", limited)


def test_out_of_memory_cuts_the_batches_and_changes_only_the_rounding(
    tmp_path: Path, inputs: Inputs, make_spec: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = make_spec("share", {"dropout": 0.0, "backbone_dropout": 0.0})
    whole = run(spec, inputs["tiny"], tmp_path / "work", report=silent)
    _out_of_memory(monkeypatch, 4)
    with pytest.raises(KilledError):
        run(spec, inputs["tiny"], tmp_path / "cut", report=killed_at("epoch 1 of"))
    cut = run(spec, inputs["tiny"], tmp_path / "cut", report=silent)
    assert cut.state == "complete"
    assert cut.notes == ["out of GPU memory: batches in 4 parts"]
    losses = [[e["train"]["loss"] for e in result.evaluations] for result in (whole, cut)]
    assert losses[1] == pytest.approx(losses[0], rel=1e-4)
    assert comparable(cut) == comparable(run(spec, inputs["tiny"], tmp_path / "again", report=silent))


def test_too_little_memory_for_one_window_fails_the_run(
    tmp_path: Path, inputs: Inputs, make_spec: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    _out_of_memory(monkeypatch, 0)
    result = run(make_spec("criteria"), inputs["tiny"], tmp_path / "work", report=silent)
    assert (result.state, result.reason) == ("failed", "out of GPU memory with one window in a forward pass")


def test_other_errors_are_raised(
    tmp_path: Path, inputs: Inputs, make_spec: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(loop, "load_batch", broken)
    with pytest.raises(ZeroDivisionError):
        run(make_spec("criteria"), inputs["tiny"], tmp_path / "work", report=silent)


def test_bf16_trains_and_is_recorded(tmp_path: Path, inputs: Inputs, make_spec: Make) -> None:
    exact = run(make_spec("share"), inputs["tiny"], tmp_path / "work", report=silent)
    spec = make_spec("share", {"precision": "bf16"})
    result = run(spec, inputs["tiny"], tmp_path / "work", report=silent)
    assert (result.state, result.precision, result.notes) == ("complete", "bf16", [])
    assert result.evaluations[0]["train"]["loss"] != exact.evaluations[0]["train"]["loss"]
    assert result.evaluations[0]["train"]["loss"] == pytest.approx(exact.evaluations[0]["train"]["loss"], rel=0.05)


def test_runs_of_a_process_do_not_see_each_others_precision(tmp_path: Path, inputs: Inputs, make_spec: Make) -> None:
    found = [
        comparable(run(make_spec("share", {"precision": one}), inputs["tiny"], tmp_path / "work", report=silent))
        for one in ("fp32", "bf16", "fp32")
    ]
    assert found[0] == found[2] != found[1]


def test_fp16_without_a_gpu_computes_what_auto_does_and_says_so(
    tmp_path: Path, inputs: Inputs, make_spec: Make
) -> None:
    auto, wanted = (
        run(make_spec("share", {"precision": one}), inputs["tiny"], tmp_path / "work", report=silent)
        for one in ("auto", "fp16")
    )
    assert wanted.state == "complete"
    assert wanted.notes == [f"precision: fp16 needs a GPU, {auto.precision} is used"]
    assert wanted.precision == auto.precision
    assert wanted.evaluations == auto.evaluations


@pytest.mark.parametrize("architecture", ARCHITECTURE_TASKS)
def test_every_architecture_learns_the_cues(tmp_path: Path, inputs: Inputs, make_spec: Make, architecture: str) -> None:
    values = {"learning_rate": 3e-3, "dropout": 0.0, "backbone_dropout": 0.0, "pooling": "mean"}
    spec = make_spec(architecture, values, epochs=15, early_stopping_patience=5)
    result = run(spec, inputs["tiny"], tmp_path / "work", report=silent)
    assert result.value is not None
    assert result.value > 0.9
