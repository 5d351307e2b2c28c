"""What the numbers of a comparison say, in sentences that are computed from them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from minigrad.compare.statistics import interval

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
        f"Every rule trained the same network ({s['model']}, {s['parameters']:,} parameters) with "
        f"{s['optimizer']} for {_count(s['epochs'], 'epoch')} ({s['steps']:,} steps of "
        f"{s['batch_size']} examples) on {s['source']}, with {_count(seeds, 'seed')}: for one seed "
        "all rules have the same first weights and the same batches.",
    )
    rates = ", ".join(f"{rate:g}" for rate in s["rates"])
    yield (
        [],
        f"Its learning rate is the best of {len(s['rates'])} ({rates}) on {s['validation']:,} "
        f"examples of the training set that no rule trains on. For this search each rule had the "
        f"same {s['budget']:,.0f} forward-equivalents: a rule whose step costs more makes fewer "
        "steps.",
    )
    yield (
        [],
        f"The {s['test']:,} examples of the test set were used once, at the end of each training.",
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
        elif rule["status"] != "done":
            yield (
                name,
                f"{title} {_DID[rule['status']]} and is not compared: {_sentence(rule['why'])}",
            )
        elif rule["lr_at_edge"]:
            yield (
                name,
                f"{title} did best with the {rule['lr_at_edge']} learning rate that was tried, "
                f"{rule['lr']:g}: a better one may lie beyond.",
            )
        if rule["cost_from"] == "assumed":
            yield (
                name,
                f"{title} does not say what its step costs: {rule['cost']:g} forward-equivalents "
                "were assumed. Set `cost` in its class.",
            )


_DID = {"diverged": "diverged", "failed": "failed"}


def _accuracy(results: dict[str, Any]) -> Iterator[tuple[list[str], str]]:
    """Each rule against the reference."""
    pairs = results["pairs"]
    reference = _rule(results, results["reference"])
    if not pairs and len(results["settings"]["seeds"]) > 1 and reference["status"] != "done":
        yield (
            [reference["name"]],
            f"The rules were to be compared with {reference['title']}, which did not end well: "
            "choose another one with --reference.",
        )
    for pair in pairs:
        yield [pair["a"], pair["b"]], pair["sentence"]
    if any(not pair["different"] and pair["p"] < 1 - _confidence(results) for pair in pairs):
        yield [], "What is not told apart need not be equal: more seeds find smaller differences."


def _rule(results: dict[str, Any], name: str) -> dict[str, Any]:
    return next(rule for rule in results["rules"] if rule["name"] == name)


def _confidence(results: dict[str, Any]) -> float:
    return results["settings"]["confidence"]


def _cost(results: dict[str, Any]) -> Iterator[tuple[list[str], str]]:
    """What each rule needs for the highest of TARGETS that the reference reaches."""
    reference = _rule(results, results["reference"])
    target = next((t for t in TARGETS if _needed(reference, t) is not None), None)
    if target is None:
        return
    base = _needed(reference, target)
    for rule in results["rules"]:
        if rule["status"] != "done":
            continue
        title, need = _capital(rule["title"]), _needed(rule, target)
        if need is None:
            yield (
                [rule["name"]],
                f"{title} does not reach {100 * target:g} % on the validation set within "
                f"{rule['curve']['forward_equivalents'][-1]:,.0f} forward-equivalents.",
            )
            continue
        text = f"{title} reaches {100 * target:g} % on the validation set after {need:,.0f} "
        text += "forward-equivalents"
        if rule is not reference and base:
            text += f", {need / base:.1f} times those of {reference['title']}"
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
    for rule in results["rules"]:
        if rule["status"] != "done":
            continue
        name = [rule["name"]]
        bias2, variance, angle = (_over(rule, m) for m in ("bias2", "variance", "angle"))
        if bias2 is None or variance is None:
            yield name, f"The quality of the estimate by {rule['title']} could not be measured."
            continue
        biased = _low(rule, bias2, variance, results["settings"]) > BIAS
        noisy = variance > NOISE
        words = {
            (False, False): "is the gradient, or close to it",
            (True, False): "is biased, with little noise",
            (False, True): "is noisy, and no bias can be seen in it",
            (True, True): "is biased and noisy",
        }[biased, noisy]
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
    """The lower end of the interval of bias², by the seeds.

    Of one seed: bias² less variance/R, the noise that was taken out of it.
    """
    of_runs = [_over(run, "bias2") for run in rule["runs"]]
    known = [value for value in of_runs if value is not None]
    if len(known) < 2:
        return bias2 - variance / settings["replicates"]
    return interval(known, settings["confidence"])["low"]


def _short(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.2g}"


def _count(n: int, noun: str) -> str:
    return f"{n:,} {noun}" + ("" if n == 1 else "s")


def _sentence(text: str) -> str:
    return text if text.endswith((".", "!", "?")) else f"{text}."


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
