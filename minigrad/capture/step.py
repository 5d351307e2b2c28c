"""The estimate of one step, recorded once as a CUDA graph and then repeated for other batches."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from typing import Any

from minigrad.backend import Array, array_module
from minigrad.capture.cuda import Cuda
from minigrad.capture.moves import Moves, moves_of
from minigrad.capture.refusal import CaptureError, check_repeatable, in_a_sentence
from minigrad.capture.watch import Key, Seen, drawn
from minigrad.kernels.recording import LookedAtError, OnDevice, recording
from minigrad.layers import Layer
from minigrad.losses import Loss
from minigrad.optim import Optimizer
from minigrad.rules import Rule, SyntheticGradients

LOOK = 100  # steps after which the losses are brought to the host


class Captured:
    """The gradients of batch after batch, by a CUDA graph: one launch in place of hundreds.

    The first full batch is a step of single launches. It warms up: kernels are compiled, memory is
    got. What it changes on the host is looked at: a graph cannot repeat that. The second full batch
    is recorded. From then on x and y are copied to where the graph reads them, and it runs. Batches
    of another size are ordinary steps.

    The parameters and the gradients stay at their places in memory. If a layer, an array of it, a
    setting, or the form of the kernels has changed, the step is recorded anew (`look_again`).
    """

    def __init__(
        self,
        model: Layer,
        loss: Loss,
        rule: Rule,
        size: int,
        optimizer: Optimizer | None = None,
        fixed: bool = False,
        device: Any = None,
    ):
        """
        model, loss, rule  the rule's `estimate` is recorded
        size               the number of examples in a full batch
        optimizer          its step becomes part of the graph if it is one launch. `moved` then says
                           that an estimate has moved the parameters as well
        fixed              the batches may all lie at one place in memory, as a batch of all
                           examples does: while they do, they are not copied
        device             None: the GPU of the model. (The tests have one of their own.)
        """
        self.model = model
        self.loss = loss
        self.rule = rule
        self.size = size
        self.optimizer = optimizer
        self.fixed = fixed
        self.moves: Moves | None = None  # the optimiser's step, if it is in the graph
        self.moved = False  # the last estimate was a step, too
        xp = array_module(next(a for _, leaf in model.leaves() for a in leaf.params.values()))
        self.cuda = Cuda(xp) if device is None else device
        self.losses = xp.zeros(LOOK, "float64")  # of the last repetitions
        self.count = xp.zeros(1, "int64")  # of all repetitions, for the graph
        self.repeated = 0  # the same number, on the host
        self.pending = 0  # losses that the host does not know yet
        self.fetched: list[float] = []  # those that came with another one
        self.recordings = 0
        self.graph: Callable[[], None] | None = None
        self.seen: Seen | None = None  # None: the next full batch is the first one
        self.passing: frozenset[Key] = frozenset()  # attributes that each step sets anew
        self.grads: list[tuple[Layer, dict[str, Array]]] = []
        self.sweeps: Any = next(filter(_is_synthetic, self._rules()), None)
        self.inner: list[Moves] = []  # the steps of its modules' optimisers
        self.touched = False  # the layers' grads may be others than the graph's

    def running(self) -> AbstractContextManager[None]:
        """Within this block work is done on the stream of the graph."""
        return self.cuda.running()

    def estimate(self, x: Array, y: Array) -> float | None:
        """The gradients of this batch. Returns the loss; None: it is on the GPU, see `fetch`.

        If `moved` is True after it, the optimiser's step is made as well.
        """
        self.moved = False
        if len(x) != self.size or self._warms_up():
            return self._ordinary(x, y)
        if self.seen is None:
            return self._first(x, y)
        if (x.shape, x.dtype, y.shape, y.dtype) != self.shapes:
            return self._ordinary(x, y)
        if not self._load(x, y):
            return self._first(x, y)
        new = self.graph is None
        graph = self._record() if self.graph is None else self.graph
        if self.touched and not new:
            for layer, grads in self.grads:
                layer.grads = dict(grads)
        self.touched = False
        for moves in self._all_moves():
            moves.write(count=not new)  # a recording has counted itself
        if self.sweeps is not None and not new:
            self.sweeps.repeated()
        self.moved = self.moves is not None
        graph()
        self.repeated += 1
        self.pending += 1
        return None

    def look_again(self) -> None:
        """Code of the user may have run: forget the graph if what it depends on has changed."""
        self.touched = True
        if self.seen is None:
            return
        settled = all(moves.same() for moves in self._all_moves())
        if not settled or not self.seen.as_before(self._see(), self.passing):
            self.forget()

    def forget(self) -> None:
        """Give up the graph and its memory. The next full batch is a first one again."""
        if self.graph is not None:
            self.cuda.wait()
        self.graph = None
        self.moves = None
        self.inner = []
        self.seen = None
        self.grads = []

    def fetch(self) -> list[float]:
        """The losses that the host does not know yet. It waits for the GPU."""
        found, self.fetched = self.fetched, []
        if not self.pending:
            return found
        kept = self.cuda.host(self.losses)
        first = self.repeated - self.pending
        found += [float(kept[i % LOOK]) for i in range(first, self.repeated)]
        self.pending = 0
        return found

    def _ordinary(self, x: Array, y: Array) -> float:
        self.touched = True
        return self.rule.estimate(self.model, self.loss, x, y)

    def _first(self, x: Array, y: Array) -> float:
        """A step with the arrays, the memory and the calls of the graph. Python makes each call."""
        xp = array_module(x, y)
        self.cuda.new_memory()
        if self.fixed:
            self.x = x
            self.y = y
        else:
            with self.cuda.own_memory():
                self.x = xp.empty(x.shape, x.dtype)
                self.y = xp.empty(y.shape, y.dtype)
            self._load(x, y)
        before = self._see()
        streams = drawn(self.model, self._others())
        try:
            with self.cuda.own_memory(), recording(self.cuda):
                self._work()
        except LookedAtError as error:
            raise in_a_sentence(error, self.model) from error
        after = self._see()
        check_repeatable(before, after, streams, drawn(self.model, self._others()))
        self.passing = before.changed(after)
        self.seen = after
        self.shapes = x.shape, x.dtype, y.shape, y.dtype
        self.repeated += 1
        self.pending += 1
        *self.fetched, value = self.fetch()
        if not math.isfinite(value):  # an ordinary step says whether the labels are the reason
            value = self.rule.estimate(self.model, self.loss, x, y)
        return value

    def _record(self) -> Callable[[], None]:
        """Record the same calls. What the first step has left behind is free to be used again."""
        self.moves = moves_of(self.optimizer, self.cuda)
        self.inner = [self._of_module(module) for module in self._modules()]
        self.model.drop_cache()
        self.loss.cache = None
        for _, layer in self.model.leaves():
            layer.grads = {}
        try:
            graph = self.cuda.record(self._work)
        except Exception as error:
            self.forget()
            raise in_a_sentence(error, self.model) from error
        self.graph = graph
        self.recordings += 1
        self.grads = [(layer, dict(layer.grads)) for _, layer in self.model.leaves()]
        self.seen = self._see()
        return graph

    def _work(self) -> None:
        """What the graph does: the gradients of self.x and self.y, and the loss in its place."""
        with ExitStack() as stack:
            for moves in self.inner:
                stack.enter_context(moves.held())
            value: Any = self.rule.estimate(self.model, self.loss, self.x, self.y)
        if not isinstance(value, OnDevice):
            raise CaptureError(
                f"capture=True cannot record this step: the loss is {value!r:.60}, a number on the "
                "host, which a graph cannot change. A loss ends with mg.losses.total(terms) / n. "
                "Or leave capture out"
            )
        self.cuda.keep(value.array, self.losses, self.count)
        if self.moves is not None and self.optimizer is not None:
            with self.moves.held():
                self.optimizer.step()

    def _load(self, x: Array, y: Array) -> bool:
        """Bring a batch to where the graph reads it. False: that place is an earlier batch's own.

        Then the graph is given up, and the next one has a place that is no batch's.
        """
        if not self.fixed:
            self.cuda.copy(x, self.x)
            self.cuda.copy(y, self.y)
        elif not (self.cuda.one_place(x, self.x) and self.cuda.one_place(y, self.y)):
            self.fixed = False
            self.forget()
            return False
        return True

    def _see(self) -> Seen:
        return Seen(self.model, self._others())

    def _others(self) -> Iterator[Any]:
        """The loss, the rules, and the modules of synthetic gradients with their layers."""
        yield self.loss
        yield from self._rules()
        for module in self._modules():
            yield module
            yield from module.net.modules()

    def _rules(self) -> Iterator[Any]:
        """The rule, and the rules inside it."""
        rule: Any = self.rule
        while rule is not None:
            yield rule
            rule = getattr(rule, "rule", None)

    def _modules(self) -> list[Any]:
        return [] if self.sweeps is None else [*self.sweeps.modules, *self.sweeps.inputs]

    def _all_moves(self) -> list[Moves]:
        return self.inner if self.moves is None else [*self.inner, self.moves]

    def _of_module(self, module: Any) -> Moves:
        """The step of a module's optimiser, which is a part of the estimate."""
        moves = moves_of(module.optimizer, self.cuda)
        if moves is None:
            raise CaptureError(
                "capture=True cannot record this step: a module's optimiser, "
                f"{type(module.optimizer).__name__}, steps by Python code. Take SGD or Adam, or "
                "leave capture out"
            )
        return moves

    def _warms_up(self) -> bool:
        """Whether the modules of synthetic gradients still learn the true ones."""
        return self.sweeps is not None and self.sweeps.steps < self.sweeps.warm_up


def _is_synthetic(rule: Any) -> bool:
    return SyntheticGradients in type(rule).__mro__
