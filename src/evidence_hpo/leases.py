"""Leases of GPUs: of the jobs on one machine, whoever starts them, no two train on the same card.

A lease is a lock of the operating system on a file that stands for the card, so it ends with the job's process, however
that dies. Where there is no ``nvidia-smi``, where SLURM assigned a single card, and where no card is visible, nothing
is leased.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from evidence_hpo.errors import StorageError
from evidence_hpo.logs import log_event
from evidence_hpo.storage import storage_errors

__all__ = ["LEASES_VARIABLE", "Card", "cards_of", "count_cards", "take_card", "visible_cards"]

LEASES_VARIABLE = "EVIDENCE_HPO_GPU_LEASES"
"""Environment variable: folder of the leases, the same for all who share the machine; ``off``: no leases."""

_FOLDER = "/tmp/evidence-hpo-gpu-leases"
_HELD_VARIABLE = "EVIDENCE_HPO_LEASED_GPU"
_VISIBLE_VARIABLE = "CUDA_VISIBLE_DEVICES"

_POLL_SECONDS, _REPORT_SECONDS = 1.0, 60.0
_LISTING_SECONDS = 60.0

_GPU = re.compile(r"GPU (\d+): .*\(UUID: (GPU-[^)]+)\)")
_MIG = re.compile(r"\s+MIG .*\(UUID: (MIG-[^)]+)\)")


@dataclass(frozen=True)
class Card:
    """What one job can have: a GPU, or one part of a GPU that is divided (MIG).

    Attributes:
        uuid: As CUDA and ``nvidia-smi`` name it.
        gpu: Number of the GPU, as ``nvidia-smi`` numbers them.
        gpu_uuid: UUID of the GPU; of an undivided one its own.
    """

    uuid: str
    gpu: int
    gpu_uuid: str


def take_card() -> str | None:
    """Lease a free card until this process ends, and make it the only visible one; return its UUID.

    Waits while all cards are taken. The processes that this one starts share its card. None: nothing to lease.

    Raises:
        StorageError: The folder of the leases cannot be used.
    """
    global _held
    folder = os.environ.get(LEASES_VARIABLE) or _FOLDER
    if folder == "off" or _HELD_VARIABLE in os.environ:
        return None
    cards = _usable_cards()
    if not cards or (len(cards) == 1 and _assigned_by_slurm()):
        return None
    _held, card = _lease(cards, Path(folder))
    os.environ[_VISIBLE_VARIABLE] = os.environ[_HELD_VARIABLE] = card.uuid
    log_event("gpu_leased", f"trains on GPU {card.gpu} ({card.uuid})", gpu=card.uuid)
    return card.uuid


def count_cards() -> int:
    """Return how many cards jobs started here may use."""
    return len(_usable_cards())


def _usable_cards() -> list[Card]:
    return visible_cards(cards_of(_listing()), os.environ.get(_VISIBLE_VARIABLE))


_held: FileLock | None = None
"""The lease of this process; kept, because a lock that nobody refers to is released."""


def cards_of(listing: str) -> list[Card]:
    """Return the cards of ``nvidia-smi -L``; of a GPU that is divided its parts, which jobs use instead of it."""
    cards: list[Card] = []
    for line in listing.splitlines():
        if gpu := _GPU.match(line):
            cards.append(Card(gpu[2], int(gpu[1]), gpu[2]))
        elif cards and (part := _MIG.match(line)):
            whole = cards[-1]
            if whole.uuid == whole.gpu_uuid:
                cards.pop()
            cards.append(Card(part[1], whole.gpu, whole.gpu_uuid))
    return cards


def visible_cards(cards: Sequence[Card], visible: str | None) -> list[Card]:
    """Return the cards that ``CUDA_VISIBLE_DEVICES`` leaves, in its order; as in CUDA, what is unknown ends the list.

    Args:
        cards: All cards of the machine.
        visible: Numbers as ``nvidia-smi`` gives them, or UUIDs, also shortened; None: not set, so all.
    """
    if visible is None:
        return list(cards)
    found: list[Card] = []
    for entry in visible.split(","):
        named = list(_named(cards, entry.strip()))
        if not named:
            break
        found += [card for card in named if card not in found]
    return found


def _named(cards: Sequence[Card], entry: str) -> Iterator[Card]:
    for card in cards:
        by_uuid = len(entry) > len("GPU-") and (card.uuid.startswith(entry) or card.gpu_uuid.startswith(entry))
        if by_uuid or entry == str(card.gpu):
            yield card


def _assigned_by_slurm() -> bool:
    """Return whether SLURM gave this job its cards; of several, which a study may share out, no job has one alone."""
    return "SLURM_JOB_ID" in os.environ and _VISIBLE_VARIABLE in os.environ


def _listing() -> str:
    """Return what ``nvidia-smi -L`` prints; nothing where it is absent or finds no driver."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return ""
    try:
        listed = subprocess.run(
            [program, "-L"], capture_output=True, text=True, check=True, timeout=_LISTING_SECONDS
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return ""
    return listed


def _lease(cards: Sequence[Card], folder: Path) -> tuple[FileLock, Card]:
    """Return the lock of a free card, and the card."""
    _make_folder(folder)
    locks = [(FileLock(folder / f"{card.uuid.replace('/', '_')}.lock", mode=0o666), card) for card in cards]
    next_report = time.monotonic()
    while True:
        for lock, card in locks:
            with contextlib.suppress(Timeout), storage_errors(folder):
                lock.acquire(timeout=0)
                return lock, card
        if time.monotonic() >= next_report:
            log_event("gpu_waits", f"waits for a GPU: all {len(cards)} that it may use are leased by other jobs")
            next_report = time.monotonic() + _REPORT_SECONDS
        time.sleep(_POLL_SECONDS)


def _make_folder(folder: Path) -> None:
    """Make the folder, writable for all who share the machine."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(PermissionError):  # made by another user, who did this
            folder.chmod(0o1777)
    except OSError as error:
        raise StorageError(
            f"{folder}: no folder for leases of GPUs ({error.strerror}); name one by {LEASES_VARIABLE}, or off"
        ) from error
