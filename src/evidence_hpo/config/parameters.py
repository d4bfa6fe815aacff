"""Every knob of a training run, with its range, the architectures it acts on and when it acts.

A parameter that is listed here can be fixed under ``training.parameters`` or searched in a space. One that would act on
nothing for the values at hand (``focal_gamma`` without the focal loss, say) is *inactive*: it is neither sampled nor
recorded, so two trials that differ only in inactive parameters are the same trial.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Annotated, Any, Literal, get_args

from pydantic import BeforeValidator, Field, TypeAdapter, model_validator
from pydantic.fields import FieldInfo

from evidence_hpo.config.augmentation import METHODS, STRENGTH_LEVELS
from evidence_hpo.config.base import Identifier, Section
from evidence_hpo.config.policies import policies_with

__all__ = [
    "ARCHITECTURES",
    "EFFECTIVE_BATCH_SIZES",
    "PRECISIONS",
    "Precision",
    "TrialParameters",
    "active_parameters",
    "parameter_names",
    "resolved_accumulation",
]

ArchitectureName = Literal["criteria", "evidence", "share", "joint"]
ARCHITECTURES: tuple[str, ...] = get_args(ArchitectureName)

Precision = Literal["auto", "fp32", "bf16", "fp16"]
PRECISIONS: tuple[Precision, ...] = get_args(Precision)

CLASSIFIES = ("criteria", "share", "joint")
FINDS_SPANS = ("evidence", "share", "joint")
BOTH_TASKS = ("share", "joint")

EFFECTIVE_BATCH_SIZES = (16, 32, 64, 128)
"""Allowed values of ``batch_size * gradient_accumulation_steps`` (rule O10 of the two-stage guide)."""

_ADAM = {"optimizer": ("adamw", "adamw_8bit")}

_AUGMENTS = {"augmentation": policies_with()}

_WIDTHS = range(8, 4097)


def _checked_widths(value: Any) -> Any:
    """Turn away what is neither a width nor a list of them, in one line where a union would give one per branch."""
    if isinstance(value, float) and value.is_integer():  # an end of a range
        value = int(value)
    widths = list(value) if isinstance(value, list | tuple) else [value]
    if not 1 <= len(widths) <= 4 or not all(type(width) is int and width in _WIDTHS for width in widths):
        raise ValueError(f"{value!r} is neither a width from {_WIDTHS[0]} to {_WIDTHS[-1]} nor a list of 1 to 4 such")
    return value


HeadHidden = Annotated[int | list[int], BeforeValidator(_checked_widths)]


def _parameter(
    default: Any,
    description: str,
    *,
    architectures: tuple[str, ...] = ARCHITECTURES,
    when: Mapping[str, tuple[Any, ...]] | None = None,
    **constraints: Any,
) -> Any:
    extra: dict[str, Any] = {
        "architectures": list(architectures),
        "when": {k: list(v) for k, v in (when or {}).items()},
    }
    return Field(default, description=description, json_schema_extra=extra, **constraints)


def _mask(family: str, default: int) -> Any:
    named = METHODS[family][: default.bit_length()]
    bits = ", ".join(f"{1 << bit} {method}" for bit, method in enumerate(named))
    rest = " The bits of the others are in docs/reference/augmentation.md." * (len(named) < len(METHODS[family]))
    return _parameter(
        default,
        f"Methods of the family {family} that are used, as the sum of: {bits}.{rest}",
        when={"augmentation": policies_with(family)},
        ge=1,
        le=(1 << len(METHODS[family])) - 1,
    )


def _strength(family: str) -> Any:
    return _parameter(
        1,
        f"How much the methods of the family {family} change: level 0 is the low end of each method's range in "
        f"`augmentation.strengths`, level {STRENGTH_LEVELS - 1} the high end.",
        when={"augmentation": policies_with(family)},
        ge=0,
        le=STRENGTH_LEVELS - 1,
    )


class TrialParameters(Section):
    """The parameters of one training run."""

    # --- model -------------------------------------------------------------------------------------------------
    backbone: Identifier = _parameter("small", "Encoder: a name of the section `backbones`.")
    max_length: int = _parameter(128, "Longest input in tokens, criterion and special tokens included.", ge=16, le=8192)
    window_overlap: float = _parameter(
        0.25,
        "Share of a window that the next window of a long post repeats.",
        architectures=FINDS_SPANS,
        ge=0.0,
        le=0.75,
    )
    pooling: Literal["cls", "mean", "max", "attention"] = _parameter(
        "cls", "How token vectors become one text vector.", architectures=CLASSIFIES
    )
    head_layers: int = _parameter(1, "Hidden layers of the head; 0 is a linear head.", ge=0, le=4)
    head_hidden: HeadHidden = _parameter(
        128,
        "Width of each hidden layer of the head; a list gives each layer its own, from the encoder on.",
        when={"head_layers": (1, 2, 3, 4)},
    )
    head_activation: Literal["relu", "gelu", "tanh", "silu"] = _parameter(
        "gelu", "Activation of the head.", when={"head_layers": (1, 2, 3, 4)}
    )
    dropout: float = _parameter(0.1, "Dropout before each layer of the head.", ge=0.0, le=0.5)
    backbone_dropout: float = _parameter(
        0.1, "Dropout inside the encoder (hidden states and attention).", ge=0.0, le=0.5
    )
    # --- optimisation ------------------------------------------------------------------------------------------
    optimizer: Literal["adamw", "adamw_8bit", "adafactor", "lion"] = _parameter(
        "adamw",
        "Optimiser. adamw_8bit keeps its moments in 8 bits; it needs a CUDA GPU and the package bitsandbytes.",
    )
    learning_rate: float = _parameter(2e-5, "Peak learning rate of the encoder.", gt=0.0, le=1.0)
    head_learning_rate_factor: float = _parameter(
        1.0, "Learning rate of the head as a multiple of `learning_rate`.", gt=0.0, le=1000.0
    )
    layer_decay: float = _parameter(
        1.0, "Factor on the learning rate for each encoder layer further from the head.", gt=0.0, le=1.0
    )
    frozen_layers: int = _parameter(
        0, "Encoder layers, counted from the embeddings, that are not trained.", ge=0, le=48
    )
    weight_decay: float = _parameter(0.01, "Decoupled weight decay; never on biases and layer norms.", ge=0.0, le=1.0)
    adam_beta1: float = _parameter(0.9, "Decay of AdamW's first moment.", when=_ADAM, ge=0.0, lt=1.0)
    adam_beta2: float = _parameter(0.999, "Decay of AdamW's second moment.", when=_ADAM, ge=0.0, lt=1.0)
    adam_epsilon: float = _parameter(1e-8, "Added to the root of AdamW's second moment.", when=_ADAM, gt=0.0, le=1.0)
    adafactor_decay: float = _parameter(
        -0.8,
        "Power of the step in the decay of Adafactor's second moment, 1 - step ** power.",
        when={"optimizer": ("adafactor",)},
        ge=-1.0,
        lt=0.0,
    )
    lion_beta1: float = _parameter(
        0.9, "Share of Lion's momentum in its update.", when={"optimizer": ("lion",)}, ge=0.0, lt=1.0
    )
    lion_beta2: float = _parameter(0.99, "Decay of Lion's momentum.", when={"optimizer": ("lion",)}, ge=0.0, lt=1.0)
    schedule: Literal["linear", "cosine", "cosine_with_restarts", "polynomial", "one_cycle", "constant"] = _parameter(
        "linear", "Course of the learning rate after the warm-up."
    )
    schedule_cycles: int = _parameter(
        2, "Restarts of the cosine.", when={"schedule": ("cosine_with_restarts",)}, ge=1, le=20
    )
    schedule_power: float = _parameter(
        2.0, "Power of the polynomial decay.", when={"schedule": ("polynomial",)}, gt=0.0, le=10.0
    )
    warmup_ratio: float = _parameter(0.1, "Share of the steps that raise the learning rate from zero.", ge=0.0, le=0.9)
    batch_size: int = _parameter(16, "Examples in a forward pass.", ge=1, le=1024)
    gradient_accumulation_steps: int | Literal["auto"] = _parameter(
        "auto",
        (
            "Forward passes in a step. The product with `batch_size` must be 16, 32, 64 or 128; `auto` takes the "
            "smallest number that gives one of these."
        ),
    )
    max_grad_norm: float = _parameter(1.0, "Gradients are clipped to this norm.", gt=0.0, le=1000.0)
    precision: Precision = _parameter(
        "fp32",
        (
            "Arithmetic of the forward pass; weights and optimiser stay in float32. auto: bf16 where the hardware is "
            "fast at it, else fp32. What the hardware cannot do falls back, and the record says to what."
        ),
    )
    # --- loss --------------------------------------------------------------------------------------------------
    loss: Literal["cross_entropy", "label_smoothing", "focal", "bce"] = _parameter(
        "cross_entropy",
        (
            "Loss of the class and of the span's start and end. bce judges each class and each position by itself, "
            "yes or no, instead of all against each other."
        ),
    )
    label_smoothing: float = _parameter(
        0.1,
        "Probability mass spread over the other labels.",
        when={"loss": ("label_smoothing",)},
        ge=0.0,
        le=0.5,
    )
    focal_gamma: float = _parameter(
        2.0, "Focusing exponent (Lin et al. 2017).", when={"loss": ("focal",)}, ge=0.0, le=5.0
    )
    focal_alpha: float = _parameter(
        0.5,
        (
            "Balance of the focal loss between positive (alpha) and negative examples (1 - alpha); 0.5 weighs both "
            "alike. Windows without a span are the negatives of the evidence task."
        ),
        when={"loss": ("focal",)},
        gt=0.0,
        lt=1.0,
    )
    class_weights: Literal["none", "balanced"] = _parameter(
        "none",
        (
            "balanced: both classes count alike in the loss, however many training examples (evidence: windows with "
            "and without a span) each has. Multiplies the weights below."
        ),
    )
    positive_weight: float = _parameter(
        1.0, "Weight of the loss of positive examples.", architectures=CLASSIFIES, ge=0.1, le=20.0
    )
    null_weight: float = _parameter(
        1.0, "Weight of the loss of windows without a span.", architectures=FINDS_SPANS, ge=0.05, le=20.0
    )
    null_window_share: float = _parameter(
        1.0,
        (
            "Share of the training windows without a span that an epoch shows, drawn anew for each epoch. On long "
            "documents nearly all windows have none, and cost as much as the others."
        ),
        architectures=FINDS_SPANS,
        gt=0.0,
        le=1.0,
    )
    task_weight_criteria: float = _parameter(
        1.0, "Weight of the criteria loss.", architectures=BOTH_TASKS, ge=0.0, le=10.0
    )
    task_weight_evidence: float = _parameter(
        1.0, "Weight of the evidence loss.", architectures=BOTH_TASKS, ge=0.0, le=10.0
    )

    # --- augmentation ------------------------------------------------------------------------------------------
    augmentation: Literal[
        "none", "simple", "textattack", "simple_then_textattack", "textattack_then_simple", "one_of"
    ] = _parameter(
        "none",
        (
            "Variants of evidence sentences that are trained on: of one family of methods, of one applied to the "
            "other's variants, or of either (one_of). All but none and simple need TextAttack."
        ),
    )
    simple_mask: int = _mask("simple", 127)
    textattack_mask: int = _mask("textattack", 63)
    simple_strength: int = _strength("simple")
    textattack_strength: int = _strength("textattack")
    augmentation_variants: int = _parameter(
        1,
        "Variants of an evidence sentence that are trained on, at most as many as `augmentation.variants`; the "
        "methods take turns.",
        when=_AUGMENTS,
        ge=1,
        le=16,
    )
    augmentation_probability: float = _parameter(
        1.0, "Share of the evidence sentences that are varied, drawn by the run's seed.", when=_AUGMENTS, gt=0.0, le=1.0
    )
    augmentation_mode: Literal["add", "replace"] = _parameter(
        "add", "Whether variants are trained on beside the example that they vary, or in its place.", when=_AUGMENTS
    )
    augmentation_nulls: bool = _parameter(
        False,
        (
            "Whether an altered post is also shown with criteria that it does not meet, as often as with those that it "
            "meets, so that the alteration does not give the answer away."
        ),
        architectures=FINDS_SPANS,
        when=_AUGMENTS,
    )

    @model_validator(mode="after")
    def _check(self) -> TrialParameters:
        if isinstance(self.head_hidden, list) and len(self.head_hidden) != self.head_layers:
            raise ValueError(
                f"head_hidden: {self.head_hidden} has {len(self.head_hidden)} widths, head_layers is {self.head_layers}"
            )
        accumulation = self.gradient_accumulation_steps
        if accumulation != "auto" and accumulation < 1:
            raise ValueError(f"gradient_accumulation_steps: {accumulation} is below 1")
        if resolved_accumulation(self.batch_size, accumulation) is None:
            raise ValueError(
                f"batch_size {self.batch_size} with gradient_accumulation_steps {accumulation} gives no effective "
                f"batch of {', '.join(map(str, EFFECTIVE_BATCH_SIZES))}"
            )
        return self


def resolved_accumulation(batch_size: int, accumulation: int | str) -> int | None:
    """Return the accumulation steps under rule O10, or None if the pair breaks it."""
    if accumulation == "auto":
        return next((size // batch_size for size in EFFECTIVE_BATCH_SIZES if size % batch_size == 0), None)
    return int(accumulation) if batch_size * int(accumulation) in EFFECTIVE_BATCH_SIZES else None


def _extra(field: FieldInfo) -> dict[str, Any]:
    assert isinstance(field.json_schema_extra, dict)
    return field.json_schema_extra


def parameter_names(architecture: str) -> list[str]:
    """Return the parameters that can act on ``architecture``, in the order of their declaration."""
    return [
        name for name, field in TrialParameters.model_fields.items() if architecture in _extra(field)["architectures"]
    ]


def active_parameters(values: Mapping[str, Any], architecture: str) -> list[str]:
    """Return the names of the parameters that act, given the (complete) values of all parameters."""
    names = []
    for name in parameter_names(architecture):
        when = _extra(TrialParameters.model_fields[name])["when"]
        if all(values[other] in allowed for other, allowed in when.items()):
            names.append(name)
    return names


def parameter_conditions(name: str) -> dict[str, list[Any]]:
    """Return ``{other parameter: values}`` under which the parameter acts; empty: always."""
    return dict(_extra(TrialParameters.model_fields[name])["when"])


@cache
def parameter_adapter(name: str) -> TypeAdapter[Any]:
    """Return the validator of one parameter's value."""
    field = TrialParameters.model_fields[name]
    annotated: Any = field.annotation
    for constraint in field.metadata:
        annotated = Annotated[annotated, constraint]
    return TypeAdapter(annotated)


ParameterKind = Literal["int", "float", "categorical"]


def parameter_kind(name: str) -> ParameterKind:
    """Return how the parameter is sampled when a space gives it a range."""
    annotation = TrialParameters.model_fields[name].annotation
    if annotation is int or annotation == int | list[int]:
        return "int"
    if annotation is float:
        return "float"
    return "categorical"
