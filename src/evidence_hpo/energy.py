"""Energy that the hardware itself counts: processor packages by RAPL, NVIDIA GPUs by NVML. Never an estimate.

A counter that cannot be read is not there: what is unknown stays unknown. Counters are of a whole processor or card, so
jobs that run side by side read the same energy; who shares it out has to know when they ran.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

__all__ = ["EnergyMeter", "gpu_counters", "package_counters"]

POWERCAP = Path("/sys/class/powercap")
SAMPLE_SECONDS = 60.0
"""RAPL counters of 2^32 times 61 microjoules start anew after ten minutes of load: they are read oftener."""


class PackageCounter:
    """A RAPL counter of the kernel's power-capping interface (Documentation/power/powercap/powercap.rst)."""

    def __init__(self, zone: Path) -> None:
        """Open a zone.

        Raises:
            OSError: The counter may not be read; most systems let root alone (CVE-2020-8694).
        """
        self._file = zone / "energy_uj"
        self._range = int((zone / "max_energy_range_uj").read_text())
        self._last = self._read()
        self._joules = 0.0

    def joules(self) -> float:
        """Return the energy since the counter was opened, in joules."""
        now = self._read()
        self._joules += ((now - self._last) % (self._range + 1)) / 1e6
        self._last = now
        return self._joules

    def _read(self) -> int:
        return int(self._file.read_text())


def package_counters(folder: Path = POWERCAP) -> dict[str, PackageCounter]:
    """Return the readable counters of the processor packages and of the memory that hangs on them, by zone."""
    found: dict[str, PackageCounter] = {}
    for zone in sorted(folder.glob("intel-rapl:*")):  # the kernel uses this name on AMD processors too
        try:
            name = (zone / "name").read_text().strip()
            if name.startswith("package") or name == "dram":
                found[zone.name] = PackageCounter(zone)
        except (OSError, ValueError):
            continue
    return found


def gpu_counters() -> dict[str, Callable[[], float]]:
    """Return functions that read the energy of each NVIDIA GPU in joules since its driver was loaded, by UUID."""
    try:
        import pynvml

        pynvml.nvmlInit()
        handles = [pynvml.nvmlDeviceGetHandleByIndex(index) for index in range(pynvml.nvmlDeviceGetCount())]
        found: dict[str, Callable[[], float]] = {}
        for handle in handles:
            reader = _reader(pynvml, handle)
            reader()
            found[str(pynvml.nvmlDeviceGetUUID(handle))] = reader
    except Exception:  # no package, no driver, a card older than Volta: nothing to read
        return {}
    return found


def _reader(nvml: Any, handle: Any) -> Callable[[], float]:
    return lambda: float(nvml.nvmlDeviceGetTotalEnergyConsumption(handle)) / 1000.0


def used_gpus(uuids: list[str], environment: Mapping[str, str]) -> list[str]:
    """Return which GPUs of the machine this process may have used: those that are visible to it, if it loaded torch."""
    if "torch" not in sys.modules:
        return []
    visible = environment.get("CUDA_VISIBLE_DEVICES")
    if visible is None:
        return uuids
    return list(_named(uuids, [name.strip() for name in visible.split(",")]))


def _named(uuids: list[str], names: list[str]) -> Iterator[str]:
    for name in names:
        if name.isdigit() and int(name) < len(uuids):
            yield uuids[int(name)]
        elif name.startswith("GPU-"):
            yield from (uuid for uuid in uuids if uuid.startswith(name))


class EnergyMeter:
    """Energy of the processors and GPUs of this machine since it was made."""

    def __init__(self) -> None:
        self._packages = package_counters()
        self._gpus = gpu_counters()
        try:
            self._gpus_before = {uuid: read() for uuid, read in self._gpus.items()}
        except Exception:  # a card that has gone: no reason for a step not to start
            self._gpus, self._gpus_before = {}, {}
        self._ended = threading.Event()
        if self._packages:
            threading.Thread(target=self._sample, daemon=True).start()

    def _sample(self) -> None:
        while not self._ended.wait(SAMPLE_SECONDS):
            self._read_packages()

    def _read_packages(self) -> float | None:
        try:
            return sum(counter.joules() for counter in self._packages.values()) if self._packages else None
        except (OSError, ValueError):
            return None

    def joules(self) -> dict[str, Any]:
        """Stop, and return ``cpu`` (joules or None) and ``gpus`` (joules by UUID); what cannot be read is not there."""
        self._ended.set()
        try:
            used = used_gpus(list(self._gpus), os.environ)
            gpus = {uuid: round(self._gpus[uuid]() - self._gpus_before[uuid], 3) for uuid in used}
        except Exception:  # a card that has gone
            gpus = {}
        packages = self._read_packages()
        return {"cpu": None if packages is None else round(packages, 3), "gpus": gpus}
