"""Matrix products."""
import numpy as np
from cases_binary import BF16, numbers

TYPES = [np.float32, np.float64, np.float16, BF16, np.int16, np.int32, np.int64, np.complex64, np.complex128]


def turned(shape, transposed):
    return shape[:-2] + (shape[-1], shape[-2]) if transposed else shape


def cases():
    rng = np.random.RandomState(5)
    for dtype in TYPES:
        options = {"tolerance": 3.0}
        for m, k, n in [(2, 3, 4), (1, 5, 1), (17, 9, 33), (1, 40, 7), (0, 3, 2), (2, 0, 3), (2, 3, 0)]:
            for ta in (False, True):
                for tb in (False, True):
                    a, b = numbers(rng, dtype, turned((m, k), ta)), numbers(rng, dtype, turned((k, n), tb))
                    yield "MatMul", {"transpose_a": ta, "transpose_b": tb}, [a, b], options
        for op in ("BatchMatMul", "BatchMatMulV2", "BatchMatMulV3"):
            for ta in (False, True):
                for tb in (False, True):
                    for la, lb in [((2,), (2,)), ((2, 3), (2, 3)), ((), ()), ((3, 1), (2,)), ((2,), ()), ((0,), (1,))]:
                        if op == "BatchMatMul" and la != lb:
                            continue
                        a, b = numbers(rng, dtype, turned(la + (2, 3), ta)), numbers(rng, dtype, turned(lb + (3, 4), tb))
                        attrs = {"adj_x": ta, "adj_y": tb}
                        if op == "BatchMatMulV3":
                            attrs["Tout"] = np.dtype(dtype).name
                        yield op, attrs, [a, b], options
    for a, b, out in [(np.int8, np.int8, "int32"), (np.uint8, np.int8, "int32"), (np.int8, np.uint8, "int32"), (np.uint8, np.uint8, "int32"),
                      (BF16, np.int8, "bfloat16"), (np.uint8, BF16, "bfloat16")]:
        yield "BatchMatMulV3", {"Tout": out}, [numbers(rng, a, (2, 3, 4)), numbers(rng, b, (4, 5))]
    f = np.float32
    yield "MatMul", {}, [numbers(rng, f, (2, 3)), numbers(rng, f, (4, 5))]
    yield "MatMul", {}, [numbers(rng, f, (3,)), numbers(rng, f, (3, 5))]
    yield "BatchMatMulV2", {}, [numbers(rng, f, (2, 2, 3)), numbers(rng, f, (3, 3, 5))]
    yield "BatchMatMulV2", {}, [numbers(rng, f, (2, 3)), numbers(rng, f, (3,))]
    yield "MatMul", {}, [numbers(rng, f, (130, 300)), numbers(rng, f, (300, 270))], {"tolerance": 3.0}
    yield "MatMul", {}, [np.array([[2**31 - 1, 2]], np.int32), np.array([[3], [5]], np.int32)]
    yield "MatMul", {}, [np.array([[np.inf, 1]], f), np.array([[0, 1], [1, np.nan]], f)]
    for a in (np.float32, BF16):
        for b in (np.float32, BF16):
            for ta in (False, True):
                for tb in (False, True):
                    operands = [numbers(rng, a, turned((3, 4), ta)), numbers(rng, b, turned((4, 2), tb))]
                    yield "SparseMatMul", {"transpose_a": ta, "transpose_b": tb, "a_is_sparse": ta}, operands, {"tolerance": 3.0}
