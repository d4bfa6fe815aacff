"""Whether the best configurations press against an end of the box that was searched, and what to do then."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from pydantic import ValidationError

from evidence_hpo.config.parameters import TrialParameters, parameter_adapter

__all__ = ["TOPS", "edge_report"]

TOPS = (5, 10)
"""Numbers of best trials that are looked at."""

_NEAR = 0.05
"""Share of the range, on its own scale, that counts as its end."""

_LEAST_SHARE, _CHANCE = 0.3, 0.02
"""An end is pressed if so many of the best lie there, and draws without preference would do so this seldom."""

End = Literal["low", "high"]
_ENDS: tuple[End, End] = ("low", "high")


def edge_report(
    trials: Sequence[Mapping[str, Any]], space: Mapping[str, Any], before: Mapping[str, Any] | None
) -> list[dict[str, Any]]:
    """Return one entry for each numeric dimension of a stage's space, in its order.

    ``top`` says how many of the best complete trials have a value and which shares of these lie within 5 % of the low
    and of the high end, or beyond it (re-run trials may); ``widen`` names the ends to widen, ``text`` says it in words.
    The verdict looks at the best ten, or five, but never at more than the better half of the complete trials.

    Args:
        trials: Trial records of the stage.
        space: Its space.
        before: Space of the stage before, from which a narrowed space was cut.
    """
    complete = [trial for trial in trials if trial["state"] == "complete"]
    ranked = sorted(complete, key=lambda trial: (-trial["value"], trial["number"]))
    earlier = {one["name"]: one for one in before["dimensions"]} if before and space["source"] == "narrowed" else {}
    numeric = [dimension for dimension in space["dimensions"] if dimension["kind"] != "categorical"]
    return [_dimension(dimension, ranked, earlier.get(dimension["name"])) for dimension in numeric]


def _dimension(
    dimension: Mapping[str, Any], ranked: Sequence[Mapping[str, Any]], earlier: Mapping[str, Any] | None
) -> dict[str, Any]:
    name = dimension["name"]
    judged = max((top for top in TOPS if 2 * top <= len(ranked)), default=0)
    values = [trial["sampled"][name] for trial in ranked[:judged] if name in trial["sampled"]]
    pressed = [end for end in _ENDS if _pressed(dimension, end, values)]
    texts = [_advice(dimension, end, values, earlier) for end in pressed]
    widen = [end for end, (can, _) in zip(pressed, texts, strict=True) if can]
    return {
        "name": name,
        "low": dimension["low"],
        "high": dimension["high"],
        "log": dimension["log"],
        "top": {str(top): _shares(dimension, [t["sampled"] for t in ranked[:top]]) for top in TOPS},
        "judged": len(values),
        "widen": widen,
        "text": "; ".join(text for _, text in texts) or _calm(len(ranked), judged, len(values)),
    }


def _calm(complete: int, judged: int, values: int) -> str:
    if not judged:
        return f"{complete} complete trials are too few to say (it takes {2 * TOPS[0]})"
    if values < TOPS[0]:
        return f"acts in {values} of the best {judged} trials, too few to say"
    return f"wide enough: the best {judged} trials do not press against an end"


def _shares(dimension: Mapping[str, Any], best: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    values = [sampled[dimension["name"]] for sampled in best if dimension["name"] in sampled]
    return {
        "trials": len(values),
        **{end: round(_count(dimension, end, values) / len(values), 6) if values else None for end in _ENDS},
    }


def _count(dimension: Mapping[str, Any], end: End, values: Sequence[float]) -> int:
    return sum(_is_near(dimension, end, value) for value in values)


def _is_near(dimension: Mapping[str, Any], end: End, value: float) -> bool:
    low, high = _scaled(dimension, dimension["low"]), _scaled(dimension, dimension["high"])
    if high <= low:
        return False  # a single value has no ends
    position = (_scaled(dimension, value) - low) / (high - low)
    return position <= _NEAR if end == "low" else position >= 1 - _NEAR


def _scaled(dimension: Mapping[str, Any], value: float) -> float:
    return math.log(value) if dimension["log"] else float(value)


def _pressed(dimension: Mapping[str, Any], end: End, values: Sequence[float]) -> bool:
    from scipy.stats import binom

    count = _count(dimension, end, values)
    if len(values) < TOPS[0] or count < _LEAST_SHARE * len(values):
        return False
    return float(binom.sf(count - 1, len(values), _chance(dimension, end))) < _CHANCE


def _chance(dimension: Mapping[str, Any], end: End) -> float:
    """Return how often a draw without preference lies at an end: of few whole numbers, one alone is a large share."""
    if dimension["kind"] != "int":
        return _NEAR
    whole = range(int(dimension["low"]), int(dimension["high"]) + 1)
    log = dimension["log"]
    weights = {value: math.log((value + 0.5) / (value - 0.5)) if log else 1.0 for value in whole}
    return sum(weight for value, weight in weights.items() if _is_near(dimension, end, value)) / sum(weights.values())


def _advice(
    dimension: Mapping[str, Any], end: End, values: Sequence[float], earlier: Mapping[str, Any] | None
) -> tuple[bool, str]:
    """Return whether the end can be widened, and a sentence."""
    name, limit = dimension["name"], dimension[end]
    count = _count(dimension, end, values)
    seen = f"{count} of the best {len(values)} trials with a value lie at the {end} end, {limit:.4g}"
    if earlier is not None and earlier.get(end) is not None and _beyond(earlier[end], limit, end):
        return True, (
            f"{seen}, which narrowing cut from {earlier[end]:.4g}: raise `narrowing.margin` or `narrowing.top` of this "
            "stage"
        )
    if not _can_widen(dimension, end):
        least = "least" if end == "low" else "most"
        return False, f"{seen}, the {least} that {name} can be: nothing to widen"
    direction = "lower" if end == "low" else "raise"
    return True, f"{seen}: widen, {direction} `{end}` of {name} in the space"


def _beyond(value: float, limit: float, end: End) -> bool:
    return value < limit if end == "low" else value > limit


def _can_widen(dimension: Mapping[str, Any], end: End) -> bool:
    """Return whether the parameter itself takes values beyond the end."""
    if dimension["name"] not in TrialParameters.model_fields:
        return True
    adapter = parameter_adapter(dimension["name"])
    low, high = _scaled(dimension, dimension["low"]), _scaled(dimension, dimension["high"])
    for step in (0.05, 0.01, 0.001):
        scaled = low - step * (high - low) if end == "low" else high + step * (high - low)
        value = math.exp(scaled) if dimension["log"] else scaled
        if dimension["kind"] == "int":
            value = int(dimension["low"]) - 1 if end == "low" else int(dimension["high"]) + 1
        try:
            adapter.validate_python(value)
        except ValidationError:
            continue
        return True
    return False
