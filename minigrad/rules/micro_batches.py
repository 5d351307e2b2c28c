"""A large batch in micro-batches: the same step, in less memory and in the cache."""

from __future__ import annotations

import numpy as np

from minigrad.backend import Array, array_module
from minigrad.checks import positive_int
from minigrad.kernels.parts import DEVICE_CACHE, pieces
from minigrad.layers import Layer
from minigrad.layers.sequential import chain
from minigrad.losses import Loss
from minigrad.rules.base import Rule
from minigrad.rules.wrapper import Wrapper

USUAL = 512  # examples. In fewer, products of matrices are slower
FILLED = 2**22  # bytes of the largest array. In less, the calls take longer than the work
KEPT = 2**25  # bytes of the largest array. The system takes back more, and each 4 KiB costs then


class MicroBatches(Wrapper):
    r"""dW_hat = Σ_i n_i dW_hat_i / Σ_i n_i over micro-batches of n_i examples, in one step.

    This is the wrapped rule's estimate for the whole batch, up to rounding: sums are taken within a
    micro-batch first, then over them. Forward, loss and backward of one are done before the next
    begins. So large batches need the memory of one micro-batch, and are often faster.
    n_i is what `loss.size` says: N, or the sum of the labels' weights. Losses with reduction="sum"
    are added up. A layer that draws does so for each micro-batch; Dropout's numbers are the same.
    The wrapped rule must be a mean over examples, as Backprop is, and no layer may mix examples.
    Clip, or measure noise, outside: ClippedGradients(MicroBatches(Backprop()), max_norm=1.0).
    Within `holding(model)` a batch stays whole. Cost: that of the wrapped rule.
    Source: Huang et al. 2019, "GPipe", §2.2.
    """

    averages_examples = True

    def __init__(self, rule: Rule, size: int | None = None):
        """
        rule  the rule whose estimates are averaged: Backprop(), or one of your own that has
              averages_examples = True
        size  the most examples in a micro-batch. None: 512, or as many as give the network's
              largest array 4 to 32 MiB; on a GPU 256 MiB
        """
        super().__init__(rule)
        self.size = None if size is None else positive_int("size", size)

    def estimate(self, model: Layer, loss: Loss, x: Array, target: Array) -> float:
        if reason := self._refusal(model):
            raise ValueError(reason)
        cuts = self._cuts(model, x)
        sizes = [float(loss.size(target[cut])) for cut in cuts] if len(cuts) > 1 else []
        if not any(sizes):  # one piece, or no label counts: the loss says so
            return super().estimate(model, loss, x, target)
        whole = 1.0 if loss.reduction == "sum" else sum(sizes)
        value = 0.0
        sums: dict[str, Array] = {}
        for cut, size in zip(cuts, sizes, strict=True):
            if size == 0:  # no label counts here: there is no mean, and nothing to add
                continue
            share = size / whole
            value += share * super().estimate(model, loss, x[cut], target[cut])
            for prefix, layer in model.leaves():
                for name, grad in layer.grads.items():
                    key = prefix + name
                    if key in sums:
                        sums[key] += share * grad
                    else:
                        sums[key] = share * grad
        for prefix, layer in model.leaves():
            layer.grads = {name: sums[prefix + name] for name in layer.grads}
        return value

    def why_not(self, model: Layer, loss: Loss | None = None) -> str | None:
        return self._refusal(model) or super().why_not(model, loss)

    def _refusal(self, model: Layer) -> str | None:
        """The part of `why_not` that is asked in each step: what would give wrong gradients."""
        if not self.rule.averages_examples:
            inner = type(self.rule).__name__
            how = "put MicroBatches inside it, around Backprop(),"
            if not isinstance(self.rule, Wrapper):
                how = "take it without MicroBatches,"
            return (
                f"MicroBatches needs a rule whose estimate is a mean over examples, and {inner} "
                f"does not say that of itself: {how} or write averages_examples = True into the "
                "class if it is one"
            )
        for layer in model.modules():
            if layer.mixes_examples and not layer.keeps_statistics:
                return (
                    f"{type(layer).__name__} makes each example's loss depend on the whole batch, "
                    "so that micro-batches have another gradient. Take the rule inside alone, a "
                    "net without this layer, or AccumulatedGradients, where each batch counts "
                    "for itself"
                )
        return None

    def _cuts(self, model: Layer, x: Array) -> list[slice]:
        """The micro-batches. They depend on sizes only, and not on the number of threads."""
        N = len(x)
        if N < 2 or any(layer._kept is not None for layer in model.modules()):
            return [slice(None)]
        size = self.size
        if size is None:
            if N <= USUAL and x.nbytes <= FILLED:
                return [slice(None)]
            size = fitting_size(model, x)
        return pieces(N, -(-N // size))


def fitting_size(model: Layer, x: Array) -> int:
    """How many examples make a good micro-batch: the largest array in the network decides.

    One example goes through the network for it, in evaluation mode.
    """
    h = x[:1]
    largest = h.nbytes
    for _, layer in chain(model):
        h = layer.forward(h, train=False)
        layer.drop_cache()
        largest = max(largest, h.nbytes)
    if array_module(x) is not np:
        return max(1, DEVICE_CACHE // largest)
    return max(1, min(max(USUAL, FILLED // largest), KEPT // largest))
