"""Random numbers from a counter: number i of a stream is a function of the seed and of i alone.

The generator is SplitMix64 (Steele, Lea, Flood 2014, "Fast splittable pseudorandom number
generators", §5; its mixing function is variant 13 of Stafford 2011). Its whole state is the seed
and how many numbers have been drawn. So it can be saved, copied, and run on any device.
"""

from __future__ import annotations

from math import prod
from types import ModuleType

import numpy as np

from minigrad.backend import Array

MASK = 2**64 - 1
GAMMA = 0x9E3779B97F4A7C15  # odd, near 2^64 / golden ratio: i · GAMMA visits all 2^64 numbers
FIRST = 0xBF58476D1CE4E5B9
SECOND = 0x94D049BB133111EB


def uniform(xp: ModuleType, seed: int, drawn: int, shape: tuple[int, ...]) -> Array:
    """Float32 numbers in [0, 1), on the device of `xp`: numbers drawn, drawn + 1, ... of a stream.

    z_i = mix(start + (i + 1) GAMMA) modulo 2^64, with start = mix(seed). The upper 24 bits of z_i
    make a float32 without rounding.
    """
    # Numbers of one size are computed by Python, which does not warn of an overflow.
    offset = (_mix(seed & MASK) + (drawn + 1) * GAMMA) & MASK
    z = xp.arange(prod(shape), dtype=np.uint64)
    z *= np.uint64(GAMMA)
    z += np.uint64(offset)
    z ^= z >> np.uint64(30)
    z *= np.uint64(FIRST)
    z ^= z >> np.uint64(27)
    z *= np.uint64(SECOND)
    z ^= z >> np.uint64(31)
    u = (z >> np.uint64(40)).astype(np.float32)
    u *= np.float32(2.0**-24)
    return u.reshape(shape)


def _mix(z: int) -> int:
    """The same mixing function, for one number."""
    z = ((z ^ (z >> 30)) * FIRST) & MASK
    z = ((z ^ (z >> 27)) * SECOND) & MASK
    return z ^ (z >> 31)
