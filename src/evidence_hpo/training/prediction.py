"""Predictions of an exported model: the same numbers as in the evaluation of its training."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from evidence_hpo.config.training import RuntimeSettings
from evidence_hpo.errors import DataError
from evidence_hpo.files import read_json
from evidence_hpo.models.architectures import ARCHITECTURE_TASKS, build_model, encoder_count
from evidence_hpo.models.encoders import empty_encoder
from evidence_hpo.tokens.cache import TokenCache
from evidence_hpo.tokens.tokenizer import PreparedTokenizer
from evidence_hpo.training.batches import TaskData, evaluation_data
from evidence_hpo.training.inference import criteria_probabilities, evidence_spans
from evidence_hpo.training.precision import Compute, choose_compute
from evidence_hpo.training.seeding import make_deterministic
from evidence_hpo.training.spec import RunSpec

__all__ = ["LoadedModel", "load_model", "predict"]


@dataclass(frozen=True)
class LoadedModel:
    """A trained model, the run that trained it, and the digest of its tokeniser."""

    model: nn.Module
    spec: RunSpec
    tokenizer_digest: str


def load_model(directory: Path) -> LoadedModel:
    """Read a model that ``run`` exported.

    Raises:
        DataError: A file is missing, or the weights do not fit the model.
    """
    spec = RunSpec.from_json(read_json(directory / "run.json"))
    attention = spec.runtime.attention
    encoders = [empty_encoder(directory, attention=attention) for _ in range(encoder_count(spec.architecture))]
    model = build_model(spec.architecture, spec.parameters, encoders)
    path = directory / "model.safetensors"
    try:
        model.load_state_dict(load_file(path))
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such file") from error
    except (RuntimeError, SafetensorError) as error:
        raise DataError(f"{path}: does not hold the weights of the model in run.json; train it again") from error
    return LoadedModel(model.eval(), spec, PreparedTokenizer(directory).digest)


def predict(model: LoadedModel, caches: dict[str, TokenCache], runtime: RuntimeSettings) -> dict[str, pd.DataFrame]:
    """Return the predictions of the model for all examples, by task, in the order of the caches.

    Columns of both: `example_id`, `post_id`, `criterion`. Criteria: `label`, `probability`. Evidence: `gold` (list of
    [start, end]), `start` and `end` (characters; the best span, whether or not it is predicted), `span_score`,
    `null_score`; a span is predicted where ``span_score - null_score`` is above a threshold, in training 0.

    Args:
        model: An exported model.
        caches: Examples by task: one or all of the model's tasks.
        runtime: Device, threads and batch size; those of the training give its numbers again. The precision is the
            model's own.

    Raises:
        ConfigurationError: The device is not there.
        DataError: A cache is of a task that the model does not have, or of another backbone's tokeniser.
    """
    make_deterministic(runtime.threads)
    compute = choose_compute(runtime, model.spec.parameters["precision"])
    model.model.to(compute.device)
    frames = {}
    for task, cache in caches.items():
        if task not in ARCHITECTURE_TASKS[model.spec.architecture] or cache.task != task:
            raise DataError(f"the {model.spec.architecture} model cannot predict the examples of task {cache.task}")
        if cache.metadata.tokenizer_digest != model.tokenizer_digest:
            raise DataError(
                f"the token cache of task {task} is of another backbone; run tokenize_examples for this one"
            )
        data = evaluation_data(cache, model.spec.parameters)
        columns = _criteria_columns if task == "criteria" else _evidence_columns
        known = {"example_id": cache.example_ids, "post_id": cache.post_ids, "criterion": cache.criteria}
        frames[task] = pd.DataFrame({**known, **columns(model.model, data, compute, runtime.evaluation_batch_size)})
    return frames


def _criteria_columns(model: nn.Module, data: TaskData, compute: Compute, batch_size: int) -> dict[str, object]:
    probability = criteria_probabilities(model, data, compute, batch_size)
    return {"label": data.cache.labels, "probability": probability}


def _evidence_columns(model: nn.Module, data: TaskData, compute: Compute, batch_size: int) -> dict[str, object]:
    found = evidence_spans(model, data, compute, batch_size)
    return {
        "gold": [[list(span) for span in spans] for spans in data.cache.gold_spans],
        "start": found.start,
        "end": found.end,
        "span_score": found.span_score,
        "null_score": found.null_score,
    }
