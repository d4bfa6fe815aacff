"""A whole search beside Hugging Face's `Trainer.hyperparameter_search`: time, disk, memory and the score it ends with.

Run `python benchmarks/study.py` (it needs `pip install --constraint constraints.txt --editable ".[benchmarks]"`), or
with `--trials 4` for a quick look. On two cores, on the bundled sample corpus (criteria task, small encoder, space
`sample`), one after the other:

1. this pipeline: `snakemake --cores 2`, from the corpus to the figures, with one stage of trials, the best
   configuration trained again (one seed to choose, two fresh ones to report), floors and intervals;
2. `peer_search.py`, with checkpoints of every epoch (the best and the last of a trial are kept);
3. `peer_search.py` that saves nothing and trains the best configuration once more.

The peer is given the examples and the encoder that the pipeline made. Each runs in an empty folder; what it writes
there (temporary files and Snakemake's own state and cache included), the resident memory of all its processes, and the
processor time are measured from outside.

Afterwards, not measured, each search's best trial is scored on the same test split (macro-F1 at probability 0.5): the
model of that trial itself (here it is trained again, which must give the same validation score to the last bit), and
the mean of models of its configuration with fresh seeds, which no score has chosen.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import yaml

from evidence_hpo.search.records import TrialRecord
from evidence_hpo.tokens.cache import TokenCache
from evidence_hpo.training.metrics import criteria_metrics
from evidence_hpo.training.prediction import load_model, predict
from evidence_hpo.training.run import Rung, RunInputs, RunSpec, run

ROOT = Path(__file__).resolve().parents[1]
STAGE = "search"
ROUNDS = 3
FRESH_SEEDS = 3
MEBIBYTE = 2**20


@dataclass(frozen=True)
class Usage:
    """What a command took; disk and memory in bytes."""

    output: str
    wall: float
    cpu: float
    peak_disk: int
    left_disk: int
    peak_memory: int


def settings(trials: int, epochs: int) -> dict[str, Any]:
    """Return the overlay on the default study."""
    size = -(-trials // ROUNDS)
    return {
        "study": {"name": "comparison", "architectures": ["criteria"]},
        "search": {
            "stages": [
                {
                    "name": STAGE,
                    "space": "sample",
                    "trials": trials,
                    "first_round": size,
                    "round_size": size,
                    "shards": 2,
                    "epochs": epochs,
                    "pruner": {"kind": "successive_halving", "rungs": [1.0]},
                }
            ]
        },
        "retrain": {"top_k": 1, "seeds": 1, "final_seeds": 2},
    }


def measured(command: list[str], folder: Path, interval: float = 0.2) -> Usage:
    """Run a command in ``folder`` and watch it."""
    temporary = folder / "tmp"
    temporary.mkdir(parents=True)
    places = {"TMPDIR": str(temporary), "XDG_CACHE_HOME": str(folder / "cache")}
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    before, started = _children_seconds(), time.monotonic()
    with (
        (folder.parent / f"{folder.name}.out").open("w+") as output,
        (folder.parent / f"{folder.name}.err").open("w+") as errors,
    ):
        process = subprocess.Popen(
            command,
            cwd=folder,
            stdout=output,
            stderr=errors,
            env={**os.environ, "PATH": path, "OMP_NUM_THREADS": "1", **places},
        )
        disk = memory = 0
        while process.poll() is None:
            disk, memory = max(disk, size_of(folder)), max(memory, resident(process.pid))
            time.sleep(interval)
        wall = time.monotonic() - started
        output.seek(0)
        errors.seek(0)
        if process.returncode:
            raise SystemExit(f"{' '.join(command)}: exit code {process.returncode}\n{errors.read()[-4000:]}")
        left = size_of(folder)
        return Usage(output.read(), wall, _children_seconds() - before, max(disk, left), left, memory)


def _children_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def size_of(folder: Path) -> int:
    """Return the bytes that a folder's files take on the disk."""
    total, pending = 0, [str(folder)]
    while pending:
        try:
            with os.scandir(pending.pop()) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        pending.append(entry.path)
                    else:
                        total += entry.stat(follow_symlinks=False).st_blocks * 512
        except FileNotFoundError:  # removed while we look
            continue
    return total


def resident(pid: int) -> int:
    """Return the resident bytes of a process and its descendants; pages that they share count for each."""
    total = 0
    try:
        family = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
    except psutil.NoSuchProcess:
        return 0
    for member in family:
        try:
            total += member.memory_info().rss
        except psutil.NoSuchProcess:
            continue
    return total


def read_trials(results: Path) -> list[TrialRecord]:
    lines = (results / "criteria" / STAGE / "trials.jsonl").read_text(encoding="utf-8").splitlines()
    return [TrialRecord.model_validate_json(line) for line in lines]


def scores_of_pipeline(results: Path) -> dict[str, Any]:
    """Return what `peer_search.py` prints, of a finished study."""
    trials = read_trials(results)
    states = [trial.state for trial in trials]
    best = max((trial for trial in trials if trial.state == "complete"), key=lambda trial: trial.score)
    value, test = train_and_score(best, best.seed, results)
    if value != best.value:
        raise SystemExit(f"trial {best.number} trained again gives {value}, not {best.value}")
    return {
        "trials": len(trials),
        "pruned": states.count("pruned"),
        "failed": states.count("failed"),
        "epochs": sum(trial.evaluations[-1].epoch for trial in trials if trial.evaluations),
        "validation": value,
        "test": test,
        "fresh": [train_and_score(best, seed, results)[1] for seed in range(1, FRESH_SEEDS + 1)],
        "examples": len(_cache(results, "test")),
    }


def train_and_score(trial: TrialRecord, seed: int, results: Path) -> tuple[float | None, float]:
    """Train a trial's configuration; return its best validation score and the test score of that model."""
    spec = RunSpec(
        architecture=trial.architecture,
        parameters=dict(trial.parameters),
        seed=seed,
        epochs=trial.epochs,
        data_fraction=trial.data_fraction,
        rungs=tuple(Rung(rung.epoch) for rung in trial.rungs),
        objective=trial.objective,
        early_stopping_patience=trial.early_stopping_patience,
        runtime=trial.runtime,
    )
    train, validation = ({"criteria": _cache(results, split)} for split in ("train", "validation"))
    inputs = RunInputs(results / "backbones" / "small", train, validation)
    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder) / "model"
        result = run(spec, inputs, Path(folder) / "work", model=model, report=lambda line: None)
        predicted = predict(load_model(model), {"criteria": _cache(results, "test")}, trial.runtime)["criteria"]
    metrics = criteria_metrics(predicted["label"].to_numpy(), predicted["probability"].to_numpy())
    return result.value, metrics["macro_f1"]


def _cache(results: Path, split: str) -> TokenCache:
    folder = results / "tokens" / "small" / "criteria" / split
    return TokenCache.open(folder / "texts.arrow", folder / "examples.arrow")


def compare(folder: Path, trials: int, epochs: int) -> dict[str, tuple[Usage, dict[str, Any]]]:
    """Run all three and return their usage and scores."""
    study, found = folder / "pipeline", {}
    study.mkdir()
    (study / "study.yaml").write_text(yaml.safe_dump(settings(trials, epochs)), encoding="utf-8")
    snakemake = [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile")]
    usage = measured([*snakemake, "--configfile", "study.yaml", "--cores", "2", "--quiet", "all"], study)
    found["evidence-hpo"] = usage, scores_of_pipeline(study / "results")
    _say("evidence-hpo", found)
    script = [sys.executable, str(Path(__file__).with_name("peer_search.py")), "--results", str(study / "results")]
    for name, options in {"checkpoints": ["--checkpoints"], "nothing saved": []}.items():
        place = folder / name.replace(" ", "_")
        command = [*script, "--output", str(place / "search"), "--trials", str(trials), "--epochs", str(epochs)]
        usage = measured([*command, *options], place)
        fresh = measured([*command, "--fresh-seeds", str(FRESH_SEEDS)], folder / f"{place.name}_fresh")
        scores = {**json.loads(usage.output.splitlines()[-1]), "fresh": json.loads(fresh.output.splitlines()[-1])}
        found[f"hyperparameter_search, {name}"] = usage, scores
        _say(f"hyperparameter_search, {name}", found)
    return found


def _say(name: str, found: dict[str, tuple[Usage, dict[str, Any]]]) -> None:
    usage, scores = found[name]
    print(f"{name}: {usage.wall:.0f} s, {usage.cpu:.0f} s of CPU, {scores}", file=sys.stderr, flush=True)


def table(found: dict[str, tuple[Usage, dict[str, Any]]]) -> str:
    lines = [
        "| search | wall s | CPU s | peak disk | disk left | peak memory | trials (pruned) | epochs trained "
        "| best trial, validation | best trial, test | fresh seeds, test |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for name, (usage, scores) in found.items():
        fresh = [f"{score:.3f}" for score in sorted(scores["fresh"])]
        cells = [
            name,
            f"{usage.wall:.0f}",
            f"{usage.cpu:.0f}",
            *(f"{size / MEBIBYTE:.1f} MiB" for size in (usage.peak_disk, usage.left_disk)),
            f"{usage.peak_memory / MEBIBYTE:.0f} MiB",
            f"{scores['trials']} ({scores['pruned']})",
            f"{scores['epochs']:g}",
            f"{scores['validation']:.3f}",
            f"{scores['test']:.3f}",
            f"{statistics.mean(scores['fresh']):.3f} ({', '.join(fresh)})",
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=24)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--keep", type=Path, help="an empty folder for what the searches write; default: removed")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        found = compare(folder.resolve(), arguments.trials, arguments.epochs)
    sizes = {scores["examples"] for _, scores in found.values()}
    if len(sizes) != 1:
        raise SystemExit(f"the test splits differ: {sizes} examples")
    print(
        f"{arguments.trials} trials of at most {arguments.epochs} epochs, {sizes.pop()} test examples\n\n{table(found)}"
    )


if __name__ == "__main__":
    main()
