import pytest
import torch

from evidence_hpo.config.training import RuntimeSettings
from evidence_hpo.errors import ConfigurationError
from evidence_hpo.training.precision import choose_compute


@pytest.fixture
def capabilities(monkeypatch: pytest.MonkeyPatch) -> dict[str, bool]:
    known = {"avx512_bf16": False, "amx_bf16": False}
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: known)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    return known


def test_auto_takes_bf16_only_where_the_cpu_is_fast_at_it(capabilities: dict[str, bool]) -> None:
    assert choose_compute(RuntimeSettings(), "auto").precision == "fp32"
    capabilities["amx_bf16"] = True
    assert choose_compute(RuntimeSettings(), "auto").precision == "bf16"


@pytest.mark.parametrize(("fast", "expected"), [(True, "bf16"), (False, "fp32")])
def test_fp16_without_a_gpu_falls_back_with_a_note(capabilities: dict[str, bool], fast: bool, expected: str) -> None:
    capabilities["avx512_bf16"] = fast
    compute = choose_compute(RuntimeSettings(), "fp16")
    assert compute.precision == expected
    assert compute.notes == (f"precision: fp16 needs a GPU, {expected} is used",)


@pytest.mark.parametrize(("supported", "expected"), [(True, "bf16"), (False, "fp16")])
def test_bf16_on_a_gpu_without_it_falls_back(monkeypatch: pytest.MonkeyPatch, supported: bool, expected: str) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **_: supported)
    compute = choose_compute(RuntimeSettings(), "bf16")
    assert (compute.device.type, compute.precision, bool(compute.notes)) == ("cuda", expected, not supported)


def test_a_missing_gpu_is_an_error_when_asked_for(capabilities: dict[str, bool]) -> None:
    with pytest.raises(ConfigurationError, match=r"training\.runtime\.device: cuda"):
        choose_compute(RuntimeSettings(device="cuda"), "auto")


def test_autocast_computes_in_the_precision() -> None:
    linear = torch.nn.Linear(2, 2)
    cpu = RuntimeSettings(device="cpu")
    with choose_compute(cpu, "fp32").autocast():
        assert linear(torch.ones(1, 2)).dtype == torch.float32
    with choose_compute(cpu, "bf16").autocast():
        assert linear(torch.ones(1, 2)).dtype == torch.bfloat16
