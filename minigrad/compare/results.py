"""What a comparison has measured: a dict of JSON's simple values, from which its report is drawn.

Numbers that are not known, or not finite, are None. Accuracies are shares, from 0 to 1.

    {"format": "minigrad compare 1",
     "settings": {...},        what was asked for, see `protocol.Plan.settings`:
                               model, parameters (how many), data, source (whose data), train,
                               validation, test (how many examples), epochs, batch_size, steps (of a
                               run), seeds [0, 1, 2], search_seed, optimizer, reference, loss, rates
                               (those tried), budget (forward-equivalents of a search of rates),
                               points (steps at which a run is measured), probe (examples of the
                               batch for the quality), replicates, confidence, quick
     "versions": {"minigrad", "numpy", "python"}, "backend", "threads": of the rows
     "rules": [RULE, ...]      in the order asked for
     "reference": name         of the rule with which all others are compared
     "pairs": [PAIR, ...]      the reference with each other rule, if both are "done" and there are
                               two seeds or more
     "sentences": [{"about": ABOUT, "rules": [names], "text": str}, ...]}

ABOUT is "protocol", "accuracy", "cost", "quality" or "trouble" (left out, diverged, failed).

    RULE = {"name", "title" ("direct feedback alignment"), "repr", "about" (its docstring's line),
            "cost": forward-equivalents of a step,
            "cost_from": "rule" (it says so itself) or "assumed" (it does not: that of backprop),
            "status": "done", "left out" (it cannot train this model), "diverged" or "failed": that
                      of the worst of its runs,
            "why": None, or a sentence on why it is not "done",
            "lr": the chosen learning rate, or None, "lr_at_edge": "lowest", "highest" or None,
            "search": [{"lr", "steps", "forward_equivalents", "status", "validation_loss",
                        "validation_accuracy", "seconds"}, ...],
            "runs": [RUN, ...]        one for each seed, in order
            "summary": {"test_accuracy": INTERVAL, "test_loss", "validation_accuracy", "seconds",
                        "forward_equivalents", "peak_bytes", "launches": INTERVAL or None},
            "curve": CURVE            means over the seeds; {} if no seed ended
            "quality": [QUALITY, ...] means over the seeds}
    RUN = {"seed", "status": "done", "diverged" or "failed", "error": None or a text,
           "test_accuracy", "test_loss", "validation_accuracy", "validation_loss", "seconds" (of
           the steps alone), "forward_equivalents", "peak_bytes" (of one step, the arrays that it
           makes), "launches" (kernels of one step; None where they cannot be counted),
           "curve": CURVE, "quality": [QUALITY, ...]}
    CURVE = {"step": [...], "examples", "forward_equivalents", "seconds", "train_loss" (mean of the
             steps since the last point), "validation_loss", "validation_accuracy": lists of one
             length. In RULE["curve"] also "validation_accuracy_low" and "..._high"}
    QUALITY = {"step", "forward_equivalents", "total": MEASURES, "layers": {name: MEASURES}}
    MEASURES = {"cosine", "angle", "norm_ratio", "sign_agreement", "bias2", "variance", "snr",
                "efficiency"}: see minigrad.diagnostics. In RULE["quality"] a mean over the seeds
    INTERVAL = {"mean", "low", "high", "half", "sd", "n"}: Student's t; None in all but mean and n
                for one seed
    PAIR = {"a" (the reference), "b", "n" (seeds), "difference" (accuracy of a - that of b, the
            mean of differences by seed), "low", "high", "half" (its 95 % interval), "t", "p",
            "p_holm" (corrected for the number of pairs), "different": whether p_holm < 1 -
            confidence, "sentence"}
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from minigrad.files import replacing

FORMAT = "minigrad compare 1"


def save(results: dict[str, Any], path: str | Path) -> None:
    """Write the results as JSON. A crash leaves the old file, or none."""
    text = json.dumps(results, indent=1, allow_nan=False)
    with replacing(path) as file:
        file.write(text.encode())


def load(path: str | Path) -> dict[str, Any]:
    """The results in a file. ValueError, with what is wrong, for any other file."""
    try:
        results = json.loads(Path(path).read_bytes())
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is no JSON: {error}") from None
    found = results.get("format") if isinstance(results, dict) else None
    if found != FORMAT:
        raise ValueError(
            f"{path} holds no results of a comparison: its format is {found!r:.50}, not {FORMAT!r}"
        )
    return results
