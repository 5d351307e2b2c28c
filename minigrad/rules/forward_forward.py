"""Forward-forward: each layer tells right labels from wrong ones. Nothing goes backward."""

from __future__ import annotations

import numpy as np

from minigrad.backend import Array, array_module, to_device, to_host
from minigrad.checks import not_negative, positive_int
from minigrad.layers import Layer
from minigrad.losses import BCEWithLogitsLoss, ElementLoss, Loss
from minigrad.rules.chain import parts
from minigrad.rules.forward.base import one_of, positive
from minigrad.rules.needs import missing
from minigrad.rules.seeded import SeededRule

NEEDS_LABELS = "ForwardForward puts the label into x, so it needs integer labels (N,)"
NOTHING_LEARNS = (
    "ForwardForward trains layers with an activation after them, and this model has none: give "
    "Sequential(Linear(784, 500), ReLU(), ...)"
)


class ForwardForward(SeededRule):
    r"""dW_hat_l = ∂L_l/∂W_l,  L_l = -½ ln σ(s_l⁺) - ½ ln σ(-s_l⁻),  s_l = (G_l - θ)/T.

    h_l = f_l(h_{l-1} / rms(h_{l-1})), h_0 = x with a label one-hot in its first `classes` numbers:
    the right one gives s⁺, a wrong one s⁻. G_l is the goodness, the mean of h_l² over its units.
    Division by the root mean square hides G_{l-1} from layer l. h_{l-1} is a constant there: no
    gradient goes from layer to layer, and the given loss is not used.
    A layer here is one with parameters and those without up to the next one. The last one is left
    out (grads {}) if nothing follows it, as the 10 outputs of an mlp.
    `estimate` returns Σ_l L_l. `outputs` gives Σ_l s_l for each label, without the first of several
    layers: `fit` measures the given loss and the accuracy of these.
    Cost: forward and dW of two batches. An evaluation: one forward pass for each class.
    Source: Hinton 2022, "The forward-forward algorithm", §2-3.
    """

    def __init__(
        self,
        classes: int = 10,
        threshold: float = 0.2,
        temperature: float = 0.02,
        negatives: str = "random",
        label: float = 1.0,
        *,
        seed: int = 0,
    ):
        """
        classes      how many labels there are
        threshold    θ, the goodness between right and wrong; best about that at the start, which is
                     1/6 with ReLU
        temperature  T, the goodness by which the odds of right to wrong grow e-fold
        negatives    "random": each wrong label is as likely. "hard": with the probabilities
                     softmax(outputs) that the network gives them; costs an evaluation a step
        label        the number in x that says a label; others of the first `classes` are 0
        seed         of the wrong labels
        """
        super().__init__(seed)
        self.classes = positive_int("classes", classes, least=2)
        self.threshold = not_negative("threshold", threshold)
        self.temperature = positive("temperature", temperature)
        self.negatives = one_of("negatives", negatives, ("random", "hard"))
        self.label = positive("label", label)
        self.cost = 4.0 + (self.classes if negatives == "hard" else 0)

    def estimate(self, model: Layer, loss: Loss, x: Array, target: Array) -> float:
        if reason := self.why_not(model):
            raise ValueError(reason)
        xp = array_module(x, target)
        x, target = self._checked(x, target, getattr(loss, "ignore_index", None))
        self.steps += 1
        wrong = self._wrong(model, x, target)
        h = xp.concatenate([self.labelled(x, target), self.labelled(x, wrong)])
        first, blocks = _blocks(model)
        for layer in first:
            h = layer.forward(h, train=True)
        right = xp.zeros(len(h), h.dtype)
        right[: len(x)] = 1
        each_layer = BCEWithLogitsLoss()
        value = 0.0
        for _, leaf in model.leaves():
            leaf.grads = {}
        for block in blocks:
            h = normalised(h)
            for layer in block:
                h = layer.forward(h, train=True)
            value += each_layer.forward(self._scores(h), right)
            # ∂s_n/∂h_ni = 2 h_ni/(units · T)
            slope = 2 / (self.temperature * (h.size // len(h)))
            dh = slope * h * _like(each_layer.backward(), h)
            for layer in reversed(block[1:]):
                dh = layer.backward(dh)
            block[0].backward_params(dh)
        model.drop_cache()
        return value

    def outputs(self, model: Layer, x: Array) -> Array:
        """Σ_l s_l, (N, classes): how well each label goes with x, in evaluation mode."""
        xp = array_module(x)
        first, blocks = _blocks(model)
        if not blocks:
            raise ValueError(NOTHING_LEARNS)
        h = xp.concatenate([self.labelled(x, xp.full(len(x), c)) for c in range(self.classes)])
        for layer in first:
            h = layer.forward(h, train=False)
        scores = []
        for block in blocks:
            h = normalised(h)
            for layer in block:
                h = layer.forward(h, train=False)
            scores.append(self._scores(h))
        total = sum(scores[2:], scores[1]) if len(scores) > 1 else scores[0]
        return total.reshape(self.classes, len(x)).T

    def why_not(self, model: Layer, loss: Loss | None = None) -> str | None:
        first, blocks = _blocks(model)
        if not blocks:
            return NOTHING_LEARNS
        inside = [leaf for block in blocks for layer in block for _, leaf in layer.leaves()]
        for leaf in inside:
            if leaf.mixes_examples:
                return (
                    f"{type(leaf).__name__} makes each example's loss depend on the whole batch, "
                    "and half of it has wrong labels; ForwardForward normalises each example by "
                    "itself: give a net without this layer"
                )
            if leaf.takes_numbers:
                return (
                    f"{type(leaf).__name__} takes whole numbers, and ForwardForward writes a label "
                    "into x: give numbers such as pixels, and a net without this layer"
                )
        size = getattr(inside[0], "in_features", self.classes)
        if size < self.classes:
            return (
                f"ForwardForward writes a label into the first {self.classes} numbers of x, and "
                f"this model's x has {size}: give classes=, the number of labels"
            )
        for block in blocks:
            reason = missing(self, block[:1], "backward", "backward_params")
            if reason := reason or missing(self, block[1:], "backward"):
                return reason
        if isinstance(loss, ElementLoss):
            return f"{NEEDS_LABELS}, and {type(loss).__name__} has targets like its output"
        return None

    def _checked(self, x: Array, target: Array, ignored: int | None) -> tuple[Array, Array]:
        """The examples whose labels count. An error for other targets, and for other labels."""
        if target.dtype.kind not in "iu" or target.shape != x.shape[:1]:
            raise TypeError(
                f"{NEEDS_LABELS}, got {target.dtype} of shape {tuple(target.shape)} for x of shape "
                f"{tuple(x.shape)}"
            )
        if not len(target):
            raise ValueError(f"the batch has no example: x has shape {tuple(x.shape)}")
        if ignored is not None:
            x, target = x[target != ignored], target[target != ignored]
        if not len(target):
            raise ValueError(f"no label of this batch counts (ignore_index={ignored})")
        least, most = int(target.min()), int(target.max())
        if least < 0 or most >= self.classes:
            raise ValueError(
                f"labels must be in [0, {self.classes}), got {least} to {most}; give "
                "ForwardForward(classes=), the number of labels"
            )
        return x, target

    def labelled(self, x: Array, labels: Array) -> Array:
        """x with the label one-hot in the first `classes` numbers of each example."""
        xp = array_module(x, labels)
        flat = x.reshape(len(x), -1).copy()
        if flat.shape[1] < self.classes:
            raise ValueError(
                f"expected x with at least classes={self.classes} numbers for each example, got "
                f"{flat.shape[1]}"
            )
        flat[:, : self.classes] = self.label * (labels[:, None] == xp.arange(self.classes))
        return flat.reshape(x.shape)

    def _scores(self, h: Array) -> Array:
        """s_n of a layer's output, (N,)."""
        flat = h.reshape(len(h), -1)
        units = flat.shape[1]
        # s_n = (G_n - θ)/T,  G_n = 1/units Σ_i h_ni²
        return ((flat**2).sum(axis=1) - self.threshold * units) / (self.temperature * units)

    def _wrong(self, model: Layer, x: Array, target: Array) -> Array:
        """A wrong label for each example."""
        rng = self.generator()
        if self.negatives == "random":
            other = rng.integers(1, self.classes, len(target))
            return (target + to_device(other, like=target)) % self.classes
        scores = to_host(self.outputs(model, x)).astype("float64")
        scores[np.arange(len(scores)), to_host(target)] = -np.inf
        # The largest of s_c + Gumbel noise is c with the probability softmax(s)_c.
        return to_device((scores + rng.gumbel(size=scores.shape)).argmax(axis=1), like=target)


def normalised(h: Array) -> Array:
    """h_n / rms(h_n): the length says nothing any more, the direction all."""
    flat = h.reshape(len(h), -1)
    return h / (_like((flat**2).mean(axis=1) ** 0.5, h) + 1e-8)


def _like(numbers: Array, h: Array) -> Array:
    """(N,) as (N, 1, ...), with as many axes as h."""
    return numbers.reshape(-1, *[1] * (h.ndim - 1))


def _blocks(model: Layer) -> tuple[list[Layer], list[list[Layer]]]:
    """The layers before all parameters, and the parts that learn."""
    first, blocks = parts(model)
    if blocks and len(blocks[-1]) == 1:  # a last layer without activation
        blocks.pop()
    return first, blocks
