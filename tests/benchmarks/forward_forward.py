"""Forward-forward on MNIST: the test error after some epochs, with several seeds.

    python tests/benchmarks/forward_forward.py [--epochs 10] [--seeds 3] [--json FILE]
        [--hidden 500 500] [--negatives hard] [--batch-size 100] [--lr 0.001] [--data FOLDER]

The network is 784-500-500 with ReLU. (The 10 outputs of the mlp are left out by the rule.) Adam, lr
falls to 0 along a cosine. A seed gives the weights, the order of the data and the wrong labels.
Nothing is chosen by the test set: it is looked at after the last epoch, and --every epochs.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time

import minigrad as mg


def trained(options, train, test, seed: int) -> dict:
    """One training: {"seed", "epoch", "test_error" in %, "train_error", "seconds"}."""
    net = mg.models.mlp((784, *options.hidden, 10), seed=seed)
    rule = mg.rules.ForwardForward(negatives=options.negatives, seed=seed)
    optimizer = mg.Adam(net, options.lr)
    history = mg.fit(
        net,
        mg.CrossEntropyLoss(),
        rule,
        optimizer,
        train,
        test,
        epochs=options.epochs,
        batch_size=options.batch_size,
        seed=seed,
        schedule=mg.CosineAnnealingLR(optimizer, options.epochs),
        evaluate_every=options.every or options.epochs,
        callback=lambda history: print(
            f"seed {seed}, epoch {history.epoch[-1]}: test error "
            f"{100 * (1 - history.test_accuracy[-1]):.2f} %, train error "
            f"{100 * (1 - history.train_accuracy[-1]):.2f} %",
            flush=True,
        ),
        progress=options.progress,
    )
    return {
        "seed": seed,
        "epoch": history.epoch,
        "test_error": [100 * (1 - a) for a in history.test_accuracy],
        "train_error": [100 * (1 - a) for a in history.train_accuracy],
        "seconds": sum(history.seconds),
        "stopped": history.stopped,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--every", type=int, help="epochs between two looks; else only the last")
    parser.add_argument("--seeds", type=int, default=3, help="how many: 0, 1, ...")
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--hidden", type=int, nargs="+", default=[500, 500])
    parser.add_argument("--negatives", default="hard", choices=("random", "hard"))
    parser.add_argument("--batch-size", type=int, default=100)
    parser.add_argument("--lr", type=float, default=0.001)
    parser.add_argument("--examples", type=int, default=60_000)
    parser.add_argument("--data", help="the folder with the four files of MNIST")
    parser.add_argument("--backend", default="numpy", choices=("numpy", "cupy"))
    parser.add_argument("--json", help="a file for the results")
    parser.add_argument("--progress", action="store_true")
    options = parser.parse_args()
    mg.backend.use(options.backend)
    train, test = mg.data.load("mnist", root=options.data)
    train = train.take(min(options.examples, len(train)))
    begun = time.strftime("%Y-%m-%d")
    runs = []
    for seed in range(options.first_seed, options.first_seed + options.seeds):
        runs.append(trained(options, train, test, seed))
        errors = [run["test_error"][-1] for run in runs]
        if options.json:
            with open(options.json, "w") as file:
                json.dump({"begun": begun, "settings": vars(options), "runs": runs}, file, indent=1)
    spread = f" ± {statistics.stdev(errors):.2f}" if len(errors) > 1 else ""
    print(f"test error {statistics.mean(errors):.2f}{spread} % ({len(errors)} seeds)")


if __name__ == "__main__":
    main()
