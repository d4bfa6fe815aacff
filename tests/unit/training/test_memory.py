import ctypes
import gc
from pathlib import Path

import pytest

from evidence_hpo.training import memory


def resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


@pytest.mark.skipif(memory._c_library() is None, reason="the C library has no malloc_trim")
def test_freed_memory_goes_back_to_the_system() -> None:
    library = ctypes.CDLL(None)
    library.malloc.restype = ctypes.c_void_p
    library.free.argtypes = [ctypes.c_void_p]
    size, count = 64 * 1024, 2000  # below the size that malloc maps on its own
    blocks = [library.malloc(size) for _ in range(count)]
    for block in blocks:
        ctypes.memset(ctypes.c_void_p(block), 1, size)
    for block in blocks[:-1]:  # the last block keeps the heap from shrinking by itself
        library.free(block)
    gc.collect()
    before = resident()
    memory.release_memory()
    assert before - resident() > size * count / 2
    library.free(blocks[-1])


def test_another_c_library_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr(memory, "_c_library", lambda: asked.append(True))
    memory.release_memory()
    assert asked == [True]
