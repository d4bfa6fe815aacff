"""The peer of `study.py`: the same search with Hugging Face's `Trainer.hyperparameter_search` and Optuna.

Written as a careful user would write it: two worker processes of one thread each share one Optuna study (faster on two
cores than one process of two threads), TPE, Optuna's default pruner (median), texts padded to the longest of their
batch and grouped by length, evaluation after each epoch. With ``--checkpoints`` every epoch is saved, the best and the
last checkpoint of a trial are kept (`save_total_limit`), the best is loaded at its end, and the best trial's is scored
on the test split. Without, nothing is saved, and the best configuration is trained once more, to be scored.

Reads examples and encoder that the pipeline made; prints one line of JSON. With ``--fresh-seeds`` no search is run, but
the best configuration of a finished one is trained with other seeds, and their test scores are printed.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
from pathlib import Path
from typing import Any

os.environ["TOKENIZERS_PARALLELISM"] = "false"

import numpy as np
import optuna
import pandas as pd
import torch
import transformers
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from safetensors.torch import load_file
from sklearn.metrics import f1_score
from torch import Tensor, nn
from torch.nn import functional
from transformers import (
    AutoModel,
    AutoTokenizer,
    DataCollatorWithPadding,
    EvalPrediction,
    PrinterCallback,
    Trainer,
    TrainingArguments,
)

HEAD_HIDDEN = 128
MAX_LENGTH = 128
STUDY = "peer"
SEED = 42
WORKERS = 2

Examples = list[dict[str, Any]]


class Classifier(nn.Module):
    """The encoder, the mean of its token vectors, a head of no or one hidden layer: the pipeline's default model."""

    def __init__(self, backbone: Path, *, dropout: float, backbone_dropout: float, head_layers: int) -> None:
        super().__init__()
        self.encoder = AutoModel.from_pretrained(
            backbone, hidden_dropout_prob=backbone_dropout, attention_probs_dropout_prob=backbone_dropout
        )
        width = self.encoder.config.hidden_size
        layers: list[nn.Module] = []
        if head_layers:
            layers = [nn.Dropout(dropout), nn.Linear(width, HEAD_HIDDEN), nn.GELU()]
            width = HEAD_HIDDEN
        self.head = nn.Sequential(*layers, nn.Dropout(dropout), nn.Linear(width, 2))

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor, labels: Tensor
    ) -> dict[str, Tensor]:
        tokens = self.encoder(input_ids, attention_mask=attention_mask, token_type_ids=token_type_ids).last_hidden_state
        present = attention_mask.bool().unsqueeze(-1)
        logits = self.head(tokens.masked_fill(~present, 0.0).sum(dim=1) / present.sum(dim=1))
        return {"loss": functional.cross_entropy(logits, labels), "logits": logits}


def suggest(trial: optuna.Trial | optuna.trial.FixedTrial) -> dict[str, Any]:
    """Return values for all parameters of the space `sample`; those that `TrainingArguments` has act there."""
    return {
        "learning_rate": trial.suggest_float("learning_rate", 0.0005, 0.002, log=True),
        "weight_decay": trial.suggest_float("weight_decay", 0.001, 0.1, log=True),
        "warmup_steps": trial.suggest_float("warmup_ratio", 0.05, 0.3),
        "dropout": trial.suggest_float("dropout", 0.0, 0.3),
        "backbone_dropout": trial.suggest_float("backbone_dropout", 0.05, 0.2),
        "head_layers": trial.suggest_int("head_layers", 0, 1),
        "lr_scheduler_type": trial.suggest_categorical("schedule", ["linear", "cosine"]),
    }


def of_arguments(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if name in TrainingArguments.__dataclass_fields__}


def macro_f1(prediction: EvalPrediction) -> dict[str, float]:
    predicted = np.argmax(prediction.predictions, axis=-1)
    return {"macro_f1": float(f1_score(prediction.label_ids, predicted, average="macro"))}


class Search:
    """What all processes of the search share."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        results: Path = arguments.results
        self.arguments = arguments
        self.backbone = results / "backbones" / "small"
        self.tokenizer = AutoTokenizer.from_pretrained(self.backbone)
        criteria = json.loads((results / "corpus" / "criteria.json").read_text(encoding="utf-8"))
        texts = {criterion["id"]: criterion["text"] for criterion in criteria}
        self.data = {
            split: self._examples(pd.read_parquet(results / "examples" / "criteria" / f"{split}.parquet"), texts)
            for split in ("train", "validation", "test")
        }

    def _examples(self, frame: pd.DataFrame, criteria: dict[str, str]) -> Examples:
        encoded = self.tokenizer(
            [criteria[name] for name in frame["criterion"]],
            frame["text"].tolist(),
            truncation="only_second",
            max_length=MAX_LENGTH,
        )
        labels = frame["label"].tolist()
        return [{**{name: encoded[name][i] for name in encoded}, "labels": label} for i, label in enumerate(labels)]

    def trainer(self, values: dict[str, Any] | None = None, seed: int = SEED) -> Trainer:
        """Return a trainer for the search, or for one run with the given values."""
        output, checkpoints = self.arguments.output, self.arguments.checkpoints and values is None
        keep = {"save_total_limit": 1, "load_best_model_at_end": True} if checkpoints else {}
        # warmup_steps must be a fraction here, or the search would cut its values to integers.
        fixed = {"warmup_steps": 0.1, **of_arguments(values or {})}
        arguments = TrainingArguments(
            output_dir=str(output / "runs"),
            use_cpu=True,
            seed=seed,
            num_train_epochs=self.arguments.epochs,
            per_device_train_batch_size=16,
            per_device_eval_batch_size=64,
            train_sampling_strategy="group_by_length",
            eval_strategy="epoch",
            save_strategy="epoch" if checkpoints else "no",
            metric_for_best_model="macro_f1",
            greater_is_better=True,
            logging_strategy="epoch",
            report_to="none",
            disable_tqdm=True,
            dataloader_pin_memory=False,
            **fixed,
            **keep,
        )
        trainer = Trainer(
            args=arguments,
            model_init=lambda trial: self.model(values or (suggest(trial) if trial is not None else None)),
            train_dataset=self.data["train"],
            eval_dataset=self.data["validation"],
            data_collator=DataCollatorWithPadding(self.tokenizer),
            compute_metrics=macro_f1,
        )
        trainer.remove_callback(PrinterCallback)
        return trainer

    def model(self, values: dict[str, Any] | None) -> Classifier:
        names = ("dropout", "backbone_dropout", "head_layers")
        chosen = {name: values[name] for name in names} if values else dict.fromkeys(names, 0)
        return Classifier(self.backbone, **chosen)

    def storage(self) -> JournalStorage:
        return JournalStorage(JournalFileBackend(str(self.arguments.output / "optuna.log")))

    def work(self, worker: int) -> None:
        """Run this worker's share of the trials."""
        trials = self.arguments.trials
        self.trainer().hyperparameter_search(
            backend="optuna",
            direction="maximize",
            n_trials=trials // WORKERS + (worker < trials % WORKERS),
            hp_space=suggest,
            compute_objective=lambda metrics: metrics["eval_macro_f1"],
            sampler=optuna.samplers.TPESampler(seed=SEED + worker),
            storage=self.storage(),
            study_name=STUDY,
            load_if_exists=True,
        )

    def finish(self) -> dict[str, Any]:
        """Return the scores of the best trial and what the search trained."""
        study = self.study()
        best = study.best_trial
        values = suggest(optuna.trial.FixedTrial(best.params))
        trainer = self.trainer(values)
        if self.arguments.checkpoints:
            trainer.model.load_state_dict(load_file(self._best_checkpoint(best.number) / "model.safetensors"))
        else:
            trainer.train()
        scored = trainer.predict(self.data["test"], metric_key_prefix="test")
        states = [trial.state.name for trial in study.trials]
        return {
            "trials": len(study.trials),
            "pruned": states.count("PRUNED"),
            "failed": states.count("FAIL"),
            "epochs": sum(len(trial.intermediate_values) for trial in study.trials),
            "validation": best.value,
            "test": scored.metrics["test_macro_f1"],
            "examples": len(self.data["test"]),
        }

    def study(self) -> optuna.Study:
        return optuna.load_study(study_name=STUDY, storage=self.storage())

    def fresh_scores(self, seeds: int) -> list[float]:
        """Return the test scores of the best configuration with other seeds."""
        values = suggest(optuna.trial.FixedTrial(self.study().best_trial.params))
        scores = []
        for seed in range(1, seeds + 1):
            trainer = self.trainer(values, seed)
            trainer.train()
            scored = trainer.predict(self.data["test"], metric_key_prefix="test")
            scores.append(scored.metrics["test_macro_f1"])
        return scores

    def _best_checkpoint(self, number: int) -> Path:
        folder = self.arguments.output / "runs" / f"run-{number}"
        last = max(folder.glob("checkpoint-*"), key=lambda path: int(path.name.split("-")[1]))
        state = json.loads((last / "trainer_state.json").read_text(encoding="utf-8"))
        return Path(state["best_model_checkpoint"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=Path, required=True, help="results of a study of the pipeline")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--trials", type=int, required=True)
    parser.add_argument("--epochs", type=int, required=True)
    parser.add_argument("--checkpoints", action="store_true")
    parser.add_argument("--fresh-seeds", type=int)
    search_arguments = parser.parse_args()
    torch.set_num_threads(1)
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    search_arguments.output.mkdir(parents=True, exist_ok=True)
    search = Search(search_arguments)
    if search_arguments.fresh_seeds:
        print(json.dumps(search.fresh_scores(search_arguments.fresh_seeds)))
        return
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=search.work, args=(number,)) for number in range(WORKERS)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    if any(worker.exitcode for worker in workers):
        raise SystemExit("a worker of the peer's search failed, see above")
    print(json.dumps(search.finish()))


if __name__ == "__main__":
    main()
