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
        "Sad, low, empty or hopeless mood for most of the day.",
    ),
    Criterion(
        "ANHEDONIA",
        "Loss of interest or pleasure",
        "No interest, joy or pleasure in hobbies, friends and things once enjoyed.",
    ),
    Criterion(
        "APPETITE_CHANGE",
        "Change of appetite or weight",
        "Loss or increase of appetite, eating too little or too much, change of weight.",
    ),
    Criterion(
        "SLEEP_ISSUES",
        "Sleep problems",
        "Bad sleep, lying awake at night, or sleeping far too long.",
    ),
    Criterion(
        "PSYCHOMOTOR",
        "Restlessness or slowing",
        "Restless, unable to sit still, or moving and speaking slowly.",
    ),
    Criterion(
        "FATIGUE",
        "Fatigue or loss of energy",
        "Tired, exhausted by small chores, without energy or strength.",
    ),
    Criterion(
        "WORTHLESSNESS",
        "Worthlessness or guilt",
        "Feeling worthless, guilty, ashamed, a failure or a burden.",
    ),
    Criterion(
        "COGNITIVE_ISSUES",
        "Trouble thinking or concentrating",
        "Trouble to think, concentrate, remember or make decisions.",
    ),
    Criterion(
        "SUICIDAL_THOUGHTS",
        "Thoughts of death or suicide",
        "Thoughts about death or suicide, or a wish to no longer live.",
    ),
)
