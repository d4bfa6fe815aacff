"""What the benchmarks of augmentation train on: token caches and banks of the sample corpus, made by the workflow."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from evidence_hpo import paths
from evidence_hpo.augmentation.environment import environment_folder, interpreter_of
from evidence_hpo.config.banks import Bank, banks_of_run
from evidence_hpo.config.configuration import Configuration
from evidence_hpo.config.loading import load_configuration, merge, read_yaml
from evidence_hpo.config.parameters import active_parameters
from evidence_hpo.graph import StudyGraph
from evidence_hpo.tokens.banks import TokenBank
from evidence_hpo.tokens.cache import TokenCache
from evidence_hpo.training.run import RunInputs

ROOT = Path(__file__).resolve().parents[1]
SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class Material:
    """A folder in which the workflow made data, an encoder, token caches and banks."""

    folder: Path
    configuration: Configuration

    def parameters(self, task: str, **values: Any) -> dict[str, Any]:
        """Return the parameters of a run of the default study, with other values for some."""
        full = {**self.configuration.training.parameters.model_dump(), **values}
        return {name: full[name] for name in active_parameters(full, task)}

    def cache(self, task: str, split: str) -> TokenCache:
        place = {"backbone": "small", "task": task, "split": split}
        return TokenCache.open(*(self._path(name, place) for name in (paths.TOKEN_TEXTS, paths.TOKEN_EXAMPLES)))

    def banks(self, task: str, parameters: dict[str, Any]) -> tuple[TokenBank, ...]:
        """Return the banks that a run uses."""
        return tuple(self._bank(task, bank) for bank in banks_of_run(parameters))

    def _bank(self, task: str, bank: Bank) -> TokenBank:
        place = {"backbone": "small", "task": task, **bank._asdict()}
        return TokenBank.open(*(self._path(name, place) for name in (paths.AUGMENTED_TEXTS, paths.AUGMENTED_EXAMPLES)))

    def inputs(self, task: str, parameters: dict[str, Any], validation: TokenCache) -> RunInputs:
        """Return what a run on the training split reads."""
        banks = self.banks(task, parameters)
        backbone = self._path(paths.BACKBONE, {"backbone": "small"})
        train = {task: self.cache(task, "train")}
        return RunInputs(backbone, train, {task: validation}, {task: banks} if banks else {})

    @property
    def interpreter(self) -> Path:
        """Interpreter of TextAttack's environment."""
        return (self.folder / interpreter_of(environment_folder(ROOT / "envs" / "textattack.txt"))).absolute()

    @property
    def nltk_data(self) -> Path:
        """WordNet and stop words."""
        return self.folder / paths.NLTK_DATA

    def _path(self, pattern: str, place: dict[str, Any]) -> Path:
        return self.folder / pattern.format(**place)


def make_material(
    folder: Path, tasks: tuple[str, ...], parameters: dict[str, Any], *, posts: int, environments: Path | None
) -> Material:
    """Make what a benchmark needs; what is there already is not made again.

    Args:
        folder: Where the workflow runs.
        tasks: Architectures of one task each.
        parameters: Values of the search space: lists, whose banks are all made.
        posts: Size of the sample corpus.
        environments: Folder that holds TextAttack's environment; None: it is made in ``folder``.
    """
    work = folder / "results" / "work"
    work.mkdir(parents=True, exist_ok=True)
    if environments is not None and not (work / "environments").exists():
        (work / "environments").symlink_to(environments.resolve())
    overlay = _overlay(tasks, parameters, posts)
    (folder / "study.yaml").write_text(yaml.safe_dump(overlay), encoding="utf-8")
    configuration = load_configuration(merge(read_yaml(ROOT / "workflow_config.yaml"), overlay))
    study = StudyGraph(configuration)
    wanted = [
        path
        for task in tasks
        for pattern, augmented in (
            (paths.TOKEN_TEXTS, paths.AUGMENTED_TEXTS),
            (paths.TOKEN_EXAMPLES, paths.AUGMENTED_EXAMPLES),
        )
        for path in [*study.token_files(pattern, task, SPLITS), *study.augmented_files(augmented, task)]
    ]
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile"), "--configfile", "study.yaml"]
    environment = {**os.environ, "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])}
    finished = subprocess.run(
        [*command, "--cores", "2", *wanted, paths.AUGMENTATION_SUMMARY],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if finished.returncode:
        raise SystemExit(f"the workflow failed:\n{finished.stdout[-2000:]}\n{finished.stderr[-4000:]}")
    return Material(folder, configuration)


def _overlay(tasks: tuple[str, ...], parameters: dict[str, Any], posts: int) -> dict[str, Any]:
    space = {name: {"choices": values} for name, values in parameters.items()}
    stage = {"name": "stage1", "space": "benchmark", "trials": 2, "first_round": 2, "round_size": 2, "epochs": 2}
    return {
        "study": {"name": "benchmark", "architectures": list(tasks)},
        "data": {"corpus": {"sample": {"posts": posts}}},
        "augmentation": {"variants": 2},
        "spaces": {"benchmark": space},
        "search": {"stages": [{**stage, "pruner": {"kind": "none"}}]},
        "retrain": {"top_k": 1},
    }
