"""Where a run computes, and in which arithmetic."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch

from evidence_hpo.config.parameters import Precision
from evidence_hpo.config.training import RuntimeSettings
from evidence_hpo.errors import ConfigurationError

__all__ = ["Compute", "choose_compute"]

_TYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass(frozen=True)
class Compute:
    """The device and the arithmetic of the forward pass; weights and optimiser are always float32."""

    device: torch.device
    precision: str
    notes: tuple[str, ...] = ()

    def autocast(self) -> AbstractContextManager[Any]:
        """Return the context of a forward pass."""
        if self.precision == "fp32":
            return nullcontext()
        return torch.autocast(self.device.type, dtype=_TYPES[self.precision])


def choose_compute(runtime: RuntimeSettings, wanted: Precision) -> Compute:
    """Probe the hardware and fall back, with a note, where it lacks the wanted precision.

    Args:
        runtime: Names the device.
        wanted: The run's parameter `precision`.

    Raises:
        ConfigurationError: The device `cuda` is asked for and there is none.
    """
    if runtime.device == "cuda" and not torch.cuda.is_available():
        raise ConfigurationError("training.runtime.device: cuda: no CUDA device is visible; use auto or cpu")
    device = torch.device("cuda" if runtime.device != "cpu" and torch.cuda.is_available() else "cpu")
    if device.type == "cuda":
        torch.set_float32_matmul_precision("high" if runtime.tf32 else "highest")
    if wanted == "auto":
        return Compute(device, "bf16" if _fast_bf16(device) else "fp32")
    if wanted == "bf16" and device.type == "cuda" and not torch.cuda.is_bf16_supported(including_emulation=False):
        return Compute(device, "fp16", ("precision: the GPU has no bf16, fp16 is used",))
    if wanted == "fp16" and device.type == "cpu":
        precision = "bf16" if _fast_bf16(device) else "fp32"
        return Compute(device, precision, (f"precision: fp16 needs a GPU, {precision} is used",))
    return Compute(device, wanted)


def _fast_bf16(device: torch.device) -> bool:
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    capabilities = torch.cpu.get_capabilities()
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))
