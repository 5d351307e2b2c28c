"""Optimisers and learning-rate schedules: what to do with a gradient once a rule has made one.

An optimiser needs only a model's `leaves()`, their `params` and their `grads`, wherever these come
from. It steps in place, and skips a layer whose `grads` is empty. State is kept by parameter name.
"""

from __future__ import annotations

import copy
from collections import defaultdict
from collections.abc import Mapping, Sequence
from math import sqrt
from typing import Any

from minigrad import backend
from minigrad.backend import Array, array_module
from minigrad.checks import not_negative, positive_int
from minigrad.layers import Layer
from minigrad.parallel import add_scaled


class Optimizer:
    """Base of the optimisers: `step()` updates every parameter that has a gradient."""

    state_names: tuple[str, ...] = ()  # what `_update` keeps for each parameter

    def __init__(self, model: Layer, lr: float):
        self.model = model
        self.lr = not_negative("lr", lr)
        self._leaves = list(model.leaves())
        for prefix, layer in self._leaves:
            for name, param in layer.params.items():
                if not hasattr(param, "__setitem__"):
                    raise TypeError(
                        f"{prefix}{name} is a {type(param).__name__}, which cannot change in "
                        "place; make it an array: numpy.array(...)"
                    )
        self.state: dict[str, dict[str, Any]] = defaultdict(dict)

    def step(self) -> None:
        """One update of every parameter whose layer has gradients."""
        updates = []
        for prefix, layer in self._leaves:
            grads = layer.grads
            if not grads:
                continue  # no parameters, or the rule left this layer out
            for name, param in layer.params.items():
                grad = grads.get(name)
                if grad is None or grad.shape != param.shape:
                    raise self._misfit(prefix, layer, name)
                updates.append((param, grad, prefix + name))
        for param, grad, key in updates:  # only once all of them fit: no half step
            self._update(param, grad, self.state[key])

    def _update(self, param: Array, grad: Array, state: dict[str, Any]) -> None:
        raise NotImplementedError

    @staticmethod
    def _misfit(prefix: str, layer: Layer, name: str) -> Exception:
        who = f"{prefix}{name}: {type(layer).__name__}.backward"
        if name not in layer.grads:
            return KeyError(f"{who} wrote gradients for {sorted(layer.grads)}, not for {name!r}")
        return ValueError(
            f"{who} wrote a gradient of shape {layer.grads[name].shape} for a parameter of "
            f"shape {layer.params[name].shape}"
        )

    def twin(self, model: Layer) -> Optimizer:
        """An optimiser with the same settings, without state, for another model."""
        twin = copy.copy(self)
        Optimizer.__init__(twin, model, self.lr)
        return twin

    def state_dict(self) -> dict[str, Any]:
        """Copies of the state on the host, flat: {"lr": 0.1, "0.W.velocity": array, ...}."""
        flat: dict[str, Any] = {"lr": self.lr}
        for key, state in self.state.items():
            for name, value in state.items():
                number = isinstance(value, int | float)
                flat[f"{key}.{name}"] = value if number else backend.to_host(value).copy()
        return flat

    def load_state_dict(self, flat: Mapping[str, Any]) -> None:
        """Take over what `state_dict` gave; the next step is then the one that it would do."""
        params = self.model.params
        state: dict[str, dict[str, Any]] = defaultdict(dict)
        for full, value in flat.items():
            if full == "lr":
                continue
            key, _, name = full.rpartition(".")
            if key not in params:
                raise KeyError(f"optimiser state {full!r} fits none of {sorted(params)}")
            value, param = backend.to_host(value), params[key]
            if value.dtype.kind in "iu":  # Adam's t
                state[key][name] = int(value)
            elif value.shape != param.shape or value.dtype != param.dtype:
                raise ValueError(
                    f"{full}: expected {param.dtype} of shape {param.shape}, got {value.dtype} of "
                    f"shape {value.shape}"
                )
            else:
                state[key][name] = backend.to_device(value.copy(), like=param)
        for key, entry in state.items():
            if entry.keys() != set(self.state_names):
                raise KeyError(
                    f"{type(self).__name__} keeps {list(self.state_names)} for each parameter, "
                    f"this state has {sorted(entry)} for {key}"
                )
        self.lr, self.state = float(flat["lr"]), state


class SGD(Optimizer):
    r"""θ ← θ - lr · dθ, with momentum: v ← μ v + dθ, θ ← θ - lr · v.

    Nesterov:      θ ← θ - lr · (dθ + μ v), v as above. θ is then the point one step ahead of
                   momentum's own place, θ + lr μ v: there the next gradient is taken.
    Weight decay:  dθ + λ θ takes the place of dθ (λ = weight_decay, an L2 penalty λ/2 |θ|²)
    v starts at 0 and is not damped by (1 - μ): PyTorch's convention.
    velocity="steps": v ← μ v - lr dθ, θ ← θ + v (Nesterov: θ ← θ + μ v - lr dθ). With an lr that
                   falls it differs: what the velocity gained before is kept.
    Source: Polyak 1964; Nesterov 1983; Sutskever et al. 2013, §2.  Taught in: 02_gradient_descent.
    """

    state_names = ("velocity",)

    def __init__(
        self,
        model: Layer,
        lr: float,
        momentum: float = 0,
        nesterov: bool = False,
        weight_decay: float = 0,
        velocity: str = "gradients",
    ):
        super().__init__(model, lr)
        if velocity not in ("gradients", "steps"):
            raise ValueError(
                f'velocity adds up "gradients" (PyTorch) or "steps" (Sutskever), got {velocity!r}'
            )
        self.velocity = velocity
        self.state_names = ("step",) if velocity == "steps" else ("velocity",)
        self.momentum = not_negative("momentum", momentum)
        self.weight_decay = not_negative("weight_decay", weight_decay)
        if nesterov and momentum == 0:
            raise ValueError("nesterov=True needs momentum > 0: there is no step to look ahead to")
        self.nesterov = nesterov

    def _update(self, param: Array, grad: Array, state: dict[str, Any]) -> None:
        if self.weight_decay:
            grad = grad + self.weight_decay * param
        if self.momentum:
            (kept,) = self.state_names
            if not state:
                state[kept] = array_module(param).zeros_like(param)
            velocity = state[kept]
            velocity *= self.momentum
            if self.velocity == "steps":
                grad = self.lr * grad
                velocity -= grad
                param += self.momentum * velocity - grad if self.nesterov else velocity
                return
            velocity += grad
            grad = grad + self.momentum * velocity if self.nesterov else velocity
        add_scaled(param, -self.lr, grad)

    def __repr__(self) -> str:
        steps = ", velocity='steps'" if self.velocity == "steps" else ""
        return (
            f"SGD(lr={self.lr:g}, momentum={self.momentum:g}, nesterov={self.nesterov}, "
            f"weight_decay={self.weight_decay:g}{steps})"
        )


class Adam(Optimizer):
    r"""θ ← θ - lr · m̂ / (√v̂ + ε): each weight's step scaled by its own gradient's size.

    m ← β1 m + (1 - β1) dθ,   m̂ = m / (1 - β1^t)     running mean, corrected for its start at 0
    v ← β2 v + (1 - β2) dθ²,  v̂ = v / (1 - β2^t)     running mean square
    t counts this parameter's own steps: one that a rule left out has not moved on.
    eps_inside: √(v̂ + ε) for √v̂ + ε, as the forward-gradient seed has it; its ε = 1e-8 is then as
    large as one of 1e-4 outside.
    Source: Kingma, Ba 2015, Algorithm 1.  Taught in: 02_gradient_descent.
    """

    state_names = ("t", "m", "v")

    def __init__(
        self,
        model: Layer,
        lr: float,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        eps_inside: bool = False,
    ):
        super().__init__(model, lr)
        self.eps_inside = bool(eps_inside)
        if len(betas) != 2 or not all(0 <= beta < 1 for beta in betas):
            raise ValueError(f"betas must be two numbers in [0, 1), got {betas}")
        self.betas, self.eps = (float(betas[0]), float(betas[1])), not_negative("eps", eps)

    def _update(self, param: Array, grad: Array, state: dict[str, Any]) -> None:
        xp = array_module(param)
        if not state:
            state.update(t=0, m=xp.zeros_like(param), v=xp.zeros_like(param))
        state["t"] += 1
        t, m, v, (beta1, beta2) = state["t"], state["m"], state["v"], self.betas
        # m ← β1 m + (1 - β1) dθ and v ← β2 v + (1 - β2) dθ², through one scratch array
        m *= beta1
        scratch = xp.multiply(grad, 1 - beta1, out=xp.empty_like(param))
        m += scratch
        v *= beta2
        xp.multiply(grad, grad, out=scratch)
        scratch *= 1 - beta2
        v += scratch
        # θ ← θ - lr m̂ / (√v̂ + ε) = θ - lr k/(1 - β1^t) · m / (√v + ε k), with k = √(1 - β2^t)
        k = sqrt(1 - beta2**t)
        if self.eps_inside:
            xp.add(v, self.eps * k * k, out=scratch)
            xp.sqrt(scratch, out=scratch)
        else:
            xp.sqrt(v, out=scratch)
            scratch += self.eps * k
        xp.divide(m, scratch, out=scratch)
        scratch *= self.lr * k / (1 - beta1**t)
        param -= scratch

    def __repr__(self) -> str:
        inside = ", eps_inside=True" if self.eps_inside else ""
        return f"Adam(lr={self.lr:g}, betas={self.betas}, eps={self.eps:g}{inside})"


class Schedule:
    """A learning rate as a function of time: `step()` moves to the next epoch (or step).

    per: "epoch" or "step", which `fit` goes by when it is given the schedule.
    """

    def __init__(self, optimizer: Optimizer, per: str = "epoch"):
        if per not in ("epoch", "step"):
            raise ValueError(f'per must be "epoch" or "step", got {per!r}')
        self.optimizer, self.per = optimizer, per
        self.start, self.t = optimizer.lr, 0

    def factor(self, t: int) -> float:
        """lr(t) / lr(0)."""
        raise NotImplementedError(f"{type(self).__name__} has no factor(t) yet: lr(t) / lr(0)")

    def step(self) -> None:
        self.t += 1
        self.optimizer.lr = self.start * self.factor(self.t)


class StepLR(Schedule):
    r"""lr(t) = lr(0) · γ^⌊t/T⌋, T = step_size.
    Source: PyTorch's StepLR.
    """

    def __init__(
        self, optimizer: Optimizer, step_size: int, gamma: float = 0.1, per: str = "epoch"
    ):
        super().__init__(optimizer, per)
        self.step_size = positive_int("step_size", step_size)
        self.gamma = not_negative("gamma", gamma)

    def factor(self, t: int) -> float:
        return self.gamma ** (t // self.step_size)


class MultiStepLR(Schedule):
    r"""lr(t) = lr(0) · γ^(how many milestones t has reached): [60, 80] lowers it twice.
    Source: PyTorch's MultiStepLR.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        milestones: Sequence[int],
        gamma: float = 0.1,
        per: str = "epoch",
    ):
        super().__init__(optimizer, per)
        self.milestones = [positive_int("milestones", m, least=0) for m in milestones]
        self.gamma = not_negative("gamma", gamma)

    def factor(self, t: int) -> float:
        return self.gamma ** sum(milestone <= t for milestone in self.milestones)


class ExponentialLR(Schedule):
    r"""lr(t) = lr(0) · γ^t; for a decay written lr(0) e^(-kt), γ = exp(-k) and per="step".
    Source: PyTorch's ExponentialLR.
    """

    def __init__(self, optimizer: Optimizer, gamma: float, per: str = "epoch"):
        super().__init__(optimizer, per)
        self.gamma = not_negative("gamma", gamma)

    def factor(self, t: int) -> float:
        return self.gamma**t
