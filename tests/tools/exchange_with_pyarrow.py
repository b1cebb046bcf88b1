"""Reads arrays out of a store with pyarrow, and has C++ read what pyarrow wrote (exchange_with_pyarrow runs it).

Arguments: the store's socket, a folder for files, objstat, and the program with its arguments.
"""
import json
import mmap
import os
import subprocess
import sys

import numpy
import pyarrow

store, folder, objstat = sys.argv[1:4]
program = subprocess.Popen(sys.argv[4:], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def map_arena():
    """The store's memory, read-only, by a descriptor that the program has of it."""
    descriptors = f"/proc/{program.pid}/fd"
    for name in os.listdir(descriptors):
        if os.readlink(f"{descriptors}/{name}").startswith("/memfd:plasma-arena"):
            with open(f"{descriptors}/{name}", "rb") as arena:
                return mmap.mmap(arena.fileno(), 0, prot=mmap.PROT_READ)
    sys.exit("the program has no descriptor of the store's memory")


def check(what, good):
    print(("ok      " if good else "WRONG   ") + what, flush=True)
    if not good:
        sys.exit(1)


def address(buffer):
    return numpy.frombuffer(buffer, numpy.uint8).__array_interface__["data"][0]


def read_arrays():
    lines = []
    for line in iter(program.stdout.readline, ""):
        if line == "ready\n":
            break
        lines.append(line.split())
    check(f"{len(lines)} arrays were made", len(lines) == 11)
    arena = map_arena()
    begin = address(arena)
    for dtype, shape, object_id in lines:
        sizes = [] if shape == "-" else [int(size) for size in shape.split("x")]
        wanted = numpy.arange(numpy.prod(sizes, dtype=int)).reshape(sizes) % 100
        if dtype == "bool":
            dtype, wanted = "uint8", numpy.array([1, 0, 1, 1])
        where = json.loads(subprocess.check_output([objstat, "-s", store, "show", object_id, "--json"]))
        message = memoryview(arena)[where["offset"]:where["offset"] + where["data_bytes"]]
        tensor = pyarrow.ipc.read_tensor(pyarrow.py_buffer(message))
        array = tensor.to_numpy()
        good = array.dtype == dtype and array.shape == tuple(sizes) and numpy.array_equal(array, wanted)
        inside = begin <= array.__array_interface__["data"][0] <= begin + len(arena)
        check(f"pyarrow reads {dtype} {shape} in the store's memory, without a copy",
              good and (inside or array.size == 0))
        path = os.path.join(folder, object_id)
        subprocess.check_call([objstat, "-s", store, "dump", object_id, "-o", path])
        dumped = pyarrow.ipc.read_tensor(pyarrow.memory_map(path)).to_numpy()
        check(f"pyarrow reads {dtype} {shape} that objstat has dumped", numpy.array_equal(dumped, wanted))


def ask(dtype, array, names=None):
    path = os.path.join(folder, "tensor")
    with pyarrow.OSFile(path, "wb") as file:
        pyarrow.ipc.write_tensor(pyarrow.Tensor.from_numpy(array, dim_names=names), file)
    program.stdin.write(f"{dtype} {path}\n")
    program.stdin.flush()
    return program.stdout.readline().strip()


def write_arrays():
    for dtype in ["int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float32", "float64"]:
        for shape in [(), (1,), (5,), (2, 3), (0, 4), (100, 1), (2, 2, 2, 2, 2, 2, 2, 2)]:
            array = (numpy.arange(numpy.prod(shape, dtype=int)) % 50).reshape(shape).astype(dtype)
            answer = ask(dtype, array)
            text = "x".join(map(str, shape)) or "-"
            check(f"C++ reads {dtype} {text} of pyarrow's", answer == f"{text} {array.sum():.6f}")
    square = numpy.arange(12, dtype="float64").reshape(3, 4)
    check("C++ reads a tensor with names", ask("float64", square, ["row", "column"]) == "3x4 66.000000")
    check("C++ reads every second column", ask("float64", square[:, ::2]) == "3x2 30.000000")
    for what, dtype, array, why in [
            ("column by column", "float64", numpy.asfortranarray(square), "do not lie row by row"),
            ("of 16-bit floats", "float32", square.astype("float16"), "its elements are neither"),
            ("of another type", "float32", square, "this is an array of float64"),
            ("of nine dimensions", "int8", numpy.zeros([1] * 9, "int8"), "9 dimensions")]:
        answer = ask(dtype, array)
        check(f"C++ refuses a tensor {what}", answer.startswith("refused: ") and why in answer)


read_arrays()
write_arrays()
program.stdin.close()
check("the program ends well", program.wait(timeout=60) == 0)
