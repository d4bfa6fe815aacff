"""Energy is read from counters that start anew, belong to a whole machine, and often cannot be read at all."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from evidence_hpo import energy
from evidence_hpo.energy import EnergyMeter, gpu_counters, package_counters, used_gpus


def zone(folder: Path, name: str, kind: str, microjoules: int, largest: int = 999_999) -> Path:
    made = folder / name
    made.mkdir(parents=True)
    (made / "name").write_text(f"{kind}\n")
    (made / "energy_uj").write_text(f"{microjoules}\n")
    (made / "max_energy_range_uj").write_text(f"{largest}\n")
    return made


def test_a_counter_that_starts_anew_goes_on(tmp_path: Path) -> None:
    made = zone(tmp_path, "intel-rapl:0", "package-0", 900_000)
    counter = package_counters(tmp_path)["intel-rapl:0"]
    (made / "energy_uj").write_text("950000")
    assert counter.joules() == pytest.approx(0.05)
    (made / "energy_uj").write_text("150000")
    assert counter.joules() == pytest.approx(0.25)


def test_packages_and_memory_count_and_what_is_within_them_does_not(tmp_path: Path) -> None:
    for name, kind in (("0", "package-0"), ("0:0", "core"), ("0:1", "dram"), ("1", "psys")):
        zone(tmp_path, f"intel-rapl:{name}", kind, 1)
    assert set(package_counters(tmp_path)) == {"intel-rapl:0", "intel-rapl:0:1"}


def test_what_cannot_be_read_is_unknown_and_not_zero(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = zone(tmp_path, "intel-rapl:0", "package-0", 1)
    (made / "energy_uj").unlink()  # as for everyone but root
    monkeypatch.setattr(energy, "POWERCAP", tmp_path)
    monkeypatch.setattr(energy, "package_counters", lambda: package_counters(tmp_path))
    monkeypatch.setitem(sys.modules, "pynvml", None)
    assert EnergyMeter().joules() == {"cpu": None, "gpus": {}}


def nvml(counts: dict[str, int]) -> Any:
    uuids = list(counts)
    return SimpleNamespace(
        nvmlInit=lambda: None,
        nvmlDeviceGetCount=lambda: len(uuids),
        nvmlDeviceGetHandleByIndex=lambda index: uuids[index],
        nvmlDeviceGetUUID=lambda handle: handle,
        nvmlDeviceGetTotalEnergyConsumption=lambda handle: counts[handle],
    )


def test_a_job_counts_the_gpus_that_it_sees(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    counts = {"GPU-aa": 1000, "GPU-bb": 5000}
    monkeypatch.setitem(sys.modules, "pynvml", nvml(counts))
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace())
    monkeypatch.setattr(energy, "package_counters", dict)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    meter = EnergyMeter()
    counts |= {"GPU-aa": 2000, "GPU-bb": 9000}
    assert meter.joules() == {"cpu": None, "gpus": {"GPU-bb": 4.0}}


def test_a_card_without_a_counter_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    def unsupported(handle: str) -> int:
        raise RuntimeError("Not Supported")

    broken = nvml({"GPU-aa": 0})
    broken.nvmlDeviceGetTotalEnergyConsumption = unsupported
    monkeypatch.setitem(sys.modules, "pynvml", broken)
    assert gpu_counters() == {}


def test_a_card_that_goes_while_a_step_starts_does_not_stop_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def gone() -> float:
        raise RuntimeError("GPU is lost")

    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace())
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(energy, "package_counters", dict)
    monkeypatch.setattr(energy, "gpu_counters", lambda: {"GPU-aa": lambda: 1.0, "GPU-bb": gone})
    assert EnergyMeter().joules() == {"cpu": None, "gpus": {}}


@pytest.mark.parametrize(
    ("visible", "used"),
    [
        (None, ["GPU-aa1", "GPU-bb2"]),
        ("", []),
        ("0", ["GPU-aa1"]),
        ("1,0", ["GPU-bb2", "GPU-aa1"]),
        ("GPU-bb", ["GPU-bb2"]),
        ("7", []),
    ],
)
def test_visible_devices_are_numbers_or_beginnings_of_uuids(
    visible: str | None, used: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace())
    environment = {} if visible is None else {"CUDA_VISIBLE_DEVICES": visible}
    assert used_gpus(["GPU-aa1", "GPU-bb2"], environment) == used


def test_a_job_without_torch_used_no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    assert used_gpus(["GPU-aa1"], {}) == []
