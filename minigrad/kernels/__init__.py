"""What exists for speed's sake: each kernel computes what its plain form beside it says."""

from minigrad.kernels.switch import FORMS, KERNELS, Kernel, form, kernel, use

__all__ = ["FORMS", "KERNELS", "Kernel", "form", "kernel", "use"]
