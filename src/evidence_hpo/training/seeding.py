"""The one place that makes a run deterministic and seeds every generator."""

from __future__ import annotations

import hashlib
import os
import random

import numpy as np
import torch

__all__ = ["derive_seed", "make_deterministic", "seed_generators"]


def derive_seed(seed: int, *purpose: str | int) -> int:
    """Return a seed below 2**63 for one purpose of a run; different purposes give independent seeds."""
    text = "/".join(map(str, (seed, *purpose)))
    return int.from_bytes(hashlib.sha256(text.encode("ascii")).digest()[:8], "big") >> 1


def make_deterministic(threads: int) -> None:
    """Let equal inputs give equal bits: deterministic kernels only, and a fixed number of threads.

    Reductions add up in an order that depends on the number of threads, so it is a setting of the run.
    """
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # cuBLAS reads it when CUDA starts
    torch.use_deterministic_algorithms(True)
    # Filling fresh memory guards against reading it before writing; it costs a pass over every temporary.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    torch.backends.cudnn.benchmark = False
    torch.set_num_threads(threads)


def seed_generators(seed: int, *purpose: str | int) -> None:
    """Seed Python, numpy and torch (all devices) for one purpose of a run."""
    derived = derive_seed(seed, *purpose)
    random.seed(derived)
    np.random.seed(derived % 2**32)
    torch.manual_seed(derived)
