"""A training for the test that kills processes: `python killed_training.py RULE FILE EPOCHS`.

It goes on with the file if it is there, and prints the digest of everything at its end. With a
fourth argument, `fed`, its batches are augmented, balanced, and all of one size.
"""

import sys

from trainings import FED, Training

rule, path, epochs, *fed = sys.argv[1:]
training = Training(rule, "Adam", "ExponentialLR steps")


def begun(step, loss):
    print("step", step, flush=True)


training.fit(
    epochs=int(epochs),
    checkpoint=path,
    every="7 steps",
    resume=True,
    step_callback=begun,
    **(FED if fed else {}),
)
print("end", training.digest(), flush=True)
