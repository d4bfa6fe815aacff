"""No secret is taken from a configuration, and none is repeated in the line that refuses it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from evidence_hpo.config.loading import load_configuration, merge, read_yaml
from evidence_hpo.config.tracking import looks_secret
from evidence_hpo.errors import ConfigurationError

ROOT = Path(__file__).resolve().parents[3]


def load(tracking: dict[str, Any], root: Path | None = None, **overrides: Any) -> Any:
    raw = merge(read_yaml(ROOT / "workflow_config.yaml"), {"tracking": tracking, "overrides": overrides})
    return load_configuration(raw, root).tracking


@pytest.mark.parametrize(
    "uri", ["http://localhost:5000", "https://mlflow.example.org/x", "sqlite:///results/a.db", "sqlite:////data/a.db"]
)
def test_stores_that_are_taken(uri: str) -> None:
    assert load({"uri": uri}).uri == uri


@pytest.mark.parametrize(
    "uri",
    [
        "https://me:hunter2@mlflow.example.org",
        "https://hunter2@mlflow.example.org",
        "https://mlflow.example.org?api_key=hunter2",
        "https://mlflow.example.org/?access_token=hunter2",
    ],
)
def test_credentials_in_the_uri_are_refused_and_not_repeated(uri: str) -> None:
    with pytest.raises(ConfigurationError, match="MLFLOW_TRACKING_TOKEN") as error:
        load({"uri": uri})
    assert "hunter2" not in str(error.value)
    assert len(str(error.value).splitlines()) == 1


@pytest.mark.parametrize(
    "key", ["token", "password", "vault_token_path", "vault_addr", "api_key", "MLFLOW_TRACKING_TOKEN"]
)
def test_a_key_that_looks_like_a_secret_says_where_it_goes(key: str) -> None:
    for given in ({"tracking": {key: "hunter2"}}, {"tracking": {}, f"tracking.{key}": "hunter2"}):
        with pytest.raises(ConfigurationError, match=rf"tracking\.{key}: a secret does not belong") as error:
            load(given.pop("tracking"), **given)  # type: ignore[arg-type]
        assert "hunter2" not in str(error.value)
        assert len(str(error.value).splitlines()) == 1


@pytest.mark.parametrize("key", ["tokenizer", "max_tokens", "keyboard", "secretary"])
def test_other_names_are_no_secrets(key: str) -> None:
    assert not looks_secret(key)


@pytest.mark.parametrize("uri", ["mlruns", "file:///tmp/mlruns", "postgresql://host/db", "http://", "sqlite://"])
def test_other_stores_are_refused(uri: str) -> None:
    with pytest.raises(ConfigurationError, match="must be http://host:port, https://host or sqlite:///path"):
        load({"uri": uri})


def test_a_token_file_in_a_repository_is_refused(tmp_path: Path) -> None:
    (tmp_path / "repository/.git").mkdir(parents=True)
    (tmp_path / "repository/token").write_text("hunter2")
    (tmp_path / "token").write_text("hunter2")
    inside = tmp_path / "repository"
    assert load({"token_file": "../token"}, inside).token_file == "../token"
    with pytest.raises(ConfigurationError, match=r"tracking\.token_file: token: lies in a repository"):
        load({"token_file": "token"}, inside)


@pytest.mark.parametrize("pauses", [[0.0, 1.0], [2.0, 1.0], [1.0, 601.0]])
def test_pauses_that_make_no_sense_are_refused(pauses: list[float]) -> None:
    with pytest.raises(ConfigurationError, match="backoff_seconds"):
        load({"backoff_seconds": pauses})
