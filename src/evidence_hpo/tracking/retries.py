"""Requests that are tried again: which faults pass, and how long to wait."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from evidence_hpo.errors import TrackingError
from evidence_hpo.logs import log_event
from evidence_hpo.storage import as_storage_error

__all__ = ["Gone", "Retries", "first_line"]

T = TypeVar("T")

_LATER = (408, 429)
_RACE = ("UNIQUE constraint", "IntegrityError", "Duplicate entry", "duplicate key")
_BROKEN = ("malformed", "not a database", "readonly database", "unable to open database")


class Gone(Exception):  # noqa: N818 - an answer, which its caller handles, no error of the program
    """The run that a request was for is not there any more, or is deleted."""


@dataclass
class Retries:
    """Tries requests again, with a pause that doubles and varies, so that many clients do not come back at once.

    Attributes:
        store: The store, as messages name it: without credentials.
        retries: Times that a request is tried again.
        first: First pause in seconds, at most.
        longest: Longest pause in seconds.
        failures: Requests that failed so far.
    """

    store: str
    retries: int
    first: float
    longest: float
    failures: int = field(default=0)

    def run(self, action: Callable[[], T], again: Callable[[], T] | None = None) -> T:
        """Return what a request gives.

        Args:
            action: The request.
            again: What is done instead at every further attempt, because a request that failed may still have been
                carried out; None: the same.

        Raises:
            TrackingError: The store refused, or did not answer until the attempts were used up.
            StorageError: The disk of a local store is full.
            Gone: The run is not there.
        """
        for attempt in range(self.retries + 1):
            try:
                return action() if again is None or attempt == 0 else again()
            except Exception as error:
                self.failures += 1
                self._raise_lasting(error)
                if attempt == self.retries:
                    raise TrackingError(
                        f"{self.store}: no answer after {attempt + 1} attempts ({first_line(error)}); what is missing "
                        "is sent by `evidence-hpo track` when it is there again"
                    ) from error
                if attempt == 0:
                    log_event("tracking_waits", f"{self.store}: {first_line(error)}; tries again", level="warning")
                time.sleep(min(self.longest, self.first * 2**attempt) * random.uniform(0.5, 1.0))
        raise AssertionError("the last attempt returns or raises")

    def _raise_lasting(self, error: Exception) -> None:
        """Raise what waiting does not cure."""
        if isinstance(error, Gone | TrackingError):
            raise error
        storage_error = as_storage_error(error)
        if storage_error is not None:
            raise storage_error from error
        text = str(error)
        if any(phrase in text for phrase in _BROKEN):
            raise TrackingError(
                f"{self.store}: {first_line(error)}; move the file away and sync again: all of it is in the results"
            ) from error
        status = getattr(error, "get_http_status_code", lambda: 500)()
        if any(phrase in text for phrase in _RACE) or status >= 500 or status in _LATER:
            return
        if status in (401, 403):
            raise TrackingError(
                f"{self.store}: refused the credentials; set MLFLOW_TRACKING_TOKEN, or MLFLOW_TRACKING_USERNAME and "
                "MLFLOW_TRACKING_PASSWORD, or tracking.token_file"
            ) from error
        if status == 404 or "must be in the 'active'" in text:
            raise Gone(first_line(error)) from error
        raise TrackingError(f"{self.store}: refused a request: {first_line(error)}") from error


def first_line(error: BaseException) -> str:
    """Return an error in one short line."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
