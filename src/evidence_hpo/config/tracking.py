"""Section `tracking`: where runs are shown. No setting here changes a run, and no secret belongs here."""

from __future__ import annotations

import re
from urllib.parse import parse_qsl, urlsplit

from pydantic import Field, field_validator, model_validator

from evidence_hpo.config.base import Section

__all__ = ["WHERE_SECRETS_GO", "TrackingSettings", "looks_secret"]

WHERE_SECRETS_GO = (
    "a secret does not belong in a configuration; put it in the environment (MLFLOW_TRACKING_TOKEN, or "
    "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD) or in a file outside the repository that "
    "tracking.token_file names"
)

_SECRET = re.compile(r"(^|_)(token|password|passwd|secret|credentials?|vault|(api|access|private)_?key)(_|$)")


def looks_secret(name: str) -> bool:
    """Return whether a key's name says that its value is a secret."""
    return _SECRET.search(name.lower()) is not None


class TrackingSettings(Section):
    """The MLflow store that the runs of the study are replayed into."""

    enabled: bool = Field(
        True, description="Replay the study into MLflow at its end; `evidence-hpo track` always does."
    )
    uri: str | None = Field(
        None,
        description=(
            "MLflow server (http:// or https://), or sqlite:/// and a path; null: results/mlflow.db. Credentials come "
            "from the environment or from `token_file`, never from here."
        ),
    )
    experiment: str = Field("evidence-hpo", min_length=1, max_length=200, description="Name of the MLflow experiment.")
    batch_size: int = Field(200, ge=1, le=900, description="Records (points, parameters, tags) of a request.")
    retries: int = Field(
        8, ge=0, le=100, description="Times that a request is tried again; 8 are about three minutes of an outage."
    )
    backoff_seconds: tuple[float, float] = Field(
        (1.0, 60.0), description="First and longest pause before a request is tried again; it doubles each time."
    )
    artifacts: bool = Field(True, description="Send files too: summaries, figures, records; never weights.")
    token_file: str | None = Field(
        None,
        description=(
            "File outside of any repository that holds the token of the server and nothing else, as a Vault agent "
            "writes it; null: the environment variables MLFLOW_TRACKING_*."
        ),
    )

    @field_validator("uri")
    @classmethod
    def _uri(cls, value: str | None) -> str | None:
        if value is None:
            return None
        try:
            parts = urlsplit(value)
            secret = parts.password is not None or "@" in parts.netloc
        except ValueError as error:
            raise ValueError("is no URI; give http://host:port, https://host or sqlite:///path") from error
        if secret or any(looks_secret(name) for name, _ in parse_qsl(parts.query)):
            raise ValueError(f"holds credentials: {WHERE_SECRETS_GO}")
        if parts.scheme in ("http", "https") and parts.hostname:
            return value
        if parts.scheme == "sqlite" and not parts.netloc and parts.path.strip("/"):
            return value
        raise ValueError("must be http://host:port, https://host or sqlite:///path")

    @model_validator(mode="after")
    def _check(self) -> TrackingSettings:
        first, longest = self.backoff_seconds
        if not 0.0 < first <= longest <= 600.0:
            raise ValueError(f"backoff_seconds {list(self.backoff_seconds)} must be positive, rise and not exceed 600")
        return self
