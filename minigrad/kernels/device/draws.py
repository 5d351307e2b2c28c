"""Random directions from a counter: number e of a parameter is a function of what names it alone.

The generator is Philox4x64-10 (Salmon, Moraes, Dror, Shaw 2011, "Parallel random numbers: as easy
as 1, 2, 3", §3.3). It turns a counter of four words of 64 bits into four random words. The counter
is (block + 1, parameter, k, step), the key comes from the seed. They are the words of

    numpy.random.Philox(key=key, counter=[0, parameter, k, step]).random_raw(...)

so the plain form below draws the same on the host. No state is kept: any part can be drawn alone.

    signs     number e is bit e, counted from the lowest bit of the first word: 1 is +1, 0 is -1
    normals   word w gives the two numbers 2w and 2w + 1, by Box and Muller: u1 is made of its lower
              32 bits, u2 of its upper ones; √(-2 ln u1) · cos 2π u2 and √(-2 ln u1) · sin 2π u2
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from math import pi

import numpy as np

from minigrad.backend import Array, to_device
from minigrad.kernels.device import ready
from minigrad.kernels.device.table import ROWS, Table, alike, by_value
from minigrad.kernels.device.table import SOURCE as TABLE

SOURCE = (
    TABLE
    + r"""
typedef unsigned long long Word;
struct Name {
    Word key0, key1, k, step;
};
struct __align__(16) Eight {
    T x[8];
};

__device__ __forceinline__ void philox(Word c[4], Word key0, Word key1) {
    for (int round = 0; round < 10; ++round) {
        const Word high0 = __umul64hi(0xD2E7470EE14C6C93ULL, c[0]);
        const Word high1 = __umul64hi(0xCA5A826395121157ULL, c[2]);
        const Word low0 = 0xD2E7470EE14C6C93ULL * c[0];
        const Word low1 = 0xCA5A826395121157ULL * c[2];
        c[0] = high1 ^ c[1] ^ key0;
        c[1] = low1;
        c[2] = high0 ^ c[3] ^ key1;
        c[3] = low0;
        key0 += 0x9E3779B97F4A7C15ULL;
        key1 += 0xBB67AE8584CAA73BULL;
    }
}

// Arrays: out, and in column 1 the parameter's number. One thread makes eight numbers in a row.
// kept: the name in device memory, if it is not 0.
extern "C" __global__ void draw(const Table table, const Name name, const Name* kept,
                                long long signs) {
    FIND_ROW
    const long long start = first + threadIdx.x * 8LL;
    if (start >= end) return;
    const Name of = kept ? *kept : name;
    const long long counted = signs ? start / 256 : start / 8;
    Word c[4] = {(Word)counted + 1, (Word)table.cells[1][row], of.k, of.step};
    philox(c, of.key0, of.key1);
    Eight made;
    if (signs) {
        const int w = start / 64 % 4;
        const Word word = w < 2 ? (w < 1 ? c[0] : c[1]) : (w < 3 ? c[2] : c[3]);
        const Word bits = word >> (start % 64);
        for (int j = 0; j < 8; ++j) made.x[j] = bits >> j & 1 ? (T)1 : (T)-1;
    } else {
        for (int j = 0; j < 4; ++j) {
            // u1 = lower / 2^32 + 2^-33, which is never 0; the angle upper / 2^31 in units of pi
            const T u1 = (T)(c[j] & 0xFFFFFFFFULL) / (T)4294967296.0 + (T)1.16415321826934814e-10;
            const T angle = (T)(c[j] >> 32) / (T)2147483648.0;
            const T radius = sqrt((T)-2 * log(u1));
            T sine, cosine;
            sincospi(angle, &sine, &cosine);
            made.x[2 * j] = radius * cosine;
            made.x[2 * j + 1] = radius * sine;
        }
    }
    T* out = ARRAY(0) + start;
    if (start + 8 <= end && (unsigned long long)out % 16 == 0) {
        *(Eight*)out = made;
    } else {
        for (int j = 0; j < 8 && start + j < end; ++j) out[j] = made.x[j];
    }
}
"""
)


def draw(
    numbered: Sequence[tuple[int, Array]],
    seed: int,
    step: int,
    k: int,
    signs: bool,
    kept: Array | None = None,
) -> None:
    """Fill arrays on a device with standard normals, or with signs, in their order in memory.

    numbered  (number of the parameter, array) for each array
    kept      for a launch that is repeated: four uint64 words (key, k, step) in device memory,
              which count in place of seed, k and step; see `key`
    """
    rows: dict[str, list[tuple[int, Array]]] = {}
    for i, array in numbered:
        if ready(array) and alike(array):
            rows.setdefault(array.dtype.char, []).append((i, array))
        else:
            draw_plain(i, array, seed, step, k, signs)
    name = np.array([*key(seed), k, step], np.uint64)
    place = np.int64(0) if kept is None else kept
    for found in rows.values():  # of one dtype
        for start in range(0, len(found), ROWS):
            numbers, arrays = zip(*found[start : start + ROWS], strict=True)
            table = Table(arrays)
            table.put(0, arrays)
            table.cells[1, : len(arrays)] = numbers
            table.launch("draw", SOURCE, by_value(name), place, np.int64(signs), threads=128)


def draw_plain(i: int, out: Array, seed: int, step: int, k: int, signs: bool) -> None:
    """The plain form: drawn on the host, in float64 for float64, and copied to the device."""
    n = out.size
    words = 64 if signs else 2  # numbers of one word
    stream = np.random.Philox(key=key(seed), counter=np.array([0, i, k, step], np.uint64))
    raw = stream.random_raw(-(-n // words))
    if signs:
        bits = np.unpackbits(raw.astype("<u8").view(np.uint8), count=n, bitorder="little")
        made = (2.0 * bits - 1).astype(out.dtype)
    else:
        u1 = (raw & np.uint64(2**32 - 1)).astype(out.dtype) / 2**32 + 2.0**-33
        angle = (raw >> np.uint64(32)).astype(out.dtype) * (pi / 2**31)
        radius = np.sqrt(-2 * np.log(u1))
        pairs = np.stack((radius * np.cos(angle), radius * np.sin(angle)), axis=-1)
        made = pairs.astype(out.dtype).reshape(-1)[:n]
    order = sorted(range(out.ndim), key=lambda axis: -out.strides[axis])
    turned = out.transpose(order)  # its numbers in the order in memory, where there are no gaps
    turned[...] = to_device(made.reshape(turned.shape), like=out)


@lru_cache(maxsize=64)
def key(seed: int) -> np.ndarray:
    """The two words of Philox's key that belong to a seed."""
    words = np.random.SeedSequence(seed).generate_state(2, np.uint64)
    words.flags.writeable = False
    return words
