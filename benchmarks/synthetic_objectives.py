"""Synthetic two-fidelity objectives on a 13-dimensional space of trial parameters, for `search_quality.py`.

An instance is a family and a seed. Its noiseless value is a learning curve: it rises from a floor to the quality of the
configuration, and what the search sees has noise of the run's seed and of each evaluation. Three families:

- ``additive``: a sum of one smooth term for each parameter; both fidelities agree on the order of configurations.
- ``interacting``: ridges (learning rate with batch size, decay and schedule; dropouts with each other and with the size
  of the head), and the optimum moves with the budget: short runs want higher learning rates and less regularisation.
- ``rugged``: choices dominate and interact, ripples on the numbers, runs that diverge (a fifth of the space), runs that
  stay on the floor until some point, noise that grows with the learning rate.

All values are scaled so that on full budget the optimum is 1 and the median of random configurations is 0.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from evidence_hpo.config.parameters import TrialParameters
from evidence_hpo.config.spaces import Space
from evidence_hpo.search.spaces import Dimension, SearchSpace, concrete_space, sampled_value

ARCHITECTURE = "criteria"
FIXED = TrialParameters()
SPACE = Space.model_validate(
    {
        "pooling": {"choices": ["cls", "mean", "max", "attention"]},
        "head_layers": {"low": 0, "high": 3},
        "head_hidden": {"low": 64, "high": 1024, "log": True},
        "dropout": {"low": 0.0, "high": 0.5},
        "backbone_dropout": {"low": 0.0, "high": 0.3},
        "learning_rate": {"low": 1e-6, "high": 1e-4, "log": True},
        "layer_decay": {"low": 0.7, "high": 1.0},
        "weight_decay": {"low": 1e-5, "high": 1e-1, "log": True},
        "schedule": {"choices": ["linear", "cosine", "constant"]},
        "warmup_ratio": {"low": 0.0, "high": 0.3},
        "batch_size": {"choices": [16, 32, 64, 128]},
        "loss": {"choices": ["cross_entropy", "label_smoothing", "focal"]},
        "class_weights": {"choices": ["none", "balanced"]},
    }
)
FULL_EPOCHS = 8
FLOOR = -1.0
SEED_NOISE, EVALUATION_NOISE = 0.08, 0.03
"""Standard deviations; one is the distance from the median of random configurations to the optimum."""
LESS_SIGNAL, MORE_NOISE = 0.5, 0.25
"""Powers of the share of data by which an epoch teaches less and noise grows."""
NORMALISING_POINTS = 2**14

Rows = NDArray[np.float64]
"""Configurations, [n, 13]: numbers as positions in [0, 1] on their scale, choices as indices, inactive ones 0."""


def configured_space(stage: str) -> SearchSpace:
    return concrete_space(SPACE, FIXED, ARCHITECTURE, stage)


DIMENSIONS = configured_space("stage1").dimensions
COLUMN = {dimension.name: index for index, dimension in enumerate(DIMENSIONS)}
CHOICES = {dimension.name: len(dimension.choices) for dimension in DIMENSIONS if dimension.choices}
NUMBERS = tuple(dimension.name for dimension in DIMENSIONS if not dimension.choices)
DEPTHS = 3
"""Largest number of hidden layers."""


def encode(sampled: Mapping[str, Any]) -> Rows:
    """Return one configuration as a row, [1, 13]."""
    row = np.zeros((1, len(DIMENSIONS)))
    for index, dimension in enumerate(DIMENSIONS):
        value = sampled_value(dimension, sampled)
        if value is not None:
            row[0, index] = dimension.choices.index(value) if dimension.choices else _position(dimension, value)
    return row


def _position(dimension: Dimension, value: float) -> float:
    low, high = dimension.bounds
    if dimension.log:
        return float(np.log(value / low) / np.log(high / low))
    return (value - low) / (high - low)


def random_rows(rng: np.random.Generator, count: int) -> Rows:
    """Return uniform configurations."""
    rows = rng.random((count, len(DIMENSIONS)))
    for name, choices in CHOICES.items():
        rows[:, COLUMN[name]] = np.floor(rows[:, COLUMN[name]] * choices)
    return _valid(rows)


def _valid(rows: Rows) -> Rows:
    depth = COLUMN["head_layers"]
    rows[:, depth] = np.round(rows[:, depth] * DEPTHS) / DEPTHS
    rows[:, COLUMN["head_hidden"]] *= rows[:, depth] > 0
    return rows


class Objective(ABC):
    """An instance: call :meth:`run` for what a search sees, :meth:`regret` for the truth."""

    stream: ClassVar[int]

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng([self.stream, seed])
        self.draw()
        rows = random_rows(self.rng, NORMALISING_POINTS)
        self.diverging_above = float(np.quantile(self.heat(rows), 1 - self.diverging_share))
        self.zero, self.one = 0.0, 1.0
        self.zero = float(np.median(self.truth(rows)[~self.diverges(rows)]))
        self.one = self.optimum()

    # --- what a family defines ---------------------------------------------------------------------------------

    diverging_share: ClassVar[float] = 0.0

    @abstractmethod
    def draw(self) -> None:
        """Draw the instance's constants from ``self.rng``."""

    @abstractmethod
    def penalty(self, rows: Rows, shortness: float) -> Rows:
        """Return the distance from the best quality, [n]; ``shortness`` is 0 on full budget and nears 1 below."""

    def speed(self, rows: Rows) -> Rows:
        """Return the rate of learning for each epoch, [n]."""
        return np.full(len(rows), 1.4)

    def onset(self, rows: Rows) -> Rows:
        """Return the epochs on all data that a run stays on the floor, [n]."""
        return np.zeros(len(rows))

    def heat(self, rows: Rows) -> Rows:
        """Return what makes a run diverge where it is high, [n]."""
        return np.zeros(len(rows))

    def noise(self, rows: Rows) -> Rows:
        """Return the factor on the noise, [n]."""
        return np.ones(len(rows))

    # --- values ------------------------------------------------------------------------------------------------

    def curve(self, rows: Rows, points: Sequence[float], epochs: int, data_fraction: float) -> Rows:
        """Return noiseless values at ``points`` (epochs) of a run of ``epochs`` on a share of the data, [n, points]."""
        shortness = 1 - epochs * data_fraction / FULL_EPOCHS
        quality = FLOOR + (1 - FLOOR) * np.exp(-self.penalty(rows, shortness) / (1 - FLOOR))[:, None]
        seen = np.asarray(points)[None, :] * data_fraction**LESS_SIGNAL
        trained = 1 - np.exp(-self.speed(rows)[:, None] * np.maximum(0, seen - self.onset(rows)[:, None]))
        values: Rows = (FLOOR + (quality - FLOOR) * trained - self.zero) / (self.one - self.zero)
        return values

    def truth(self, rows: Rows) -> Rows:
        """Return the noiseless value at the end of a run on full budget, [n]."""
        return self.curve(rows, [FULL_EPOCHS], FULL_EPOCHS, 1.0)[:, 0]

    def diverges(self, rows: Rows) -> NDArray[np.bool_]:
        """Return which runs fail, [n]."""
        return self.heat(rows) > self.diverging_above

    def regret(self, sampled: Mapping[str, Any]) -> float:
        """Return how far a configuration's truth lies below the optimum."""
        return 1.0 - float(self.truth(encode(sampled))[0])

    def run(
        self, sampled: Mapping[str, Any], seed: int, points: Sequence[float], epochs: int, data_fraction: float
    ) -> list[float]:
        """Return the noisy values of a run at ``points``; none if it diverges."""
        row = encode(sampled)
        if self.diverges(row)[0]:
            return []
        rng = np.random.default_rng(seed)
        scale = float(self.noise(row)[0]) * data_fraction**-MORE_NOISE
        noise = rng.normal(0, SEED_NOISE * scale) + rng.normal(0, EVALUATION_NOISE * scale, len(points))
        return [float(value) for value in self.curve(row, points, epochs, data_fraction)[0] + noise]

    def optimum(self, starts: int = 64, children: int = 32, steps: int = 250) -> float:
        """Return the largest truth: the best 64 of 2^15 random points, each improved by shrinking random changes."""
        rows = random_rows(self.rng, 2**15)
        values = np.where(self.diverges(rows), -np.inf, self.truth(rows))
        best = np.argsort(-values)[:starts]
        rows, values = rows[best], values[best]
        for scale in np.geomspace(0.3, 0.0003, steps):
            moved = np.repeat(rows, children, axis=0)
            changed = self.rng.random(moved.shape) < 0.15
            fresh = random_rows(self.rng, len(moved))
            for name, column in COLUMN.items():
                near = moved[:, column] + scale * self.rng.normal(size=len(moved))
                target = fresh[:, column] if name in CHOICES or name == "head_layers" else np.clip(near, 0, 1)
                moved[:, column] = np.where(changed[:, column], target, moved[:, column])
            moved = _valid(moved)
            found = np.where(self.diverges(moved), -np.inf, self.truth(moved)).reshape(starts, children)
            child = np.argmax(found, axis=1)
            better = found[np.arange(starts), child] > values
            rows[better] = moved.reshape(starts, children, -1)[np.arange(starts), child][better]
            values[better] = found[np.arange(starts), child][better]
        return float(values.max())

    # --- drawing -----------------------------------------------------------------------------------------------

    def _weights(self, typical: Mapping[str, float]) -> dict[str, float]:
        return {name: weight * float(self.rng.lognormal(0, 0.5)) for name, weight in typical.items()}

    def _centres(self) -> dict[str, float]:
        return {name: float(self.rng.uniform(0.2, 0.8)) for name in NUMBERS}

    def _effects(self, largest: float, *names: str) -> Rows:
        """Return a table of penalties of the combinations of choices, its smallest 0."""
        table: Rows = self.rng.uniform(0, largest, [CHOICES[name] for name in names])
        table -= table.min()
        return table


def _of(rows: Rows, name: str) -> Rows:
    return rows[:, COLUMN[name]]


def _choice(rows: Rows, name: str) -> NDArray[np.int64]:
    return _of(rows, name).astype(np.int64)


def _squares(rows: Rows, weights: Mapping[str, float], centres: Mapping[str, float]) -> Rows:
    total = np.zeros(len(rows))
    for name, weight in weights.items():
        acting = _of(rows, "head_layers") > 0 if name == "head_hidden" else 1.0
        total += weight * acting * (_of(rows, name) - centres[name]) ** 2
    return total


class Additive(Objective):
    """See the module."""

    stream = 1

    def draw(self) -> None:
        typical = dict.fromkeys(NUMBERS, 0.8) | {"learning_rate": 4.0, "dropout": 1.2, "layer_decay": 1.2}
        self.weights, self.centres = self._weights(typical), self._centres()
        self.effects = {name: self._effects(0.25, name) for name in CHOICES}

    def penalty(self, rows: Rows, shortness: float) -> Rows:
        choices = sum((table[_choice(rows, name)] for name, table in self.effects.items()), np.zeros(len(rows)))
        return choices + _squares(rows, self.weights, self.centres)


class Interacting(Objective):
    """See the module."""

    stream = 2

    def draw(self) -> None:
        self.weights = self._weights({"head_layers": 0.4, "head_hidden": 0.4, "warmup_ratio": 0.6, "dropout": 0.5})
        self.centres = self._centres()
        self.ridges = self._weights({"rate": 5.0, "decay": 1.5, "layers": 2.0, "dropouts": 2.5, "head": 1.5})
        self.slopes = {name: float(self.rng.uniform(0.25, 0.5)) for name in ("batch", "decay", "layers", "head")}
        self.of_schedule = self.rng.uniform(-0.12, 0.12, CHOICES["schedule"])
        self.of_pooling = self.rng.uniform(-0.15, 0.15, CHOICES["pooling"])
        self.tables = [self._effects(0.3, "loss", "class_weights"), self._effects(0.25, "pooling", "schedule")]
        self.rate_moves = float(self.rng.uniform(0.05, 0.2))
        self.dropout_moves = float(self.rng.uniform(0.1, 0.35))

    def penalty(self, rows: Rows, shortness: float) -> Rows:
        rate, depth = _of(rows, "learning_rate"), _of(rows, "head_layers")
        batch = _of(rows, "batching") / (CHOICES["batching"] - 1) - 0.5
        size = 0.5 * depth + 0.5 * _of(rows, "head_hidden") - 0.5
        best_rate = self.centres["learning_rate"] + self.slopes["batch"] * batch + self.rate_moves * shortness
        dropouts = 0.6 * _of(rows, "dropout") + 0.4 * _of(rows, "backbone_dropout")
        best_dropouts = self.centres["backbone_dropout"] - self.dropout_moves * shortness
        terms = {
            "rate": rate - best_rate - self.of_schedule[_choice(rows, "schedule")],
            "decay": _of(rows, "weight_decay") - self.centres["weight_decay"] + self.slopes["decay"] * (rate - 0.5),
            "layers": _of(rows, "layer_decay") - self.centres["layer_decay"] - self.slopes["layers"] * (rate - 0.5),
            "dropouts": dropouts - best_dropouts - self.of_pooling[_choice(rows, "pooling")],
            "head": _of(rows, "dropout") - self.centres["dropout"] - self.slopes["head"] * size,
        }
        total = _squares(rows, self.weights, self.centres)
        total += sum((self.ridges[name] * term**2 for name, term in terms.items()), np.zeros(len(rows)))
        total += self.tables[0][_choice(rows, "loss"), _choice(rows, "class_weights")]
        return total + self.tables[1][_choice(rows, "pooling"), _choice(rows, "schedule")]

    def speed(self, rows: Rows) -> Rows:
        return 1.2 * np.exp(1.2 * (_of(rows, "learning_rate") - 0.5))


class Rugged(Objective):
    """See the module."""

    stream = 3
    diverging_share = 0.2

    def draw(self) -> None:
        typical = dict.fromkeys(NUMBERS, 0.5) | {"learning_rate": 2.0}
        self.weights, self.centres = self._weights(typical), self._centres()
        self.tables = [self._effects(0.8, "pooling", "loss"), self._effects(0.4, "schedule", "batching")]
        self.of_class_weights = self._effects(0.4, "class_weights")
        rippled = self.rng.choice([name for name in NUMBERS if name != "head_layers"], 4, replace=False)
        self.ripples = {str(name): float(self.rng.uniform(2, 5)) for name in rippled}
        self.latest = float(self.rng.uniform(0.5, 1.4))

    def penalty(self, rows: Rows, shortness: float) -> Rows:
        total = _squares(rows, self.weights, self.centres)
        for name, waves in self.ripples.items():
            acting = _of(rows, "head_layers") > 0 if name == "head_hidden" else 1.0
            total += 0.1 * acting * np.sin(np.pi * waves * (_of(rows, name) - self.centres[name])) ** 2
        total += self.tables[0][_choice(rows, "pooling"), _choice(rows, "loss")]
        total += self.tables[1][_choice(rows, "schedule"), _choice(rows, "batching")]
        return total + self.of_class_weights[_choice(rows, "class_weights")]

    def onset(self, rows: Rows) -> Rows:
        slow = 1 - _of(rows, "learning_rate") + 0.3 * _of(rows, "warmup_ratio") + 0.2 * _of(rows, "head_layers")
        return self.latest * slow**2

    def heat(self, rows: Rows) -> Rows:
        batch = _of(rows, "batching") / (CHOICES["batching"] - 1)
        return _of(rows, "learning_rate") - 0.3 * _of(rows, "warmup_ratio") - 0.25 * batch

    def noise(self, rows: Rows) -> Rows:
        return 0.5 + 1.5 * _of(rows, "learning_rate")


FAMILIES: dict[str, type[Objective]] = {"additive": Additive, "interacting": Interacting, "rugged": Rugged}
