"""The one place where the search derives seeds: SHA-256 over names, never a counter, a clock or Python's ``hash``."""

from __future__ import annotations

import hashlib

from evidence_hpo.files import canonical_json

__all__ = ["retrain_seed", "sampler_seed", "trial_seed"]


def _derive(*parts: str | int) -> int:
    """Return an integer in [0, 2**31) from the parts."""
    digest = hashlib.sha256(canonical_json(list(parts)).encode()).digest()
    return int.from_bytes(digest[:8], "big") & 0x7FFFFFFF


def trial_seed(study: str, architecture: str, stage: str, number: int, seed: int) -> int:
    """Return the seed of a trial from the study's name, the trial's number and the global seed."""
    return _derive("trial", study, architecture, stage, number, seed)


def sampler_seed(study: str, architecture: str, stage: str, purpose: str, index: int, seed: int) -> int:
    """Return the seed of a sampler: ``purpose`` is what draws from it, ``index`` its round, its trial or 0."""
    return _derive("sampler", study, architecture, stage, purpose, index, seed)


def retrain_seed(study: str, architecture: str, role: str, index: int, seed: int) -> int:
    """Return the seed of a retraining. It is the same for all ranks, so configurations are compared in pairs."""
    return _derive(role, study, architecture, index, seed)
