"""Fresh encoders from weights that stay in RAM between the runs of a process."""

from __future__ import annotations

import copy
from functools import lru_cache
from pathlib import Path
from typing import Any

from torch import nn

from evidence_hpo.models.backbones import load_encoder

__all__ = ["new_encoder"]


def new_encoder(directory: Path, dropout: float) -> nn.Module:
    return load_encoder(directory, dropout=dropout)
