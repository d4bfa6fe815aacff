"""`doctor`: each probe on machines that there are not here, and the command on the one that is."""

from __future__ import annotations

import importlib.metadata
import json
from pathlib import Path
from typing import Any

import pytest
from finished_study import command

from evidence_hpo.cli import probes, study_probes
from evidence_hpo.cli.probes import Probe, State
from evidence_hpo.config.augmentation import FAMILIES
from evidence_hpo.config.backbones import FolderBackbone, HubBackbone, ScratchBackbone
from evidence_hpo.config.configuration import Configuration, default_configuration
from evidence_hpo.config.data import CorpusSettings, HubSourceSettings
from evidence_hpo.config.spaces import Choices, Space

NO_GPU: dict[str, Any] = {"torch": "2.13.0", "cuda": "13.0", "gpus": [], "cpu": {"avx2": True, "amx_bf16": False}}


def states(found: list[Probe]) -> list[State]:
    return [probe.state for probe in found]


def test_packages_are_missing_other_or_as_pinned() -> None:
    versions = {"torch": "2.13.0+cu130", "optuna": "4.0.0", "rich": "15.0.0"}

    def version_of(name: str) -> str:
        if name not in versions:
            raise importlib.metadata.PackageNotFoundError(name)
        return versions[name]

    pinned = {"torch": "2.13.0", "optuna": "5.0.0", "mlflow": "3.0"}
    fine, other, missing = probes.probe_packages(["torch", "rich", "optuna", "mlflow"], pinned, version_of)
    assert (fine.state, fine.found) == (State.ok, "torch 2.13.0+cu130 and 1 more")
    assert (other.state, other.found) == (State.note, "4.0.0, pinned is 5.0.0")
    assert missing.state is State.missing
    assert "constraints.txt mlflow" in missing.remedy


def test_pins_and_needs_are_read_from_what_is_installed(tmp_path: Path) -> None:
    file = tmp_path / "constraints.txt"
    file.write_text("# a comment\ntorch==2.13.0\nscikit_learn==1.9 ; x\n", encoding="utf-8")
    assert probes.pinned_versions(file) == {"torch": "2.13.0", "scikit-learn": "1.9"}
    assert probes.pinned_versions(tmp_path / "none") == {}
    needed = probes.required_packages()
    assert {"torch", "transformers", "optuna", "snakemake", "typer"} <= set(needed)
    assert "pytest" not in needed


def test_a_cpu_with_bf16_units_is_fine_and_others_are_told() -> None:
    assert probes.probe_cpu({"cpu": {"avx2": True, "avx512_bf16": True}}, 8).state is State.ok
    slow = probes.probe_cpu(NO_GPU, 8)
    assert (slow.state, slow.found) == (State.note, "8 cores; avx2")
    assert "fp32" in slow.remedy


def test_gpus() -> None:
    gpu = {"name": "H100", "memory": 80e9, "bf16": True}
    old = {"name": "V100", "memory": 16e9, "bf16": False}
    both = probes.probe_gpus({**NO_GPU, "gpus": [gpu, old]}, wanted=True, driver=True)
    assert states(both) == [State.ok, State.note]
    assert both[0].found == "H100, 80 GB, CUDA 13.0, bf16"
    assert states(probes.probe_gpus(NO_GPU, wanted=False, driver=False)) == [State.note]
    assert states(probes.probe_gpus(NO_GPU, wanted=True, driver=False)) == [State.missing]
    unseen = probes.probe_gpus(NO_GPU, wanted=False, driver=True)
    assert states(unseen) == [State.missing]
    assert "torch 2.13.0 sees none" in unseen[0].found


def test_memory_disk_and_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert probes.probe_memory(2e9).state is State.note
    assert probes.probe_memory(20e9).state is State.ok
    assert probes.probe_disk(10e9, 11e9).state is State.missing
    assert probes.probe_disk(11e9, 10e9).state is State.ok
    assert probes.probe_folder(tmp_path).state is State.ok
    monkeypatch.setattr(probes.os, "access", lambda *_: False)
    assert probes.probe_folder(tmp_path).state is State.missing


def test_slurm_is_there_silent_or_absent() -> None:
    assert probes.probe_slurm(lambda _: None).found == "no sbatch here"
    assert probes.probe_slurm(lambda name: f"/bin/{name}", lambda _: True).state is State.ok
    assert "does not answer" in probes.probe_slurm(lambda name: f"/bin/{name}", lambda _: False).found
    assert "does not answer" in probes.probe_slurm(lambda name: "/nowhere/sbatch", lambda command: _run(command)).found


def _run(_: list[str]) -> bool:
    return probes._answers(["/nowhere/squeue"])


def test_git_is_wanted_for_the_records() -> None:
    assert states(probes.probe_tools(lambda _: None)) == [State.note]
    assert states(probes.probe_tools(lambda name: name)) == [State.ok]


@pytest.mark.parametrize(
    ("state", "expected", "remedy"),
    [
        ("cached", State.ok, ""),
        ("reachable", State.ok, ""),
        ("gated", State.missing, "hf auth login"),
        ("unknown", State.missing, "correct its name"),
        ("unreachable", State.missing, "HF_HOME"),
    ],
)
def test_data_and_encoders_of_the_hub(tmp_path: Path, state: str, expected: State, remedy: str) -> None:
    asked: list[tuple[str, str, str]] = []

    def state_of(*what: str) -> str:
        asked.append((what[0], what[1], what[2]))
        return state

    corpus = CorpusSettings(source="hub", hub=HubSourceSettings(revision="r"))
    for probe in (
        study_probes.probe_corpus(corpus, tmp_path, state_of),
        study_probes.probe_backbone("b", HubBackbone(model="o/n", revision="r"), tmp_path, state_of),
    ):
        assert probe.state is expected
        assert remedy in probe.remedy
    assert asked == [("dataset", "irlab-udc/redsm5", "r"), ("model", "o/n", "r")]


def never(*_: str) -> str:
    raise AssertionError("the hub is not asked")


def test_what_is_here_needs_no_hub(tmp_path: Path) -> None:
    folder = tmp_path / "encoder"
    folder.mkdir()
    settings = FolderBackbone(path="encoder", source="folder")
    assert study_probes.probe_backbone("b", settings, tmp_path, never).state is State.missing
    (folder / "config.json").touch()
    (folder / "model.safetensors").touch()
    assert study_probes.probe_backbone("b", settings, tmp_path, never).state is State.ok
    assert study_probes.probe_backbone("b", ScratchBackbone(), tmp_path, never).found == "made from scratch"
    assert study_probes.probe_corpus(CorpusSettings(), tmp_path, never).state is State.ok
    local = CorpusSettings(source="hub", hub=HubSourceSettings(dataset="encoder"))
    assert study_probes.probe_corpus(local, tmp_path, never).state is State.ok


def test_what_was_made_for_other_settings_does_not_count(tmp_path: Path) -> None:
    posts = tmp_path / "results/corpus/posts.parquet"
    manifest = tmp_path / "results/backbones/b.json"
    for path in (posts, manifest):
        path.parent.mkdir(parents=True)
        path.touch()
    corpus, encoder = CorpusSettings(source="hub"), HubBackbone(model="o/n")
    other, gone = CorpusSettings(), lambda *_: "unreachable"
    assert study_probes.probe_corpus(corpus, tmp_path, never, corpus).found == "read already"
    assert study_probes.probe_corpus(corpus, tmp_path, gone, other).state is State.missing
    assert study_probes.probe_backbone("b", encoder, tmp_path, never, encoder).found == "prepared already"
    assert study_probes.probe_backbone("b", encoder, tmp_path, gone, None).state is State.missing


def test_a_hub_that_does_not_answer_is_asked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def refuse(_kind: str, name: str, _revision: str) -> str:
        asked.append(name)
        return "unreachable"

    monkeypatch.setattr(study_probes, "_asked", refuse)
    monkeypatch.setattr(study_probes, "_is_cached", lambda _kind, name, _revision: name == "c")
    hub = study_probes.Hub()
    assert [hub.state("model", name, "main") for name in ("a", "b", "c")] == ["unreachable", "unreachable", "cached"]
    assert asked == ["a"]


def with_entry(name: str, entry: Choices) -> Configuration:
    made = default_configuration()
    # Unchecked: whether there is such a parameter is for the space to say, not for the probe.
    space = Space.model_construct({**made.spaces["sample"].root, name: entry})
    return made.model_copy(update={"spaces": {"sample": space}})


def test_parameters_that_need_more_are_looked_at_only_where_runs_may_use_them(tmp_path: Path) -> None:
    default = default_configuration()
    assert study_probes.probe_optimizers(default, lambda _: False) == []
    eight = with_entry("optimizer", Choices(choices=("adamw", "adamw_8bit")))
    assert study_probes.possible_values(eight, "optimizer") == {"adamw", "adamw_8bit"}
    assert states(study_probes.probe_optimizers(eight, lambda _: False)) == [State.missing]
    assert states(study_probes.probe_optimizers(eight, lambda _: True)) == [State.ok]
    assert study_probes.probe_augmentation(default, tmp_path) == []
    attacked = with_entry("augmentation", Choices(choices=("none", FAMILIES[1])))
    assert states(study_probes.probe_augmentation(attacked, tmp_path)) == [State.note, State.note]
    (tmp_path / "results/augmentation/nltk_data").mkdir(parents=True)
    assert states(study_probes.probe_augmentation(attacked, tmp_path)) == [State.note, State.ok]


def test_the_default_study_is_ready_here(tmp_path: Path) -> None:
    looked = command("doctor", "--json", folder=tmp_path)
    content = json.loads(looked.stdout)
    problems = [probe for probe in content["probes"] if probe["state"] == "missing"]
    assert (looked.returncode, content["ready"]) == ((1, False) if problems else (0, True))
    assert {"packages", "CPU", "memory", "folder", "SLURM", "configuration", "corpus", "encoder small", "disk"} <= {
        probe["name"] for probe in content["probes"]
    }
    assert not [probe for probe in problems if not probe["name"].startswith(("package", "GPU", "disk"))]


def test_a_preset_that_cannot_run_is_exit_code_1_and_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "encoder.yaml").write_text(
        "backbones: {deberta_v3_base: {source: folder, path: nowhere}}\n"
        "data: {corpus: {source: files, files: {posts: p.csv, annotations: a.csv}}}\n",
        encoding="utf-8",
    )
    looked = command("doctor", "--preset", "redsm5", "--configfile", "encoder.yaml", folder=tmp_path)
    assert looked.returncode == 1
    assert "missing" in looked.stdout
    assert "p.csv" in looked.stdout
    assert "Traceback" not in looked.stderr
    unknown = command("doctor", "--preset", "redsm", folder=tmp_path)
    assert unknown.returncode == 2
    assert "did you mean 'redsm5'" in unknown.stderr
