"""minigrad's speed and memory, beside what a student would use instead, in the same run.

    python -m tests.benchmarks                       every workload, on the CPU
    python -m tests.benchmarks --backend cupy        on a GPU, beside PyTorch on CUDA
    python -m tests.benchmarks --growth              time and memory per example, as sizes grow
    python -m tests.benchmarks --only LeNet --json found.json

A workload is a network, a batch, a rule and an optimiser (`workloads.py`). `nets.py` describes
each network once; `ours.py`, `torch_peer.py` and `jax_peer.py` build the same step from it, with
the same weights. Blocks of steps of all contestants alternate (`timing.py`), so that a slow minute
of the machine slows all of them. A ratio belongs to the machine and to the run; an absolute time
more so.
"""
