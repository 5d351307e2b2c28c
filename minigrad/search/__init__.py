"""Hyper-parameter search: every combination of settings, with every seed, each run kept on disk.

    def run(seed, lr, decay):
        model = mg.models.logistic(seed=seed)
        optimizer = mg.SGD(model, lr)
        schedule = mg.ExponentialLR(optimizer, math.exp(-decay), per="step")
        return mg.fit(
            model, mg.CrossEntropyLoss(), mg.rules.Backprop(), optimizer, train, validation,
            epochs=5, evaluate_every=5, batch_size=64, seed=seed, schedule=schedule, progress=False,
        )

    axes = {"lr": np.logspace(-3, 0, 4), "decay": [0, 1e-4]}
    results = mg.search.grid(run, axes, seeds=range(3), out="runs.jsonl", n_jobs=-1)
    print(results, results.best())
    minigrad.plots.heat_map(results, "softmax regression", "lr", "decay")

The file is written run by run, and forced to the disk. After an interrupt, a crash or a power cut
the same call does what is missing. Each row has a fingerprint of `run`: rows that another version
of it made are refused, unless stale= says what to do with them. With n_jobs of 2 or more, a run
that ends its process, for want of memory or by os._exit, has failed, and the others go on.

The runs can also be done by a Dask cluster (pip install "minigrad[cluster]"). Give each of its
workers one thread. Let `run` load its data itself; otherwise the data is sent with each run:

    from distributed import Client
    client = Client("tcp://scheduler:8786")  # Client(threads_per_worker=1): one on this machine
    results = mg.search.grid(run, axes, seeds=range(3), out="runs.jsonl", executor="dask")
    client.close()
"""

from minigrad.search.results import Cell, Results, Table
from minigrad.search.sweep import grid

__all__ = ["Cell", "Results", "Table", "grid"]
