"""A step as a CUDA graph: recorded once, then repeated by one launch. `fit(..., capture=True)`.

A small network's step takes hundreds of launches on a GPU. Each costs Python more time than it
costs the GPU. A graph makes all of them at once. The numbers are those of ordinary steps, bit for
bit.

    loop      the training loop, and when losses come to the host
    step      records and repeats the estimate of a batch
    moves     the optimiser's step in the graph
    watch     what a recorded step depends on
    refusal   why a step cannot be recorded, in a sentence
    cuda      stream, memory, graph
    cublas    products of matrices within a graph
"""

from minigrad.capture.loop import CapturedLoop
from minigrad.capture.refusal import CaptureError, check_suitable
from minigrad.capture.step import Captured

__all__ = ["CaptureError", "Captured", "CapturedLoop", "check_suitable"]
