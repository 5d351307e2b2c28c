"""A workload's step in JAX, compiled by jit: network, loss, gradient and optimiser in one function.

It uses every core that the process may use. No synthetic gradients.
"""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
from jax import lax


def _apply(net, params, x):
    i = 0
    for part in net:
        kind = part[0]
        if kind in ("linear", "norm", "conv"):
            p, i = params[i], i + 1
        if kind == "linear":
            x = x @ p["W"]
            x = x + p["b"] if "b" in p else x
        elif kind == "conv":
            x = lax.conv_general_dilated(x, p["W"], (1, 1), "VALID") + p["b"][:, None, None]
        elif kind == "norm":
            x = (x - x.mean(0)) / jnp.sqrt(x.var(0) + 1e-5) * p["gamma"] + p["beta"]
        elif kind == "pool":
            size = (1, 1, part[1], part[1])
            x = lax.reduce_window(x, -jnp.inf, lax.max, size, size, "VALID")
        elif kind == "flatten":
            x = x.reshape(len(x), -1)
        elif kind == "relu":
            x = jax.nn.relu(x)
        else:
            x = jax.nn.sigmoid(x)
    return x


def _adam(params, grads, state, lr):
    m, v, t = state
    t = t + 1
    m = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, m, grads)
    v = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, v, grads)
    c, d = 1 - 0.9**t, 1 - 0.999**t

    def moved(p, m, v):
        return p - lr * (m / c) / (jnp.sqrt(v / d) + 1e-8)

    return jax.tree.map(moved, params, m, v), (m, v, t)


def steps(work, model):
    """{"JAX jit": step} with the weights of our model; {} for a rule that is not written here."""
    if work.rule == "cdni":
        return {}
    params = [
        {name: jnp.asarray(p) for name, p in layer.params.items()}
        for layer in model.layers
        if layer.params
    ]
    x, y = (jnp.asarray(a) for a in work.data())

    def loss(params, x, y):
        out = _apply(work.net, params, x)
        if work.shape == (3,):
            return -(y * jnp.log(out) + (1 - y) * jnp.log(1 - out)).mean()
        return -jnp.take_along_axis(jax.nn.log_softmax(out), y[:, None], 1).mean()

    @functools.partial(jax.jit, donate_argnums=(0, 1))
    def train(params, state, x, y):
        if work.rule == "forward":
            return forward(params, state, x, y)
        value, grads = jax.value_and_grad(loss)(params, x, y)
        if work.optimizer == "Adam":
            params, state = _adam(params, grads, state, work.lr)
        else:
            params = jax.tree.map(lambda p, g: p - work.lr * g, params, grads)
        return params, state, value

    def forward(params, key, x, y):
        leaves, tree = jax.tree.flatten(params)
        key, *keys = jax.random.split(key, len(leaves) + 1)
        v = [jax.random.normal(k, p.shape) for k, p in zip(keys, leaves, strict=True)]
        v = jax.tree.unflatten(tree, v)
        value, slope = jax.jvp(lambda p: loss(p, x, y), (params,), (v,))
        return jax.tree.map(lambda p, v: p - work.lr * slope * v, params, v), key, value

    state = ()
    if work.rule == "forward":
        state = jax.random.key(0)
    elif work.optimizer == "Adam":
        zeros = jax.tree.map(jnp.zeros_like, params)
        state = (zeros, jax.tree.map(jnp.zeros_like, params), jnp.zeros(()))
    kept = [params, state]

    def step():
        kept[0], kept[1], value = train(*kept, x, y)
        jax.block_until_ready(kept[0])
        return value

    return {"JAX jit": step}
