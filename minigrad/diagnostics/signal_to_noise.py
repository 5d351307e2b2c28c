"""Signal and noise of each parameter's gradient, over the parts of one batch."""

from __future__ import annotations

from minigrad.backend import Array
from minigrad.checks import positive_int
from minigrad.diagnostics.copies import as_before, check_parts, copied
from minigrad.layers import Layer
from minigrad.losses import Loss
from minigrad.rules import Backprop, Rule
from minigrad.rules.needs import check_trainable
from minigrad.rules.well_tempered import SignalToNoise, WellTempered


def signal_to_noise(
    model: Layer,
    loss: Loss,
    x: Array,
    target: Array,
    micro_batch_size: int = 1,
    rule: Rule | None = None,
    per: str = "parameter",
    unbiased: bool = False,
) -> SignalToNoise:
    r"""ρ = |ḡ|/(σ/√B) of each parameter: its gradients g_1 ... g_B in B parts of this batch.

    print(...) shows a table: the share with ρ < 1, and what it would be if gradients were pure
    noise, P(ρ < 1) for this B. `.snr["0.W"]` has the numbers; ρ²/B is the ratio E[g]²/Var[g].

    micro_batch_size  examples in each part. 1: B is the number of examples
    rule              whose gradients; None: Backprop()
    per               "parameter", "neuron" or "layer": what has a ρ of its own
    unbiased          σ² with 1/(B - 1), so that ρ is Student's |t|
    ValueError: there are fewer than two parts. Nothing changes. See `mg.rules.WellTempered`.
    """
    check_parts(model, loss, rule)
    positive_int("micro_batch_size", micro_batch_size)
    if len(x) <= micro_batch_size:
        raise ValueError(
            f"a noise needs at least two parts, and {len(x)} examples are one part of "
            f"{micro_batch_size}: choose a smaller micro_batch_size"
        )
    with as_before(model, loss, rule or Backprop()):
        its_model, its_loss, its_rule = copied(model, loss, rule or Backprop())
        measuring = WellTempered(
            its_rule, micro_batch_size=micro_batch_size, per=per, unbiased=unbiased
        )
        check_trainable(measuring, its_model, its_loss)
        measuring.estimate(its_model, its_loss, x, target)
    if measuring.measured is None:
        raise ValueError("the rule leaves no gradient in any layer")
    return measuring.measured
