"""Kernels: the functions in which the time goes. Each has a fast form and a plain form.

Read the plain form: it is short. Both compute the same, and tests/test_kernels.py checks it.
A call runs the fast form. After `kernels.use("plain")` it runs the plain form: see `switch`.

    products, convolution, pooling, averages, normalization       used by the layers
    elementwise, rectifiers, erf                                  activations
    losses, rows                                                  used by the losses, and Embedding
    updates, steps, draws                                         optimisers' steps, random numbers
    windows, winograd                                             used by the convolution
    parts, memory                                                 how work fits cache and threads
    device                                                        CUDA source, for GPUs
    recording                                                     steps as CUDA graphs
"""

from minigrad.kernels.recording import dot
from minigrad.kernels.switch import FORMS, KERNELS, Kernel, form, kernel, use

__all__ = ["FORMS", "KERNELS", "Kernel", "dot", "form", "kernel", "use"]
