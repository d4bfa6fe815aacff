"""Does augmentation help? A tenth of the sample corpus's training posts, with and without, paired over seeds.

Run `python benchmarks/augmentation_use.py --folder FOLDER` (`--environments` names a folder with TextAttack's
environment, so that it is not made again), or with `--posts 150 --seeds 2 --epochs 1` for a quick look. For each task,
all arms have the same encoder, seeds, epochs and tenth of the posts:

- none; and none with twice the epochs, which is as many steps as the arms with augmentation have at most;
- simple, textattack, and one_of (either): all default methods at level 1, one variant of each evidence sentence beside
  the example, which is also shown altered with criteria that it does not meet.

Nothing is selected: the score is that of the last epoch on the validation and test posts together, which no arm has
seen. Differences are paired by seed; the interval is a percentile bootstrap over seeds.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from augmentation_material import Material, make_material

from evidence_hpo.training.run import RunSpec, run

FRACTION = 0.1
RESAMPLES = 10_000
OBJECTIVES = {"criteria": "macro_f1", "evidence": "char_f1"}
BASELINES = ("none", "none, twice the epochs")
ARMS: dict[str, tuple[str, int]] = {
    "none": ("none", 1),
    "none, twice the epochs": ("none", 2),
    "simple": ("simple", 1),
    "textattack": ("textattack", 1),
    "one_of": ("one_of", 1),
}
"""Name -> policy, and by what the number of epochs is multiplied."""


def score(material: Material, task: str, arm: str, seed: int, epochs: int) -> float:
    """Train one arm with one seed; return its score on the posts that no run has seen."""
    policy, factor = ARMS[arm]
    parameters = material.parameters(task, augmentation=policy, augmentation_nulls=True)
    spec = RunSpec(
        architecture=task,
        parameters=parameters,
        seed=seed,
        epochs=factor * epochs,
        data_fraction=FRACTION,
        rungs=(),
        objective=OBJECTIVES[task],
        early_stopping_patience=0,
        runtime=material.configuration.training.runtime,
    )
    unseen = material.cache(task, "validation").joined(material.cache(task, "test"))
    with tempfile.TemporaryDirectory() as work:
        result = run(spec, material.inputs(task, parameters, unseen), Path(work) / "run", report=lambda line: None)
    value: float = result.evaluations[-1]["metrics"][OBJECTIVES[task]]
    return value


def interval(differences: np.ndarray[Any, Any], seed: int = 0) -> tuple[float, float]:
    """Return the 95 % percentile bootstrap interval of the mean of paired differences."""
    drawn = np.random.default_rng(seed).integers(len(differences), size=(RESAMPLES, len(differences)))
    low, high = np.quantile(differences[drawn].mean(axis=1), [0.025, 0.975])
    return float(low), float(high)


def table(scores: dict[str, dict[str, list[float]]]) -> str:
    lines = [
        "| task | arm | mean | sd | minus none | minus none, twice the epochs |",
        "|---|---|---|---|---|---|",
    ]
    for task, of_arms in scores.items():
        for arm, values in of_arms.items():
            own = np.array(values)
            gaps = []
            for base in BASELINES:
                gap = own - np.array(of_arms[base])
                low, high = interval(gap)
                gaps.append("" if arm == base else f"{gap.mean():+.3f} ({low:+.3f} to {high:+.3f})")
            lines.append(f"| {task} | {arm} | {own.mean():.3f} | {own.std(ddof=1):.3f} | {' | '.join(gaps)} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True, help="where data and banks are made, or were made before")
    parser.add_argument("--environments", type=Path, help="folder that holds TextAttack's environment")
    parser.add_argument("--posts", type=int, default=1500)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--epochs", type=int, default=20)
    arguments = parser.parse_args()
    policies = {"augmentation": sorted({policy for policy, _ in ARMS.values()})}
    folder = arguments.folder.resolve()
    material = make_material(
        folder, tuple(OBJECTIVES), policies, posts=arguments.posts, environments=arguments.environments
    )
    scores: dict[str, dict[str, list[float]]] = {task: {arm: [] for arm in ARMS} for task in OBJECTIVES}
    for seed in range(arguments.seeds):
        for task, of_arms in scores.items():
            for arm, values in of_arms.items():
                values.append(score(material, task, arm, seed, arguments.epochs))
            print(f"seed {seed}, {task}: {json.dumps(of_arms)}", file=sys.stderr, flush=True)
    used = round(FRACTION * len(set(material.cache("criteria", "train").post_ids)))
    print(f"{used} training posts, {arguments.epochs} epochs, {arguments.seeds} seeds\n\n{table(scores)}")


if __name__ == "__main__":
    main()
