"""How long the pipeline's own machinery takes at the size of a real study, and at twenty times that size.

Run `python benchmarks/scale.py`. In a temporary folder it

1. builds data and tokens of a generated corpus of 1,484 posts and 9 criteria (all pairs of the evidence task), through
   Snakemake on two cores;
2. dry-runs the full two-stage study (350 + 150 trials) on all four architectures;
3. dry-runs a stage of 10,000 trials in 400 shards, on one architecture;
4. proposes a round of 25 and one of 143 with 10,000 finished trials of a space of 14 dimensions, some conditional: the
   step's own process, from its start to the written file. The records are as long as real ones; parameters and
   scores in them are random, which changes nothing in what there is to read and compute.

Prints a table of wall and processor seconds, each the median of the given number of runs, and of the largest memory.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from evidence_hpo.config.known_spaces import KNOWN_SPACES
from evidence_hpo.config.parameters import TrialParameters
from evidence_hpo.config.search import PrunerSettings, SearchSettings, StageSettings
from evidence_hpo.config.spaces import Space
from evidence_hpo.config.study import StudySettings
from evidence_hpo.config.training import TrainingSettings
from evidence_hpo.files import write_json, write_json_lines
from evidence_hpo.search.samplers.designs import random_points
from evidence_hpo.search.samplers.request import PointRequest
from evidence_hpo.search.settings import ProposalSettings
from evidence_hpo.search.spaces import SearchSpace, concrete_space, resolve

ROOT = Path(__file__).resolve().parents[1]
ARCHITECTURES = ["criteria", "evidence", "share", "joint"]
CORPUS = {
    "data": {
        "corpus": {"sample": {"posts": 1484}},
        "examples": {"evidence": {"negatives_per_positive": None}},
    }
}
TOKENS = [
    f"results/tokens/small/{task}/{split}/{name}.arrow"
    for task in ("criteria", "evidence")
    for split in ("train", "validation", "test")
    for name in ("texts", "examples")
]


LARGE = {"name": "stage1", "trials": 10000, "epochs": 2, "pruner": {"rungs": [1.0]}}
SEARCHED = [
    "learning_rate",
    "weight_decay",
    "warmup_ratio",
    "batch_size",
    "dropout",
    "backbone_dropout",
    "pooling",
    "head_layers",
    "head_hidden",
    "optimizer",
    "adam_beta2",
    "loss",
    "label_smoothing",
    "focal_gamma",
]


class Cost(NamedTuple):
    """What a process and those that it started took."""

    wall: float
    processor: float
    memory: float
    """Largest resident memory of one process, in MiB."""


def preset() -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load((ROOT / "presets" / "redsm5.yaml").read_text(encoding="utf-8"))
    return content


def two_stage_study() -> dict[str, Any]:
    return {**preset(), "study": {"name": "redsm5", "architectures": ARCHITECTURES}}


def large_study() -> dict[str, Any]:
    stage = {**LARGE, "space": "two_stage", "first_round": 250, "round_size": 250, "shards": 10}
    return {**preset(), "search": {"stages": [stage]}}


def cost(command: list[str], folder: Path) -> Cost:
    started = time.monotonic()
    with (folder / "output.txt").open("wb") as output:
        process = subprocess.Popen(command, cwd=folder, stdout=output, stderr=subprocess.STDOUT)
        _, status, usage = os.wait4(process.pid, 0)
    if status:
        sys.exit((folder / "output.txt").read_text(encoding="utf-8"))
    wall = time.monotonic() - started
    return Cost(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


def workflow(settings: dict[str, Any], *arguments: str) -> Callable[[Path], Cost]:
    """Return the measurement of one Snakemake call in an empty folder."""

    def measure(folder: Path) -> Cost:
        (folder / "study.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")
        command = [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile"), *arguments]
        return cost([*command, "--configfile", "study.yaml"], folder)

    return measure


def proposing(count: int, sampler: str = "tpe") -> Callable[[Path], Cost]:
    """Return the measurement of one round that is proposed from 10,000 finished trials."""

    def measure(folder: Path) -> Cost:
        space = Space.model_validate({name: KNOWN_SPACES["two_stage"][name] for name in SEARCHED})
        stage = StageSettings(
            **{**LARGE, "trials": 10000 + count},
            first_round=10000,
            round_size=count,
            sampler=sampler,
            space="two_stage",
        )
        training = TrainingSettings(parameters=TrialParameters(head_hidden=256))
        search = SearchSettings(stages=(stage,))
        settings = ProposalSettings.of_round(StudySettings(name="scale"), training, search, "criteria", "stage1", 1)
        concrete = concrete_space(space, training.parameters, "criteria", "stage1")
        assert len(concrete.dimensions) == 14
        write_json(folder / "space.json", concrete.to_json())
        rows = records(settings, concrete, stage.pruner)
        shards = [folder / f"shard_{number}.jsonl" for number in range(400)]
        for number, path in enumerate(shards):
            write_json_lines(path, rows[number * 25 : (number + 1) * 25])
        named = {"settings": settings.model_dump_json(), "space": "space.json", "output": "proposals.json"}
        named |= {"code": "0" * 64, "log": "log.txt"}
        command = [sys.executable, "-m", "evidence_hpo.steps.propose_trials"]
        command += [part for name, value in named.items() for part in (f"--{name}", value)]
        return cost([*command, "--finished", *map(str, shards), "--pending", "--previous"], folder)

    return measure


def records(settings: ProposalSettings, space: SearchSpace, pruner: PrunerSettings) -> list[dict[str, Any]]:
    """Return 10,000 finished trials of random points with random scores: half pruned, one in twenty failed."""
    request = PointRequest(settings, space, (), (), 0, 10000)
    rng = random.Random(0)
    shared = settings.model_dump(
        mode="json",
        include={"study", "architecture", "stage", "epochs", "data_fraction", "objective", "early_stopping_patience"},
    )
    rows = []
    for number, point in enumerate(random_points(request)):
        state = rng.choices(["complete", "pruned", "failed"], [9, 10, 1])[0]
        scores = ("macro_f1", "accuracy", "weighted_f1", "loss", "positive_f1", "threshold")
        evaluations = [
            {
                "epoch": epoch,
                "train": {name: rng.random() for name in ("loss", "accuracy", "macro_f1", "weighted_f1")},
                "metrics": {name: rng.random() for name in scores},
            }
            for epoch in {"complete": (1.0, 2.0), "pruned": (1.0,), "failed": ()}[state]
        ]
        digest = hashlib.sha256(str(number).encode()).hexdigest()
        rows.append(
            {
                **shared,
                "round": 0,
                "number": number,
                "key": digest,
                "origin": None,
                "seed": number,
                "runtime": settings.runtime.model_dump(mode="json"),
                "sampled": point,
                "parameters": resolve(settings.parameters, point, "criteria"),
                "rungs": [{"epoch": rung, "threshold": None} for rung in pruner.rungs],
                "state": state,
                "value": max((one["metrics"]["macro_f1"] for one in evaluations), default=None),
                "best_epoch": evaluations[-1]["epoch"] if evaluations else None,
                "evaluations": evaluations,
                "reason": None if evaluations else "non-finite loss",
                "precision": "bf16",
                "notes": [],
                "duration_seconds": 60.0,
                "effective_batch_size": 16,
                "effective_learning_rate": 1e-5,
                "digests": {"train": {"criteria": digest}, "validation": {"criteria": digest}}
                | {"backbone": digest, "code": digest},
                "versions": {"python": "3.11", "torch": "2.13.0", "transformers": "5.23.0"},
            }
        )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--only", default="", help="measure only what has this text in its name")
    arguments = parser.parse_args()
    cases = {
        "data and tokens, 1,484 posts x 9 criteria": workflow(CORPUS, *TOKENS, "--cores", "2"),
        "dry run, 500 trials x 4 architectures": workflow(two_stage_study(), "--dry-run"),
        "dry run, 10,000 trials in 400 shards": workflow(large_study(), "--dry-run"),
        "propose 25 with 10,000 finished trials": proposing(25),
        "propose 143 with 10,000 finished trials": proposing(143),
    }
    print("| what | wall | processor | memory | all runs (wall) |\n|---|---|---|---|---|")
    for name, measure in cases.items():
        if arguments.only not in name:
            continue
        costs = []
        for _ in range(arguments.runs):
            folder = Path(tempfile.mkdtemp())
            try:
                costs.append(measure(folder))
            finally:
                shutil.rmtree(folder)
        wall, processor, memory = (statistics.median(values) for values in zip(*costs, strict=True))
        each = ", ".join(f"{one.wall:.1f}" for one in costs)
        print(f"| {name} | {wall:.1f} s | {processor:.1f} s | {memory:.0f} MiB | {each} |", flush=True)


if __name__ == "__main__":
    main()
