"""TextAttack's environment and WordNet for tests, made once and kept outside the checkout."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

import pytest

from evidence_hpo.augmentation.environment import build_environment, environment_folder, interpreter_of
from evidence_hpo.augmentation.wordnet import DEBIAN
from evidence_hpo.errors import ConfigurationError

__all__ = ["ENVIRONMENTS", "require_wordnet", "textattack_interpreter"]

REQUIREMENTS = Path(__file__).resolve().parents[1] / "envs" / "textattack.txt"
ENVIRONMENTS = Path(
    os.environ.get("EVIDENCE_HPO_TEST_ENVIRONMENTS", Path.home() / ".cache" / "evidence-hpo" / "environments")
)
"""Folder that a study may use as its `results/work/environments`: the environment is found there by its digest."""


@cache
def textattack_interpreter() -> Path:
    """Return the interpreter of TextAttack's environment, which is made if it is not there: minutes, 1.5 GB.

    Where it cannot be made, a test fails in CI and is skipped elsewhere.
    """
    folder = environment_folder(REQUIREMENTS, ENVIRONMENTS)
    try:
        build_environment(REQUIREMENTS, folder)
    except ConfigurationError as error:
        _lacking(str(error))
    return interpreter_of(folder).absolute()


def require_wordnet() -> None:
    """Fail in CI, and skip elsewhere, where WordNet is not installed."""
    if not (DEBIAN / "data.noun").is_file() or not (DEBIAN / "index.sense").is_file():
        _lacking(f"{DEBIAN} does not hold WordNet: install wordnet-base and wordnet-sense-index")


def _lacking(reason: str) -> None:
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)
