"""Functions of single numbers, for arrays of any shape with one order in memory: one launch.

A thread computes as many numbers as fit 16 bytes of T, if the arrays' memory allows it: reading and
writing them together is faster. The rest at the end is computed one by one.
"""

from __future__ import annotations

from minigrad.backend import Array
from minigrad.kernels import device
from minigrad.kernels.device.layout import EACH, address

SOURCE = """
enum {{ V = {V} }};
template <typename A> struct alignas(sizeof(A) * V) Pack {{ A v[V]; }};
__device__ __forceinline__ void one({values}) {{
    {code}
}}
{EACH}
extern "C" __global__ void {name}({pointers}, long long n) {{
    EACH(i, (n + V - 1) / V) {{
        if ((i + 1) * V <= n) {{
            {load}
            for (int k = 0; k < V; k++) one({packs});
            {store}
        }} else {{
            for (long long k = i * V; k < n; k++) one({rest});
        }}
    }}
}}
"""


class Elementwise:
    """outputs = function(inputs, extras), number by number.

        double = Elementwise("double_all", "T x", "T y", "y = 2 * x;")
        double((x,), (y,))

    inputs, outputs  types and names, as in C. All arrays have one size and one order in memory
    code             sets the outputs
    extras           types and names of further arguments, the same for all numbers
    """

    def __init__(self, name: str, inputs: str, outputs: str, code: str, extras: str = ""):
        self.name = name
        ins, outs, more = (
            [tuple(each.split()) for each in given.split(",") if each]
            for given in (inputs, outputs, extras)
        )
        names = [name for _, name in ins + outs]
        extra = [name for _, name in more]
        values = [f"{kind} {name}" for kind, name in ins + more]
        values += [f"{kind}& {name}" for kind, name in outs]
        pointers = [f"const {kind}* {name}_all" for kind, name in ins]
        pointers += [f"{kind}* {name}_all" for kind, name in outs]
        pointers += [f"{kind} {name}" for kind, name in more]
        load = [f"Pack<{k}> {n} = ((const Pack<{k}>*){n}_all)[i];" for k, n in ins]
        load += [f"Pack<{k}> {n};" for k, n in outs]
        store = [f"((Pack<{k}>*){n}_all)[i] = {n};" for k, n in outs]
        inside = len(ins)

        def call(form: str) -> str:
            each = [form.format(name) for name in names]
            return ", ".join(each[:inside] + extra + each[inside:])

        self._sources = [
            SOURCE.format(
                V=V,
                EACH=EACH,
                name=name,
                code=code,
                values=", ".join(values),
                pointers=", ".join(pointers),
                load=" ".join(load),
                store=" ".join(store),
                packs=call("{}.v[k]"),
                rest=call("{}_all[k]"),
            )
            for V in ("1", "16 / sizeof(T)")
        ]

    def __call__(
        self, inputs: tuple[Array, ...], outputs: tuple[Array, ...], *extras: float
    ) -> None:
        """One launch. None if there is no number. The outputs are new arrays."""
        like = inputs[0]
        n = like.size
        if n:
            V = 16 // like.itemsize
            aligned = all(address(array) % (V * array.itemsize) == 0 for array in inputs)
            run = device.kernel(self.name, self._sources[aligned], like)
            blocks = device.blocks(-(-n // V) if aligned else n)
            run(blocks, (device.THREADS,), (*inputs, *outputs, *extras, n))
