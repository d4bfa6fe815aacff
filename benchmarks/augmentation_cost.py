"""What augmentation costs a trial: with banks, and with TextAttack in the data loader, beside a plain epoch as large.

Run `python benchmarks/augmentation_cost.py --folder FOLDER` (`--environments` names a folder with TextAttack's
environment, so that it is not made again), or with `--posts 100 --repeats 1` for a quick look. Criteria task of the
sample corpus, default encoder, one thread; every epoch of every contestant shows each training example twice:

- plain: the example and itself once more;
- banks: the example and a variant from the banks of four TextAttack methods;
- on the fly: the example and a variant that TextAttack makes for the batch. It runs in a process of its own, with its
  own environment (it cannot be imported beside current transformers), and is sent the whole epoch's requests in the
  order of the batches before the first one, as a loader with endless prefetching would; its 15 s of importing are not
  counted. The batch is tokenised when it is made. In each epoch an example gets another variant.

Reported are the wall time of the whole run (choice of variants, joining and validation of 64 examples included), the
processor time of the run and that of TextAttack's process, and both relative to plain: the median of the repeats,
contestants in turn.
"""

from __future__ import annotations

import argparse
import json
import os
import queue
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from augmentation_material import ROOT, Material, make_material

from evidence_hpo import paths
from evidence_hpo.augmentation.methods import seed_of
from evidence_hpo.config.augmentation import methods_of_mask
from evidence_hpo.config.training import RuntimeSettings
from evidence_hpo.files import read_json
from evidence_hpo.schemas import read_artefact
from evidence_hpo.tokens.cache import TokenCache
from evidence_hpo.tokens.features import build_features
from evidence_hpo.tokens.tokenization import tokenize_table
from evidence_hpo.tokens.tokenizer import PreparedTokenizer
from evidence_hpo.training import loop
from evidence_hpo.training.batches import DeviceBatch, Rows, TaskData, epoch_batches, load_batch
from evidence_hpo.training.run import RunInputs, RunSpec, run

TASK = "criteria"
MASK = 1 | 4 | 8 | 16
"""wordnet, word_deletion, word_swap, char_swap."""
LEVEL = 1
VALIDATION = 64
SERVER = ROOT / "tests" / "unit" / "augmentation" / "textattack_server.py"


@dataclass(frozen=True)
class Cost:
    """Seconds of one run."""

    wall: float
    cpu: float
    textattack: float


class TextAttackLoader:
    """Serves batches whose second half of examples is varied by TextAttack when the batch is made."""

    def __init__(self, material: Material, examples: pa.Table, tokenizer: PreparedTokenizer) -> None:
        self.rows = examples.to_pylist()
        self.tokenizer = tokenizer
        self.criteria = read_artefact(material.folder / paths.CRITERIA, "criteria")
        self.methods = methods_of_mask("textattack", MASK)
        self.strength = material.configuration.augmentation.strength("wordnet", LEVEL)
        self.epoch: list[tuple[str, Rows]] | None = None
        self.number = 0
        self.max_length = material.configuration.training.parameters.max_length
        self.answers: queue.Queue[str] = queue.Queue()
        environment = {
            **os.environ,
            "PYTHONPATH": str(ROOT / "src"),
            "PYTHONHASHSEED": "0",
            "OMP_NUM_THREADS": "1",
        }
        self.process = subprocess.Popen(
            [str(material.interpreter), str(SERVER), str(material.nltk_data)],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            encoding="utf-8",
        )
        for method in self.methods:  # imports and loads what it needs
            self._send([method, self.strength, 0, "This is a first sentence."])
        for _ in self.methods:
            self._receive()
        threading.Thread(target=self._read, daemon=True).start()

    def _send(self, request: list[Any]) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()

    def _receive(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline()

    def _read(self) -> None:
        while line := self._receive():
            self.answers.put(line)

    def seconds(self) -> float:
        """Return the processor seconds of TextAttack's process."""
        times = psutil.Process(self.process.pid).cpu_times()
        return float(times.user + times.system)

    def close(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()

    def batches(self, *arguments: Any) -> list[tuple[str, Rows]]:
        """Return the batches of an epoch, and remember them: the requests go out with the first batch."""
        self.epoch = epoch_batches(*arguments)
        return self.epoch

    def load(self, data: TaskData, windows: Rows, device: torch.device) -> DeviceBatch:
        """Return a batch in which every example from the second half of the cache is varied."""
        if self.epoch is not None:
            wanted, self.epoch, self.number = self.epoch, None, self.number + 1
            threading.Thread(target=self._ask, args=(data, wanted, self.number), daemon=True).start()
        examples = [self._example(int(row)) for row in data.features.example[windows]]
        table = pa.Table.from_pylist(examples, schema=_SCHEMA)
        metadata = data.cache.metadata
        digest = {"task": TASK, "backbone_digest": metadata.backbone_digest, "where": "batch"}
        cache = TokenCache(*tokenize_table(table, self.criteria, self.tokenizer, **digest))
        features = build_features(cache, np.arange(len(cache)), max_length=self.max_length, overlap=0.0)
        return load_batch(TaskData(cache, np.arange(len(cache)), features), np.arange(len(features)), device)

    def _ask(self, data: TaskData, wanted: list[tuple[str, Rows]], epoch: int) -> None:
        for _, windows in wanted:
            for row in data.features.example[windows]:
                if row >= len(self.rows):
                    text = self.rows[row - len(self.rows)]["text"]
                    seed = seed_of(text, "loader", self.strength, epoch)
                    self._send([self.methods[seed % len(self.methods)], self.strength, seed, text])

    def _example(self, row: int) -> dict[str, Any]:
        own = self.rows[row % len(self.rows)]
        text = own["text"]
        if row >= len(self.rows):
            answer = json.loads(self.answers.get())
            text = answer if isinstance(answer, str) and answer.strip() else text
        return {**own, "example_id": str(row), "text": text, "spans": []}


_SPAN = pa.struct([("start", pa.int32()), ("end", pa.int32())])
_SCHEMA = pa.schema(
    [
        *((name, pa.string()) for name in ("example_id", "post_id", "criterion", "text")),
        ("label", pa.int8()),
        ("spans", pa.list_(_SPAN)),
    ]
)


def timed(spec: RunSpec, inputs: RunInputs, textattack: Callable[[], float] = lambda: 0.0) -> Cost:
    """Run and measure."""
    before, cpu, wall = textattack(), time.process_time(), time.monotonic()
    with tempfile.TemporaryDirectory() as work:
        run(spec, inputs, Path(work) / "run", report=lambda line: None)
    wall, cpu = time.monotonic() - wall, time.process_time() - cpu
    return Cost(wall, cpu, textattack() - before)


def contestants(material: Material, epochs: int) -> Mapping[str, Callable[[], Cost]]:
    """Return the three runs."""
    train, validation = material.cache(TASK, "train"), _first(material.cache(TASK, "validation"), VALIDATION)
    plain, banks = (
        material.parameters(TASK, augmentation=policy, textattack_mask=MASK, textattack_strength=LEVEL)
        for policy in ("none", "textattack")
    )
    spec = RunSpec(
        architecture=TASK,
        parameters=plain,
        seed=1,
        epochs=epochs,
        data_fraction=1.0,
        rungs=(),
        objective="macro_f1",
        early_stopping_patience=0,
        runtime=RuntimeSettings(device="cpu"),
    )
    inputs = material.inputs(TASK, plain, validation)
    doubled = replace(inputs, train={TASK: train.joined(train)})
    tokenizer = PreparedTokenizer(inputs.backbone)
    examples = pq.read_table(material.folder / paths.EXAMPLES.format(task=TASK, split="train"))

    def on_the_fly() -> Cost:
        loader = TextAttackLoader(material, examples, tokenizer)
        with patch.multiple(loop, epoch_batches=loader.batches, load_batch=loader.load):
            cost = timed(spec, doubled, loader.seconds)
        loader.close()
        return cost

    with_banks = material.inputs(TASK, banks, validation)  # opened before, as a job does for all its runs
    return {
        "plain": lambda: timed(spec, doubled),
        "banks": lambda: timed(replace(spec, parameters=banks), with_banks),
        "on the fly": on_the_fly,
    }


def _first(cache: TokenCache, count: int) -> TokenCache:
    """Return a cache of the first examples of another."""
    rows = cache._examples.take(pa.array(range(min(count, len(cache)))))
    return TokenCache(cache._texts, rows.replace_schema_metadata(None), cache.metadata)


def table(found: Mapping[str, list[Cost]]) -> str:
    lines = [
        "| contestant | wall s | relative | run CPU s | TextAttack CPU s | CPU, relative |",
        "|---|---|---|---|---|---|",
    ]
    middle = {name: _median(costs) for name, costs in found.items()}
    wall, cpu, _ = middle["plain"]
    for name, (own_wall, own_cpu, textattack) in middle.items():
        relative = f"{own_wall / wall:.3f} | {own_cpu:.1f} | {textattack:.1f} | {(own_cpu + textattack) / cpu:.3f}"
        lines.append(f"| {name} | {own_wall:.1f} | {relative} |")
    return "\n".join(lines)


def _median(costs: list[Cost]) -> tuple[float, float, float]:
    return (
        statistics.median(cost.wall for cost in costs),
        statistics.median(cost.cpu for cost in costs),
        statistics.median(cost.textattack for cost in costs),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True, help="where data and banks are made, or were made before")
    parser.add_argument("--environments", type=Path, help="folder that holds TextAttack's environment")
    parser.add_argument("--posts", type=int, default=1500)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    space = {"augmentation": ["textattack"], "textattack_mask": [MASK], "textattack_strength": [LEVEL]}
    folder = arguments.folder.resolve()
    material = make_material(folder, (TASK,), space, posts=arguments.posts, environments=arguments.environments)
    runs = contestants(material, arguments.epochs)
    found: dict[str, list[Cost]] = {name: [] for name in runs}
    for _ in range(arguments.repeats):
        for name, measure in runs.items():
            found[name].append(measure())
            print(f"{name}: {found[name][-1]}", file=sys.stderr, flush=True)
    made = read_json(folder / paths.AUGMENTATION_SUMMARY)["total"]
    size = 2 * len(material.cache(TASK, "train"))
    print(
        f"{size} examples an epoch, {arguments.epochs} epochs, {arguments.repeats} repeats; banks of {made['made']} "
        f"variants were made once in {made['seconds']:.0f} s\n\n{table(found)}"
    )


if __name__ == "__main__":
    main()
