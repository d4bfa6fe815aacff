"""What every augmentation method has in common, and the seeds that make a variant a function of its sentence."""

from __future__ import annotations

from typing import Protocol

from evidence_hpo.files import digest_json

__all__ = ["Method", "seed_of"]


class Method(Protocol):
    """Varies one sentence."""

    @property
    def name(self) -> str:
        """Name, as in ``config.augmentation.METHODS``."""

    def vary(self, sentence: str, strength: float, seed: int) -> str:
        """Return a variant of ``sentence``; the same for the same arguments, whatever was varied before.

        Args:
            sentence: One sentence, never blank.
            strength: Share of its words that is changed, in (0, 1]; at least one, where the method finds one.
            seed: In [0, 2**64).

        Returns:
            The variant; the sentence itself where the method finds nothing to change.

        Raises:
            Exception: Whatever the method meets in a sentence that it cannot handle.
        """


def seed_of(sentence: str, method: str, strength: float, variant: int) -> int:
    """Return the seed of one variant: it does not depend on order, process, part or hash seed.

    Equal sentences get equal variants, in whichever example or task they occur.
    """
    return int(digest_json([sentence, method, strength, variant])[:16], 16)
