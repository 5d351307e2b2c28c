"""The results of a comparison that never took place, for tests of what is made of them."""

import numpy as np

MEASURES = {
    "backprop": (1.0, 0.0, 0.0),
    "dfa": (0.55, 0.65, 0.0),
    "forward": (0.01, 0.0, 9000.0),
}


def quality(step, cost, cosine, bias2, variance, layers=("1", "3")):
    of = {
        "cosine": cosine,
        "angle": float(np.degrees(np.arccos(cosine))),
        "norm_ratio": float(np.sqrt(1 + bias2 + variance)),
        "sign_agreement": 0.5 + cosine / 2,
        "bias2": bias2,
        "variance": variance,
        "snr": None if variance == 0 else 1 / variance,
        "efficiency": cosine,
    }
    return {
        "step": step,
        "forward_equivalents": step * cost,
        "total": of,
        "layers": {name: dict(of) for name in layers},
    }


def interval(mean, sd, n=3, t=4.302652729911275):
    half = t * sd / n**0.5
    return {
        "mean": mean, "sd": sd, "n": n, "half": half, "low": mean - half, "high": mean + half,
    }  # fmt: skip


def rule(name, title, cost, accuracy, sd=0.002, status="done", why=None):
    cosine, bias2, variance = MEASURES.get(name, (0.5, 0.5, 0.5))
    steps = [0, 50, 100, 200]
    rises = [0.1, 0.6 * accuracy, 0.9 * accuracy, accuracy]
    curve = {
        "step": steps,
        "examples": [64 * s for s in steps],
        "forward_equivalents": [cost * s for s in steps],
        "seconds": [0.001 * cost * s for s in steps],
        "train_loss": [None, 1.5, 0.8, 0.4],
        "validation_loss": [2.3, 1.2, 0.7, 0.45],
        "validation_accuracy": rises,
    }
    probes = [quality(s, cost, cosine, bias2, variance) for s in steps]
    runs = [
        {
            "seed": seed, "status": "done", "error": None, "test_accuracy": accuracy + d,
            "test_loss": 0.4, "validation_accuracy": accuracy, "validation_loss": 0.45,
            "seconds": 0.2 * cost, "forward_equivalents": 200 * cost, "peak_bytes": 1_000_000,
            "launches": None, "curve": curve, "quality": probes,
        }
        for seed, d in enumerate((-sd, 0.0, sd))
    ]  # fmt: skip
    left_out = status == "left out"
    return {
        "name": name, "title": title, "repr": f"{title}()", "about": "dW_hat = ...",
        "cost": cost, "cost_from": "rule", "status": status, "why": why,
        "lr": None if left_out else 0.001, "lr_at_edge": None,
        "search": [] if left_out else [
            {"lr": lr, "steps": 100, "forward_equivalents": 100 * cost, "status": "done",
             "validation_loss": 0.6, "validation_accuracy": 0.8, "seconds": 0.3}
            for lr in (0.0001, 0.001, 0.01)
        ],
        "runs": [] if left_out else runs,
        "summary": {} if left_out else {
            "test_accuracy": interval(accuracy, sd), "test_loss": interval(0.4, 0.01),
            "validation_accuracy": interval(accuracy, sd), "seconds": interval(0.2 * cost, 0.01),
            "forward_equivalents": interval(200 * cost, 0.0),
            "peak_bytes": interval(1_000_000, 0.0), "launches": None,
        },
        "curve": {} if left_out else curve | {
            "validation_accuracy_low": [a - 0.01 for a in rises],
            "validation_accuracy_high": [a + 0.01 for a in rises],
        },
        "quality": [] if left_out else probes,
    }  # fmt: skip


def example():
    """Backprop, one biased rule, one noisy rule, and one that cannot train the model."""
    no_jvp = "Convolution has no jvp of its own yet: write it, or take another rule"
    rules = [
        rule("backprop", "backprop", 3.0, 0.95),
        rule("dfa", "direct feedback alignment", 3.0, 0.93),
        rule("forward", "forward gradient", 3.0, 0.70, sd=0.01),
        rule("activities", "noise on activities", 3.0, 0.8, status="left out", why=no_jvp),
    ]
    return {
        "format": "minigrad compare 1",
        "settings": {
            "model": "mlp", "parameters": 269322, "data": "digits",
            "source": "the embedded digits, train", "train": 1237, "validation": 200, "test": 360,
            "epochs": 10, "batch_size": 64, "steps": 200, "seeds": [0, 1, 2], "search_seed": 3,
            "optimizer": "adam", "reference": "backprop",
            "loss": "CrossEntropyLoss", "rates": [0.0001, 0.001, 0.01],
            "budget": 900.0, "points": [0, 50, 100, 200], "probe": 200, "replicates": 8,
            "confidence": 0.95, "quick": True,
        },
        "versions": {"minigrad": "0.3.0", "numpy": "2.0.0", "python": "3.10.1"},
        "backend": "numpy",
        "threads": 1,
        "reference": "backprop",
        "rules": rules,
        "pairs": [
            {"a": "backprop", "b": "dfa", "n": 3, "difference": 0.02, "low": 0.015, "high": 0.025,
             "half": 0.005, "t": 17.2, "p": 0.0034, "p_holm": 0.0067, "different": True,
             "sentence": "direct feedback alignment falls behind backprop by 2.0 ± 0.5 points."},
            {"a": "backprop", "b": "forward", "n": 3, "difference": 0.25, "low": 0.23,
             "high": 0.27, "half": 0.02, "t": 4.1, "p": 0.0547, "p_holm": 0.0547,
             "different": False,
             "sentence": "Backprop and forward gradient cannot be told apart by 3 seeds: a "
             "difference as large as their 25.0 points comes by chance with p = 0.055."},
        ],
        "sentences": [
            {"about": "protocol", "rules": [], "text": "Each rule had 900 forward-equivalents."},
            {"about": "accuracy", "rules": ["dfa", "backprop"],
             "text": "direct feedback alignment falls behind backprop by 2.0 ± 0.5 points."},
            {"about": "quality", "rules": ["forward"], "text": "forward gradient is noisy."},
            {"about": "trouble", "rules": ["activities"], "text": no_jvp},
        ],
    }  # fmt: skip
