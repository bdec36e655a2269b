"""Simulated and real quantization."""
import numpy as np
from cases_binary import BF16

f = np.float32


def fake(rng):
    x = rng.uniform(-8, 8, (3, 5, 4)).astype(f)
    x[0, 0] = [np.inf, -np.inf, 0, 1e-20]
    for low, high in ((-6, 6), (0, 6), (-1, 0), (0.5, 3), (-3, -0.25), (-5.5, 7.25)):
        for bits in (2, 4, 8, 16):
            for narrow in (False, True):
                attrs = {"num_bits": bits, "narrow_range": narrow}
                yield "FakeQuantWithMinMaxArgs", {**attrs, "min": float(low), "max": float(high)}, [x], {"tolerance": 4.0}
                yield "FakeQuantWithMinMaxVars", attrs, [x, f(low), f(high)], {"tolerance": 4.0}
                yield "FakeQuantWithMinMaxVarsPerChannel", attrs, [x, f([low, -1, -2, 0]), f([high, 1, 2, 0])], {"tolerance": 4.0}
    yield "FakeQuantWithMinMaxVars", {}, [x, f(0), f(0)]
    yield "FakeQuantWithMinMaxVars", {}, [x, f(1), f(0)]
    yield "FakeQuantWithMinMaxVars", {}, [x, f([1]), f(2)]
    yield "FakeQuantWithMinMaxArgs", {"min": 1.0, "max": 1.0}, [x]
    yield "FakeQuantWithMinMaxVarsPerChannel", {}, [x, f([0, 0, 0]), f([1, 1, 1])]
    yield "FakeQuantWithMinMaxVarsPerChannel", {}, [f([1, 2, 3]), f([0, 0, -1]), f([1, 1, 1])]


def simulated(rng):
    for dtype in (f, np.float64, np.float16, BF16):
        x = rng.uniform(-3, 3, (2, 3, 4)).astype(dtype)
        for is_signed in (False, True):
            for given in (False, True):
                for mode in ("HALF_TO_EVEN", "HALF_UP"):
                    for narrow in (False, True):
                        attrs = {"signed_input": is_signed, "range_given": given, "round_mode": mode, "narrow_range": narrow}
                        small = {k: attrs[k] for k in ("signed_input", "range_given", "narrow_range")}
                        low = dtype(-2 if is_signed else 0)
                        yield "QuantizeAndDequantizeV2", {**attrs, "num_bits": 8}, [x, low, dtype(1.5)], {"tolerance": 10.0}
                        if dtype in (f, np.float64):
                            yield "QuantizeAndDequantizeV4", {**attrs, "num_bits": 4}, [x, low, dtype(1.5)], {"tolerance": 10.0}
                            if not given:  # TensorFlow refuses given ranges with an axis
                                yield "QuantizeAndDequantizeV2", {**attrs, "num_bits": 4, "axis": 1}, [x, np.array([low] * 3, dtype), np.array([1, 2, 3], dtype)], {"tolerance": 10.0}
                            yield "QuantizeAndDequantizeV3", small, [x, low, dtype(1.5), np.int32(5)], {"tolerance": 10.0}
    yield "QuantizeAndDequantizeV2", {"range_given": True}, [f([1, 2]), f(2), f(1)]


def integers(rng):
    carriers = {"qint8": np.int8, "quint8": np.uint8, "qint16": np.int16, "quint16": np.uint16, "qint32": np.int32}
    x = np.concatenate([rng.uniform(-4, 4, 20), [-10, 10, 0, 0.5, 1.5, 2.5, -0.5]]).astype(f)
    for name, carrier in carriers.items():
        info = np.iinfo(carrier)
        q = rng.randint(max(info.min, -1 << 20), min(info.max, 1 << 20), (2, 3, 4)).astype(carrier)
        for mode in ("MIN_COMBINED", "MIN_FIRST", "SCALED"):
            for narrow in (False, True):
                if name != "qint32":
                    for low, high in ((-3, 3), (0, 5), (-1, 2.5), (1, 2), (0, 0)):
                        attrs = {"T": name, "mode": mode, "narrow_range": narrow}
                        yield "QuantizeV2", attrs, [x, f(low), f(high)]
                        if mode == "SCALED" and (narrow or name != "qint8"):  # oneDNN scales qint8 by 128 / 127 there
                            yield "QuantizeV2", {**attrs, "round_mode": "HALF_TO_EVEN"}, [x, f(low), f(high)]
                for dtype in ("float32", "bfloat16") if mode == "MIN_COMBINED" else ("float32",):
                    yield "Dequantize", {"mode": mode, "narrow_range": narrow, "dtype": dtype}, [(q, name), f(-3), f(4)], {"tolerance": 10.0}
        if name in ("qint8", "quint8", "qint16", "quint16"):
            y = rng.uniform(-4, 4, (2, 3, 4)).astype(f)
            yield "QuantizeV2", {"T": name, "mode": "SCALED", "axis": 1}, [y, f([-1, -2, -3]), f([1, 2, 3])]
            yield "Dequantize", {"mode": "SCALED", "axis": 1}, [(q, name), f([-1, -2, -3]), f([1, 2, 3])]
    yield "QuantizeV2", {"T": "quint8"}, [x, f(2), f(1)]
    yield "QuantizeV2", {"T": "quint8", "round_mode": "HALF_TO_EVEN"}, [x, f(0), f(1)]
    yield "QuantizeV2", {"T": "quint8"}, [x, f([0, 1]), f(1)]


def cases():
    rng = np.random.RandomState(37)
    yield from fake(rng)
    yield from simulated(rng)
    yield from integers(rng)
