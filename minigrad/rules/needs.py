"""What a rule needs of a network and a loss, and the check before the first step."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from minigrad.layers import Layer
from minigrad.losses import Loss

OF_LOSSES = {"each": "each(output, target)", "each_jvp": "each_jvp(output_dot)"}


def check_trainable(rule: Any, model: Layer, loss: Loss) -> None:
    """ValueError if the rule says that it cannot train this model with this loss."""
    why_not = getattr(rule, "why_not", None)  # an object that only looks like a rule has none
    if reason := why_not(model, loss) if callable(why_not) else None:
        raise ValueError(reason)


def missing(rule: Any, parts: Iterable[Any], method: str, or_else: str = "") -> str | None:
    """A sentence for the first layer or loss that has not got the method; None: all have it.

    or_else: another method that also does.
    """
    for part in parts:
        if part is None or not _unwritten(part, method):
            continue
        if or_else and not _unwritten(part, or_else):
            continue
        return (
            f"{type(part).__name__} has no {OF_LOSSES.get(method, method)} of its own yet, which "
            f"{type(rule).__name__} needs: write it, or take another rule"
        )
    return None


def no_backward(rule: Any, model: Layer, loss: Loss | None) -> str | None:
    """A sentence if the chain rule cannot go down from the loss to the first parameters."""
    layers = learning(model)
    return (
        missing(rule, layers[:1], "backward", "backward_params")
        or missing(rule, layers[1:], "backward")
        or missing(rule, [loss], "backward")
    )


def no_backward_of_blocks(rule: Any, blocks: Sequence[Layer], loss: Loss | None) -> str | None:
    """The same where each block by itself gets a gradient at its output, the top one the loss's."""
    reasons = (no_backward(rule, block, None) for block in blocks[:-1])
    return next((reason for reason in reasons if reason), None) or no_backward(
        rule, blocks[-1], loss
    )


def too_few(model: Layer, micro_batch_size: int | None) -> str | None:
    """A sentence if a micro-batch has fewer examples than a layer needs."""
    for layer in model.modules() if micro_batch_size else ():
        if layer.min_batch > (micro_batch_size or 0) and not layer.keeps_statistics:
            return (
                f"{type(layer).__name__} needs at least {layer.min_batch} examples, and a "
                f"micro-batch has {micro_batch_size}: choose a larger micro_batch_size"
            )
    return None


def learning(model: Layer, moving: bool = False) -> list[Layer]:
    """The layers from the first one that has parameters. moving: that are not frozen."""
    leaves = [leaf for _, leaf in model.leaves()]
    for i, leaf in enumerate(leaves):
        if leaf.params and not (moving and leaf.frozen):
            return leaves[i:]
    return []


def _unwritten(part: Any, method: str) -> bool:
    """Whether the method is still the one of the base, which only raises an error."""
    if method in vars(part):  # set on this object alone
        return False
    found: Any = getattr(type(part), method, None)
    while hasattr(found, "__wrapped__"):
        found = found.__wrapped__
    base = Layer if isinstance(part, Layer) else Loss
    return found is None or found is vars(base)[method]
