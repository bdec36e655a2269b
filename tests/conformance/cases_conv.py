"""Convolutions and their gradients. TensorFlow on a CPU refuses some NCHW and grouped forms: those are left out or errors."""
import numpy as np
from cases_binary import BF16, FLOATS, REAL, numbers

TYPES = FLOATS + [np.int32]


# Empty results are left out: TensorFlow's oneDNN kernels give them the shape of the input.


def loose(dtype):
    return {"tolerance": 20.0 if dtype in (np.float16, BF16) else 4.0}


def four(values, data_format):
    return [1, 1] + values if data_format.startswith("NC") else [1] + values + [1]


def conv2d(rng):
    windows = [((1, 5, 5, 3), (3, 3, 3, 4)), ((2, 6, 5, 4), (1, 1, 4, 3)), ((1, 7, 8, 2), (2, 3, 2, 5)), ((1, 9, 9, 1), (5, 5, 1, 2)), ((1, 5, 4, 8), (2, 2, 8, 16))]
    for x, f in windows:
        for padding in ("SAME", "VALID"):
            for strides in ([1, 1], [2, 2], [1, 2], [3, 1]):
                attrs = {"strides": four(strides, "NHWC"), "padding": padding}
                yield "Conv2D", attrs, [numbers(rng, np.float32, x), numbers(rng, np.float32, f)], loose(np.float32)
            attrs = {"strides": [1, 1, 1, 1], "padding": padding, "dilations": [1, 2, 2, 1]}
            yield "Conv2D", attrs, [numbers(rng, np.float32, x), numbers(rng, np.float32, f)], loose(np.float32)
    for dtype in TYPES:
        for data_format, x in (("NHWC", (2, 5, 6, 3)), ("NCHW", (2, 3, 5, 6))):
            for padding, pads in (("SAME", []), ("VALID", []), ("EXPLICIT", [0, 0, 1, 2, 0, 3, 0, 0] if data_format == "NHWC" else [0, 0, 0, 0, 1, 2, 0, 3])):
                attrs = {"strides": four([2, 1], data_format), "padding": padding, "explicit_paddings": pads, "data_format": data_format}
                yield "Conv2D", attrs, [numbers(rng, dtype, x), numbers(rng, dtype, (3, 2, 3, 4))], loose(dtype)
    for groups in (2, 4):
        attrs = {"strides": [1, 1, 1, 1], "padding": "SAME"}
        yield "Conv2D", attrs, [numbers(rng, np.float32, (1, 5, 5, 4)), numbers(rng, np.float32, (3, 3, 4 // groups, 8))], loose(np.float32)
    bad = [((1, 5, 5, 3), (3, 3, 2, 4), [1, 1, 1, 1]), ((1, 5, 5, 3), (3, 3, 3, 4), [2, 1, 1, 1]),
           ((1, 5, 5, 3), (3, 3, 3, 4), [1, 1, 1]), ((1, 5, 5, 3), (3, 3, 3, 4), [1, 0, 1, 1]), ((1, 5, 5, 3), (3, 3, 3, 4), [1, -1, 1, 1]), ]
    for x, f, strides in bad:
        yield "Conv2D", {"strides": strides, "padding": "VALID"}, [numbers(rng, np.float32, x), numbers(rng, np.float32, f)]


def depthwise(rng):
    for dtype in FLOATS:
        for multiplier in (1, 2, 3):
            for padding in ("SAME", "VALID"):
                for stride in (1, 2):
                    attrs = {"strides": [1, stride, stride, 1], "padding": padding}
                    yield "DepthwiseConv2dNative", attrs, [numbers(rng, dtype, (2, 6, 5, 4)), numbers(rng, dtype, (3, 3, 4, multiplier))], loose(dtype)
    f = np.float32
    yield "DepthwiseConv2dNative", {"strides": [1, 1, 1, 1], "padding": "EXPLICIT", "explicit_paddings": [0, 0, 1, 2, 0, 1, 0, 0]}, \
        [numbers(rng, f, (1, 4, 5, 3)), numbers(rng, f, (2, 3, 3, 2))], loose(f)
    yield "DepthwiseConv2dNative", {"strides": [1, 1, 1, 1], "padding": "SAME", "data_format": "NCHW"}, [numbers(rng, f, (1, 4, 5, 3)), numbers(rng, f, (2, 3, 4, 2))], loose(f)
    yield "DepthwiseConv2dNative", {"strides": [1, 1, 1, 1], "padding": "SAME"}, [numbers(rng, f, (1, 4, 5, 3)), numbers(rng, f, (2, 3, 2, 2))]
    yield "DepthwiseConv2dNative", {"strides": [1, 1, 1, 1], "padding": "VALID"}, [numbers(rng, f, (1, 4, 5, 3)), numbers(rng, f, (1, 1, 3, 1))], loose(f)


def backprop2d(rng):
    f = np.float32
    for (h, w), (kh, kw), stride in [((6, 5), (3, 3), [1, 1]), ((6, 6), (3, 3), [2, 2]), ((7, 8), (2, 4), [2, 3]), ((4, 4), (4, 4), [2, 2]), ((5, 5), (1, 1), [2, 2]), ((3, 3), (5, 5), [1, 1])]:
        for padding in ("SAME", "VALID"):
            if padding == "VALID" and (kh > h or kw > w):
                continue
            out = [-(-n // s) if padding == "SAME" else (n - k) // s + 1 for n, k, s in ((h, kh, stride[0]), (w, kw, stride[1]))]
            attrs = {"strides": [1] + stride + [1], "padding": padding}
            yield "Conv2DBackpropInput", attrs, [np.int32([2, h, w, 3]), numbers(rng, f, (kh, kw, 3, 4)), numbers(rng, f, (2, out[0], out[1], 4))], loose(f)
            yield "Conv2DBackpropInput", attrs, [np.int32([h, w]), numbers(rng, f, (kh, kw, 3, 4)), numbers(rng, f, (2, out[0], out[1], 4))], loose(f)
    for dtype in TYPES:
        attrs = {"strides": [1, 2, 2, 1], "padding": "SAME"}
        yield "Conv2DBackpropInput", attrs, [np.int32([1, 5, 5, 2]), numbers(rng, dtype, (3, 3, 2, 4)), numbers(rng, dtype, (1, 3, 3, 4))], loose(dtype)
    attrs = {"strides": [1, 1, 1, 1], "padding": "SAME"}
    yield "Conv2DBackpropInput", attrs, [np.int32([1, 5, 5, 2]), numbers(rng, f, (3, 3, 2, 4)), numbers(rng, f, (1, 3, 3, 4))]
    yield "Conv2DBackpropInput", attrs, [np.int32([1, 5, 5, 3]), numbers(rng, f, (3, 3, 2, 4)), numbers(rng, f, (1, 5, 5, 4))]
    yield "Conv2DBackpropInput", attrs, [np.int32([0, 5, 5, 2]), numbers(rng, f, (3, 3, 2, 4)), numbers(rng, f, (0, 5, 5, 4))]
    yield "Conv2DBackpropInput", attrs, [np.int32([1, 5, 5, 2, 1]), numbers(rng, f, (3, 3, 2, 4)), numbers(rng, f, (1, 5, 5, 4))]
    attrs = {"strides": [1, 1, 2, 1], "padding": "EXPLICIT", "explicit_paddings": [0, 0, 1, 1, 2, 0, 0, 0]}
    yield "Conv2DBackpropInput", attrs, [np.int32([1, 5, 6, 2]), numbers(rng, f, (3, 2, 2, 4)), numbers(rng, f, (1, 5, 4, 4))], loose(f)
    attrs = {"strides": [1, 1, 1, 1], "padding": "SAME", "data_format": "NCHW"}
    yield "Conv2DBackpropInput", attrs, [np.int32([1, 2, 5, 5]), numbers(rng, f, (3, 3, 2, 4)), numbers(rng, f, (1, 4, 5, 5))], loose(f)
    attrs = {"strides": [1, 1, 1, 1], "padding": "SAME", "dilations": [1, 2, 2, 1]}
    yield "Conv2DBackpropInput", attrs, [np.int32([1, 5, 5, 2]), numbers(rng, f, (3, 3, 2, 4)), numbers(rng, f, (1, 5, 5, 4))], loose(f)


def conv3d(rng):
    f = np.float32
    for padding in ("SAME", "VALID"):
        for strides in ([1, 1, 1], [2, 1, 2]):
            attrs = {"strides": [1] + strides + [1], "padding": padding}
            for x, w in [((1, 4, 5, 6, 2), (2, 3, 3, 2, 3)), ((2, 3, 3, 3, 1), (1, 1, 1, 1, 2))]:
                yield "Conv3D", attrs, [numbers(rng, f, x), numbers(rng, f, w)], loose(f)
    for dtype in FLOATS:
        attrs = {"strides": [1, 1, 1, 1, 1], "padding": "SAME"}
        yield "Conv3D", attrs, [numbers(rng, dtype, (1, 3, 4, 3, 2)), numbers(rng, dtype, (2, 2, 2, 2, 3))], loose(dtype)
        attrs = {"strides": [1, 2, 2, 2, 1], "padding": "SAME"}
        inputs = [np.int32([1, 4, 5, 4, 2]), numbers(rng, dtype, (3, 2, 3, 2, 3)), numbers(rng, dtype, (1, 2, 3, 2, 3))]
        yield "Conv3DBackpropInputV2", attrs, inputs, loose(dtype)
    yield "Conv3D", {"strides": [1] * 5, "padding": "SAME", "dilations": [1, 2, 1, 2, 1]}, [numbers(rng, f, (1, 5, 4, 5, 2)), numbers(rng, f, (2, 2, 2, 2, 3))], loose(f)
    yield "Conv3D", {"strides": [1] * 5, "padding": "SAME", "data_format": "NCDHW"}, [numbers(rng, f, (1, 2, 5, 4, 5)), numbers(rng, f, (2, 2, 2, 2, 3))], loose(f)
    yield "Conv3D", {"strides": [1] * 5, "padding": "VALID"}, [numbers(rng, f, (1, 5, 4, 5, 2)), numbers(rng, f, (2, 2, 2, 3, 3))]
    for size in (np.int32, np.int64):
        inputs = [size([1, 4, 4, 4, 2]), numbers(rng, f, (2, 2, 2, 2, 3)), numbers(rng, f, (1, 3, 3, 3, 3))]
        yield "Conv3DBackpropInputV2", {"strides": [1] * 5, "padding": "VALID"}, inputs, loose(f)


def dilation(rng):
    for dtype in REAL:
        attrs = {"strides": [1, 1, 2, 1], "rates": [1, 2, 1, 1], "padding": "SAME"}
        yield "Dilation2D", attrs, [numbers(rng, dtype, (2, 5, 4, 2)), numbers(rng, dtype, (2, 3, 2))]
    attrs = {"strides": [1, 2, 1, 1], "rates": [1, 1, 2, 1], "padding": "VALID"}
    yield "Dilation2D", attrs, [numbers(rng, np.float32, (1, 6, 7, 3)), numbers(rng, np.float32, (3, 2, 3))]


def cases():
    rng = np.random.RandomState(11)
    yield from conv2d(rng)
    yield from depthwise(rng)
    yield from backprop2d(rng)
    yield from conv3d(rng)
    yield from dilation(rng)
