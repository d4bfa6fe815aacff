"""Deterministic parallel search: spaces, proposals, pruning thresholds, narrowing, selection, the trial cache."""
