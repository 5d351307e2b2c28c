"""How much alike two networks see the same examples."""

from __future__ import annotations

import math

from minigrad.backend import Array, array_module
from minigrad.diagnostics.activations import activations
from minigrad.layers import Layer


def cka(a: Array, b: Array) -> float:
    r"""Linear CKA of activations for the same N examples. 1: the same up to a rotation.

        |Aᵀ B|² / (|Aᵀ A| |Bᵀ B|),  the columns of A and B with mean 0, |.| of Frobenius

    a, b  (N, p) and (N, q), or images (N, C, H, W), each taken as one row
    It does not change if A is rotated, shifted, or multiplied by a number. NaN if one of the two is
    the same for all examples. Source: Kornblith, Norouzi, Lee, Hinton 2019, eq. 4.
    """
    array_module(a, b)
    if a.ndim == 0 or b.ndim == 0 or len(a) != len(b):
        raise ValueError(
            f"cka compares activations of the same examples, got {tuple(a.shape)} and "
            f"{tuple(b.shape)}"
        )
    A = _centred(a)
    B = _centred(b)
    if len(A) < max(A.shape[1], B.shape[1]):  # |Aᵀ B|² = <A Aᵀ, B Bᵀ>
        K = A @ A.T
        L = B @ B.T
        both = float((K * L).sum())
        of_a = float((K * K).sum())
        of_b = float((L * L).sum())
    else:
        both, of_a, of_b = (float(((p.T @ q) ** 2).sum()) for p, q in ((A, B), (A, A), (B, B)))
    size = math.sqrt(of_a) * math.sqrt(of_b)
    return both / size if size else math.nan


def likeness(model: Layer, reference: Layer, x: Array, batch_size: int = 1000) -> dict[str, float]:
    """{flat name: linear CKA of this layer's activations in both networks}.

    reference  another network. Layers that only one of the two has are left out
    x          examples; a few hundred are enough
    The two may have learned by different rules, and have other widths. See `cka`, `activations`.
    """
    own = activations(model, x, batch_size)
    others = activations(reference, x, batch_size)
    return {name: cka(y, others[name]) for name, y in own.items() if name in others}


def _centred(array: Array) -> Array:
    """(N, features) in float64, each feature with mean 0."""
    rows = array.reshape(len(array), -1).astype("float64")
    return rows - rows.mean(axis=0)
