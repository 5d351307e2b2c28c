"""Damaged checkpoints, made from the bytes of a good one. The same bytes give the same files.

`damaged` gives files that must be refused, or read with the same contents. `misfits` gives files
that are whole, and whose contents are not what the model needs. The zip and .npy formats are
written here anew, so that a file can be wrong in one thing only.
"""

import gzip
import io
import json
import pickle
import struct
import zipfile
import zlib
from dataclasses import dataclass, replace

import numpy as np


@dataclass(frozen=True)
class Part:
    """One member of a zip file. A field that is not None says something untrue about it."""

    name: bytes
    content: bytes
    crc: int | None = None
    size: int | None = None
    packed: int | None = None
    start: int | None = None
    flags: int = 0x800
    method: int = 0
    made_by: int = 20
    attributes: int = 0
    extra: bytes = b""
    comment: bytes = b""
    local_name: bytes | None = None


def pack(parts, end=None, comment=b"", between=b""):
    """The zip file of the parts. `end` changes numbers of the end record: {position: value}."""
    out, directory = b"", b""
    for part in parts:
        crc = zlib.crc32(part.content) if part.crc is None else part.crc
        size = len(part.content) if part.size is None else part.size
        packed = len(part.content) if part.packed is None else part.packed
        start = len(out) if part.start is None else part.start
        about = (20, part.flags, part.method, 0, 33, crc, packed, size)
        local = part.name if part.local_name is None else part.local_name
        out += struct.pack("<L5H3L2H", 0x04034B50, *about, len(local), len(part.extra))
        out += local + part.extra + part.content + between
        directory += struct.pack(
            "<L6H3L5H2L",
            *(0x02014B50, part.made_by, *about, len(part.name), len(part.extra)),
            *(len(part.comment), 0, 0, part.attributes, start),
        )
        directory += part.name + part.extra + part.comment
    numbers = [0, 0, len(parts), len(parts), len(directory), len(out), len(comment)]
    for position, value in (end or {}).items():
        numbers[position] = value
    return out + directory + struct.pack("<L4H2LH", 0x06054B50, *numbers) + comment


def unpack(content):
    """The parts of a good file."""
    with zipfile.ZipFile(io.BytesIO(content)) as file:
        return [Part(i.filename.encode(), file.read(i)) for i in file.infolist()]


def npy(array):
    """An .npy file from NumPy itself."""
    out = io.BytesIO()
    np.lib.format.write_array(out, np.asarray(array), allow_pickle=True)
    return out.getvalue()


def npy_with(text, numbers, version=(1, 0), length=None, magic=b"\x93NUMPY"):
    """An .npy file with any text as its header."""
    text = text.encode("latin-1")
    text += b" " * (-(len(text) + 11) % 64) + b"\n"
    length = len(text) if length is None else length
    size = length.to_bytes(2 if version == (1, 0) else 4, "little")
    return magic + bytes(version) + size + text + numbers


def damaged(content, seed=0):
    """(what was done, bytes) for each damaged file: more than 600 of them."""
    parts = unpack(content)
    assert pack(parts) == content, "the format is written here as the package writes it"
    yield from cut(content, seed)
    yield from flipped(content, seed)
    yield from moved(content, seed)
    yield from zipped(parts)
    yield from arrays(parts)
    yield from meta(parts)
    yield from other_files(parts)


def places(content):
    """Where each kind of bytes is: {kind: [(start, end), ...]}."""
    with zipfile.ZipFile(io.BytesIO(content)) as file:
        infos = file.infolist()
        directory = file.start_dir
    found = {"local header": [], "array header": [], "numbers": []}
    for info in infos:
        start = info.header_offset + 30 + len(info.filename.encode())
        head = start + 10 + int.from_bytes(content[start + 8 : start + 10], "little")
        end = start + info.file_size
        kind = "meta" if info.filename == "meta.npy" else "numbers"
        found["local header"].append((info.header_offset, start))
        found["array header"].append((start, head))
        if head < end:
            found.setdefault(kind, []).append((head, end))
    found["directory"] = [(directory, len(content) - 22)]
    found["end record"] = [(len(content) - 22, len(content))]
    return found


def cut(content, seed):
    """Too short, as after a crash or a broken download; or too long."""
    rng = np.random.default_rng(seed)
    size = len(content)
    edges = {edge for spans in places(content).values() for span in spans for edge in span}
    edges = sorted({edge + i for edge in edges for i in (-1, 0, 1)})
    if len(edges) > 60:
        edges = sorted(rng.choice(edges, 60, replace=False).tolist())
    for length in sorted({*range(12), *edges, *rng.integers(0, size, 40).tolist(), size - 1}):
        if length < size:
            yield f"cut to {length} bytes", content[:length]
            if length:
                yield f"the first {length} bytes lost", content[length:]
                yield f"zeros from byte {length}", content[:length] + bytes(size - length)
    yield "a byte too long", content + b"\0"
    yield "a page too long", content + bytes(4096)
    yield "a byte in front", b"\0" + content
    yield "twice", content + content


def flipped(content, seed, each=30):
    """Single bits and bytes that are wrong, in every kind of place."""
    rng = np.random.default_rng(seed + 1)
    for kind, spans in places(content).items():
        for _ in range(each):
            start, end = spans[rng.integers(len(spans))]
            at = int(rng.integers(start, end))
            bit = int(rng.integers(8))
            yield f"bit {bit} of byte {at}, {kind}", changed(content, at, content[at] ^ 1 << bit)
            other = (content[at] + int(rng.integers(1, 256))) % 256
            yield f"byte {at}, {kind}", changed(content, at, other)
        for value in (0, 255):
            start, end = spans[rng.integers(len(spans))]
            run = bytes([value]) * (end - start)
            yield f"{kind}: all bytes are {value}", content[:start] + run + content[end:]


def changed(content, at, value):
    return content[:at] + bytes([value]) + content[at + 1 :]


def moved(content, seed):
    """Bytes lost, put in, exchanged."""
    rng = np.random.default_rng(seed + 2)
    size = len(content)
    for _ in range(15):
        at = int(rng.integers(size))
        n = int(rng.integers(1, 20))
        yield f"{n} bytes lost at {at}", content[:at] + content[at + n :]
        yield f"{n} bytes put in at {at}", content[:at] + rng.bytes(n) + content[at:]
        a, b = sorted(rng.integers(size, size=2).tolist())
        yield f"turned at {a} and {b}", content[:a] + content[b:] + content[a:b]


def zipped(parts):
    """Wrong as a zip file: bombs, duplicates, names that escape, flags, sizes."""
    first, *rest = parts
    last = rest[-1]
    before = parts[:-1]

    def with_last(**untrue):
        return pack([*before, replace(last, **untrue)])

    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as file:
        for part in parts:
            file.writestr(part.name.decode(), part.content)
    yield "compressed", out.getvalue()
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr(first.name.decode(), first.content)
        file.writestr(last.name.decode(), bytes(50_000_000))
    yield "a bomb, compressed 1 : 1000", out.getvalue()
    deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
    bomb = deflate.compress(bytes(20_000_000)) + deflate.flush()
    zeros = zlib.crc32(bytes(20_000_000))
    yield "a bomb in our layout", with_last(content=bomb, method=8, size=20_000_000, crc=zeros)
    yield "a bomb that says it is stored", with_last(content=bomb, size=20_000_000, crc=zeros)
    for size in (0, 1, len(last.content) - 1, len(last.content) + 1, 2**31, 2**32 - 1):
        yield f"size {size}", with_last(size=size, packed=size)
        yield f"unpacked size {size}", with_last(size=size)
        yield f"packed size {size}", with_last(packed=size)
    for start in (0, 1, 2**31, 2**32 - 1):
        yield f"start {start}", with_last(start=start)
    yield "all members are one place", pack([replace(part, start=0) for part in parts])
    quine = [replace(last, name=b"x%d.npy" % i, start=0) for i in range(50)]
    yield "overlapping members", pack([first, *quine])
    yield (
        "overlapping members, 20,000 of them",
        pack(
            [first]
            + [Part(b"x%d.npy" % i, b"", start=0, size=10**6, packed=10**6) for i in range(20_000)]
        ),
    )
    yield "a duplicate", pack([*parts, last])
    yield "a duplicate with other numbers", pack([*parts, replace(last, content=npy(np.ones(3)))])
    yield "two metas", pack([first, *parts])
    for name in ESCAPING:
        yield f"the name {name!r}", with_last(name=name)
    yield "another name in the local header", with_last(local_name=b"x" * len(last.name))
    yield "a longer name in the local header", with_last(local_name=last.name + b"x")
    yield "encrypted", with_last(flags=0x801)
    yield "encrypted strongly", with_last(flags=0x841)
    yield "with a data descriptor", with_last(flags=0x808)
    for flags in (0, 2, 0x2000, 0x8800):
        yield f"flags {flags:#x}", with_last(flags=flags)
    for method in (1, 8, 9, 12, 14, 93, 95, 99, 0xFFFF):
        yield f"method {method}", with_last(method=method)
    yield "a symbolic link", with_last(made_by=0x314, attributes=0o120777 << 16)
    yield "a folder", with_last(attributes=0x10)
    yield "a device", with_last(made_by=0x314, attributes=0o060666 << 16)
    yield "a comment for a member", with_last(comment=b"hello")
    yield "a comment", pack(parts, comment=b"hello")
    yield "a comment with an end record", pack(parts, comment=pack([]))
    yield "gaps between the members", pack(parts, between=b"\0")
    zip64 = struct.pack("<2H2Q", 1, 16, len(last.content), len(last.content))
    yield "zip64 sizes", with_last(extra=zip64, size=2**32 - 1, packed=2**32 - 1)
    yield (
        "zip64 nonsense",
        with_last(extra=struct.pack("<2H2Q", 1, 16, 2**63, 2**63), size=2**32 - 1),
    )
    yield "zip64 cut", with_last(extra=b"\1\0\xff\xff", size=2**32 - 1)
    yield "an extra field", with_last(extra=b"\x99\x99\4\0abcd")
    whole = pack(parts)
    locator = struct.pack("<LLQL", 0x07064B50, 0, 2**60, 1)
    yield "a zip64 locator", whole[:-22] + locator + whole[-22:]
    record = struct.pack("<LQ2H2L4Q", 0x06064B50, 44, 45, 45, 0, 0, 2**40, 2**40, 2**50, 2**50)
    yield "a zip64 end record", whole[:-22] + record + locator + whole[-22:]
    for position in range(7):
        for value in (1, 0xFFFF):
            yield f"end record: number {position} is {value}", pack(parts, {position: value})
    yield "no members", pack([])
    yield "no directory", pack(parts, {2: 0, 3: 0, 4: 0})
    yield "half of the members in the end record", pack(parts, {2: len(parts) // 2})


ESCAPING = [
    *(b"../x.npy", b"a/../../x.npy", b"a/../x.npy", b"/etc/x.npy", b"//host/x.npy", b"./x.npy"),
    *(b"..\\x.npy", b"a\\b.npy", b"C:x.npy", b"C:/x.npy", b"c:\\x.npy", b"a//b.npy", b"a/.npy"),
    *(b"x\0.npy", b"x.npy\0", b"\0", b"x\n.npy", b"\x1b[31m.npy", b"x.npy/", b"/", b"", b"."),
    *(b"..", b".npy", b"x", b"x.txt", b"x.pkl", b"data.pkl", b"x.npy.npy", b"x.NPY", b"meta"),
    *(b"\xff\xfe.npy", b"\xed\xa0\x80.npy", b"\xc0\xae\xc0\xae/x.npy", b"a" * 300 + b".npy"),
    *(b"a" * 60_000 + b".npy", b"\xc2\x85.npy"),
]


TRACE = []  # of programs in pickles that were run


class Harmful:
    """Its pickle runs a program that leaves a trace."""

    def __reduce__(self):
        return TRACE.append, (1,)


def arrays(parts):
    """A member that is no array of the allowed kinds, or whose header is untrue."""
    *before, last = parts
    four = np.arange(4, dtype="<f4").tobytes()

    def of(content):
        return pack([*before, replace(last, content=content)])

    def said(descr="'<f4'", order="False", shape="(4,)", numbers=four, end=", }", **more):
        text = f"{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}{end}"
        return of(npy_with(text, numbers, **more))

    yield "objects", of(npy(np.array([{}, None], object)))
    yield "an object with a program", of(npy(np.array([Harmful()], object)))
    yield "a pickle", of(pickle.dumps([1, 2]))
    yield "a pickle as an array's numbers", said("'|O'", shape="(1,)", numbers=pickle.dumps([1]))
    yield "a structure", of(npy(np.zeros(2, [("a", "f4"), ("b", "O")])))
    yield "a structure of numbers", of(npy(np.zeros(2, [("a", "f4"), ("b", "i4")])))
    for kind in "f2 >f4 >i8 c8 c16 S3 U3 M8[s] m8[s] V4 g".split():
        yield f"type {kind}", of(npy(np.zeros(2, kind)))
    yield "Fortran's order", of(npy(np.asfortranarray(np.ones((2, 3)))))
    for descr in ("'<f5'", "'=f4'", "'|f4'", "'<b1'", "'f4'", "'<f4 '", "'<f44'", "None", "5"):
        yield f"type {descr}", said(descr)
    for descr in ("[('a', '<f4')]", "__import__('os')", "'<f4' * 9**9", "'(2,)<f4'", "'|O'"):
        yield f"type {descr}", said(descr)
    for order in ("True", "0", "None", "'False'"):
        yield f"order {order}", said(order=order)
    for shape in "(3,) (5,) () (4) [4] (-4,) (2,-2) (4,0) (4L,) (4.0,) (2,2) (04,) (4,1)".split():
        yield f"shape {shape} for 4 numbers", said(shape=shape)
    for n in (2**31, 2**62, 2**63, 2**64, 10**30, 10**300):
        yield f"shape of {n}", said(shape=f"({n},)")
        if n > 2**48:  # a smaller array without numbers is right
            yield f"shape of {n} and 0", said(shape=f"(0, {n})", numbers=b"")
    yield "a product that overflows to 4", said(shape=f"({2**32}, {2**32}, 4)")
    yield "40 axes", said(shape=str((1,) * 39 + (4,)))
    yield "400 axes", said(shape=str((1,) * 399 + (4,)))
    yield "nested parentheses", said(shape="(" * 200 + "4" + ")" * 200)
    yield "many nested parentheses", said(shape="(" * 20_000)
    yield "a long integer", said(shape="(" + "9" * 60_000 + ",)")
    yield "a key more", said(end=", 'x': 1, }")
    yield "a key twice", said(end=", 'shape': (4,), }")
    yield "no end", said(end="")
    yield "a program after the header", said(end=", }; import os")
    yield "other spaces", said(end="}")
    yield "no keys", of(npy_with("{}", four))
    yield "no header", of(npy_with("", four))
    yield "numbers missing", said(numbers=four[:-1])
    yield "numbers too many", said(numbers=four + b"\0")
    yield "no numbers", said(numbers=b"")
    yield "a bool of 2", said("'|b1'", numbers=b"\0\1\2\1")
    for version in ((0, 0), (2, 0), (3, 0), (1, 1), (255, 255)):
        yield f"version {version}", said(version=version)
    for length in (0, 1, 53, 55, 2**16 - 1):
        yield f"header of {length} bytes", said(length=length)
    yield "another magic", said(magic=b"\x93NUMPX")
    yield "an empty member", of(b"")
    yield "a short member", of(b"\x93NUMPY\1")
    yield "text", of(b"hello" * 100)
    yield "a zip file in the zip file", of(pack(parts))


def meta(parts):
    """A meta that is no strict JSON, or not the one object."""
    first, *rest = parts
    good = json.loads(first.content[10 + int.from_bytes(first.content[8:10], "little") :])

    def of(array):
        return pack([replace(first, content=npy(array)), *rest])

    def text(value):
        return of(np.frombuffer(value.encode("utf-8", "surrogatepass"), np.uint8))

    inside = json.dumps(good)[1:-1]
    for name, value in (
        *(("NaN", "NaN"), ("an infinity", "-Infinity"), ("a huge float", "1e999")),
        *(("a huge integer", "9" * 200), ("a very huge integer", "9" * 100_000)),
        *(("a huge negative integer", "-" + "9" * 5000), ("half a character", r'"\ud800"')),
        *(("a string without end", '"abc'), ("a control character", '"\n"')),
        *(("a program", "__import__('os')"), ("a comment", "1 /* x */"), ("nothing", "")),
        *(("deep", "[" * 60 + "]" * 60), ("very deep", "[" * 10**5 + "]" * 10**5)),
        *(("deep and open", "[" * 10**6), ("deep objects", '{"a":' * 10**5 + "1" + "}" * 10**5)),
    ):
        yield f"meta with {name}", text(f'{{{inside}, "more": {value}}}')
    yield "meta with a key twice", text(f"{{{inside}, {inside}}}")
    yield "meta with a key twice inside", text(f'{{{inside}, "x": {{"a": 1, "a": 1}}}}')
    for value in ("[]", "1", "null", '"a"', "{}", "", " ", "[[", "\0", "\ufeff{}", "NaN"):
        yield f"meta is {value!r}", text(value)
    for value in ('"1"', "1.0", "true", "null", "[1]", "NaN"):
        yield f"format is {value}", text(json.dumps(good | {"format": 0}).replace("0", value, 1))
    yield "meta is not UTF-8", of(np.frombuffer(json.dumps(good).encode("utf-16"), np.uint8))
    yield "meta has bytes above 127", of(np.full(100, 200, np.uint8))
    yield "meta of floats", of(np.ones(3))
    yield "meta of signed bytes", of(np.frombuffer(json.dumps(good).encode(), np.int8))
    yield "meta is a table", of(np.frombuffer(json.dumps(good).encode(), np.uint8)[None])
    yield "meta is objects", of(np.array([good], object))
    yield "meta is text", of(np.array(json.dumps(good)))
    yield "meta is empty", of(np.zeros(0, np.uint8))
    yield "meta is last", pack([*rest, first])
    yield "no meta", pack(rest)
    yield "only half of a meta", text(json.dumps(good)[: len(inside) // 2])


def other_files(parts):
    """Files of other programs."""
    first, *rest = parts
    yield "empty", b""
    yield "a pickle file", pickle.dumps({"a": 1})
    yield "an old pickle file", pickle.dumps({"a": 1}, protocol=0)
    yield "text", b"hello\n" * 100
    yield "a JSON history", b'{"epoch": [1, 2], "train_loss": [0.1, 0.2]}'
    yield "a JSON list", b" [null]"
    yield "one array", npy(np.ones(3))
    out = io.BytesIO()
    np.savez(out, W=np.ones(3))
    yield "an .npz without meta", out.getvalue()
    out = io.BytesIO()
    np.savez_compressed(out, meta=np.frombuffer(b'{"format": 1}', np.uint8), W=np.ones(3))
    yield "an .npz that is compressed", out.getvalue()
    out = io.BytesIO()
    np.savez(out, meta=np.frombuffer(b'{"format": 1}', np.uint8), W=np.ones(3))
    yield "an .npz that looks alike", out.getvalue()
    pt = [Part(b"net/data.pkl", pickle.dumps({})), Part(b"net/data/0", bytes(64))]
    yield "a PyTorch file", pack([*pt, Part(b"net/version", b"3\n")])
    yield "another zip file", pack([Part(b"hello.txt", b"hello")])
    yield "a gzip file", gzip.compress(pack(parts))
    header = b'{"W":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}'
    yield "a safetensors file", len(header).to_bytes(8, "little") + header + bytes(4)
    yield "zeros", bytes(1000)


def misfits(content):
    """(what was done, bytes): whole files in which one array is missing, new or different."""
    parts = unpack(content)
    for i, part in enumerate(parts[1:], 1):
        array = np.load(io.BytesIO(part.content))
        name = part.name.decode()
        others = parts[:i], parts[i + 1 :]
        values = {"one more axis": array[None], "another type": array.astype("int16")}
        if array.ndim:
            values["one row less"] = array[1:]
            values["a row twice"] = np.concatenate([array, array[:1]])
        if array.dtype.kind == "f" and array.size:
            for bad in (np.nan, np.inf, -np.inf):
                values[str(bad)] = array.copy()
                values[str(bad)].flat[-1] = bad
            values["another precision"] = array.astype("f8" if array.itemsize == 4 else "f4")
        yield f"{name} missing", pack([*others[0], *others[1]])
        yield (
            f"{name} under another name",
            pack([*others[0], replace(part, name=b"x.npy"), *others[1]]),
        )
        for what, value in values.items():
            new = replace(part, content=npy(np.ascontiguousarray(value).reshape(value.shape)))
            yield f"{name}: {what}", pack([*others[0], new, *others[1]])
    yield "one array more", pack([*parts, Part(b"more.npy", npy(np.ones(3)))])
