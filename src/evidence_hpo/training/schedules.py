"""The course of the learning rate as data: one factor for each step, so that a resumed run needs no state."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch.optim.lr_scheduler import OneCycleLR
from transformers import optimization

__all__ = ["learning_rate_factors"]


def learning_rate_factors(parameters: Mapping[str, Any], steps: int) -> list[float]:
    """Return the factor on the peak learning rate at each of ``steps`` optimiser steps.

    All schedules warm up over `warmup_ratio` of the steps: the transformers schedules linearly from zero, one_cycle
    with a cosine from 1/25 (Smith and Topin 2019; momentum stays fixed, since `adam_beta1` sets it).
    """
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    warmup = round(parameters["warmup_ratio"] * steps)
    if parameters["schedule"] == "one_cycle":
        return _one_cycle_factors(optimizer, parameters["warmup_ratio"], steps)
    scheduler = _scheduler(optimizer, parameters, warmup, steps)
    factor = scheduler.lr_lambdas[0]
    return [float(factor(step)) for step in range(steps)]


def _scheduler(optimizer: torch.optim.Optimizer, parameters: Mapping[str, Any], warmup: int, steps: int) -> Any:
    match parameters["schedule"]:
        case "linear":
            return optimization.get_linear_schedule_with_warmup(optimizer, warmup, steps)  # type: ignore[no-untyped-call]
        case "cosine":
            return optimization.get_cosine_schedule_with_warmup(optimizer, warmup, steps)
        case "cosine_with_restarts":
            cycles = parameters["schedule_cycles"]
            return optimization.get_cosine_with_hard_restarts_schedule_with_warmup(optimizer, warmup, steps, cycles)
        case "polynomial":
            power = parameters["schedule_power"]
            return optimization.get_polynomial_decay_schedule_with_warmup(  # type: ignore[no-untyped-call]
                optimizer, warmup, steps, power=power
            )
        case _:
            return optimization.get_constant_schedule_with_warmup(optimizer, warmup)


def _one_cycle_factors(optimizer: torch.optim.Optimizer, warmup_ratio: float, steps: int) -> list[float]:
    scheduler = OneCycleLR(optimizer, max_lr=1.0, total_steps=steps + 1, pct_start=warmup_ratio, cycle_momentum=False)
    factors = []
    for _ in range(steps):
        factors.append(float(scheduler.get_last_lr()[0]))
        optimizer.step()  # the scheduler warns where it is stepped alone
        scheduler.step()
    return factors
