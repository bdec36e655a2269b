"""Diagonals and bands."""
import numpy as np
from cases_binary import NUMBERS, numbers

ALIGNS = ("LEFT_LEFT", "LEFT_RIGHT", "RIGHT_LEFT", "RIGHT_RIGHT")
F = np.float32


def packed(rng, rows, cols, lower, upper, lead=(2,), dtype=F):
    width = min(rows + min(upper, 0), cols - max(lower, 0))
    return numbers(rng, dtype, lead + ((upper - lower + 1,) if lower != upper else ()) + (width,))


def i32(*v):
    return np.array(v if len(v) > 1 else v[0], np.int32)


BANDS = [(3, 4, 0, 0), (3, 4, 1, 1), (3, 4, -1, -1), (3, 4, -1, 2), (4, 3, -2, 1), (4, 3, 0, 2), (3, 3, -2, 2), (5, 2, -4, -3), (2, 5, 3, 4), (1, 1, 0, 0)]


def cases():
    rng = np.random.RandomState(12)
    for dtype in NUMBERS + [np.bool_]:
        zero, one = np.zeros([], dtype), np.ones([], dtype)
        yield "MatrixDiag", {}, [numbers(rng, dtype, (2, 3))]
        yield "MatrixDiagPart", {}, [numbers(rng, dtype, (2, 3, 4))]
        yield "MatrixSetDiag", {}, [numbers(rng, dtype, (2, 3, 4)), numbers(rng, dtype, (2, 3))]
        yield "MatrixDiagV3", {}, [packed(rng, 3, 3, -1, 1, dtype=dtype), i32(-1, 1), i32(-1), i32(-1), one]
        yield "MatrixDiagPartV3", {}, [numbers(rng, dtype, (2, 3, 4)), i32(-1, 1), one]
        yield "MatrixSetDiagV3", {}, [numbers(rng, dtype, (2, 3, 4)), packed(rng, 3, 4, -1, 1, dtype=dtype), i32(-1, 1)]
        yield "MatrixBandPart", {}, [numbers(rng, dtype, (2, 3, 4)), np.int64(1), np.int64(0)]
        if dtype in (np.float32, np.int32, np.complex64):
            yield "Diag", {}, [numbers(rng, dtype, (3,))]
            yield "Diag", {}, [numbers(rng, dtype, (2, 3))]
            yield "DiagPart", {}, [numbers(rng, dtype, (3, 3))]
            yield "DiagPart", {}, [numbers(rng, dtype, (2, 3, 2, 3))]
    for rows, cols, lower, upper in BANDS:
        k = i32(lower, upper) if lower != upper else i32(lower)
        for lead in ((), (2, 2)):
            diagonals, matrix = packed(rng, rows, cols, lower, upper, lead), numbers(rng, F, lead + (rows, cols))
            for align in ALIGNS:
                attrs = {"align": align}
                yield "MatrixDiagV3", attrs, [diagonals, k, i32(rows), i32(cols), F(7)]
                yield "MatrixDiagV3", attrs, [diagonals, k, i32(-1), i32(-1), F(0)]
                yield "MatrixDiagPartV3", attrs, [matrix, k, F(9)]
                yield "MatrixSetDiagV3", attrs, [matrix, diagonals, k]
            yield "MatrixDiagV2", {}, [diagonals, k, i32(rows), i32(cols), F(7)]
            yield "MatrixDiagV2", {}, [diagonals, k, i32(rows), i32(-1), F(7)]
            yield "MatrixDiagV2", {}, [diagonals, k, i32(-1), i32(cols), F(7)]
            yield "MatrixDiagPartV2", {}, [matrix, k, F(9)]
            yield "MatrixSetDiagV2", {}, [matrix, diagonals, k]
    m = numbers(rng, F, (3, 4))
    for k in (i32(4), i32(-3), i32(1, 0), i32(1, 2, 3)):
        yield "MatrixDiagPartV3", {}, [m, k, F(0)]
    yield "MatrixDiagV3", {}, [numbers(rng, F, (3,)), i32(0), i32(2), i32(2), F(0)]
    yield "MatrixDiagV3", {}, [numbers(rng, F, (3,)), i32(0), i32(5), i32(5), F(0)]
    yield "MatrixSetDiagV3", {}, [m, numbers(rng, F, (4,)), i32(0)]
    yield "MatrixDiag", {}, [np.float32(3)]
    yield "MatrixDiagPart", {}, [numbers(rng, F, (3,))]
    yield "MatrixDiag", {}, [np.zeros([0, 3], F)]
    yield "MatrixDiagPart", {}, [np.zeros([2, 0, 3], F)]
    for lower in (-1, 0, 1, 3, 4):
        for upper in (-1, 0, 2, 4, 5):
            yield "MatrixBandPart", {}, [numbers(rng, F, (2, 3, 4)), np.int64(lower), np.int64(upper)]
    yield "MatrixBandPart", {}, [np.zeros([0, 3, 4], F), np.int32(1), np.int32(1)]
    yield "MatrixBandPart", {}, [np.zeros([3], F), np.int32(1), np.int32(1)]
    yield "Diag", {}, [np.zeros([0], F)]
    yield "Diag", {}, [F(3)]
    yield "DiagPart", {}, [np.zeros([3, 2], F)]
    yield "DiagPart", {}, [np.zeros([3, 3, 3], F)]
