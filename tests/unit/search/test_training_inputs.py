"""How a job finds encoders and token caches, and what it hands to training."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from search_support import FIXED

from evidence_hpo import paths
from evidence_hpo.config.banks import Bank
from evidence_hpo.config.training import RuntimeSettings
from evidence_hpo.errors import ConfigurationError, DataError
from evidence_hpo.files import write_json
from evidence_hpo.search import training_inputs
from evidence_hpo.search.outcomes import Machine
from evidence_hpo.search.records import RungThreshold
from evidence_hpo.search.training_inputs import TrainingInputs, open_training_inputs


@dataclass(frozen=True)
class Cache:
    task: str
    backbone_digest: str
    digest: str


def manifest(folder: Path, name: str, digest: str) -> Path:
    path = folder / f"{name}.json"
    content = {
        "name": name,
        "source": "scratch",
        "digest": digest,
        "model_type": "deberta-v2",
        "layers": 2,
        "hidden": 128,
        "max_positions": 512,
        "vocabulary": 2000,
        "parameters": 1000,
    }
    write_json(path, content)
    return path


def fake_open(texts: Path, _examples: Path) -> Any:
    backbone, task, split = texts.parts[-4:-1]
    return Cache(task, {"small": "1" * 64, "large": "2" * 64}[backbone], f"{backbone} {task} {split}")


def opened(folder: Path, splits: tuple[str, ...] = ("validation", "train")) -> TrainingInputs:
    names = {"small": "1" * 64, "large": "2" * 64}
    files = [
        (Path(paths.TOKEN_TEXTS.format(**one)), Path(paths.TOKEN_EXAMPLES.format(**one)))
        for one in (
            {"backbone": name, "task": task, "split": split}
            for name in names
            for task in paths.TASKS
            for split in splits
        )
    ]
    return open_training_inputs(
        [folder / name for name in names],
        [manifest(folder, name, digest) for name, digest in names.items()],
        [texts for texts, _ in files],
        [examples for _, examples in files],
        fake_open,
    )


def test_a_run_reads_the_caches_of_its_encoder_and_tasks(tmp_path: Path) -> None:
    inputs = opened(tmp_path)
    share = inputs.of_run({"backbone": "large", "augmentation": "none"}, "share")
    assert share.backbone.directory == tmp_path / "large"
    assert {task: cache.digest for task, cache in share.train.items()} == {
        "criteria": "large criteria train",
        "evidence": "large evidence train",
    }
    evidence = inputs.digests({"backbone": "small", "augmentation": "none"}, "evidence")
    assert evidence["train"] == {"evidence": "small evidence train"}
    assert evidence["validation"] == {"evidence": "small evidence validation"}
    assert evidence["backbone"] == "1" * 64
    assert len(evidence["code"]) == 64


def test_the_test_split_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"test/texts\.arrow: is not a token cache of the training or validation"):
        opened(tmp_path, ("train", "test"))


def test_missing_inputs_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no token cache of criteria, validation split, for backbone small"):
        opened(tmp_path, ("train",)).of_run({"backbone": "small", "augmentation": "none"}, "criteria")
    with pytest.raises(ConfigurationError, match="backbone 'other' is not among the inputs: small, large"):
        opened(tmp_path).of_run({"backbone": "other", "augmentation": "none"}, "criteria")
    with pytest.raises(DataError, match="1 backbones with 0 manifests"):
        open_training_inputs([tmp_path], [], [], [])


@pytest.mark.parametrize(
    "step", ["define_space", "narrow_space", "propose_trials", "collect_trials", "select_configs", "choose_config"]
)
def test_steps_that_only_think_start_without_torch(step: str) -> None:
    script = (
        f"import sys, evidence_hpo.steps.{step}\n"
        "loaded = {'torch', 'transformers', 'optuna', 'scipy', 'pandas', 'sklearn'} & set(sys.modules)\n"
        "assert not loaded, loaded"
    )
    subprocess.run([sys.executable, "-c", script], check=True, capture_output=True)


def test_training_gets_what_was_requested(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from test_trial_cache import request

    from evidence_hpo.search import runs

    calls: list[tuple[Any, ...]] = []

    def run(spec: Any, inputs: Any, work: Path, *, model: Path | None, alone: bool, **_: Any) -> str:
        assert alone
        calls.append((spec, inputs, work, model))
        return "result"

    monkeypatch.setattr(runs, "run", run)
    one = request(3, rungs=(RungThreshold(epoch=0.5, threshold=0.4),), architecture="joint")
    assert runs.training_runner(opened(tmp_path))(one, tmp_path, None, print) == "result"
    spec, inputs, work, model = calls[0]
    assert (spec.architecture, spec.seed, spec.epochs, spec.objective) == ("joint", 3, 3, "macro_f1")
    assert spec.parameters == FIXED.model_dump()
    assert [(rung.epoch, rung.threshold) for rung in spec.rungs] == [(0.5, 0.4)]
    assert (set(inputs.train), set(inputs.validation)) == ({"criteria", "evidence"}, {"criteria", "evidence"})
    assert (inputs.backbone, work, model) == (tmp_path / "small", tmp_path, None)


def test_what_the_machine_lacks_is_found_before_the_first_run(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    from evidence_hpo.search.runs import probe_machine

    runs = [{"optimizer": "adamw"}, {"optimizer": "lion"}]
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"amx_bf16": True})
    expected = Machine("cpu", {"auto": "bf16", "fp32": "fp32", "bf16": "bf16", "fp16": "bf16"})
    assert probe_machine(RuntimeSettings(device="cpu"), runs) == expected
    with pytest.raises(ConfigurationError, match="no CUDA device"):
        probe_machine(RuntimeSettings(device="cuda"), runs)
    with pytest.raises(ConfigurationError, match="adamw_8bit needs a CUDA GPU"):
        probe_machine(RuntimeSettings(), [*runs, {"optimizer": "adamw_8bit"}])


class ToyBank:
    """What the inputs ask of a bank; ``text`` stands for its content."""

    def __init__(self, texts: Path, _examples: Path) -> None:
        *_, task, _, source, method, level, _ = texts.parts
        self.bank = Bank(source, method, int(level.removeprefix("level_")))
        self.task = task

    def digest(self, sources: Any) -> str:
        return f"{self.task} {self.bank} {sorted(sources)}"


OPENED: list[Bank] = []


def with_banks(folder: Path, monkeypatch: pytest.MonkeyPatch, *banks: Bank) -> TrainingInputs:
    """Return inputs with token caches of both tasks and the given banks of each."""
    OPENED.clear()

    def open_bank(texts: Path, examples: Path) -> ToyBank:
        opened = ToyBank(texts, examples)
        OPENED.append(opened.bank)
        return opened

    monkeypatch.setattr(training_inputs.TokenBank, "open", open_bank)
    names = [{"backbone": "small", "task": task} for task in paths.TASKS]
    split = [{**name, "split": one} for name in names for one in ("train", "validation")]
    varied = [{**name, **bank._asdict()} for name in names for bank in banks]
    texts = [paths.TOKEN_TEXTS.format(**one) for one in split] + [paths.AUGMENTED_TEXTS.format(**one) for one in varied]
    rows = [paths.TOKEN_EXAMPLES.format(**one) for one in split]
    rows += [paths.AUGMENTED_EXAMPLES.format(**one) for one in varied]
    manifests = [manifest(folder, "small", "1" * 64)]
    return open_training_inputs([folder / "small"], manifests, list(map(Path, texts)), list(map(Path, rows)), fake_open)


AEDA, SWAP = Bank("original", "aeda", 1), Bank("original", "random_swap", 1)
CHAINED = Bank("simple", "word_deletion", 0)


def parameters(**values: Any) -> dict[str, Any]:
    return {**FIXED.model_dump(), "backbone": "small", **values}


def test_a_run_opens_the_banks_of_its_tasks_once_and_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inputs = with_banks(tmp_path, monkeypatch, AEDA, SWAP, CHAINED)
    own = parameters(augmentation="simple", simple_mask=4)
    found = inputs.of_run(own, "evidence")
    assert {task: [bank.bank for bank in banks] for task, banks in found.banks.items()} == {"evidence": [AEDA]}
    assert inputs.of_run(own, "share").banks["evidence"] == found.banks["evidence"]
    assert sorted(inputs.of_run(own, "share").banks) == ["criteria", "evidence"]
    assert OPENED == [AEDA, AEDA], "once for each task"
    assert inputs.of_run(parameters(), "share").banks == {}


def test_the_digests_of_a_run_hold_what_it_uses_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    few = with_banks(tmp_path, monkeypatch, AEDA)
    many = with_banks(tmp_path, monkeypatch, AEDA, SWAP, CHAINED)
    own = parameters(augmentation="simple", simple_mask=4)
    assert few.digests(own, "evidence") == many.digests(own, "evidence")
    assert few.digests(own, "evidence")["augmentation"] == {
        "evidence": {"original/aeda/level_1": "evidence original/aeda/level_1 [Variation(method='', level=-1)]"}
    }
    both = many.digests(parameters(augmentation="simple", simple_mask=6), "evidence")["augmentation"]
    assert set(both["evidence"]) == {"original/aeda/level_1", "original/random_swap/level_1"}
    assert "augmentation" not in many.digests(parameters(), "evidence"), "its key is that of a study without banks"
    chained = parameters(
        augmentation="simple_then_textattack",
        simple_mask=5,
        textattack_mask=4,
        textattack_strength=0,
        simple_strength=2,
    )
    assert many.digests(chained, "criteria")["augmentation"]["criteria"] == {
        "simple/word_deletion/level_0": (
            "criteria simple/word_deletion/level_0 "
            "[Variation(method='aeda', level=2), Variation(method='random_deletion', level=2)]"
        )
    }


def test_a_bank_that_is_missing_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inputs = with_banks(tmp_path, monkeypatch, AEDA)
    with pytest.raises(DataError, match="no tokenised bank original/casing/level_1 of evidence for backbone small"):
        inputs.of_run(parameters(augmentation="simple", simple_mask=32), "evidence")
