"""Small trainings for the tests of checkpoints: they are made anew in the same way each time."""

import hashlib
from dataclasses import asdict

import numpy as np
from cases import OPTIMIZERS, RULES, SCHEDULES

import minigrad as mg
from minigrad.backend import to_host

FED = {"augment": [mg.data.augment.noise(0.1)], "drop_last": True, "sampling": "balanced"}
BY_NAME = {case.name: case for case in (*RULES, *OPTIMIZERS, *SCHEDULES)}


class Stop(Exception):
    """Raised in the middle of a run."""


def network(batch_norm=True, dtype="float32"):
    """Dropout draws random numbers, batch norm has buffers."""
    norm = [mg.BatchNorm1d(6, dtype=dtype)] if batch_norm else []
    return mg.Sequential(
        mg.Linear(4, 6, dtype=dtype, seed=0),
        *norm,
        mg.ReLU(),
        mg.Dropout(0.3, seed=5),
        mg.Linear(6, 5, dtype=dtype, seed=1),
        mg.Tanh(),
        mg.Linear(5, 3, dtype=dtype, seed=2),
    )


def data(seed=1, n=22):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n, 4)).astype("float32")
    return mg.data.Dataset(x, rng.integers(0, 3, n), classes=3)


class Training:
    """All parts of a training. Two that are made with the same arguments are equal."""

    def __init__(self, rule="Backprop", optimizer="Adam", schedule=None, model=None, train=None):
        case = BY_NAME[rule]
        self.model = network(case.batch_norm) if model is None else model()
        self.rule = case.make(self.model)
        self.optimizer = BY_NAME[optimizer].optimizer(self.model)
        self.schedule = BY_NAME[schedule].schedule(self.optimizer) if schedule else None
        self.loss = mg.CrossEntropyLoss()
        self.train = data() if train is None else train()

    def parts(self):
        return {
            name: getattr(self, name)
            for name in ("model", "optimizer", "schedule", "rule", "loss")
            if getattr(self, name) is not None
        }

    def fit(self, **options):
        options = {"epochs": 3, "batch_size": 6, "progress": False} | options
        self.history = mg.fit(
            self.model,
            self.loss,
            self.rule,
            self.optimizer,
            self.train,
            data(2, 9),
            schedule=self.schedule,
            **options,
        )
        return self

    def stopped_at(self, step, **options):
        """Train, and raise `Stop` after this step: nothing of this object is used afterwards."""

        def stop(number, loss):
            if number == step:
                raise Stop

        try:
            self.fit(step_callback=stop, **options)
        except Stop:
            return self
        raise AssertionError(f"there is no step {step}")

    def state(self):
        """Everything that a run leaves, but the seconds: a flat dict."""
        found = {}
        for name, part in self.parts().items():
            for key, value in getattr(part, "state_dict", dict)().items():
                found[f"{name}/{key}"] = np.asarray(to_host(value))
            if name != "model" and hasattr(part, "rng_state"):
                found[f"{name}/random"] = np.asarray(repr(part.rng_state()))
        for i, layer in enumerate(self.model.modules()):
            found[f"random/{i}"] = np.asarray(repr(layer.rng_state()))
        if hasattr(self, "history"):
            for key, value in asdict(self.history).items():
                if key != "seconds":
                    found[f"history/{key}"] = np.asarray(repr(value))
        return found

    def digest(self):
        """One text for the whole state: two runs have the same one if they are equal."""
        code = hashlib.sha256()
        for key, value in sorted(self.state().items()):
            code.update(f"{key} {value.dtype} {value.shape}".encode())
            code.update(value.tobytes() if value.dtype.kind != "U" else str(value).encode())
        return code.hexdigest()


def differences(a, b):
    """The names of what differs between two states, bit for bit."""
    return sorted(a.keys() ^ b.keys()) + sorted(
        key
        for key in a.keys() & b.keys()
        if a[key].dtype != b[key].dtype
        or a[key].shape != b[key].shape
        or a[key].tobytes() != b[key].tobytes()
    )
