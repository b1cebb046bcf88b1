"""Puts record batches of pyarrow into a store and compares what comes out (exchange_with_pyarrow runs it).

Arguments: the library of exchange_batches.cc, and the raylet's socket.
"""
import ctypes
import random
import sys

import pyarrow
from pyarrow import ipc

library = ctypes.CDLL(sys.argv[1])
for function in ["begin", "end", "put", "copy", "get"]:
    getattr(library, f"exchange_{function}").restype = ctypes.c_char_p
SCHEMA_BYTES, ARRAY_BYTES = 72, 80


def check(what, good):
    print(("ok      " if good else "WRONG   ") + what, flush=True)
    if not good:
        sys.exit(1)


def call(function, *arguments):
    """None, or why it failed."""
    why = getattr(library, f"exchange_{function}")(*arguments)
    return why and why.decode()


def put(batch):
    schema, array = ctypes.create_string_buffer(SCHEMA_BYTES), ctypes.create_string_buffer(ARRAY_BYTES)
    batch._export_to_c(ctypes.addressof(array), ctypes.addressof(schema))
    return call("put", schema, array)


def get():
    """The batch that was put last, and whether all of it lies in the store's memory."""
    schema, array = ctypes.create_string_buffer(SCHEMA_BYTES), ctypes.create_string_buffer(ARRAY_BYTES)
    begin, size = ctypes.c_void_p(), ctypes.c_size_t()
    check("a batch is given back", call("get", schema, array, ctypes.byref(begin), ctypes.byref(size)) is None)
    batch = pyarrow.RecordBatch._import_from_c(ctypes.addressof(array), ctypes.addressof(schema))
    batch.validate(full=True)
    buffers = [buffer for column in batch.columns for buffer in column.buffers() if buffer and buffer.size]
    inside = all(begin.value <= buffer.address and buffer.address + buffer.size <= begin.value + size.value
                 for buffer in buffers)
    stream = ctypes.string_at(begin, size.value)
    return batch, inside, stream


def check_batch(what, batch):
    why = put(batch)
    check(f"{what} is taken {why or ''}", why is None)
    out, inside, stream = get()
    check(f"{what} comes out as it went in, in the store's memory", out.equals(batch) and inside)
    with ipc.open_stream(stream) as reader:
        check(f"{what} is a stream of one batch to pyarrow",
              [each.equals(batch) for each in reader] == [True] and reader.schema.equals(batch.schema))
    sink = pyarrow.BufferOutputStream()
    with ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
    written = sink.getvalue()
    why = call("copy", ctypes.c_void_p(written.address), ctypes.c_size_t(written.size))
    check(f"{what} is read as pyarrow has written it {why or ''}", why is None)
    out, inside, _ = get()
    check(f"{what} is the same then", out.equals(batch) and inside)


def some(kind, rows, make, nulls):
    return pyarrow.array([None if nulls and random.random() < 0.2 else make() for _ in range(rows)], kind)


def text():
    return "".join(random.choices("abcö€😀", k=random.randrange(6)))


def batch_of(rows, nulls):
    def number(bits, signed):
        return lambda: random.randrange(-2**(bits - 1) if signed else 0, 2**(bits - 1))
    columns = {f"{'' if signed else 'u'}int{bits}":
               some(getattr(pyarrow, f"{'' if signed else 'u'}int{bits}")(), rows, number(bits, signed), nulls)
               for bits in [8, 16, 32, 64] for signed in [False, True]}

    def strings():
        return [text() for _ in range(random.randrange(3))]

    def pair():
        return {"a": random.random() < 0.5, "b": text()}
    for name, kind, make in [
            ("half", pyarrow.float16(), lambda: random.randrange(100)),
            ("float", pyarrow.float32(), random.random),
            ("double", pyarrow.float64(), random.random),
            ("bool", pyarrow.bool_(), lambda: random.random() < 0.5),
            ("utf8", pyarrow.utf8(), text),
            ("binary", pyarrow.binary(), lambda: text().encode()),
            ("large_utf8", pyarrow.large_utf8(), text),
            ("large_binary", pyarrow.large_binary(), lambda: text().encode()),
            ("fixed", pyarrow.binary(5), lambda: random.randbytes(5)),
            ("date32", pyarrow.date32(), lambda: random.randrange(20000)),
            ("date64", pyarrow.date64(), lambda: random.randrange(20000) * 86400000),
            ("seconds", pyarrow.timestamp("s"), lambda: random.randrange(2**31)),
            ("nanoseconds", pyarrow.timestamp("ns", "Europe/Berlin"), lambda: random.randrange(2**60)),
            ("list", pyarrow.list_(pyarrow.utf8()), strings),
            ("large_list", pyarrow.large_list(pyarrow.utf8()), strings),
            ("struct", pyarrow.struct([("a", pyarrow.bool_()), ("b", pyarrow.utf8())]), pair),
            ("deep", pyarrow.list_(pyarrow.struct([("x", pyarrow.list_(pyarrow.utf8()))])),
             lambda: [{"x": strings()} for _ in range(random.randrange(3))])]:
        columns[name] = some(kind, rows, make, nulls)
    return pyarrow.RecordBatch.from_pydict(columns)


random.seed(1)
check("the program of this process begins", call("begin", sys.argv[2].encode()) is None)
for rows in [0, 1, 7, 64, 1000]:
    for nulls in [False, True]:
        table = batch_of(rows, nulls)
        check_batch(f"a batch of {rows} rows, {'with' if nulls else 'without'} nulls,", table)
        if rows > 4:
            check_batch(f"a slice of it", table.slice(3, rows - 4))
check_batch("a batch without columns", pyarrow.RecordBatch.from_pydict({}))
for kind, value in [(pyarrow.decimal128(10, 2), 1), (pyarrow.null(), None), (pyarrow.time32("s"), 1),
                    (pyarrow.duration("s"), 1), (pyarrow.map_(pyarrow.utf8(), pyarrow.utf8()), []),
                    (pyarrow.dictionary(pyarrow.int8(), pyarrow.utf8()), "x"), (pyarrow.list_(pyarrow.utf8(), 1), ["x"]),
                    (pyarrow.string_view(), "x")]:
    refused = pyarrow.RecordBatch.from_pydict({"odd one": pyarrow.array([value], kind)})
    why = put(refused)
    check(f"{kind} is refused by name", why is not None and "column 'odd one'" in why)
    sink = pyarrow.BufferOutputStream()
    with ipc.new_stream(sink, refused.schema) as writer:
        writer.write_batch(refused)
    written = sink.getvalue()
    why = call("copy", ctypes.c_void_p(written.address), ctypes.c_size_t(written.size))
    check(f"{kind} is refused in a stream", why is not None and "column 'odd one'" in why)
check("it ends well", call("end") is None)
