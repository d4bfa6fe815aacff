"""What torch can compute on, for people who ask before they start."""

from __future__ import annotations

from typing import Any

import torch

__all__ = ["machine_facts"]


def machine_facts() -> dict[str, Any]:
    """Return torch's version, its CUDA, the GPUs with their memory in bytes, and what the CPU has for bf16."""
    gpus = []
    for index in range(torch.cuda.device_count() if torch.cuda.is_available() else 0):
        properties = torch.cuda.get_device_properties(index)
        with torch.cuda.device(index):
            bf16 = bool(torch.cuda.is_bf16_supported(including_emulation=False))
        gpus.append({"name": properties.name, "memory": properties.total_memory, "bf16": bf16})
    capabilities = torch.cpu.get_capabilities()
    return {
        "torch": torch.__version__,
        "cuda": torch.version.cuda,
        "gpus": gpus,
        "cpu": {name: bool(capabilities.get(name)) for name in ("avx2", "avx512_f", "avx512_bf16", "amx_bf16")},
    }
