"""Which rules are better than a reference, and which are worse, as far as the seeds can tell."""

from __future__ import annotations

from collections.abc import Mapping

from minigrad.compare.pairs import compared


def told_apart(
    accuracies: Mapping[str, Mapping[int, float]], reference: str, examples: int
) -> tuple[list[str], list[str]]:
    """(better, worse) than the reference, of {rule: {seed: accuracy}}. Prints a sentence for each.

    They are paired by seed. Student's t at 95 %, corrected by Holm for all comparisons: see
    `minigrad.compare.pairs`. examples: of the test set
    """
    pairs = compared(accuracies, reference, {name: name for name in accuracies}, examples)
    for pair in pairs:
        print(pair["sentence"])
    told = {pair["b"]: pair["difference"] for pair in pairs if pair["different"]}
    return [n for n, d in told.items() if d < 0], [n for n, d in told.items() if d > 0]
