"""Answers to the exercises of lesson 01."""

import numpy as np

import minigrad as mg


class LeakyReLU(mg.Layer):
    """Exercise 1: the slope is 1 or a; the Jacobian is diagonal, so backward and jvp are alike."""

    a = 0.1

    def forward(self, x, train=True):
        self.cache = slope = np.where(x > 0, 1.0, self.a)
        return slope * x

    def backward(self, dy):
        return self.recall() * dy

    def jvp(self, x_dot, params_dot=None):
        return self.recall() * x_dot


class ParametricReLU(mg.Layer):
    """Exercise 2: y = a x where x <= 0, so da = Σ dy x there: all places share the one slope."""

    def __init__(self):
        super().__init__("float64")
        self.params["a"] = np.array([0.1])

    def forward(self, x, train=True):
        self.cache = x
        return np.where(x > 0, x, self.params["a"] * x)

    def backward(self, dy):
        x = self.recall()
        self.grads["a"] = (dy * np.minimum(x, 0)).sum().reshape(1)
        return dy * np.where(x > 0, 1.0, self.params["a"])

    def jvp(self, x_dot, params_dot=None):
        x = self.recall()
        y_dot = 0.0 if x_dot is None else x_dot * np.where(x > 0, 1.0, self.params["a"])
        return y_dot if params_dot is None else y_dot + params_dot["a"] * np.minimum(x, 0)


def gradients_with_biases(x, y, W_i, b_i, W_o, b_o):
    """Exercise 3: a bias is a weight whose input is always 1, so its gradient is delta itself."""
    h = 1 / (1 + np.exp(-(x @ W_i + b_i)))
    y_hat = 1 / (1 + np.exp(-(h @ W_o + b_o)))
    delta_o = y_hat - y
    delta_h = delta_o @ W_o.T * h * (1 - h)
    return x.T @ delta_h, delta_h.sum(axis=0), h.T @ delta_o, delta_o.sum(axis=0)


def main():
    x = np.random.default_rng(0).standard_normal((4, 3))
    for layer in (LeakyReLU(), ParametricReLU()):
        print(report := mg.gradcheck.check(layer, x))
        assert report
    net = mg.models.mlp((3, 2, 1), "sigmoid", dtype="float64", seed=0)
    net = mg.Sequential(*net.layers, mg.Sigmoid())
    x, y = np.array([[1.0, 2.0, 0.5]]), np.array([[0.0]])
    mg.rules.Backprop().estimate(net, mg.BCELoss(), x, y)
    mine = gradients_with_biases(x, y, *net.params.values())
    table = mg.gradcheck.compare(
        {f"d{name}": (m, net.grads[name]) for name, m in zip(net.grads, mine, strict=True)}
    )
    print(table)
    assert table
    print("01_gradients_by_hand: all exercises solved")


if __name__ == "__main__":
    main()
