"""The run that is reproduced: its record, its provenance, the files that it was made from, and its evaluation."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evidence_hpo import paths
from evidence_hpo.config.banks import Bank, banks_of_run
from evidence_hpo.errors import DataError, TrainingError
from evidence_hpo.files import read_json
from evidence_hpo.paths import TASKS
from evidence_hpo.provenance import read_origin
from evidence_hpo.schemas import read_artefact

__all__ = ["CacheFiles", "RecordedRun", "find_record", "read_recorded_run", "run_name"]

_RESULTS = Path("results")


@dataclass(frozen=True)
class CacheFiles:
    """The two files of a token cache."""

    split: str
    task: str
    texts: Path
    examples: Path
    provenance: Path
    """What the job that wrote them left."""


@dataclass(frozen=True)
class RecordedRun:
    """A run's record and what lies around it; all paths are as the working directory sees them."""

    name: str
    path: Path
    record: Mapping[str, Any]
    origin: Mapping[str, Any]
    """Its provenance; empty where there is none."""
    run: Mapping[str, Any]
    """What training was told to do: ``model/run.json``."""
    evaluation: Mapping[str, Any] | None
    """The architecture's ``evaluation.json``, where it holds this run."""

    @property
    def model(self) -> Path:
        """Folder of the weights."""
        return self.path.parent / "model"

    @property
    def backbone(self) -> str:
        """Name of the encoder."""
        return str(self.record["parameters"]["backbone"])

    @property
    def tasks(self) -> tuple[str, ...]:
        """Tasks that the run was trained on."""
        architecture = str(self.record["architecture"])
        return (architecture,) if architecture in TASKS else TASKS

    def caches(self, splits: Sequence[str]) -> list[CacheFiles]:
        """Return the token caches of the run's encoder and tasks."""
        return [self._cache(split, task) for split in splits for task in self.tasks]

    def _cache(self, split: str, task: str) -> CacheFiles:
        place = {"backbone": self.backbone, "task": task, "split": split}
        texts, examples = (Path(pattern.format(**place)) for pattern in (paths.TOKEN_TEXTS, paths.TOKEN_EXAMPLES))
        job = _RESULTS / "provenance" / "tokenize_examples" / f"{self.backbone}.{task}.{split}.json"
        return CacheFiles(split, task, texts, examples, job)

    def banks(self) -> list[CacheFiles]:
        """Return the tokenised banks that the run took variants from."""
        return [self._bank(task, bank) for task in self.tasks for bank in banks_of_run(self.record["parameters"])]

    def _bank(self, task: str, bank: Bank) -> CacheFiles:
        place = {"backbone": self.backbone, "task": task, **bank._asdict()}
        texts, rows = (Path(pattern.format(**place)) for pattern in (paths.AUGMENTED_TEXTS, paths.AUGMENTED_EXAMPLES))
        name = f"{self.backbone}.{task}.{bank.source}.{bank.method}.{bank.level}.json"
        return CacheFiles("train", task, texts, rows, _RESULTS / "provenance" / "tokenize_augmented" / name)


def find_record(run_id: str, lookup: Callable[[str], str | None]) -> Path:
    """Return the ``record.json`` that a run's id names.

    Args:
        run_id: A path, of the record or its folder; a name, as ``criteria/final/seed_0`` or that of a run in
            ``results/runs``; or the id of a run in the tracking store.
        lookup: Returns the record of a run in the tracking store; None: there is no such run.

    Raises:
        DataError: There is no such record.
    """
    given = Path(run_id)
    first, *rest = given.parts or ("",)
    folders = [given, _RESULTS / given, _RESULTS.joinpath(first, "retrain", *rest), _RESULTS / "runs" / given]
    for path in [given, *(folder / "record.json" for folder in folders)]:
        if path.is_file():
            return _from_here(path)
    tracked = lookup(run_id)
    if tracked is None:
        raise DataError(f"--run-id {run_id}: no such run; {_known()}")
    if not Path(tracked).is_file():
        raise DataError(f"--run-id {run_id}: its record {tracked} is not there; run in the folder of the study")
    return _from_here(Path(tracked))


def _from_here(path: Path) -> Path:
    full = path.resolve()
    return full.relative_to(Path.cwd()) if full.is_relative_to(Path.cwd()) else full


def _known() -> str:
    found = sorted([*_RESULTS.glob("*/retrain/**/record.json"), *_RESULTS.glob("runs/*/record.json")])
    if not found:
        return "there are no records in results/"
    names = [run_name(path) for path in found]
    return f"known: {', '.join(names[:20])}" + (f" and {len(names) - 20} more" if len(names) > 20 else "")


def run_name(path: Path) -> str:
    """Return a record's short name: criteria/final/seed_0, criteria/rank_0/seed_1, runs/mine."""
    parts = list(path.parent.parts)
    if "results" in parts:
        parts = parts[len(parts) - parts[::-1].index("results") :]
    if parts[1:2] == ["retrain"]:
        del parts[1]
    return "/".join(part for part in parts if part != path.anchor)


def read_recorded_run(path: Path) -> RecordedRun:
    """Read a record and what lies around it.

    Raises:
        DataError: A file is missing or is not what it should be.
        TrainingError: The run was not trained to the end, or the weights are described as those of another run.
    """
    record = read_artefact(path, "retrain_record")
    if record["state"] != "complete":
        raise TrainingError(f"{path}: the run is {record['state']}: {record['reason']}; there is nothing to reproduce")
    run = read_json(path.parent / "model" / "run.json")
    for key in ("architecture", "parameters", "seed", "epochs", "refit_epochs", "data_fraction", "objective"):
        if run.get(key) != record[key]:
            raise TrainingError(
                f"model changed: {path.parent / 'model' / 'run.json'}: its {key} is not that of {path}; the folder "
                "holds another run"
            )
    return RecordedRun(run_name(path), path, record, read_origin(path), run, _evaluation(record))


def _evaluation(record: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the evaluation that holds the run; None for roles that are never evaluated, or before it is."""
    path = Path(paths.EVALUATION.format(architecture=record["architecture"]))
    if record["role"] not in ("final", "refit") or not path.is_file():
        return None
    evaluation = dict(read_artefact(path, "evaluation"))
    models = evaluation["models"] if record["role"] == "final" else (evaluation["refit"] or {"models": []})["models"]
    known = {model["checkpoint"]["sha256"] for model in models if model["seed"] == record["seed_index"]}
    return evaluation if record["checkpoint"]["sha256"] in known else None
