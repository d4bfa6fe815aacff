"""TextAttack in processes of its own: one a session, and another that varies other things in between."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.textattack_environment import require_wordnet, textattack_interpreter

import evidence_hpo

SERVER = Path(__file__).with_name("textattack_server.py")
ENVIRONMENT = {
    **os.environ,
    "PYTHONPATH": str(Path(evidence_hpo.__file__).parents[1]),
    "PYTHONHASHSEED": "0",
    "OMP_NUM_THREADS": "1",
}


class TextAttackProcess:
    """A process that answers requests in the order in which they come."""

    def __init__(self, nltk_data: Path) -> None:
        self._process = subprocess.Popen(
            [textattack_interpreter(), SERVER, nltk_data],
            env=ENVIRONMENT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            encoding="utf-8",
        )

    def vary(self, method: str, strength: float, seed: int, sentence: str, *resources: dict[str, str]) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps([method, strength, seed, sentence, *resources]) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()

    def wait(self) -> None:
        assert self._process.stdout is not None
        self._process.stdout.close()
        assert self._process.wait(timeout=120) == 0


@pytest.fixture(scope="session")
def nltk_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return nltk data as the workflow prepares them, from Debian's WordNet."""
    require_wordnet()
    folder = tmp_path_factory.mktemp("wordnet")
    output = folder / "nltk_data"
    arguments = ["--wordnet", "/usr/share/wordnet", "--output", str(output), "--log", str(folder / "wordnet.log")]
    step = [textattack_interpreter(), "-m", "evidence_hpo.steps.prepare_wordnet"]
    subprocess.run([*step, *arguments], env=ENVIRONMENT, check=True, capture_output=True)
    return output


@pytest.fixture(scope="session")
def textattack(nltk_data: Path) -> Iterator[tuple[TextAttackProcess, TextAttackProcess]]:
    """Return two processes with TextAttack, started at once."""
    pair = TextAttackProcess(nltk_data), TextAttackProcess(nltk_data)
    yield pair
    for process in pair:
        process.close()
    for process in pair:
        process.wait()
