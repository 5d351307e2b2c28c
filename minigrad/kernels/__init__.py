"""Fast code. Beside each kernel stands plain code that computes the same.

A layer says the maths, and calls a kernel by a name that says what it computes. A kernel runs its
fast form, or its plain one after `kernels.use("plain")`: see `switch`. The plain form is the one to
read; tests/test_kernels.py holds the fast one to it.

    products, convolution, pooling, normalization, elementwise    what the layers compute
    updates, draws                                                optimisers' steps, random numbers
    windows, winograd                                             what convolution is made of
    parts, memory                                                 how work fits cache and threads
"""

from minigrad.kernels.switch import FORMS, KERNELS, Kernel, form, kernel, use

__all__ = ["FORMS", "KERNELS", "Kernel", "form", "kernel", "use"]
