"""The nine DSM-5 symptoms of a depressive episode, named as ReDSM5 names them.

The texts are written for this project; they paraphrase the symptoms and are no diagnostic instrument.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["DSM5_CRITERIA", "Criterion"]


@dataclass(frozen=True, slots=True)
class Criterion:
    """One criterion: its label in the annotations, a short name, and the text that a model reads."""

    id: str
    name: str
    text: str


DSM5_CRITERIA: tuple[Criterion, ...] = (
    Criterion(
        "DEPRESSED_MOOD",
        "Depressed mood",
        "The writer feels sad, low, empty or hopeless for most of the day.",
    ),
    Criterion(
        "ANHEDONIA",
        "Loss of interest or pleasure",
        "The writer has lost interest or pleasure in hobbies, friends and other things once enjoyed.",
    ),
    Criterion(
        "APPETITE_CHANGE",
        "Change of appetite or weight",
        "The writer eats much less or much more than usual, or loses or gains weight.",
    ),
    Criterion(
        "SLEEP_ISSUES",
        "Sleep problems",
        "The writer sleeps badly, lies awake at night, or sleeps far too long.",
    ),
    Criterion(
        "PSYCHOMOTOR",
        "Restlessness or slowing",
        "The writer is visibly restless and cannot sit still, or moves and speaks slowly.",
    ),
    Criterion(
        "FATIGUE",
        "Fatigue or loss of energy",
        "The writer is tired and without energy, so that small tasks become exhausting.",
    ),
    Criterion(
        "WORTHLESSNESS",
        "Worthlessness or guilt",
        "The writer feels worthless, like a burden, or guilty about small mistakes.",
    ),
    Criterion(
        "COGNITIVE_ISSUES",
        "Trouble thinking or concentrating",
        "The writer finds it hard to think, concentrate, remember or make decisions.",
    ),
    Criterion(
        "SUICIDAL_THOUGHTS",
        "Thoughts of death or suicide",
        "The writer thinks about death or suicide, or no longer wants to live.",
    ),
)
