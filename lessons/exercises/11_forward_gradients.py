"""Exercises of lesson 11. Copy this file, fill in what says TODO(you), and run your copy:

    minigrad exercise 11        (copies this file to my_11.py)
    python my_11.py

Answers: lessons/solutions/11_forward_gradients.py
"""

import sys

import numpy as np

import minigrad as mg
from minigrad.exercises import expect, grade


def value_and_slope(x, t, W, w, W_dot, w_dot):
    """Exercise 1: (L, d), L = 1/(2N) Σ (o - t)² with o = tanh(x W) w, and its slope.

    x (N, D), t (N,), W (D, H), w (H,); W_dot and w_dot are the parameters' speeds. Go forward only.
    """
    raise NotImplementedError("TODO(you): z and z_dot, h and h_dot, o and o_dot, L and d")


def largest_eta(H, K):
    """Exercise 2: below this η forward gradients of K normal directions lower the loss on average,
    wherever one stands, on a quadratic with the Hessian H (n, n)."""
    raise NotImplementedError("TODO(you): trace and largest eigenvalue; section 4")


def along_a_guess(u, slope):
    """Exercise 3: the estimate (n,) of the gradient from a guess u (n,).

    slope(v) gives ∇L · v for any v. The estimate must not depend on u's length or sign.
    """
    raise NotImplementedError("TODO(you): the gradient's projection on u; and if u is 0?")


# ---------------------------------------------------------------- what your answers must do


def check_1(answers):
    rng = np.random.default_rng(0)
    N, D, H = 7, 5, 4
    x, t, v = rng.standard_normal((N, D)), rng.standard_normal(N), {}
    net = mg.Sequential(
        mg.Linear(D, H, bias=False, dtype="float64", rng=rng),
        mg.Tanh(),
        mg.Linear(H, 1, bias=False, dtype="float64", rng=rng),
    )
    for name, param in net.params.items():
        v[name] = rng.standard_normal(param.shape)
    W, w = net.params["0.W"], net.params["2.W"][:, 0]
    value, slope = answers.value_and_slope(x, t, W, w, v["0.W"], v["2.W"][:, 0])
    output, output_dot = net.forward_jvp(x, None, v)
    o, o_dot = output[:, 0], output_dot[:, 0]
    expected = ((o - t) ** 2).mean() / 2, float(((o - t) * o_dot).mean())
    for name, found, right in zip(("L", "slope"), (value, slope), expected, strict=True):
        expect(np.shape(found) == (), f"{name}: expected a number, got shape {np.shape(found)}")
        expect(abs(found - right) < 1e-12, f"{name} is {right:.6f}, not {found:.6f}")
    return f"L = {value:.6f} and slope {slope:.6f}, as the library's jvp has them"


def check_2(answers):
    rng = np.random.default_rng(0)
    said = []
    for K in (1, 4):
        q, _ = np.linalg.qr(rng.standard_normal((4, 4)))
        H = q @ np.diag([4.0, 1.5, 1.0, 0.5]) @ q.T
        x = q[:, 0]  # on the axis that is steepest
        v = rng.standard_normal((200_000, K, 4))
        g = ((v @ (H @ x))[..., None] * v).mean(axis=1)
        limit = float(answers.largest_eta(H, K))
        for factor in (0.9, 1.1):
            moved = x - factor * limit * g
            change = float(((moved @ H) * moved).sum(axis=1).mean() - x @ H @ x)
            words = f"K = {K}: with {factor} of your limit, {limit:.4g}, the mean loss"
            expect((change < 0) == (factor < 1), f"{words} {'falls' if change < 0 else 'rises'}")
        said.append(f"{limit:.4f} for K = {K}")
    return "the largest η is " + ", ".join(said)


def check_3(answers):
    rng = np.random.default_rng(0)
    gradient, u = rng.standard_normal((2, 6))

    def slope(v):
        return float(gradient @ v)

    g = np.asarray(answers.along_a_guess(u, slope))
    expect(g.shape == (6,), f"expected shape (6,), got {g.shape}")
    expect(
        abs((gradient - g) @ u) < 1e-12,
        f"along u the gradient has the slope {gradient @ u:.4f}, your estimate {g @ u:.4f}",
    )
    for factor in (-1, 100):
        other = answers.along_a_guess(factor * u, slope)
        expect(abs(other - g).max() < 1e-12, f"for {factor} u the estimate is another than for u")
    nothing = answers.along_a_guess(np.zeros(6), slope)
    expect(np.array_equal(nothing, np.zeros(6)), f"from u = 0 comes {nothing}, not zeros")
    return f"{abs(g @ gradient) / (gradient @ gradient):.2f} of ‖∇L‖² is along this guess"


CHECKS = {"1": check_1, "2": check_2, "3": check_3}

if __name__ == "__main__":
    sys.exit(grade(sys.modules[__name__], CHECKS))
