"""Whether the augmentation methods that a study may use have what they need."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from evidence_hpo.config.augmentation import AugmentationSettings
from evidence_hpo.config.banks import possible_banks
from evidence_hpo.config.configuration import Configuration
from evidence_hpo.config.textattack import TEXTATTACK_METHODS

__all__ = ["augmentation_problems", "method_problem"]


def augmentation_problems(configuration: Configuration, root: Path | None) -> Iterable[str]:
    """Yield one line for each method that a run of the study may use and that cannot work, and each missing resource.

    Args:
        configuration: The study.
        root: Folder to which paths are relative; None: files are not looked for.
    """
    settings = configuration.augmentation
    named = {
        stage.space
        for architecture in configuration.study.architectures
        for stage in configuration.search.stages_for(architecture)
        if stage.space in configuration.spaces
    }
    fixed = configuration.training.parameters
    methods = {bank.method for name in named for bank in possible_banks(configuration.spaces[name], fixed)}
    for method in sorted(methods):
        problem = method_problem(method, settings)
        if problem is not None:
            yield problem
    for key in ("wordnet", "masked_lm", "embedding", "victim") if root is not None else ():
        path = getattr(settings, key)
        if path is not None and not (root / path).exists():
            yield f"augmentation.{key}: {path}: no such {'file' if key == 'embedding' else 'folder'}"


def method_problem(method: str, settings: AugmentationSettings) -> str | None:
    """Return why a method cannot work with these settings, in one line; None if it can."""
    described = TEXTATTACK_METHODS.get(method)
    if described is None:
        return None
    bit = list(TEXTATTACK_METHODS).index(method)
    leave_out = f"or leave out bit {bit} ({1 << bit}) of textattack_mask"
    if described.unusable:
        return f"textattack_mask: {method}: cannot be used: {described.unusable}; leave out bit {bit} ({1 << bit})"
    missing = [name for name in described.needs if name != "wordnet" and getattr(settings, name) is None]
    if missing:
        return f"textattack_mask: {method}: needs augmentation.{missing[0]}, which is not given; give it, {leave_out}"
    return None
