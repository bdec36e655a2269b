"""Special functions."""
import numpy as np
from cases_binary import FLOATS

FULL = [np.float32, np.float64]
LOOSE = {"tolerance": 20.0}


def cases():
    positive = np.array([0.01, 0.1, 0.5, 1.0, 1.5, 2.0, 3.7, 8.0, 15.0, 40.0])
    signed = np.concatenate([positive, -positive[:8] - 0.03])
    unit = np.array([0.001, 0.02, 0.1, 0.3, 0.5, 0.7, 0.9, 0.99, 0.9995])
    for dtype in FULL + [np.float16]:
        yield "Lgamma", {}, [signed.astype(dtype)], LOOSE
        yield "Digamma", {}, [signed.astype(dtype)], LOOSE
    for dtype in FULL:
        yield "Lgamma", {}, [np.array([0.0, np.inf, np.nan], dtype)]
        yield "Ndtri", {}, [np.concatenate([unit, [0.0, 1.0, -1.0, 2.0]]).astype(dtype)], LOOSE
        yield "Erfinv", {}, [np.concatenate([unit, -unit, [0.0, 1.0, -1.0]]).astype(dtype)], LOOSE
        for name in ("I0", "I0e", "I1", "I1e", "J0", "J1"):
            yield "Bessel" + name, {}, [signed.astype(dtype)], LOOSE
        for name in ("K0", "K0e", "K1", "K1e", "Y0", "Y1"):
            yield "Bessel" + name, {}, [positive.astype(dtype)], LOOSE
        a, x = (v.reshape(-1).astype(dtype) for v in np.meshgrid(positive[1:], positive[1:]))
        for op in ("Igamma", "Igammac", "IgammaGradA", "RandomGammaGrad"):
            yield op, {}, [a, x], LOOSE
        yield "Igamma", {}, [np.array([[0.5], [2.0]], dtype), np.array([0.0, 1.0, 3.0], dtype)], LOOSE
        yield "Igamma", {}, [np.array([-1.0, 1.0, 0.0, np.nan], dtype), np.array([1.0, -1.0, 1.0, 1.0], dtype)]
        yield "Zeta", {}, [np.array([1.5, 2.0, 3.3, 8.0, 20.0], dtype).reshape(-1, 1), positive.astype(dtype)], LOOSE
        yield "Zeta", {}, [np.array([1.0, 0.5, 2.0, 2.0], dtype), np.array([1.0, 1.0, -1.0, 0.0], dtype)]
        yield "Polygamma", {}, [np.array([0.0, 1.0, 2.0, 5.0], dtype).reshape(-1, 1), positive[1:].astype(dtype)], LOOSE
        p, q = (v.reshape(-1, 1).astype(dtype) for v in np.meshgrid([0.5, 1.0, 3.0, 10.0], [0.5, 2.0, 7.0]))
        x = np.broadcast_to(unit, (12, 9)).astype(dtype)
        yield "Betainc", {}, [np.broadcast_to(p, x.shape).copy(), np.broadcast_to(q, x.shape).copy(), x], {"tolerance": 60.0}
        yield "Betainc", {}, [dtype(2), dtype(3), x], {"tolerance": 60.0}
        yield "Betainc", {}, [dtype(2), dtype(3), dtype(0.25)], LOOSE
        yield "Betainc", {}, [np.array([1.0, 2.0], dtype), np.array([1.0, 2.0, 3.0], dtype), dtype(0.5)]
    yield "Lgamma", {}, [np.zeros([0, 2], np.float32)]
    yield "Igamma", {}, [np.zeros([2], np.float32), np.zeros([3], np.float32)]
