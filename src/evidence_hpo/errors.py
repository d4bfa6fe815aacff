"""The errors a user can cause or meet; each class carries the exit code of the command line."""

from __future__ import annotations


class EvidenceHpoError(Exception):
    """Base of all expected errors: shown as its message alone, never as a traceback."""

    exit_code = 1


class TrainingError(EvidenceHpoError):
    """Training or evaluation failed, or only a part of it succeeded (exit code 1)."""

    exit_code = 1


class ConfigurationError(EvidenceHpoError):
    """The configuration or a command's arguments are wrong (exit code 2)."""

    exit_code = 2


class DataError(EvidenceHpoError):
    """Data, a study or a model is missing or invalid (exit code 3)."""

    exit_code = 3


class StorageError(EvidenceHpoError):
    """A file could not be written, most often because the disk is full (exit code 4)."""

    exit_code = 4


class TrackingError(EvidenceHpoError):
    """The tracking server could not be reached (exit code 5)."""

    exit_code = 5
