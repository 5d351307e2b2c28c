"""Faults to plant into right layers and losses: what a checker must find.

Each fault is a function that takes a case's layer (or loss) and gives it a subclass of its class
with the fault in it, or returns None where it cannot be planted there. The checker's report on
the result must be false, or warn where the fault is no wrong derivative, or be an error.
"""

from collections.abc import Callable

import numpy as np

import minigrad as mg
from minigrad.backend import to_device, to_host

LAYER_FAULTS: dict[str, Callable] = {}
LOSS_FAULTS: dict[str, Callable] = {}


def layer_fault(name):
    def register(function):
        LAYER_FAULTS[name] = function
        return function

    return register


def loss_fault(name):
    def register(function):
        LOSS_FAULTS[name] = function
        return function

    return register


def derive(subject, **methods):
    """The subject itself, of a subclass with these methods; `old` is what they replace."""
    cls = type(subject)
    subject.__class__ = type(f"Faulty{cls.__name__}", (cls,), methods)
    return subject


def old(self, method):
    """The method as it was before the fault."""
    return getattr(super(type(self), self), method)


def change_grad(layer, which, change):
    """Replace one of the gradients, by its place among the parameters."""
    places = [(leaf, name) for _, leaf in layer.leaves() for name in leaf.params]
    leaf, name = places[which]
    leaf.grads[name] = change(leaf.grads[name])


# ---------------------------------------------------------------- wrong numbers


def one_entry(a):
    a = a.copy()
    a[(-1,) * a.ndim] += 0.1 + 0.1 * abs(a[(-1,) * a.ndim])
    return a


def transposed(a):
    """The right numbers in the wrong places."""
    return a.T.reshape(a.shape)


CHANGES = {
    "factor 2": lambda a, n: 2 * a,
    "0.1 % off": lambda a, n: 1.001 * a,
    "missing 1/N": lambda a, n: n * a,
    "mean instead of sum": lambda a, n: a / n,
    "wrong sign": lambda a, n: -a,
    "all zero": lambda a, n: 0 * a,
    "one entry wrong": lambda a, n: one_entry(a),
    "transposed": lambda a, n: transposed(a),
    "wrong axis": lambda a, n: a[..., ::-1].copy(),
    "NaN": lambda a, n: a * np.nan,
    "constant added": lambda a, n: a + 0.01,
}


def wrong_gradient(which, change):
    """A change of dx (None) or of a parameter's gradient (its place)."""

    def plant(layer, case):
        if which is not None and not layer.params:
            return None
        if which is not None:
            shape = list(layer.params.values())[which].shape
            if change == "transposed" and sum(n > 1 for n in shape) < 2:
                return None
            if change == "wrong axis" and shape[-1] < 2:
                return None

        def backward(self, dy):
            dx = old(self, "backward")(dy)
            if which is None:
                return CHANGES[change](dx, len(dy))
            change_grad(self, which, lambda g: CHANGES[change](g, len(dy)))
            return dx

        return derive(layer, backward=backward)

    return plant


def wrong_tangent(change):
    def plant(layer, case):
        def jvp(self, x_dot, params_dot=None):
            y_dot = old(self, "jvp")(x_dot, params_dot)
            return CHANGES[change](y_dot, case.shape[0])

        return derive(layer, jvp=jvp)

    return plant


for change in CHANGES:
    LAYER_FAULTS[f"dx: {change}"] = wrong_gradient(None, change)
    LAYER_FAULTS[f"first parameter's gradient: {change}"] = wrong_gradient(0, change)
    LAYER_FAULTS[f"last parameter's gradient: {change}"] = wrong_gradient(-1, change)
    LAYER_FAULTS[f"y_dot: {change}"] = wrong_tangent(change)


@layer_fault("the same 0.1 % in backward and jvp")
def both_alike(layer, case):
    def backward(self, dy):
        return 1.001 * old(self, "backward")(dy)

    def jvp(self, x_dot, params_dot=None):
        y_dot = 0.0
        if x_dot is not None:
            y_dot = 1.001 * old(self, "jvp")(x_dot, None)
        return y_dot if params_dot is None else y_dot + old(self, "jvp")(None, params_dot)

    return derive(layer, backward=backward, jvp=jvp)


@layer_fault("dy ignored")
def dy_ignored(layer, case):
    return derive(layer, backward=lambda self, dy: old(self, "backward")(dy * 0 + 1))


@layer_fault("gradients not summed over the batch")
def first_example_alone(layer, case):
    if not layer.params:
        return None

    def backward(self, dy):
        one = dy.copy()
        one[1:] = 0
        old(self, "backward")(one)
        grads = [dict(leaf.grads) for _, leaf in self.leaves()]
        dx = old(self, "backward")(dy)
        for (_, leaf), alone in zip(self.leaves(), grads, strict=True):
            leaf.grads = alone
        return dx

    return derive(layer, backward=backward)


@layer_fault("jvp without the parameters' part")
def jvp_without_parameters(layer, case):
    if not layer.params:
        return None

    def jvp(self, x_dot, params_dot=None):
        return old(self, "jvp")(x_dot, None) if x_dot is not None else to_device(0.0)

    return derive(layer, jvp=jvp)


@layer_fault("jvp without the input's part")
def jvp_without_input(layer, case):
    if not layer.params:
        return None

    def jvp(self, x_dot, params_dot=None):
        y_dot = old(self, "jvp")(x_dot, params_dot)
        return y_dot if x_dot is None else y_dot - old(self, "jvp")(x_dot, None)

    return derive(layer, jvp=jvp)


@layer_fault("jvp cannot take None for x_dot")
def jvp_needs_x_dot(layer, case):
    if not layer.params:
        return None
    return derive(layer, jvp=lambda self, x_dot, p=None: old(self, "jvp")(x_dot * 1.0, p))


@layer_fault("jvp cannot take None for params_dot")
def jvp_needs_params(layer, case):
    if not layer.params:
        return None

    def jvp(self, x_dot, params_dot=None):
        return old(self, "jvp")(x_dot, {name: params_dot[name] for name in self.params})

    return derive(layer, jvp=jvp)


# ---------------------------------------------------------------- what the methods are given


@layer_fault("forward changes x")
def forward_changes_x(layer, case):
    def forward(self, x, train=True):
        y = old(self, "forward")(x, train)
        x += 0.001
        return y

    return derive(layer, forward=forward)


@layer_fault("backward changes dy")
def backward_changes_dy(layer, case):
    def backward(self, dy):
        dx = old(self, "backward")(dy).copy()
        dy *= 2
        return dx

    return derive(layer, backward=backward)


@layer_fault("backward changes a parameter")
def backward_steps(layer, case):
    if not layer.params:
        return None

    def backward(self, dy):
        dx = old(self, "backward")(dy)
        for name, param in self.params.items():
            param -= 0.1 * self.grads[name]
        return dx

    return derive(layer, backward=backward)


@layer_fault("forward changes a parameter")
def forward_decays(layer, case):
    if not layer.params:
        return None

    def forward(self, x, train=True):
        y = old(self, "forward")(x, train)
        for param in self.params.values():
            param *= 0.99
        return y

    return derive(layer, forward=forward)


@layer_fault("jvp changes x_dot")
def jvp_changes_x_dot(layer, case):
    def jvp(self, x_dot, params_dot=None):
        y_dot = old(self, "jvp")(x_dot, params_dot)
        y_dot = y_dot.copy()
        if x_dot is not None:
            x_dot *= 2
        return y_dot

    return derive(layer, jvp=jvp)


@layer_fault("jvp changes params_dot")
def jvp_changes_params_dot(layer, case):
    if not layer.params:
        return None

    def jvp(self, x_dot, params_dot=None):
        y_dot = old(self, "jvp")(x_dot, params_dot).copy()
        for tangent in (params_dot or {}).values():
            tangent *= 2
        return y_dot

    return derive(layer, jvp=jvp)


@layer_fault("jvp changes a parameter")
def jvp_changes_a_parameter(layer, case):
    if not layer.params:
        return None

    def jvp(self, x_dot, params_dot=None):
        y_dot = old(self, "jvp")(x_dot, params_dot)
        for param in self.params.values():
            param *= 0.99
        return y_dot

    return derive(layer, jvp=jvp)


# ---------------------------------------------------------------- the gradients' names and kinds


def after_backward(change, needs_params=True):
    """A fault that happens to the leaves' gradients after backward."""

    def plant(layer, case):
        if needs_params and not layer.params:
            return None

        def backward(self, dy):
            dx = old(self, "backward")(dy)
            change(next(leaf for _, leaf in self.leaves() if leaf.params or not needs_params))
            return dx

        return derive(layer, backward=backward)

    return plant


def with_first(change):
    def apply(leaf):
        name = next(iter(leaf.params))
        change(leaf, name)

    return apply


LAYER_FAULTS["a gradient is missing"] = after_backward(with_first(lambda f, n: f.grads.pop(n)))
LAYER_FAULTS["a gradient under another name"] = after_backward(
    with_first(lambda leaf, n: leaf.grads.update({"dW": leaf.grads.pop(n)}))
)
LAYER_FAULTS["an extra gradient"] = after_backward(
    lambda leaf: leaf.grads.update(extra=to_device(np.ones(2))), needs_params=False
)
LAYER_FAULTS["a gradient of another shape"] = after_backward(
    with_first(lambda leaf, n: leaf.grads.update({n: leaf.grads[n][None]}))
)
LAYER_FAULTS["a gradient in float32"] = after_backward(
    with_first(lambda leaf, n: leaf.grads.update({n: leaf.grads[n].astype("float32")}))
)


@layer_fault("gradients accumulate")
def accumulates(layer, case):
    if not layer.params:
        return None

    def backward(self, dy):
        before = [dict(leaf.grads) for _, leaf in self.leaves()]
        dx = old(self, "backward")(dy)
        for (_, leaf), grads in zip(self.leaves(), before, strict=True):
            for name in leaf.grads:
                leaf.grads[name] = leaf.grads[name] + grads.get(name, 0)
        return dx

    return derive(layer, backward=backward)


@layer_fault("y in float32")
def narrow(layer, case):
    return derive(
        layer, forward=lambda self, x, train=True: old(self, "forward")(x, train).astype("float32")
    )


@layer_fault("y_dot of another shape")
def tangent_of_another_shape(layer, case):
    return derive(layer, jvp=lambda self, x_dot, p=None: old(self, "jvp")(x_dot, p)[None])


@layer_fault("dx of another shape")
def dx_of_another_shape(layer, case):
    return derive(layer, backward=lambda self, dy: old(self, "backward")(dy)[None])


@layer_fault("no return in backward")
def forgets_to_return(layer, case):
    def backward(self, dy):
        old(self, "backward")(dy)

    return derive(layer, backward=backward)


# ---------------------------------------------------------------- caches


def caches(layer):
    return [leaf.cache for _, leaf in layer.leaves()]


def restore(layer, kept):
    for (_, leaf), cache in zip(layer.leaves(), kept, strict=True):
        leaf.cache = cache


def needs_x(layer, case):
    """Whether the derivative depends on x at all: else an old cache does no harm."""
    layer.reseed(0)
    rng = np.random.default_rng(0)
    dy = None
    seen = []
    for _ in range(2):
        x = case.x(rng)
        layer.reseed(0)
        y = layer.forward(x, case.train)
        dy = to_device(np.ones(y.shape)) if dy is None else dy
        tangents = {n: to_device(np.ones(a.shape)) for n, a in layer.params.items()}
        seen.append(to_host(layer.backward(dy)).sum())
        seen[-1] += sum(to_host(g).sum() for g in layer.grads.values())
        seen[-1] += to_host(layer.jvp(to_device(np.ones(x.shape)), tangents or None)).std()
    layer.drop_cache()
    return seen[0] != seen[1]


@layer_fault("a cache from the first forward")
def first_cache(layer, case):
    if not needs_x(layer, case):
        return None

    def forward(self, x, train=True):
        kept = caches(self)
        y = old(self, "forward")(x, train)
        if kept[0] is not None:
            restore(self, kept)
        return y

    return derive(layer, forward=forward)


@layer_fault("a cache from the first forward of each shape and mode")
def cache_by_shape(layer, case):
    if not needs_x(layer, case):
        return None
    layer.by_shape = {}

    def forward(self, x, train=True):
        y = old(self, "forward")(x, train)
        restore(self, self.by_shape.setdefault((x.shape, train), caches(self)))
        return y

    return derive(layer, forward=forward)


@layer_fault("a cache that evaluation does not renew")
def cache_in_training_alone(layer, case):
    if not needs_x(layer, case):
        return None

    def forward(self, x, train=True):
        kept = caches(self)
        y = old(self, "forward")(x, train)
        if not train and kept[0] is not None:
            restore(self, kept)
        return y

    return derive(layer, forward=forward)


@layer_fault("backward remembers its first result")
def remembered_gradient(layer, case):
    layer.first = {}

    def backward(self, dy):
        dx = old(self, "backward")(dy)
        return self.first.setdefault(dy.shape, dx)

    return derive(layer, backward=backward)


@layer_fault("backward spoils the cache for jvp")
def backward_spoils(layer, case):
    def backward(self, dy):
        self.spoiled = True
        return old(self, "backward")(dy)

    def forward(self, x, train=True):
        self.spoiled = False
        return old(self, "forward")(x, train)

    def jvp(self, x_dot, params_dot=None):
        return old(self, "jvp")(x_dot, params_dot) * (2 if self.spoiled else 1)

    layer.spoiled = False
    return derive(layer, forward=forward, backward=backward, jvp=jvp)


@layer_fault("jvp spoils the cache for backward")
def jvp_spoils(layer, case):
    def jvp(self, x_dot, params_dot=None):
        self.spoiled = True
        return old(self, "jvp")(x_dot, params_dot)

    def forward(self, x, train=True):
        self.spoiled = False
        return old(self, "forward")(x, train)

    def backward(self, dy):
        return old(self, "backward")(dy) * (2 if self.spoiled else 1)

    layer.spoiled = False
    return derive(layer, forward=forward, backward=backward, jvp=jvp)


# ---------------------------------------------------------------- right at one point alone


def dx_wrong_if(condition):
    def plant(layer, case):
        def backward(self, dy):
            dx = old(self, "backward")(dy)
            return 1.001 * dx if condition(dy, case) else dx

        return derive(layer, backward=backward)

    return plant


def y_dot_wrong_if(condition):
    def plant(layer, case):
        def jvp(self, x_dot, params_dot=None):
            y_dot = old(self, "jvp")(x_dot, params_dot)
            return 1.001 * y_dot if condition(y_dot, case) else y_dot

        return derive(layer, jvp=jvp)

    return plant


LAYER_FAULTS["dx: wrong for a batch of one"] = dx_wrong_if(lambda dy, case: len(dy) == 1)
LAYER_FAULTS["dx: wrong for a larger batch"] = dx_wrong_if(lambda dy, c: len(dy) > c.shape[0])
LAYER_FAULTS["y_dot: wrong for another batch"] = y_dot_wrong_if(
    lambda y_dot, case: len(y_dot) != case.shape[0]
)
LAYER_FAULTS["dx: wrong for a dy that is not contiguous"] = dx_wrong_if(
    lambda dy, case: not dy.flags.c_contiguous
)
LAYER_FAULTS["dx: wrong for a large dy"] = dx_wrong_if(lambda dy, case: abs(dy).max() > 8)


@layer_fault("dy is clipped")
def clipped(layer, case):
    return derive(layer, backward=lambda self, dy: old(self, "backward")(dy.clip(-5, 5)))


@layer_fault("dy is normalised")
def normalised(layer, case):
    def backward(self, dy):
        size = float((dy * dy).sum()) ** 0.5
        if size > 20:
            dy = dy * (20 / size)
        return old(self, "backward")(dy)

    return derive(layer, backward=backward)


@layer_fault("y: another function of an x that is not contiguous")
def wrong_strides(layer, case):
    def forward(self, x, train=True):
        y = old(self, "forward")(x, train)
        return y if x.flags.c_contiguous else y[::-1].copy()

    return derive(layer, forward=forward)


def in_mode(wrong_train, method):
    """Wrong by 0.1 % in one of training and evaluation."""

    def plant(layer, case):
        if case.train == wrong_train:
            return None  # that is no hidden fault: the table sees it

        def forward(self, x, train=True):
            self.mode = train
            return old(self, "forward")(x, train)

        def changed(self, *arguments):
            result = old(self, method)(*arguments)
            return 1.001 * result if self.mode == wrong_train else result

        return derive(layer, forward=forward, **{method: changed})

    return plant


LAYER_FAULTS["dx: wrong in evaluation alone"] = in_mode(False, "backward")
LAYER_FAULTS["y_dot: wrong in evaluation alone"] = in_mode(False, "jvp")
LAYER_FAULTS["dx: wrong in training alone"] = in_mode(True, "backward")
LAYER_FAULTS["y_dot: wrong in training alone"] = in_mode(True, "jvp")


@layer_fault("a parameter's gradient: wrong in evaluation alone")
def gradient_in_evaluation(layer, case):
    if not layer.params or not case.train:
        return None

    def forward(self, x, train=True):
        self.mode = train
        return old(self, "forward")(x, train)

    def backward(self, dy):
        dx = old(self, "backward")(dy)
        if not self.mode:
            change_grad(self, 0, lambda g: 1.001 * g)
        return dx

    return derive(layer, forward=forward, backward=backward)


@layer_fault("evaluation stops with an error")
def fails_in_evaluation(layer, case):
    if not case.train:
        return None

    def forward(self, x, train=True):
        if not train:
            raise ValueError("not in evaluation")
        return old(self, "forward")(x, train)

    return derive(layer, forward=forward)


# ---------------------------------------------------------------- forward_jvp, backward_params


def in_forward_jvp(change):
    def plant(layer, case):
        def forward_jvp(self, x, x_dot, params_dot=None, train=True):
            return change(self, x, x_dot, params_dot, train)

        return derive(layer, forward_jvp=forward_jvp)

    return plant


def plain(self, x, x_dot, params_dot, train):
    return mg.Layer.forward_jvp(self, x, x_dot, params_dot, train)


def scaled(y_factor, dot_factor):
    def change(self, x, x_dot, params_dot, train):
        y, y_dot = plain(self, x, x_dot, params_dot, train)
        return y_factor * y, None if y_dot is None else dot_factor * y_dot

    return change


def in_other_mode(self, x, x_dot, params_dot, train):
    y, y_dot = plain(self, x, x_dot, params_dot, train)
    return (y, y_dot) if train or y_dot is None else (y, 1.001 * y_dot)


def changes_x_dot(self, x, x_dot, params_dot, train):
    y, y_dot = plain(self, x, x_dot, params_dot, train)
    if x_dot is not None:
        y_dot = y_dot.copy()
        x_dot *= 2
    return y, y_dot


def forgets_none(self, x, x_dot, params_dot, train):
    y, y_dot = plain(self, x, x_dot, params_dot, train)
    return y, 0 * y if y_dot is None else y_dot


LAYER_FAULTS["forward_jvp: y_dot 0.1 % off"] = in_forward_jvp(scaled(1, 1.001))
LAYER_FAULTS["forward_jvp: y 0.1 % off"] = in_forward_jvp(scaled(1.001, 1))
LAYER_FAULTS["forward_jvp: changes x_dot"] = in_forward_jvp(changes_x_dot)
LAYER_FAULTS["forward_jvp: a y_dot where nothing moves"] = in_forward_jvp(forgets_none)
LAYER_FAULTS["forward_jvp: wrong in evaluation alone"] = in_forward_jvp(in_other_mode)


@layer_fault("forward_jvp: without the parameters' part")
def forward_jvp_without_parameters(layer, case):
    if not layer.params:
        return None

    def change(self, x, x_dot, params_dot, train):
        return plain(self, x, x_dot, None if x_dot is not None else params_dot, train)

    return in_forward_jvp(change)(layer, case)


def in_backward_params(change):
    def plant(layer, case):
        if not layer.params:
            return None
        cls = type(layer)

        def backward(self, dy):  # the right one, whichever of the two calls the other
            self.inside = True
            try:
                return cls.backward(self, dy)
            finally:
                self.inside = False

        def backward_params(self, dy):
            if self.inside:
                return cls.backward_params(self, dy)
            self.inside = True
            try:
                cls.backward(self, dy)
            finally:
                self.inside = False
            return change(self, dy)

        layer.inside = False
        return derive(layer, backward=backward, backward_params=backward_params)

    return plant


LAYER_FAULTS["backward_params: 0.1 % off"] = in_backward_params(
    lambda self, dy: change_grad(self, 0, lambda g: 1.001 * g)
)
LAYER_FAULTS["backward_params: last gradient missing"] = in_backward_params(
    lambda self, dy: [leaf for _, leaf in self.leaves() if leaf.params][-1].grads.popitem()
)
LAYER_FAULTS["backward_params: an extra gradient"] = in_backward_params(
    lambda self, dy: next(leaf for _, leaf in self.leaves()).grads.update(more=dy)
)


@layer_fault("backward_params: changes dy")
def backward_params_changes_dy(layer, case):
    def change(self, dy):
        dy *= 2

    return in_backward_params(change)(layer, case)


# ---------------------------------------------------------------- memory


def reused(method, pick):
    """The result lies in one array that the next call of the same shape overwrites."""

    def plant(layer, case):
        layer.buffer = {}

        def changed(self, *arguments):
            result = old(self, method)(*arguments)
            buffer = self.buffer.setdefault(result.shape, result.copy())
            buffer[...] = result
            return buffer

        return derive(layer, **{method: changed})

    return plant


for name, method in (("y", "forward"), ("dx", "backward"), ("y_dot", "jvp")):
    LAYER_FAULTS[f"{name} is overwritten by the next call"] = reused(method, name)


@layer_fault("a gradient is overwritten by the next call")
def reused_gradient(layer, case):
    if not layer.params:
        return None
    layer.buffer = {}

    def backward(self, dy):
        dx = old(self, "backward")(dy)

        def kept(g):
            buffer = self.buffer.setdefault(g.shape, g.copy())
            buffer[...] = g
            return buffer

        change_grad(self, 0, kept)
        return dx

    return derive(layer, backward=backward)


@layer_fault("backward writes into the y it had returned")
def overwrites_y(layer, case):
    def forward(self, x, train=True):
        self.kept = old(self, "forward")(x, train).copy()
        return self.kept

    def backward(self, dy):
        dx = old(self, "backward")(dy)
        self.kept *= 0
        return dx

    return derive(layer, forward=forward, backward=backward)


# ---------------------------------------------------------------- chance, and state


def noisy(keep_seed):
    """y times random numbers that are drawn anew in each forward, also within `holding`."""

    def plant(layer, case):
        def reseed(self, seed):
            old(self, "reseed")(seed)
            if keep_seed:
                self.noise = np.random.default_rng(seed)

        def forward(self, x, train=True):
            y = old(self, "forward")(x, train)
            self.factor = to_device(self.noise.uniform(0.5, 1.5, y.shape).astype(y.dtype))
            return y * self.factor

        def backward(self, dy):
            return old(self, "backward")(dy * self.factor)

        def jvp(self, x_dot, params_dot=None):
            return old(self, "jvp")(x_dot, params_dot) * self.factor

        layer.noise = np.random.default_rng(0)
        return derive(layer, reseed=reseed, forward=forward, backward=backward, jvp=jvp)

    return plant


LAYER_FAULTS["random numbers without once"] = noisy(True)
LAYER_FAULTS["random numbers that reseed does not restart"] = noisy(False)


@layer_fault("a statistic moves in each forward, without once")
def moving_statistic(layer, case):
    leaf = next(leaf for _, leaf in layer.leaves())
    leaf.buffers["mean_seen"] = to_device(np.zeros(1))

    def forward(self, x, train=True):
        leaf = next(leaf for _, leaf in self.leaves())
        leaf.buffers["mean_seen"] += 0.1 * (x.mean() - leaf.buffers["mean_seen"]) + 0.01
        return old(self, "forward")(x, train)

    return derive(layer, forward=forward)


@layer_fault("a parameter that nobody registered")
def unregistered_parameter(layer, case):
    layer.slope = to_device(np.array([1.5]))
    return derive(
        layer,
        forward=lambda self, x, train=True: old(self, "forward")(x, train) * self.slope,
        backward=lambda self, dy: old(self, "backward")(dy * self.slope),
        jvp=lambda self, x_dot, p=None: old(self, "jvp")(x_dot, p) * self.slope,
    )


@layer_fault("layers in a list")
def layers_in_a_list(layer, case):
    layer.blocks = [mg.Linear(2, 2, dtype="float64", seed=0)]
    return derive(layer)


@layer_fault("layers in a dict of lists")
def layers_in_a_dict(layer, case):
    layer.blocks = {"first": [mg.Linear(2, 2, dtype="float64", seed=0)]}
    return derive(layer)


# ---------------------------------------------------------------- what no check can find


FAR = "dx: wrong where an x is above 100"
SINGLE = "dx: 0.1 % off in float32 alone"


@layer_fault(FAR)
def wrong_far_away(layer, case):
    def forward(self, x, train=True):
        self.far = bool((x > 100).any())
        return old(self, "forward")(x, train)

    def backward(self, dy):
        dx = old(self, "backward")(dy)
        return 2 * dx if self.far else dx

    return derive(layer, forward=forward, backward=backward)


LAYER_FAULTS[SINGLE] = dx_wrong_if(lambda dy, case: dy.dtype == "float32")

# Faults that pass, and why. None may pass that is not named here, and none may be named that is
# found.
SURVIVORS = {
    FAR: "the checker looks at the x that it is given, and at mixtures of its examples",
    SINGLE: "derivatives are compared in float64; in float32 fast kernels are compared with plain",
}

# ---------------------------------------------------------------- losses


def in_loss(method, change):
    def plant(loss, case):
        def changed(self, *arguments):
            result = old(self, method)(*arguments)
            return change(result)

        return derive(loss, **{method: changed})

    return plant


for change in CHANGES:
    if change != "mean instead of sum":
        LOSS_FAULTS[f"gradient: {change}"] = in_loss(
            "backward", lambda a, change=change: CHANGES[change](a, 4)
        )
    if change not in ("one entry wrong", "transposed", "wrong axis", "mean instead of sum"):
        LOSS_FAULTS[f"jvp: {change}"] = in_loss(
            "jvp", lambda a, change=change: float(CHANGES[change](np.array(a), 4))
        )
for change in ("factor 2", "0.1 % off", "missing 1/N", "wrong sign", "all zero", "NaN"):
    for method in ("each", "each_jvp"):
        LOSS_FAULTS[f"{method}: {change}"] = in_loss(
            method, lambda a, change=change: CHANGES[change](a, 4)
        )


def right_of(faulty):
    """The right loss with the same options."""
    right = object.__new__(type(faulty).__mro__[1])
    vars(right).update(vars(faulty))
    return right


def plain_forward(self, output, target):
    """The right loss, by the base class of the faulty one: its forward may call `each`."""
    right = right_of(self)
    value = right.forward(output, target)
    self.cache = right.cache
    return value


def with_right_forward(plant):
    """The fault is in `each` alone: forward and jvp, which may call it, stay right."""

    def planted(loss, case):
        faulty = plant(loss, case)
        cls = type(faulty)
        cls.forward = plain_forward

        def jvp(self, output_dot):
            right = right_of(self)
            right.cache = self.cache
            return right.jvp(output_dot)

        cls.jvp = jvp
        return faulty

    return planted


for name in [name for name in LOSS_FAULTS if name.startswith("each")]:
    LOSS_FAULTS[f"{name}, forward right"] = with_right_forward(LOSS_FAULTS[name])
    del LOSS_FAULTS[name]

LOSS_FAULTS["each: of another shape"] = with_right_forward(in_loss("each", lambda a: a[:, None]))
LOSS_FAULTS["each_jvp: of another shape"] = with_right_forward(
    in_loss("each_jvp", lambda a: a[:, None])
)


@loss_fault("each leaves another cache")
def each_keeps_another_cache(loss, case):
    def each(self, output, target):
        right = right_of(self)
        values = right.each(output, target)
        right.each(0.9 * output, target)
        self.cache = right.cache
        return values

    faulty = with_right_forward(lambda loss, case: derive(loss, each=each))(loss, case)
    return faulty if case.curved else None  # else its gradient is the same at any output


@loss_fault("forward changes the output")
def loss_changes_output(loss, case):
    def forward(self, output, target):
        value = old(self, "forward")(output, target)
        output *= 0.999
        return value

    return derive(loss, forward=forward)


@loss_fault("jvp changes output_dot")
def loss_changes_output_dot(loss, case):
    def jvp(self, output_dot):
        value = old(self, "jvp")(output_dot)
        if output_dot is not None:
            output_dot *= 2
        return value

    return derive(loss, jvp=jvp)


@loss_fault("jvp(None) is not 0")
def loss_moves_alone(loss, case):
    def jvp(self, output_dot):
        return 1.0 if output_dot is None else old(self, "jvp")(output_dot)

    return derive(loss, jvp=jvp)


@loss_fault("a cache from the first forward")
def loss_first_cache(loss, case):
    if not case.curved:
        return None  # its derivative does not depend on the output

    def forward(self, output, target):
        kept = self.cache
        value = old(self, "forward")(output, target)
        if kept is not None:
            self.cache = kept
        return value

    return derive(loss, forward=forward)


@loss_fault("the gradient is overwritten by the next call")
def loss_buffer(loss, case):
    if not case.curved:
        return None  # its next gradient is the same

    loss.buffer = {}

    def backward(self):
        dx = old(self, "backward")()
        buffer = self.buffer.setdefault(dx.shape, dx.copy())
        buffer[...] = dx
        return buffer

    return derive(loss, backward=backward)


@loss_fault("wrong for a batch of one")
def loss_of_one(loss, case):
    def backward(self):
        dx = old(self, "backward")()
        return 1.001 * dx if len(dx) == 1 else dx

    return derive(loss, backward=backward)


@loss_fault("1/4 instead of 1/N")
def fixed_batch(loss, case):
    def backward(self):
        dx = old(self, "backward")()
        return dx * (len(dx) / 4)

    def jvp(self, output_dot):
        slope = old(self, "jvp")(output_dot)
        return slope if output_dot is None else slope * (len(output_dot) / 4)

    return derive(loss, backward=backward, jvp=jvp)
