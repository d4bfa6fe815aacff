"""Step `export_model`: which seed it takes, and that the card's program decides as the evaluation did."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from evaluation_toys import DIGEST, evaluation
from huggingface_hub import ModelCard
from tests.unit.training.conftest import CRITERIA, make_backbone, make_cache, make_examples

from evidence_hpo.config.checkpoints import CheckpointSettings
from evidence_hpo.config.data import CorpusSettings, ExampleSettings, SplitSettings
from evidence_hpo.config.parameters import TrialParameters, active_parameters
from evidence_hpo.config.training import RuntimeSettings
from evidence_hpo.errors import DataError, TrainingError
from evidence_hpo.files import digest_directory, digest_file, read_json, write_json
from evidence_hpo.models.architectures import ARCHITECTURE_TASKS, build_model, encoder_count
from evidence_hpo.models.encoders import new_encoder
from evidence_hpo.schemas import read_artefact
from evidence_hpo.steps.export_model import export_model
from evidence_hpo.steps.prepare_corpus import prepare_corpus
from evidence_hpo.steps.split_corpus import split_corpus
from evidence_hpo.training.checkpoints import Checkpoints
from evidence_hpo.training.checkpoints import export_model as write_run
from evidence_hpo.training.prediction import load_model, predict
from evidence_hpo.training.spec import RunSpec

CHANGES: dict[str, dict[str, Any]] = {
    "criteria": {"head_layers": 1, "head_hidden": 32, "head_activation": "tanh"},
    "evidence": {"head_layers": 0, "window_overlap": 0.5},
    "share": {"pooling": "mean"},
    "joint": {"pooling": "attention", "window_overlap": 0.0},
}
ALONE = {"criteria": "BertForSequenceClassification", "evidence": "BertForQuestionAnswering"}
PLACEHOLDER = 'text = "A sentence or a post."'


def make_spec(architecture: str, seed: int, refit_epochs: int | None = None) -> RunSpec:
    values = TrialParameters(**{"max_length": 40, "head_hidden": 16, **CHANGES[architecture]}).model_dump()
    return RunSpec(
        architecture=architecture,
        parameters={name: values[name] for name in active_parameters(values, architecture)},
        seed=seed,
        epochs=1,
        data_fraction=1.0,
        rungs=(),
        objective="macro_f1",
        early_stopping_patience=0,
        runtime=RuntimeSettings(device="cpu"),
        refit_epochs=refit_epochs,
    )


def make_run(
    folder: Path, backbone: Path, architecture: str, index: int, value: float | None, *, refit: bool = False
) -> None:
    """Leave what a final run or a refit leaves; its weights are random, and large enough to decide differently."""
    spec = make_spec(architecture, (200 if refit else 100) + index, 1 if refit else None)
    torch.manual_seed(spec.seed)
    encoders = [new_encoder(backbone, dropout=0.0) for _ in range(encoder_count(architecture))]
    weights = build_model(architecture, spec.parameters, encoders).state_dict()
    grown = {name: weight * 8 if "head" in name else weight for name, weight in weights.items()}
    kept = Checkpoints(folder / "work", "toy", CheckpointSettings(), print)
    kept.offer(grown, 1.0, 1, 0.5)
    write_run(folder / "model", kept, backbone, spec)
    checkpoint = {"path": "model", "sha256": digest_file(folder / "model" / "model.safetensors")}
    role, done = "refit" if refit else "final", refit or value is not None
    record = {
        **{"study": "toy", "architecture": architecture, "role": role, "rank": 0, "seed_index": index},
        **{"seed": spec.seed, "state": "complete" if done else "failed", "value": value},
        **{"origin": {"stage": "stage1", "number": 0}, "search_value": 0.9, "metrics": {}},
        **{"best_epoch": None if refit else 1.0, "refit_epochs": spec.refit_epochs},
        **{"parameters": spec.parameters, "epochs": 1, "data_fraction": 1.0, "objective": "macro_f1"},
        **{"evaluations": [], "effective_batch_size": 16, "effective_learning_rate": 1e-3, "precision": "fp32"},
        **{"reason": None if done else "loss is not finite", "notes": [], "key": DIGEST},
        **{"versions": {"python": "3.11"}, "duration_seconds": 12.3},
        "checkpoint": checkpoint if done else None,
        "digests": {"train": {}, "validation": {}, "backbone": DIGEST, "code": DIGEST},
    }
    write_json(folder / "record.json", record)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A real corpus report and split of the sample, an encoder, and criteria in its vocabulary."""
    root = tmp_path_factory.mktemp("data")
    settings = CorpusSettings.model_validate({"sample": {"posts": 60}})
    names = ("posts.parquet", "annotations.parquet", "criteria.json", "report.json")
    posts, annotations, criteria, report = (root / name for name in names)
    prepare_corpus(settings=settings, posts=posts, annotations=annotations, criteria=criteria, report=report)
    outputs = {
        f"{split}_{table}": root / f"{split}_{table}.parquet"
        for split in ("train", "validation", "test")
        for table in ("posts", "annotations")
    }
    splits = root / "splits.json"
    split_corpus(settings=SplitSettings(), seed=0, posts=posts, annotations=annotations, splits=splits, **outputs)
    write_json(criteria, [{**one, "name": one["id"].title()} for one in CRITERIA])
    make_backbone(root / "backbone", layers=2, seed=0)
    manifest = {"name": "tiny", "source": "scratch", "digest": DIGEST, "model_type": "bert", "layers": 2, "hidden": 32}
    write_json(root / "manifest.json", {**manifest, "max_positions": 96, "vocabulary": 40, "parameters": 1000})
    for task in ("criteria", "evidence"):
        (root / f"{task}.parquet").write_bytes(task.encode())
    return root


def export(folder: Path, data: Path, architecture: str, values: list[float | None], refits: int = 0) -> Path:
    """Run the step for final runs with these validation scores, and refits."""
    for index, value in enumerate(values):
        if not (folder / f"seed_{index}").exists():
            make_run(folder / f"seed_{index}", data / "backbone", architecture, index, value)
    # The scores of the test split are the toys': of two seeds, whichever is exported.
    scores = evaluation("share" if architecture == "joint" else architecture, refits=refits)
    scores |= {"architecture": architecture}
    scores["configuration"]["parameters"] = make_spec(architecture, 0).parameters
    write_json(folder / "evaluation.json", scores)
    runs = [folder / f"seed_{index}" for index in range(len(values))]
    again = [folder / f"refit_{index}" for index in range(refits)]
    for index, run in enumerate(again):
        make_run(run, data / "backbone", architecture, index, None, refit=True)
    examples = [data / f"{task}.parquet" for task in ARCHITECTURE_TASKS[architecture]]
    export_model(
        settings=ExampleSettings(),
        evaluation=folder / "evaluation.json",
        models=[run / "model" for run in runs],
        records=[run / "record.json" for run in runs],
        refit_models=[run / "model" for run in again],
        refit_records=[run / "record.json" for run in again],
        manifests=[data / "manifest.json"],
        criteria=data / "criteria.json",
        corpus=data / "report.json",
        splits=data / "splits.json",
        train_examples=examples,
        validation_examples=examples,
        directory=folder / "exported",
    )
    return folder / "exported"


def program_of(card: str) -> str:
    return card.split("```python\n")[1].split("```")[0]


def decisions(exported: Path, texts: list[str], *, alone: bool) -> list[dict[str, Any]]:
    """Run the card's program for each text in a fresh process, for which this package may not exist."""
    program = program_of((exported / "README.md").read_text(encoding="utf-8"))
    assert PLACEHOLDER in program
    driver = """
import json, sys
given = json.load(sys.stdin)
if given["alone"]:
    sys.modules["evidence_hpo"] = None
found = []
for text in given["texts"]:
    names = {}
    exec(given["program"].replace(given["placeholder"], f"text = {text!r}"), names)
    kept = {name: names[name] for name in ("probability", "present", "span", "answered") if name in names}
    found.append(kept | ({"margin": names["best"]} if "best" in names else {}))
print(json.dumps(found))
"""
    given = {"program": program, "placeholder": PLACEHOLDER, "texts": texts, "alone": alone}
    finished = subprocess.run(
        [sys.executable, "-c", driver],
        input=json.dumps(given),
        cwd=exported,
        capture_output=True,
        text=True,
        check=True,
    )
    found: list[dict[str, Any]] = json.loads(finished.stdout.splitlines()[-1])
    return found


@pytest.mark.parametrize("architecture", ARCHITECTURE_TASKS)
def test_the_program_of_the_card_decides_as_the_evaluation(architecture: str, data: Path, tmp_path: Path) -> None:
    exported = export(tmp_path, data, architecture, [0.6, 0.7])
    described = read_artefact(exported / "evidence_hpo.json", "export")
    assert described["transformers_class"] == ALONE.get(architecture)
    rows = [row for row in make_examples(8, seed=3) if row["criterion"] == described["criteria"][0]["id"]]
    texts = [row["text"] for row in rows]
    found = decisions(exported, texts, alone=architecture in ALONE)
    loaded = load_model(tmp_path / "seed_1/model")
    for task in ARCHITECTURE_TASKS[architecture]:
        cache = make_cache(tmp_path / task, data / "backbone", task, rows)
        expected = predict(loaded, {task: cache}, RuntimeSettings(device="cpu"))[task]
        threshold = described["thresholds"][task]["decision"][described["criteria"][0]["id"]]
        assert len(expected) == len(found)
        for ours, theirs in zip(expected.itertuples(), found, strict=True):
            if task == "criteria":
                assert theirs["probability"] == pytest.approx(ours.probability, abs=1e-5)
                assert theirs["present"] == (ours.probability >= threshold)
            else:
                assert theirs["margin"] == pytest.approx(ours.span_score - ours.null_score, abs=1e-4)
                assert theirs["span"] == [ours.start, ours.end]
                assert theirs["answered"] == (ours.span_score - ours.null_score > threshold)
    if "evidence" in ARCHITECTURE_TASKS[architecture]:
        assert max(len(text.split()) for text in texts) > 2 * described["parameters"]["max_length"] * 0.7, "no windows"


def test_the_seed_with_the_best_validation_score_is_exported(data: Path, tmp_path: Path) -> None:
    exported = export(tmp_path, data, "criteria", [0.6, 0.8, None])
    described = read_artefact(exported / "evidence_hpo.json", "export")
    assert (described["seed"], described["training_seed"]) == (1, 101)
    assert described["run"]["weights"] == digest_file(tmp_path / "seed_1/model/model.safetensors")
    assert described["files"] == {
        path.name: digest_file(path)
        for path in exported.iterdir()
        if path.name not in ("README.md", "evidence_hpo.json")
    }
    card = ModelCard((exported / "README.md").read_text(encoding="utf-8"))
    scores = read_json(tmp_path / "evaluation.json")["tasks"]["criteria"]["metrics"]["global"]
    given = {one.metric_name.split(" ")[0]: one.metric_value for one in card.data.eval_results}
    assert given == {name: found["per_seed"][1] for name, found in scores.items()}


@pytest.mark.parametrize("architecture", ["criteria", "joint"])
def test_the_first_refit_is_exported_where_there_is_one(architecture: str, data: Path, tmp_path: Path) -> None:
    exported = export(tmp_path, data, architecture, [0.6, 0.8], refits=2)
    described = read_artefact(exported / "evidence_hpo.json", "export")
    assert (described["seed"], described["training_seed"]) == (0, 200)
    assert described["trained_on"] == ["train", "validation"]
    assert described["run"]["weights"] == digest_file(tmp_path / "refit_0/model/model.safetensors")
    scores = read_json(tmp_path / "evaluation.json")
    for task, used in described["thresholds"].items():
        assert used["global"] == scores["refit"]["tasks"][task]["thresholds"]["global"]
        assert set(used["decision"].values()) == {used["global"]}
    assert "It is a **refit**" in (exported / "README.md").read_text(encoding="utf-8")


def test_a_refit_whose_weights_changed_stops_the_export(data: Path, tmp_path: Path) -> None:
    make_run(tmp_path / "other", data / "backbone", "criteria", 1, 0.5)
    export(tmp_path, data, "criteria", [0.5], refits=1)
    shutil.rmtree(tmp_path / "exported")
    shutil.copy(tmp_path / "other/model/model.safetensors", tmp_path / "refit_0/model/model.safetensors")
    finals, refits = tmp_path / "seed_0", tmp_path / "refit_0"
    with pytest.raises(DataError, match="refit_0/model: the weights are not those of the run's record"):
        export_model(
            settings=ExampleSettings(),
            evaluation=tmp_path / "evaluation.json",
            models=[finals / "model"],
            records=[finals / "record.json"],
            refit_models=[refits / "model"],
            refit_records=[refits / "record.json"],
            manifests=[data / "manifest.json"],
            criteria=data / "criteria.json",
            corpus=data / "report.json",
            splits=data / "splits.json",
            train_examples=[data / "criteria.parquet"],
            validation_examples=[data / "criteria.parquet"],
            directory=tmp_path / "exported",
        )
    assert not (tmp_path / "exported").exists()


def test_equal_inputs_give_equal_bytes(data: Path, tmp_path: Path) -> None:
    first = export(tmp_path, data, "joint", [0.5, 0.5])
    shutil.move(first, tmp_path / "first")
    assert digest_directory(tmp_path / "first") == digest_directory(export(tmp_path, data, "joint", [0.5, 0.5]))
    assert read_json(tmp_path / "first/evidence_hpo.json")["seed"] == 0, "the first of equals"


def test_missing_or_changed_models_stop_the_export(data: Path, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="none of 2 final seeds was trained to the end: loss is not finite"):
        export(tmp_path / "failed", data, "criteria", [None, None])
    folder = tmp_path / "changed"
    make_run(folder / "seed_0", data / "backbone", "criteria", 0, 0.5)
    make_run(folder / "other", data / "backbone", "criteria", 1, 0.5)
    shutil.copy(folder / "other/model/model.safetensors", folder / "seed_0/model/model.safetensors")
    with pytest.raises(DataError, match="the weights are not those of the run's record"):
        export(folder, data, "criteria", [0.5])
    assert not (folder / "exported").exists()
