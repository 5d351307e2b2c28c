"""Exercises of lesson 02. Fill in what says TODO(you), then run

    python lessons/exercises/02_gradient_descent.py

Answers: lessons/solutions/02_gradient_descent.py
"""


def best_step_size():
    """Exercise 1: the step size that needs the fewest steps on f(x) = 3x² + 2x."""
    raise NotImplementedError("TODO(you): predict it from f''; main() measures it")


def stopping_rate():
    """Exercise 2: a c for which α_k = 0.1 e^(-ck) on f = x², from x = 1, never gets below 0.5."""
    raise NotImplementedError("TODO(you): how far can all steps together reach?")


def first_adam_step(gradient):
    """Exercise 3: the length of Adam's first step at lr 1, for a gradient of this size."""
    raise NotImplementedError("TODO(you): write out m̂ and v̂ at t = 1")


def main():
    from math import exp

    x, alpha, steps = 5.0, best_step_size(), 0
    while abs(x + 1 / 3) > 1e-9 and steps < 100:
        x, steps = x - alpha * (6 * x + 2), steps + 1
    print(f"exercise 1: at the bottom after {steps} steps")
    x, c = 1.0, stopping_rate()
    for k in range(100_000):
        x -= 0.1 * exp(-c * k) * 2 * x
    print(f"exercise 2: c = {c}: x ends at {x:.3f}")
    print("exercise 3:", [first_adam_step(g) for g in (0.001, 1.0, 25.0)])


if __name__ == "__main__":
    main()
