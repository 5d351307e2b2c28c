"""Synthetic gradients written out in plain NumPy: what the rule is compared with.

Three blocks, written out; nothing in it calls minigrad but to fetch the first weights.
"""

import numpy as np

from minigrad.backend import to_host

CLASSES = 3  # labels of the networks compared


class PlainBlock:
    """x W + b, then nothing, or tanh, or batch norm and ReLU."""

    def __init__(self, arrays, kind):
        self.p, self.kind = arrays, kind

    def forward(self, x):
        self.x = x
        h = x @ self.p["W"] + self.p["b"]
        if self.kind == "tanh":
            h = np.tanh(h)
        if self.kind == "bn-relu":
            self.s = np.sqrt(h.var(axis=0) + 1e-5)
            self.x_hat = (h - h.mean(axis=0)) / self.s
            h = np.maximum(self.x_hat * self.p["gamma"] + self.p["beta"], 0)
        self.h = h
        return h

    def backward(self, da):
        """(dW_hat, Jᵀ dh) for a dh at the block's output."""
        grads = {}
        if self.kind == "tanh":
            da = da * (1 - self.h**2)
        if self.kind == "bn-relu":
            dz = np.where(self.h > 0, da, 0)
            grads |= {"gamma": (dz * self.x_hat).sum(axis=0), "beta": dz.sum(axis=0)}
            d, n = dz * self.p["gamma"], len(dz)
            da = (n * d - d.sum(axis=0) - self.x_hat * (d * self.x_hat).sum(axis=0)) / (n * self.s)
        grads |= {"W": self.x.T @ da, "b": da.sum(axis=0)}
        return grads, da @ self.p["W"].T

    def move(self, grads):
        for key, g in grads.items():
            self.p[key] = self.p[key] - 0.1 * g


class PlainModule:
    """([h, onehot] W + b)/N, or without the 1/N or the label; it learns by its own optimiser."""

    def __init__(self, arrays, optimizer, scaled=True, conditioned=True):
        self.p, self.optimizer = arrays, optimizer
        self.scaled, self.conditioned, self.memory = scaled, conditioned, {}

    def predict(self, h, y):
        self.told = np.hstack([h, np.eye(CLASSES)[y]]) if self.conditioned else h
        self.out = (self.told @ self.p["W"] + self.p["b"]) / (len(h) if self.scaled else 1)
        return self.out

    def learn(self, dh):
        error = self.out - dh
        if not self.scaled:
            error = 2 * error / error.size
        self.step({"W": self.told.T @ error, "b": error.sum(axis=0)})

    def step(self, grads):
        for key, g in grads.items():
            if self.optimizer == "sgd":
                self.p[key] = self.p[key] - 0.05 * g
                continue
            t, m, v = self.memory.get(key, (0, 0 * g, 0 * g))
            self.memory[key] = t, m, v = t + 1, 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g**2
            m_hat, v_hat = m / (1 - 0.9**t), v / (1 - 0.999**t)
            self.p[key] = self.p[key] - 0.01 * m_hat / (np.sqrt(v_hat) + 1e-8)


class PlainInput(PlainModule):
    """h_hat = ReLU(x W + b) V + c."""

    def predict(self, x):
        self.x, self.u = x, np.maximum(x @ self.p["W"] + self.p["b"], 0)
        self.out = self.u @ self.p["V"] + self.p["c"]
        return self.out

    def learn(self, h):
        d = (self.out - h) / len(h)
        du = np.where(self.u > 0, d @ self.p["V"].T, 0)
        self.step({"W": self.x.T @ du, "b": du.sum(0), "V": self.u.T @ d, "c": d.sum(0)})


class Plain:
    """The network and its modules. A method a mode, which moves all that is to be moved.

    Each returns the loss and the three blocks' gradients, {} for one that is left out.
    """

    def __init__(self, rule, kind, optimizer):
        self.f, kinds = [], (kind, kind, "top")
        for block, kind in zip(rule.blocks, kinds, strict=True):
            arrays = {
                key.rpartition(".")[2]: to_host(value).copy() for key, value in block.params.items()
            }
            self.f.append(PlainBlock(arrays, kind))
        weights = [m.net.state_dict().values() for m in [*rule.modules, *rule.inputs]]
        weights = [dict(zip("WbVc", arrays, strict=False)) for arrays in weights]
        told = optimizer, getattr(rule, "scaled", True), getattr(rule, "conditioned", True)
        self.M = [PlainModule(arrays, *told) for arrays in weights[:2]]
        self.I = [PlainInput(arrays, optimizer) for arrays in weights[2:]]
        self.t, self.kept = 0, None

    def loss(self, z, y):
        p = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
        return -np.log(p[np.arange(len(y)), y]).mean(), (p - np.eye(CLASSES)[y]) / len(y)

    def up(self, x, y):
        """Forward: the loss, ∂L/∂z, and both predictions."""
        h1 = self.f[0].forward(x)
        h2 = self.f[1].forward(h1)
        value, dz = self.loss(self.f[2].forward(h2), y)
        return value, dz, [m.predict(h, y) for m, h in zip(self.M, (h1, h2), strict=False)]

    def true(self, dz):
        """The true gradients: of all weights, and at both interfaces."""
        g3, dh2 = self.f[2].backward(dz)
        g2, dh1 = self.f[1].backward(dh2)
        return [self.f[0].backward(dh1)[0], g2, g3], dh1, dh2

    def move(self, *grads):
        for block, g in zip(self.f, grads, strict=True):
            block.move(g)
        return list(grads)

    def sequential(self, x, y, drawn=(True, True, True), mistake=None):
        """Figure 2 of Jaderberg et al. 2016: a block moves within the sweep, as soon as it can."""
        (f1, f2, f3), (M1, M2) = self.f, self.M
        g1 = g2 = g3 = {}
        h1 = f1.forward(x)
        d1 = M1.predict(h1, y)
        if drawn[0]:
            g1, _ = f1.backward(d1)
            f1.move(g1)
        h2 = f2.forward(h1)
        d2 = M2.predict(h2, y)
        value, dz = self.loss(f3.forward(h2), y)
        if drawn[1]:
            g2, back = f2.backward(d2)
            if mistake == "learns from the loss":
                back = f2.backward(f3.backward(dz)[1])[1]
            f2.move(g2)
            if mistake == "target after the update":
                back = f2.backward(d2)[1]
            M1.learn(d1 if mistake == "learns nothing" else back)
        if drawn[2]:
            g3, back = f3.backward(dz)
            f3.move(g3)
            M2.learn(back)
        return value, [g1, g2, g3]

    def bp_lambda(self, x, y, mixture):
        value, dz, (d1, d2) = self.up(x, y)
        g3, back2 = self.f[2].backward(dz)
        g2, back1 = self.f[1].backward(mixture * back2 + (1 - mixture) * d2)
        g1, _ = self.f[0].backward(mixture * back1 + (1 - mixture) * d1)
        self.M[1].learn(back2)
        self.M[0].learn(back1)
        return value, self.move(g1, g2, g3)

    def locked(self, x, y, still=False):
        value, dz, (d1, d2) = self.up(x, y)
        (_, _, g3), dh1, dh2 = self.true(dz)
        g1, g2 = self.f[0].backward(d1)[0], self.f[1].backward(d2)[0]
        self.M[0].learn(dh1)
        self.M[1].learn(dh2)
        return value, self.move({}, {}, {}) if still else self.move(g1, g2, g3)

    def unlocked(self, x, y, drawn=(True, True, True)):
        (f1, f2, f3), (M1, M2), (I1, I2) = self.f, self.M, self.I
        g1 = g2 = g3 = {}
        hh1, hh2 = I1.predict(x), I2.predict(x)
        h1, h2, z = f1.forward(x), f2.forward(hh1), f3.forward(hh2)
        value, dz = self.loss(z, y)
        d1, d2 = M1.predict(h1, y), M2.predict(h2, y)  # before any of them learns
        if drawn[0]:
            g1, _ = f1.backward(d1)
            I1.learn(h1)
        if drawn[1]:
            g2, back = f2.backward(d2)
            I2.learn(h2)
            M1.predict(hh1, y)  # where block 2 has worked
            M1.learn(back)
        if drawn[2]:
            g3, back = f3.backward(dz)
            M2.predict(hh2, y)
            M2.learn(back)
        return value, self.move(g1, g2, g3)

    def stale(self, x, y, every):
        value, dz, _ = self.up(x, y)
        if self.t % every == 0:
            self.kept = self.true(dz)[0]
        self.t += 1
        return value, self.move(*self.kept)

    def no_backprop(self, x, y):
        value, dz, _ = self.up(x, y)
        return value, self.move({}, {}, self.f[2].backward(dz)[0])
