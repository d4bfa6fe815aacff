"""How fast a run trains, beside Hugging Face's `Trainer`: same data, same initial weights, same steps.

Run `python benchmarks/trainer.py` (it needs `pip install --constraint constraints.txt --editable ".[benchmarks]"`).

The criteria task, batches of 16, AdamW (fused), a linear schedule, gradients clipped; one thread on the CPU. `Trainer`
gets the stock `AutoModelForSequenceClassification`, tokens already in memory as lists, no worker processes, no
evaluation, no checkpoints, no logs; four variants: padded to `max_length`, padded to the longest of a batch, that with
`group_by_length`, and that with `group_by_length` in bf16. This package runs `evidence_hpo.training.run.run` in fp32
and in bf16.

First, both train on the same batches without dropout: their losses must agree step by step. Then every measurement is a
process of its own, forked after the imports; the contestants take turns. Of `Trainer` the whole of `train()` is timed.
Of `run` everything is timed but loading the encoder and the passes over the validation split: also what `Trainer` is
spared (making the features of the run, a resume point between epochs).

Exits with 1 if a contestant is not what it says (padding, grouping, arithmetic), saw other tokens than the others, or
reached another training loss.
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import multiprocessing
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any
from unittest.mock import patch

os.environ["TOKENIZERS_PARALLELISM"] = "false"

import torch
import transformers
from material import HIDDEN, Material, Setting, make_encoders, make_material
from torch import Tensor, nn
from torch.utils.data import DataLoader
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    DataCollatorWithPadding,
    PrinterCallback,
    Trainer,
    TrainingArguments,
    default_data_collator,
)

from evidence_hpo.config.parameters import TrialParameters, active_parameters
from evidence_hpo.config.training import RuntimeSettings
from evidence_hpo.models.architectures import EncoderInputs, build_model
from evidence_hpo.models.backbones import load_encoder
from evidence_hpo.training import loop
from evidence_hpo.training import run as engine
from evidence_hpo.training.batches import epoch_batches, training_data
from evidence_hpo.training.seeding import seed_generators
from evidence_hpo.training.spec import RunInputs, RunSpec

BATCH = 16
DROPOUT = 0.1
LEARNING_RATE = 2e-4
WEIGHT_DECAY = 0.01
WARMUP = 0.1
STEP_MARGIN = 0.001
"""Largest difference of the loss of a step with the same batches and no dropout."""
LOSS_MARGIN = 0.05
"""Largest difference of the mean loss of a half of the steps, over all repeats, from the slowest contestant's."""
CHECKED = 320
"""Examples of the check that both train alike."""
SETTINGS = (
    Setting("DeBERTa, at most 128 tokens", "deberta", 128, 1408, 2),
    Setting("BERT, at most 128 tokens", "bert", 128, 1408, 2),
    Setting("DeBERTa, at most 512 tokens", "deberta", 512, 960, 1),
)
"""Fewer examples would pad more under `group_by_length`, which sorts at most a quarter of them at a time."""


@dataclass(frozen=True)
class Peer:
    """A variant of `Trainer`."""

    dynamic: bool = False
    grouped: bool = False
    bf16: bool = False


PEERS = {
    "Trainer, padded to max_length": Peer(),
    "Trainer, dynamic padding": Peer(dynamic=True),
    "Trainer, dynamic padding, group_by_length": Peer(dynamic=True, grouped=True),
    "Trainer, dynamic padding, group_by_length, bf16": Peer(dynamic=True, grouped=True, bf16=True),
}
OURS = {"evidence-hpo, fp32": "fp32", "evidence-hpo, bf16": "bf16"}
SLOWEST = next(iter(PEERS))
Result = dict[str, Any]


@dataclass
class Seen:
    """The steps of a run: attention masks and losses (kept, and read after the clock has stopped), and arithmetic."""

    masks: list[Tensor] = field(default_factory=list)
    losses: list[Tensor] = field(default_factory=list)
    precisions: set[str] = field(default_factory=set)

    def add(self, mask: Tensor) -> None:
        self.masks.append(mask)
        self.precisions.add(str(torch.get_autocast_dtype("cpu")) if torch.is_autocast_enabled("cpu") else "fp32")

    def summary(self) -> Result:
        widths = [mask.shape[1] for mask in self.masks]
        longest = [int(mask.sum(dim=1).max()) for mask in self.masks]
        return {
            "losses": [float(loss) for loss in self.losses],
            "steps": len(widths),
            "tokens": sum(int(mask.sum()) for mask in self.masks),
            "places": sum(mask.numel() for mask in self.masks),
            "narrowest": min(widths),
            "exact": widths == longest,
            "precisions": sorted(self.precisions),
        }


@dataclass
class Clock:
    """Processor and wall seconds of the intervals it ran in."""

    cpu: float = 0.0
    wall: float = 0.0

    @contextmanager
    def running(self) -> Iterator[None]:
        cpu, wall = time.process_time(), time.perf_counter()
        try:
            yield
        finally:
            self.cpu += time.process_time() - cpu
            self.wall += time.perf_counter() - wall

    def around(self, function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def timed(*arguments: Any, **named: Any) -> Any:
            with self.running():
                return function(*arguments, **named)

        return timed


# --- the contestants ---------------------------------------------------------------------------------------------


def parameters_of(setting: Setting, dropout: float = DROPOUT, precision: str = "fp32") -> dict[str, Any]:
    """Return the parameters of a run whose head is the one that transformers gives the encoder."""
    values = TrialParameters(
        max_length=setting.max_length,
        pooling="cls",
        head_layers=1,
        head_hidden=HIDDEN,
        head_activation="gelu" if setting.encoder == "deberta" else "tanh",
        dropout=dropout,
        backbone_dropout=dropout,
        learning_rate=LEARNING_RATE,
        weight_decay=WEIGHT_DECAY,
        warmup_ratio=WARMUP,
        batch_size=BATCH,
        precision=precision,
    ).model_dump()
    return {name: values[name] for name in active_parameters(values, "criteria")}


def train_ours(material: Material, precision: str, seed: int, dropout: float = DROPOUT) -> Result:
    setting, seen, whole, outside = material.setting, Seen(), Clock(), Clock()
    spec = RunSpec(
        architecture="criteria",
        parameters=parameters_of(setting, dropout, precision),
        seed=seed,
        epochs=setting.epochs,
        data_fraction=1.0,
        rungs=(),
        objective="macro_f1",
        early_stopping_patience=0,
        runtime=RuntimeSettings(device="cpu", threads=1),
    )
    inputs = RunInputs(material.backbone, {"criteria": material.train}, {"criteria": material.validation})
    load_batch, optimize = loop.load_batch, loop.Training.optimize

    def load_and_note(*arguments: Any) -> Any:
        batch = load_batch(*arguments)
        seen.masks.append(batch.inputs.attention_mask)
        return batch

    def optimize_and_note(*arguments: Any) -> Any:
        seen.losses.append(optimize(*arguments))
        return seen.losses[-1]

    with (
        tempfile.TemporaryDirectory() as work,
        patch.object(engine, "new_encoder", outside.around(engine.new_encoder)),
        patch.object(loop, "evaluate_model", outside.around(loop.evaluate_model)),
        patch.object(loop, "load_batch", load_and_note),
        patch.object(loop.Training, "optimize", optimize_and_note),
        whole.running(),
    ):
        result = engine.run(spec, inputs, Path(work), report=lambda line: None)
    seen.precisions = {"torch.bfloat16" if result.precision == "bf16" else result.precision}
    return {"cpu": whole.cpu - outside.cpu, "wall": whole.wall - outside.wall, **seen.summary()}


class ObservedTrainer(Trainer):
    """`Trainer` that keeps the loss of each step, and takes its batches from a list if there is one."""

    def __init__(self, *arguments: Any, seen: Seen, batches: list[list[int]] | None, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.seen, self.batches = seen, batches

    def training_step(self, *arguments: Any, **named: Any) -> Tensor:
        self.seen.losses.append(super().training_step(*arguments, **named))
        return self.seen.losses[-1]

    def get_train_dataloader(self) -> DataLoader[Any]:
        if self.batches is None:
            return super().get_train_dataloader()
        return DataLoader(self.train_dataset, batch_sampler=self.batches, collate_fn=self.data_collator)


def train_peer(
    material: Material,
    peer: Peer,
    seed: int,
    dropout: float = DROPOUT,
    batches: list[list[int]] | None = None,
) -> Result:
    setting, seen, clock = material.setting, Seen(), Clock()
    tokenizer = AutoTokenizer.from_pretrained(material.backbone)
    model = peer_model(material, seed, dropout)
    encoded = tokenizer(
        [material.criteria[row["criterion"]] for row in material.rows],
        [row["text"] for row in material.rows],
        truncation="only_second",
        max_length=setting.max_length,
        padding=False if peer.dynamic else "max_length",
    )
    examples = [
        {**{name: encoded[name][index] for name in encoded}, "labels": row["label"]}
        for index, row in enumerate(material.rows)
    ]

    def note(module: nn.Module, arguments: tuple[Any, ...], named: dict[str, Any]) -> None:
        seen.add(named["attention_mask"])

    model.base_model.register_forward_pre_hook(note, with_kwargs=True)
    with tempfile.TemporaryDirectory() as output:
        trainer = ObservedTrainer(
            model=model,
            seen=seen,
            batches=batches,
            args=peer_arguments(setting, peer, seed, output),
            train_dataset=examples,
            data_collator=DataCollatorWithPadding(tokenizer) if peer.dynamic else default_data_collator,
        )
        trainer.remove_callback(PrinterCallback)
        with clock.running():
            trainer.train()
    return {"cpu": clock.cpu, "wall": clock.wall, **seen.summary()}


def peer_arguments(setting: Setting, peer: Peer, seed: int, output: str) -> TrainingArguments:
    return TrainingArguments(
        output_dir=output,
        use_cpu=True,
        seed=seed,
        num_train_epochs=setting.epochs,
        per_device_train_batch_size=BATCH,
        learning_rate=LEARNING_RATE,
        weight_decay=WEIGHT_DECAY,
        warmup_steps=WARMUP,
        lr_scheduler_type="linear",
        optim="adamw_torch_fused",
        max_grad_norm=1.0,
        bf16=peer.bf16,
        train_sampling_strategy="group_by_length" if peer.grouped else "random",
        dataloader_num_workers=0,
        dataloader_pin_memory=False,
        eval_strategy="no",
        save_strategy="no",
        logging_strategy="no",
        report_to="none",
        disable_tqdm=True,
    )


def peer_model(material: Material, seed: int, dropout: float) -> nn.Module:
    """Return transformers' classifier with the initial weights that :func:`train_ours` starts from."""
    setting = material.setting
    model = AutoModelForSequenceClassification.from_pretrained(
        material.backbone,
        num_labels=2,
        hidden_dropout_prob=dropout,
        attention_probs_dropout_prob=dropout,
        **({"pooler_dropout": dropout} if setting.encoder == "deberta" else {}),
    )
    seed_generators(seed, "model")
    ours = build_model("criteria", parameters_of(setting), [load_encoder(material.backbone, dropout=dropout)])
    hidden, output = (layer for layer in ours.criteria_head if isinstance(layer, nn.Linear))
    pooler = model.pooler if setting.encoder == "deberta" else model.bert.pooler
    pooler.dense.load_state_dict(hidden.state_dict())
    model.classifier.load_state_dict(output.state_dict())
    _check_same_logits(model.eval(), ours.eval())
    return model.train()


@torch.no_grad()
def _check_same_logits(model: nn.Module, ours: nn.Module) -> None:
    ids = torch.arange(5, 5 + 24).view(2, 12)
    mask = torch.ones_like(ids)
    mask[1, 8:] = 0
    types = torch.zeros_like(ids)
    logits = model(input_ids=ids, attention_mask=mask, token_type_ids=types).logits
    difference = (logits - ours("criteria", EncoderInputs(ids, mask, types, mask.bool()))).abs().max()
    if difference > 1e-5:
        raise SystemExit(f"the two models differ before training: logits by {float(difference):.2g}")


# --- measuring ---------------------------------------------------------------------------------------------------


def apart(function: Callable[..., Result], *arguments: Any) -> Result:
    """Call a function in a process of its own."""
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_send, args=(sender, function, *arguments))
    process.start()
    sender.close()
    try:
        result: Result = receiver.recv()
    except EOFError:
        raise SystemExit("a run failed, see above") from None
    process.join()
    return result


def _send(sender: Connection, function: Callable[..., Result], *arguments: Any) -> None:
    sender.send(function(*arguments))
    sender.close()


def train(material: Material, contestant: str, seed: int) -> Result:
    if contestant in PEERS:
        return train_peer(material, PEERS[contestant], seed)
    return train_ours(material, OURS[contestant], seed)


def check_alike(material: Material) -> list[str]:
    """Train both on the same batches without dropout; return by how much they differ if that is too much."""
    setting, seed = material.setting, 1
    data = {"criteria": training_data(material.train, parameters_of(setting), 1.0)}
    batches = [windows.tolist() for _, windows in epoch_batches(data, BATCH, seed, 0)]
    ours = apart(train_ours, material, "fp32", seed, 0.0)["losses"]
    peer = apart(train_peer, material, Peer(dynamic=True), seed, 0.0, batches)["losses"]
    largest = max(abs(one - other) for one, other in zip(ours, peer, strict=True))
    print(
        f"\n{setting.name}: same batches, no dropout, {len(ours)} steps: losses differ by at most {largest:.1e}",
        flush=True,
    )
    return [f"the losses of a step differ by {largest:.4f}"] if largest > STEP_MARGIN else []


def problems_of(setting: Setting, measured: dict[str, list[Result]]) -> list[str]:
    """Return in which ways the contestants were not comparable, or not what they say they are."""
    found = []
    expected = measured[SLOWEST][0]
    for name, results in measured.items():
        peer, bf16 = PEERS.get(name, Peer(dynamic=True, grouped=True)), name.endswith("bf16")
        for one in results:
            if (one["steps"], one["tokens"]) != (expected["steps"], expected["tokens"]):
                found.append(f"{name}: {one['steps']} steps, {one['tokens']} tokens; others {expected}")
            if peer.dynamic and not one["exact"]:
                found.append(f"{name}: a batch is wider than its longest text")
            if not peer.dynamic and one["narrowest"] != setting.max_length:
                found.append(f"{name}: a batch is not padded to {setting.max_length}")
            if one["precisions"] != (["torch.bfloat16"] if bf16 else ["fp32"]):
                found.append(f"{name}: computes in {one['precisions']}")
        for half, which in ((0, "first"), (1, "second")):
            difference = mean_loss(results, half) - mean_loss(measured[SLOWEST], half)
            if abs(difference) > LOSS_MARGIN:
                found.append(f"{name}: loss of the {which} half differs by {difference:+.4f} from {SLOWEST}")
    dynamic, grouped = (median(measured[name], "places") for name in list(PEERS)[1:3])
    if grouped >= dynamic:
        found.append("group_by_length pads as much as a random order")
    return found


def mean_loss(results: list[Result], half: int) -> float:
    """Return the mean loss of the first (0) or second (1) half of the steps."""
    steps = results[0]["steps"]
    begin, end = ((0, steps // 2), (steps // 2, steps))[half]
    return statistics.mean(loss for one in results for loss in one["losses"][begin:end])


def median(results: list[Result], key: str) -> float:
    return statistics.median(one[key] for one in results)


def table(measured: dict[str, list[Result]]) -> str:
    """Return the ratios as Markdown; processor seconds decide which variant of `Trainer` is the best."""
    best = min(PEERS, key=lambda name: median(measured[name], "cpu"))
    lines = [
        "| contestant | CPU s | wall s | padding | tokens/s | loss, both halves of the steps "
        "| CPU, padded = 1 | CPU, best Trainer = 1 | wall, padded = 1 | wall, best Trainer = 1 |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for name, results in measured.items():
        cpu, wall = median(results, "cpu"), median(results, "wall")
        ratios = [
            median(measured[other], key) / value
            for key, value in (("cpu", cpu), ("wall", wall))
            for other in (SLOWEST, best)
        ]
        tokens, places = results[0]["tokens"], median(results, "places")
        cells = [
            f"{name}{' (best)' if name == best else ''}",
            f"{cpu:.1f}",
            f"{wall:.1f}",
            f"{1 - tokens / places:.0%}",
            f"{tokens / cpu:,.0f}",
            f"{mean_loss(results, 0):.3f}, {mean_loss(results, 1):.3f}",
            *(f"{ratio:.2f}" for ratio in ratios),
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def compare(material: Material, repeats: int) -> list[str]:
    """Measure all contestants of a setting, print their table and return what was wrong."""
    setting = material.setting
    measured: dict[str, list[Result]] = {name: [] for name in (*PEERS, *OURS)}
    for repeat in range(repeats):
        for name, results in measured.items():
            results.append(apart(train, material, name, repeat + 1))
            one = results[-1]
            print(
                f"{setting.name}: {name}: {one['cpu']:.1f} s of CPU, {one['wall']:.1f} s", file=sys.stderr, flush=True
            )
    first = measured[SLOWEST][0]
    mean = first["tokens"] / setting.epochs / setting.examples
    print(f"\n{setting.name}, {mean:.0f} on average; {first['steps']} steps; {repeats} repeats\n\n{table(measured)}")
    sys.stdout.flush()
    return [f"{setting.name}: {problem}" for problem in problems_of(setting, measured)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--settings", type=int, nargs="+", default=range(len(SETTINGS)), help="numbers, from 0")
    parser.add_argument("--share", type=float, default=1.0, help="share of the examples, for a quick look")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    print(f"torch {torch.__version__}, transformers {transformers.__version__}, one thread, medians")
    problems = []
    with tempfile.TemporaryDirectory() as folder:
        encoders = make_encoders(Path(folder))
        for number in arguments.settings:
            batches = max(1, round(arguments.share * SETTINGS[number].examples / BATCH))
            setting = dataclasses.replace(SETTINGS[number], examples=batches * BATCH)
            backbone, place = encoders[setting.encoder], Path(folder) / f"setting_{number}"
            small = dataclasses.replace(setting, examples=CHECKED, epochs=1)
            problems += check_alike(make_material(small, backbone, place / "check"))
            problems += compare(make_material(setting, backbone, place), arguments.repeats)
    for problem in problems:
        print(problem, file=sys.stderr)
    sys.exit(1 if problems else 0)


if __name__ == "__main__":
    main()
