"""What the numbers of a comparison say, in sentences that are computed from them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from minigrad.metrics.confidence import interval, quantile

BIAS = 0.05  # bias², from which a rule is called biased: a twentieth of |g|²
NOISE = 0.05  # variance, from which a rule is called noisy
TARGETS = (0.99, 0.98, 0.97, 0.95, 0.9, 0.8, 0.7, 0.5)  # accuracies to reach


def sentences(results: dict[str, Any]) -> list[dict[str, Any]]:
    """The "sentences" of these results, see `results`."""
    found = []
    for about, write in (
        ("protocol", _protocol),
        ("trouble", _trouble),
        ("accuracy", _accuracy),
        ("cost", _cost),
        ("quality", _quality),
    ):
        found += [{"about": about, "rules": rules, "text": text} for rules, text in write(results)]
    return found


def _protocol(results: dict[str, Any]) -> Iterator[tuple[list[str], str]]:
    s = results["settings"]
    seeds = len(s["seeds"])
    yield (
        [],
        f"The rules trained the same network ({s['model']}, {s['parameters']:,} parameters) with "
        f"{s['optimizer']} for {_count(s['epochs'], 'epoch')} ({_count(s['steps'], 'step')} of "
        f"{_count(s['batch_size'], 'example')}) on {s['source']}, with {_count(seeds, 'seed')}: "
        "for one seed all rules have the same first weights and the same batches.",
    )
    rates = ", ".join(f"{rate:g}" for rate in s["rates"])
    yield (
        [],
        f"The learning rate was {rates} for each rule: no other was tried."
        if len(s["rates"]) == 1
        else f"Of {len(s['rates'])} learning rates ({rates}) each rule has the one with the "
        f"highest accuracy on {_count(s['validation'], 'example')} of the training set that no "
        "rule trains on; of equal ones, the one with the lowest loss there. For this search each "
        f"rule had {s['budget']:,.0f} forward-equivalents, in whole steps: a rule whose step costs "
        "more makes fewer steps.",
    )
    yield (
        [],
        f"The {s['test']:,} examples of the test set were used once, at the end of each training.",
    )
    yield (
        [],
        f"The quality of an estimate is measured with {s['replicates']} estimates at the same "
        f"weights, on {_count(s['probe'], 'example')}. What is said of it are means over "
        f"{_count(len(s['points']), 'point')} of each training, the first one before any step.",
    )
    if seeds < 2:
        yield (
            [],
            "With one seed nothing can be said about chance: no rule is called better or worse.",
        )
    elif results["pairs"]:
        n = len(results["pairs"])
        yield (
            [],
            f"Intervals are {100 * s['confidence']:g} % intervals by Student's t. Differences are "
            f"paired by seed, and corrected by Holm for {_count(n, 'comparison')}: if no rule "
            f"differed from {_rule(results, results['reference'])['title']}, a difference would be "
            "named in at most "
            f"{100 * (1 - s['confidence']):.0f} % of such reports.",
        )


def _trouble(results: dict[str, Any]) -> Iterator[tuple[list[str], str]]:
    for rule in results["rules"]:
        title, name = _capital(rule["title"]), [rule["name"]]
        if rule["status"] == "left out":
            yield name, f"{title} is left out: {_sentence(rule['why'])}"
            continue
        if rule["status"] != "done":
            text = f"{title} {rule['status']} and is not compared: {_sentence(rule['why'])}"
            ended = sum(run["status"] == "done" for run in rule["runs"])
            if ended:
                text += f" Its numbers are those of the {_count(ended, 'run')} that ended well."
            yield name, text
        elif rule["lr_at_edge"]:
            yield (
                name,
                f"{title} has the {rule['lr_at_edge']} learning rate that was tried, "
                f"{rule['lr']:g}: a better one may lie beyond.",
            )
        if rule["cost_from"] == "assumed":
            yield (
                name,
                f"{title} does not say what its step costs: {rule['cost']:g} forward-equivalents "
                "were assumed. Set `cost` in its class.",
            )


def _accuracy(results: dict[str, Any]) -> Iterator[tuple[list[str], str]]:
    """Each rule against the reference."""
    pairs = results["pairs"]
    reference = _rule(results, results["reference"])
    if reference["status"] != "done" and len(results["rules"]) > 1:
        why = "cannot train this network" if reference["status"] == "left out" else None
        yield (
            [reference["name"]],
            f"The rules were to be compared with {reference['title']}, which "
            f"{why or reference['status']}: choose another one with --reference.",
        )
    for pair in pairs:
        yield [pair["a"], pair["b"]], pair["sentence"]
    if not all(pair["different"] for pair in pairs):
        yield [], "What is not told apart need not be equal: more seeds find smaller differences."


def _rule(results: dict[str, Any], name: str) -> dict[str, Any]:
    return next(rule for rule in results["rules"] if rule["name"] == name)


def _cost(results: dict[str, Any]) -> Iterator[tuple[list[str], str]]:
    """What each rule needs for the highest of TARGETS that half of the rules reach.

    A training is measured at a few points: at most so much, and a ratio that is not exact.
    """
    done = [rule for rule in results["rules"] if rule["status"] == "done" and rule["curve"]]
    reached = {t: sum(_needed(rule, t) is not None for rule in done) for t in TARGETS}
    target = next((t for t in TARGETS if done and reached[t] >= len(done) / 2), None)
    if target is None:
        return
    reference = _rule(results, results["reference"])
    base = _needed(reference, target)
    for rule in done:
        title, need = _capital(rule["title"]), _needed(rule, target)
        if need is None:
            yield (
                [rule["name"]],
                f"{title} does not reach {100 * target:g} % on the validation set within "
                f"{rule['curve']['forward_equivalents'][-1]:,.0f} forward-equivalents.",
            )
            continue
        text = f"{title} reaches {100 * target:g} % on the validation set after at most "
        text += f"{need:,.0f} forward-equivalents"
        if rule is not reference and base:
            ratio = _short(need / base)
            many = "as many as" if ratio == "1" else f"{ratio} times those of"
            text += f", about {many} {reference['title']}"
        yield [rule["name"]], f"{text}."


def _needed(rule: dict[str, Any], target: float) -> float | None:
    """The forward-equivalents at the first point at which the mean accuracy is the target."""
    curve = rule["curve"]
    if rule["status"] != "done" or not curve:
        return None
    for work, accuracy in zip(
        curve["forward_equivalents"], curve["validation_accuracy"], strict=True
    ):
        if accuracy is not None and accuracy >= target:
            return work
    return None


def _quality(results: dict[str, Any]) -> Iterator[tuple[list[str], str]]:
    """Bias and noise of each rule's estimate: means over the points of its trainings."""
    s = results["settings"]
    for rule in results["rules"]:
        if rule["status"] != "done":
            continue
        name = [rule["name"]]
        bias2, variance, angle = (_over(rule, m) for m in ("bias2", "variance", "angle"))
        if bias2 is None or variance is None:
            yield name, f"The quality of the estimate by {rule['title']} could not be measured."
            continue
        noisy = variance > NOISE
        through = f"through the noise of {_count(s['replicates'], 'estimate')}"
        if _low(rule, bias2, variance, s) > BIAS:
            words = "is biased and noisy" if noisy else "is biased, with little noise"
        elif noisy:
            words = f"is noisy, and no bias can be seen {through}"
        elif bias2 > BIAS:
            words = f"has little noise; whether it is biased cannot be seen {through}"
        else:
            words = "is the gradient, or close to it"
        numbers = f"bias² {_short(max(bias2, 0))}, variance {_short(variance)} of |g|²"
        if angle is not None:
            numbers += f", {angle:.0f} degrees from the gradient"
        yield name, f"The estimate by {rule['title']} {words}: {numbers}."


def _over(rule: dict[str, Any], measure: str) -> float | None:
    """The mean of a measure over the points of a training."""
    values = [point["total"][measure] for point in rule["quality"]]
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def _low(rule: dict[str, Any], bias2: float, variance: float, settings: dict[str, Any]) -> float:
    """The lower end of what a rule's bias² may be: the higher one of two bounds.

    Over the replicates: |ḡ - g|² = bias² + variance/R, and |ḡ - g| <= |bias| + |ḡ - E ĝ|. The last
    is at most t √(variance/R), with t of R - 1 degrees of freedom. So it is where all noise lies
    along one direction; in many directions chance makes it smaller.
    Over the seeds: Student's t of the bias² of each. A rule without bias passes each bound in a
    fortieth of all cases, both together in a twentieth.
    """
    confidence, R = settings["confidence"], settings["replicates"]
    strict = (1 + confidence) / 2
    low = 0.0
    if R > 1:
        of_mean = math.sqrt(variance / R)
        apart = math.sqrt(max(bias2 + variance / R, 0))
        low = max(0.0, apart - quantile(strict, R - 1) * of_mean) ** 2
    known = [value for value in (_over(run, "bias2") for run in rule["runs"]) if value is not None]
    if len(known) > 1:  # the lower one of two ends: a fortieth lies below it
        low = max(low, interval(known, confidence)["low"])
    return low


def _short(value: float) -> str:
    """Two digits that count, and no power of ten for what is large."""
    return f"{value:,.0f}" if value >= 99.5 else f"{value:.2g}"


def _count(n: int, noun: str) -> str:
    return f"{n:,} {noun}" + ("" if n == 1 else "s")


def _sentence(text: str) -> str:
    return text if text.endswith((".", "!", "?")) else f"{text}."


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
