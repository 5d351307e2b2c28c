"""Which rules differ from the reference, by the seeds that they have in common."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from minigrad.metrics.confidence import holm, paired, quantile


def compared(
    accuracies: Mapping[str, Mapping[int, float]],
    reference: str,
    titles: Mapping[str, str],
    examples: int,
    confidence: float = 0.95,
) -> list[dict[str, Any]]:
    """A PAIR (see `results`) for each rule but the reference, in the order given.

    accuracies  {rule: {seed: accuracy on the test set}}, rules of which every run ended
    titles      what the sentences call them
    examples    of the test set: an accuracy is a count of 1/examples
    The differences are paired by seed: two rules have the same first weights and batches there.
    Pairs with fewer than two common seeds are left out. A difference is named if Holm's p-value is
    below 1 - confidence: among all pairs together a false one is as rare as that. (All rules with
    all others would be so many pairs that three seeds could hardly tell any of them apart.)
    """
    found = []
    a = reference
    for b in accuracies if reference in accuracies else ():
        if b == reference:
            continue
        seeds = [seed for seed in accuracies[a] if seed in accuracies[b]]
        n = len(seeds)
        if n < 2:
            continue
        differences = [accuracies[a][seed] - accuracies[b][seed] for seed in seeds]
        mean, error, p = paired(differences, step=1 / examples)
        half = quantile(confidence, n - 1) * float(error)
        found.append(
            {
                "a": a,
                "b": b,
                "n": n,
                "difference": float(mean),
                "low": float(mean) - half,
                "high": float(mean) + half,
                "half": half,
                "t": float(mean / error) if error > 0 else 0.0,
                "p": float(p),
            }
        )
    corrected = holm([pair["p"] for pair in found]) if found else []
    for pair, p in zip(found, corrected, strict=True):
        pair["p_holm"] = float(p)
        pair["different"] = bool(p < 1 - confidence)
        pair["sentence"] = _sentence(pair, titles, len(found))
    return found


def _sentence(pair: dict[str, Any], titles: Mapping[str, str], comparisons: int) -> str:
    a, b = titles[pair["a"]], titles[pair["b"]]
    digits = _digits(pair["half"])
    size = f"{_points(abs(pair['difference']), digits)} ± {_points(pair['half'], digits)} points"
    behind, ahead = (b, a) if pair["difference"] > 0 else (a, b)
    if pair["different"]:
        return f"{_capital(behind)} falls behind {ahead} by {size}."
    corrected = f", corrected for {comparisons} comparisons" if comparisons > 1 else ""
    p = f"p = {_probability(pair['p_holm'])}{corrected}"
    if pair["difference"] == 0:
        return (
            f"{_capital(a)} and {b} cannot be told apart by {pair['n']} seeds: their means are "
            f"equal, ± {_points(pair['half'], digits)} points ({p})."
        )
    return (
        f"{_capital(a)} and {b} cannot be told apart by {pair['n']} seeds: the mean of {behind} is "
        f"lower by {size} ({p})."
    )


def _digits(half: float) -> int:
    """As many as the uncertainty has a meaning for: 1.2 ± 0.3, 0.13 ± 0.04."""
    return min(3, max(1, -math.floor(math.log10(100 * half)))) if half > 0 else 1


def _points(share: float, digits: int = 1) -> str:
    """An accuracy's difference in points, hundredths of all examples."""
    return f"{100 * share:.{digits}f}"


def _probability(p: float) -> str:
    return f"{p:.2f}" if p >= 0.095 else f"{p:.2g}"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
