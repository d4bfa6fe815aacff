"""What the files in `profiles/` compute when Snakemake reads them."""

from __future__ import annotations

import os
import sys
from argparse import ArgumentParser

from psutil import virtual_memory

__all__ = ["is_profile_named", "usable_memory_mb"]

_SHARE = 0.9


def is_profile_named() -> bool:
    """Return whether this Snakemake was started with a profile: ``--profile``, or the variable ``SNAKEMAKE_PROFILE``.

    Snakemake lays `profiles/default` over a named profile, and each of its entries replaces the other's as a whole. So
    `profiles/default` says nothing where another profile is named: its limits of this machine would cut what jobs ask
    a cluster for, and its `resources` would replace those of the other.
    """
    parser = ArgumentParser(add_help=False)
    parser.add_argument("--profile", action="append")
    given = parser.parse_known_args(sys.argv[1:])[0].profile or [os.environ.get("SNAKEMAKE_PROFILE", "")]
    return any(name not in {"", "none"} for name in given)


def usable_memory_mb() -> int:
    """Return the memory of this machine in MB, less a tenth for others."""
    return int(_SHARE * virtual_memory().total / 1e6)
