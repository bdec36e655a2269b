"""Linear algebra: factors, solutions, decompositions."""
import numpy as np
from cases_binary import numbers

FULL = [np.float32, np.float64, np.complex64, np.complex128]
NEAR = {"tolerance": 40.0}


def regular(rng, dtype, shape):
    """Matrices far from singular."""
    return (numbers(rng, dtype, shape) + 6 * np.eye(shape[-2], shape[-1])).astype(dtype)


def hermitian(rng, dtype, lead, n):
    a = numbers(rng, dtype, lead + (n, n))
    return (a @ np.conj(np.swapaxes(a, -1, -2)) + np.eye(n)).astype(dtype)


def triangular_factors(rng):
    for dtype in FULL:
        for lead, n in [((), 3), ((2,), 4), ((2, 2), 1), ((0,), 3), ((), 0), ((), 20)]:
            a = regular(rng, dtype, lead + (n, n))
            yield "Cholesky", {}, [hermitian(rng, dtype, lead, n)], NEAR
            yield "MatrixDeterminant", {}, [numbers(rng, dtype, lead + (min(n, 4),) * 2)], NEAR
            yield "LogMatrixDeterminant", {}, [a], NEAR
            yield "Lu", {"output_idx_type": "int64" if n == 3 else "int32"}, [numbers(rng, dtype, lead + (n, n))], NEAR
            for adjoint in (False, True):
                yield "MatrixInverse", {"adjoint": adjoint}, [a], NEAR
                yield "MatrixSolve", {"adjoint": adjoint}, [a, numbers(rng, dtype, lead + (n, 2))], NEAR
                for lower in (False, True):
                    yield "MatrixTriangularSolve", {"adjoint": adjoint, "lower": lower}, [a, numbers(rng, dtype, lead + (n, 2))], NEAR
        for shape in [(5, 3), (3, 5), (4, 4), (2, 5, 3)]:
            for fast in (True, False):
                rhs = numbers(rng, dtype, shape[:-1] + (2,))
                yield "MatrixSolveLs", {"fast": fast}, [regular(rng, dtype, shape), rhs, np.float64(0.5 if fast else 0.0)], NEAR
    f = np.float32
    yield "MatrixTriangularSolve", {}, [regular(rng, f, (2, 1, 3, 3)), numbers(rng, f, (4, 3, 2))], NEAR
    for op in ("Cholesky", "MatrixInverse", "Lu"):
        if op != "Cholesky":  # which leaves its result uninitialised
            yield op, {}, [np.array([[1, 2], [2, 4]], f)]
        yield op, {}, [numbers(rng, f, (2, 3))]
        yield op, {}, [numbers(rng, f, (3,))]
    yield "MatrixInverse", {}, [np.zeros([2, 2], f)]
    yield "MatrixDeterminant", {}, [np.zeros([2, 2], f)]
    yield "LogMatrixDeterminant", {}, [np.zeros([2, 2], f)]
    yield "MatrixSolve", {}, [np.zeros([2, 2], f), np.zeros([2, 1], f)]
    yield "MatrixSolve", {}, [regular(rng, f, (3, 3)), np.zeros([2, 1], f)]
    yield "MatrixTriangularSolve", {}, [np.array([[1, 0], [1, 0]], f), np.zeros([2, 1], f)]
    yield "MatrixInverse", {}, [regular(rng, np.float16, (3, 3))], NEAR


def orthogonal(rng):
    for dtype in FULL:
        for shape in [(3, 3), (4, 2), (2, 4), (2, 3, 3), (1, 1), (0, 3, 2), (0, 3), (3, 0)]:
            a = numbers(rng, dtype, shape)
            for full in (False, True):
                yield "Qr", {"full_matrices": full}, [a], NEAR
                if not full or shape[-1] == shape[-2]:  # else some vectors are free
                    yield "Svd", {"full_matrices": full}, [a], {"check": "shape"} if dtype == np.complex64 else NEAR
            yield "Svd", {"compute_uv": False}, [a], {"check": "shape"}  # TensorFlow leaves u and v uninitialised
        for lead, n in [((), 3), ((2,), 4), ((), 1), ((0,), 3), ((), 0)]:
            a = hermitian(rng, dtype, lead, n)
            exact = dtype in (np.float64, np.complex128)  # else the signs of eigenvectors are TensorFlow's rounding
            yield "SelfAdjointEigV2", {"compute_v": False}, [a], {"check": "shape"}
            yield "SelfAdjointEigV2", {}, [a], NEAR if exact else {"check": "shape"}
            if dtype in (np.float32, np.float64):
                yield "SelfAdjointEig", {}, [a], NEAR
            complex_type = "complex64" if dtype in (np.float32, np.complex64) else "complex128"
            yield "Eig", {"Tout": complex_type, "compute_v": False}, [numbers(rng, dtype, lead + (n, n))], {"check": "shape"}
            yield "Eig", {"Tout": complex_type}, [numbers(rng, dtype, lead + (n, n))], NEAR if dtype == np.complex128 else {"check": "shape"}  # their order is free
    yield "SelfAdjointEigV2", {}, [numbers(rng, np.float32, (2, 3))]
    yield "Qr", {}, [numbers(rng, np.float32, (3,))]


def cases():
    rng = np.random.RandomState(13)
    yield from triangular_factors(rng)
    yield from orthogonal(rng)
