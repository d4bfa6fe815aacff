"""What training costs in time and memory: from sizes alone, or by what the study's own jobs took.

Used for what a job asks a scheduler for, and for the plan of a study. Nothing here changes a result.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evidence_hpo import paths
from evidence_hpo.config.backbones import BackboneSettings, ScratchBackbone
from evidence_hpo.config.configuration import Configuration
from evidence_hpo.files import read_json

__all__ = [
    "ASSUMED_POSTS",
    "EXAMPLES_PER_POST",
    "FLOPS",
    "OPERATIONS",
    "EncoderSize",
    "Measured",
    "Workload",
    "encoder_size",
    "manifests",
    "measured",
    "memory_mb",
    "minutes",
    "weights_of",
]

FLOPS = {"gpu": 2e13, "cpu": 1e10}
"""Assumed operations a second, of a GPU with bf16 and of one CPU core: orders of magnitude."""

EXAMPLES_PER_POST = 1.2
"""Training examples of a post and task in the bundled corpus."""

ASSUMED_POSTS = 1500
"""As ReDSM5 has, where nothing is known of the corpus yet."""

OPERATIONS = 24.0
"""Of a forward pass, by token, layer and squared width: 12 hidden^2 weights, each multiplied and added."""

_PASSES = 3.0
"""A backward pass costs about two forward passes."""

_BASE, _LARGE = 184_000_000, 435_000_000
"""Weights of DeBERTa-v3 base and large, assumed of a model that is not prepared yet."""

_BASE_SHAPE, _LARGE_SHAPE = (12, 768), (24, 1024)

_START_MINUTES = 10
"""Of a job, for interpreter, imports, encoder and data from a slow disk; measured: 4 to 9 s on a local one."""

_MARGIN = 3.0
"""The model of time is right to a factor of about five, and nodes differ; what is still too short grows by attempts."""

_START_MB, _BYTES_PER_WEIGHT = 1500, 20
"""Measured: 0.5 GB for torch and a small encoder. In float32: weights, gradients, two moments, and a copy to write."""

_MEMORY_MARGIN = 1.5


@dataclass(frozen=True)
class EncoderSize:
    """Layers, width and weights of an encoder."""

    layers: int
    hidden: int
    weights: int


@dataclass(frozen=True)
class Workload:
    """The training of one job, each size the largest that it may meet.

    Attributes:
        runs: Runs of the job, one after the other but for those at once.
        epochs: Epochs of a run.
        data_fraction: Share of the training posts.
        examples: Training examples of an epoch on all posts.
        length: Tokens of an input.
        batch: Examples in a forward pass.
        encoders: Encoders of which a run has one or, as `joint`, more.
        encoders_at_once: How many of them a run has.
        device: `auto`, `cpu` or `cuda`.
        threads: CPU threads of a run.
        at_once: Runs that share the memory and the GPU, each in a process of its own.
    """

    runs: int
    epochs: int
    data_fraction: float
    examples: float
    length: int
    batch: int
    encoders: Sequence[EncoderSize]
    encoders_at_once: int
    device: str
    threads: int
    at_once: int = 1


@dataclass(frozen=True)
class Measured:
    """The most that finished shards took.

    Attributes:
        epoch_seconds: Of one run's epoch on all posts. Runs at once each took so much longer; alone, one takes no more.
        memory_mb: Resident memory of the whole job, of all runs at once.
    """

    epoch_seconds: float
    memory_mb: float


def minutes(work: Workload, known: Measured | None, attempt: int = 1) -> int:
    """Return the minutes to ask for, rounded up to tens; each further attempt doubles them.

    Args:
        work: What is trained.
        known: What finished shards of the study took; None: there are none, and the sizes decide.
        attempt: How often the job is tried, from 1.
    """
    epochs = work.runs * work.epochs * work.data_fraction
    # The model of time rests on the speed of a GPU, which runs at once share.
    seconds = epochs * (known.epoch_seconds / work.at_once if known else _epoch_seconds(work))
    wanted = (_START_MINUTES + _MARGIN * seconds / 60) * 2.0 ** (attempt - 1)
    return math.ceil(wanted / 10) * 10


def _epoch_seconds(work: Workload) -> float:
    # `auto` counts as a GPU: nothing is known of the nodes here, and without one nobody trains a large encoder.
    speed = FLOPS["cpu"] * work.threads if work.device == "cpu" else FLOPS["gpu"]
    cost = max(encoder.layers * encoder.hidden**2 for encoder in work.encoders)
    return OPERATIONS * _PASSES * work.encoders_at_once * work.examples * work.length * cost / speed


def memory_mb(work: Workload, known: Measured | None, attempt: int = 1) -> int:
    """Return the main memory to ask for in MB, rounded up to hundreds; proportional to the attempt.

    What was measured is that of a whole job, so it stands for one that runs as many at once, whatever `at_once` says.

    Activations are those of Korthikanti et al. 2022 (Reducing activation recomputation in large transformer models),
    equation 2, in float32 and with heads of width 64. On a GPU they are in its memory; `auto` counts as one.
    """
    if known:
        return math.ceil(known.memory_mb * _MEMORY_MARGIN * attempt / 100) * 100
    weights = max(encoder.weights for encoder in work.encoders) * _BYTES_PER_WEIGHT
    per_width = 2 * (34 + 5 * work.length / 64) * work.batch * work.length
    widest = max(encoder.layers * encoder.hidden for encoder in work.encoders)
    activations = per_width * widest if work.device == "cpu" else 0.0
    total = _START_MB + work.encoders_at_once * (weights + activations) / 1e6
    return math.ceil(total * work.at_once * attempt / 100) * 100


def measured(root: Path, shards: Iterable[tuple[str, float, int]]) -> Measured | None:
    """Return what finished shards took at most; None if none has run.

    Args:
        root: Folder of the study.
        shards: Benchmark file, full epochs (runs x epochs x data fraction) and runs at once of each shard. A benchmark
            holds the memory of all processes of its job.
    """
    found = [(row, epochs, at_once) for path, epochs, at_once in shards if (row := _benchmark(root / path)) is not None]
    if not found:
        return None
    return Measured(
        max(float(row["s"]) * at_once / epochs for row, epochs, at_once in found),
        max(float(row["max_rss"]) for row, _, _ in found),
    )


def _benchmark(path: Path) -> dict[str, str] | None:
    """Return the row of a benchmark that Snakemake wrote; None if there is none, or none with all its values."""
    try:
        with path.open(encoding="utf-8", newline="") as lines:
            row = next(csv.DictReader(lines, delimiter="\t"), None)
    except OSError:
        return None
    if row is None or any(row.get(name) in {None, "", "-", "NA"} for name in ("s", "max_rss")):
        return None
    return row


def manifests(configuration: Configuration, root: Path) -> dict[str, dict[str, Any]]:
    """Return layers and width of the encoders: of prepared ones from their manifests, else as configured."""
    found: dict[str, dict[str, Any]] = {}
    for name, settings in configuration.backbones.items():
        path = root / paths.BACKBONE_MANIFEST.format(backbone=name)
        if path.is_file():
            found[name] = read_json(path)
        elif isinstance(settings, ScratchBackbone):
            found[name] = {"layers": settings.layers, "hidden": settings.hidden}
    return found


def weights_of(settings: BackboneSettings, manifest: Mapping[str, Any]) -> tuple[int, str]:
    """Return the number of weights of an encoder, and what it rests on."""
    if "parameters" in manifest:
        return int(manifest["parameters"]), "manifest"
    if isinstance(settings, ScratchBackbone):
        hidden = settings.hidden
        # Attention has four matrices, the feed-forward part two; of the embeddings, the tokens' are nearly all.
        layer = 4 * hidden**2 + 2 * hidden * settings.intermediate
        return settings.vocabulary * hidden + settings.layers * layer, "its configured sizes"
    large = _is_large(settings)
    return (_LARGE if large else _BASE), f"assumed as DeBERTa-v3-{'large' if large else 'base'}: not prepared yet"


def encoder_size(settings: BackboneSettings, manifest: Mapping[str, Any]) -> EncoderSize:
    """Return the size of an encoder: of a prepared one as it is, else as configured or assumed from its name."""
    layers, hidden = _LARGE_SHAPE if _is_large(settings) else _BASE_SHAPE
    size = int(manifest.get("layers", layers)), int(manifest.get("hidden", hidden))
    return EncoderSize(*size, weights_of(settings, manifest)[0])


def _is_large(settings: BackboneSettings) -> bool:
    name = getattr(settings, "model", None) or getattr(settings, "path", "")
    return "large" in str(name).lower()
