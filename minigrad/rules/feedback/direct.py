"""Direct feedback: a random matrix brings the error, or the label, to each hidden layer."""

from __future__ import annotations

from math import prod

from minigrad.backend import Array, array_module
from minigrad.kernels.products import matmul
from minigrad.layers import Layer
from minigrad.losses import BCELoss, BCEWithLogitsLoss, ElementLoss, KLDivLoss, Loss
from minigrad.losses.labels import LabelLoss
from minigrad.rules.feedback.matrices import RandomFeedback
from minigrad.rules.needs import no_backward_of_blocks
from minigrad.rules.synthetic.blocks import Block, split

OF_PROBABILITIES = (BCELoss, BCEWithLogitsLoss, KLDivLoss)


class Projected(RandomFeedback):
    """The base of rules that send one signal to all hidden layers at once."""

    cost = 2.0

    def __init__(self, scale: float = 1.0, seed: int = 0):
        """
        scale  of B, a number > 0
        seed   of B, an integer >= 0
        """
        super().__init__(scale, seed)

    def estimate(self, model: Layer, loss: Loss, x: Array, target: Array) -> float:
        blocks = self._blocks(model)
        self.check_feedback(str(block.stop - 1) for block in blocks[:-1])
        h = x
        shapes = []
        for block in blocks:
            h = block.forward(h, train=True)
            shapes.append(h.shape)
        value = loss.forward(h, target)
        e = loss.backward()
        blocks[-1].backward_params(e)
        sent = self.signal(loss, e, target)
        for i, (block, shape) in enumerate(zip(blocks[:-1], shapes, strict=False)):
            size = prod(shape[1:])
            B = self.kept(str(block.stop - 1), i, sent, size, (sent.shape[1], size))
            # dh_l = e B_l. The block goes on with f' and its own weights.
            dh = matmul(sent, B)
            block.backward_params(dh.reshape(shape))
        return value

    def signal(self, loss: Loss, e: Array, target: Array) -> Array:
        """What is sent down (N, M)."""
        raise NotImplementedError

    def why_not(self, model: Layer, loss: Loss | None = None) -> str | None:
        try:
            blocks = self._blocks(model)
        except (TypeError, ValueError) as error:
            return str(error)
        return no_backward_of_blocks(self, blocks, loss)

    def names(self, model: Layer) -> list[str]:
        return [str(block.stop - 1) for block in self._blocks(model)[:-1]]

    def _blocks(self, model: Layer) -> list[Block]:
        """The network, cut after its activations."""
        try:
            return split(model)
        except ValueError as error:  # it says interfaces=, which this rule has not got
            raise ValueError(
                f"{type(self).__name__} sends its signal to activations, and the model has no "
                "activation with parameters on both sides of it: give Sequential(Linear(784, 500), "
                "ReLU(), Linear(500, 10)), or take Backprop()"
            ) from error


class DirectFeedbackAlignment(Projected):
    r"""δ_l = (e B_l) f'(z_l), dW_l = h_{l-1}ᵀ δ_l, e = ∂L/∂y at the network's output.

    Shapes: e (N, M), B_l (M, size of h_l), drawn once.
    The network is cut after its activations, as `rules.split` does. h_l is the output of a block,
    so e B_l takes the place of ∂L/∂h_l. Inside a block (f', batch norm, a second layer, a residual
    block) the gradient goes down as in backprop. The top block has its own gradient. No block
    waits for another's gradient.
    `feedback` has B_l by the number of the layer that puts out h_l: rule.feedback["2"].
    With one hidden layer this is FeedbackAlignment, with its B transposed.
    Start:  B ~ U(-a, a), a = scale/√(size of h_l), as in Nøkland's own program.
    Cost: two forward passes, and the products e B_l, which `cost` leaves out.
    Source: Nøkland 2016.  Taught in: 14_side_by_side, 13_without_weight_transport.
    """

    def signal(self, loss: Loss, e: Array, target: Array) -> Array:
        return e.reshape(len(e), -1)


class DirectRandomTargetProjection(Projected):
    r"""δ_l = (y* B_l)/N f'(z_l), dW_l = h_{l-1}ᵀ δ_l, y* the label as a one-hot row.

    Shapes: y* (N, C), B_l (C, size of h_l), drawn once.
    A layer learns before the layers above have computed anything: it needs the label alone. Each
    example pushes h_l along the random row of its label, whatever the network says. (With a
    one-hot label the sign of an error never changes, so the label stands for it.) As in the loss,
    1/N makes a mean, classes have their `weight`, and labels `ignore_index` do not count.
    The top block has its own gradient. Where δ_l enters: see DirectFeedbackAlignment.
    It needs labels: integers (N,), or probabilities (N, C).
    Start:  B ~ U(-a, a), a = scale/√(size of h_l). The authors' own start is scale=√6.
    Cost: two forward passes, and the products y* B_l, which `cost` leaves out.
    Source: Frenkel, Lefebvre, Bol 2021.  Taught in: 13_without_weight_transport.
    """

    def signal(self, loss: Loss, e: Array, target: Array) -> Array:
        xp = array_module(e, target)
        labels = target.shape == (len(e),) and target.dtype.kind in "iu"
        if e.ndim != 2 or not (labels or target.shape == e.shape):
            raise TypeError(
                f"{self._needs()}, got {target.dtype} of shape {tuple(target.shape)} for an output "
                f"of shape {tuple(e.shape)}"
            )
        if isinstance(loss, LabelLoss):
            # v is y* with the weights of the classes, 0 for `ignore_index`; D is N, or their sum
            v, D = loss.shares(e, target)
            return v / D
        onehot = target[:, None] == xp.arange(e.shape[1]) if labels else target
        return onehot.astype(e.dtype) / loss.size(target)

    def why_not(self, model: Layer, loss: Loss | None = None) -> str | None:
        if isinstance(loss, ElementLoss) and not isinstance(loss, OF_PROBABILITIES):
            return (
                f"{self._needs()}, and {type(loss).__name__} has targets that are numbers; take "
                "DirectFeedbackAlignment()"
            )
        return super().why_not(model, loss)

    def _needs(self) -> str:
        return (
            "DirectRandomTargetProjection needs integer labels (N,), or a probability for each "
            "class (N, C)"
        )
