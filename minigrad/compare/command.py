"""`minigrad compare --rules backprop,dfa --model mlp --data mnist --epochs 3 --seeds 3`."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from minigrad.compare.comparison import DEFAULT, REPORT, RESULTS, compare
from minigrad.compare.protocol import MODELS, OPTIMIZERS
from minigrad.compare.rules import RULES
from minigrad.data import NAMES


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `minigrad compare`."""
    parser.description = (
        "Train one network by each of these rules, and say what differs: the quality of their "
        "gradients, their cost, and what they reach. For each rule the learning rate is searched "
        "on a validation part of the training set, with the same budget of forward-equivalents "
        "(what a step costs, in forward passes: 3 for backprop). Then it trains with each seed; "
        "for one seed all rules have the same first weights and batches. The test set is used "
        f"once, at the end. Writes {RESULTS} and {REPORT}."
    )
    add = parser.add_argument
    add(
        "--rules",
        default=",".join(DEFAULT),
        metavar="NAMES",
        help=f"some of {', '.join(RULES)}, and rules of your own, my_rule.py:MyRule; with commas "
        "between them (default: %(default)s)",
    )
    add(
        "--model",
        default="mlp",
        help=f"{', '.join(MODELS)}, or my_net.py:make, a function of the seed (default mlp)",
    )
    add("--data", default=None, help=f"{', '.join(NAMES)} (default auto; with --quick digits)")
    add("--epochs", type=int, default=None, help="of each training (default 3; with --quick 20)")
    add("--seeds", type=int, default=3, help="how many, from 0 on (default 3)")
    add("--batch-size", type=int, default=None, help="(default 64; with --quick 32)")
    add("--optimizer", default="adam", choices=[*OPTIMIZERS], help="(default adam)")
    add("--rates", default=None, metavar="LR,LR", help="learning rates to try (default: six)")
    add("--reference", metavar="NAME", help="compare the others with this rule (default backprop)")
    add("--out", default="comparison", metavar="FOLDER", help="(default comparison)")
    add("--resume", action="store_true", help="go on with the comparison in that folder")
    add("--quick", action="store_true", help="the digits and a small network: under a minute")
    add(
        "--processes",
        type=int,
        default=-1,
        metavar="N",
        help="how many runs at a time (default: as many as there are cores)",
    )
    add(
        "--cluster",
        default=None,
        metavar="ADDRESS",
        help="a Dask scheduler that does the runs, tcp://host:8786: its machines need minigrad and "
        "your files, too",
    )


def run(arguments: argparse.Namespace) -> int:
    """Compare, and print what was found.

    0 at the end, 1 if a rule failed with an error, 2 for wrong usage, 130 after Ctrl-C.
    """
    options: dict[str, Any] = {"n_jobs": arguments.processes}
    try:
        with _cluster(arguments.cluster) as executor:
            if executor is not None:
                options = {"n_jobs": None, "executor": executor}
            results = compare(
                arguments.rules,
                arguments.model,
                arguments.data,
                epochs=arguments.epochs,
                seeds=arguments.seeds,
                batch_size=arguments.batch_size,
                optimizer=arguments.optimizer,
                rates=None if arguments.rates is None else arguments.rates.split(","),
                reference=arguments.reference,
                out=arguments.out,
                resume=arguments.resume,
                quick=arguments.quick,
                **options,
            )
    except (ValueError, TypeError, OSError, ImportError, RuntimeError) as error:
        print(f"minigrad compare: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(
            f"minigrad compare: interrupted; the same command with --resume goes on in "
            f"{arguments.out}",
            file=sys.stderr,
        )
        return 130
    print(said(results))
    files = [
        name for name in (REPORT, RESULTS) if os.path.exists(os.path.join(arguments.out, name))
    ]
    print(f"\n{arguments.out}: {', '.join(files)}")
    return int(any(rule["status"] == "failed" for rule in results["rules"]))


def said(results: dict[str, Any]) -> str:
    """The table of the rules, and the sentences, for a terminal."""
    width = max(len(rule["title"]) for rule in results["rules"])
    lines = [f"{'':{width}}  test accuracy (%)   lr       cost   seconds"]
    for rule in results["rules"]:
        if not rule["summary"]:
            lines.append(f"{rule['title']:{width}}  {rule['status']}")
            continue
        found = rule["summary"]["test_accuracy"]
        seconds = rule["summary"]["seconds"]["mean"]
        lost = f"  {rule['status']}; {found['n']} of {len(rule['runs'])} runs ended well"
        half = f" ± {100 * found['half']:.2f}" if found["half"] is not None else ""
        accuracy = f"{100 * found['mean']:.2f}{half}"
        lines.append(
            f"{rule['title']:{width}}  {accuracy:18}  {rule['lr']:<7g}{rule['cost']:6.3g}"
            f"{seconds:10.1f}{lost if rule['status'] != 'done' else ''}"
        )
    about = None
    for sentence in results["sentences"]:
        if sentence["about"] != about:
            lines.append("")
            about = sentence["about"]
        lines.append(sentence["text"])
    return "\n".join(lines)


@contextmanager
def _cluster(address: str | None) -> Iterator[str | None]:
    """ "dask" while a client of this scheduler is there; None without an address."""
    if address is None:
        yield None
        return
    try:
        from distributed import Client
    except ImportError:
        raise ImportError(
            'a cluster needs Dask: pip install "minigrad[cluster]", or leave out --cluster'
        ) from None
    client = Client(address, timeout="20s")
    try:
        yield "dask"
    finally:
        client.close()
