"""Resizing, colours, patches, crops and projective transformations."""
import numpy as np
from cases_binary import BF16, FLOATS, REAL, numbers


def resizes(rng):
    f = np.float32
    sizes = [((1, 4, 5, 2), [4, 5]), ((2, 3, 4, 1), [7, 9]), ((1, 8, 6, 3), [3, 2]), ((1, 1, 1, 2), [3, 3]), ((1, 5, 7, 1), [1, 1]), ((2, 6, 6, 2), [12, 3])]
    for op in ("ResizeNearestNeighbor", "ResizeBilinear", "ResizeBicubic", "ResizeArea"):
        for shape, size in sizes:
            for align in (False, True):
                yield op, {"align_corners": align}, [numbers(rng, f, shape), np.int32(size)], {"tolerance": 4.0}
            if op != "ResizeArea":
                yield op, {"half_pixel_centers": True}, [numbers(rng, f, shape), np.int32(size)], {"tolerance": 4.0}
                yield op, {"half_pixel_centers": True, "align_corners": True}, [numbers(rng, f, shape), np.int32(size)]
        for dtype in REAL:
            yield op, {}, [numbers(rng, dtype, (1, 4, 5, 2)), np.int32([6, 3])], {"tolerance": 4.0}
        for size in ([0, 3], [-1, 3], [3], [3, 3, 3]):
            yield op, {}, [numbers(rng, f, (1, 4, 5, 2)), np.int32(size)]
        yield op, {}, [numbers(rng, f, (0, 4, 5, 2)), np.int32([2, 2])]
    for kernel in ("lanczos1", "lanczos3", "lanczos5", "gaussian", "box", "triangle", "keyscubic", "mitchellcubic"):
        for antialias in (False, True):
            for shape, size, scale, shift in [((1, 6, 7, 2), [3, 4], [0.5, 0.6], [0, 0]), ((2, 4, 3, 1), [8, 9], [2, 3], [0, 0]), ((1, 6, 6, 1), [6, 6], [1.3, 0.8], [-1.2, 2.1])]:
                yield "ScaleAndTranslate", {"kernel_type": kernel, "antialias": antialias}, \
                    [numbers(rng, f, shape), np.int32(size), f(scale), f(shift)], {"tolerance": 10.0}


def colours(rng):
    for dtype in FLOATS:
        for shape in ((4, 5, 3), (2, 2, 3, 3), (3,), (0, 3), (7, 3)):
            pixels = np.asarray(rng.uniform(0, 1, shape)).astype(dtype)
            yield "RGBToHSV", {}, [pixels], {"tolerance": 10.0}
            yield "HSVToRGB", {}, [pixels], {"tolerance": 10.0}
    gray = np.float32([[0, 0, 0], [1, 1, 1], [0.5, 0.5, 0.5], [1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 0], [0.2, 0.2, 0.1]])
    yield "RGBToHSV", {}, [gray]
    yield "HSVToRGB", {}, [gray]
    yield "RGBToHSV", {}, [np.float32([1, 2])]
    for dtype in (np.float32, np.float16):
        for shape in ((4, 5, 3), (2, 2, 3, 3)):
            pixels = rng.uniform(0, 1, shape).astype(dtype)
            for delta in (0.0, 0.3, -0.7, 1.0):
                yield "AdjustHue", {}, [pixels, np.float32(delta)], {"tolerance": 10.0}
            for factor in (0.0, 0.5, 1.7, -1.0):
                yield "AdjustSaturation", {}, [pixels, np.float32(factor)], {"tolerance": 10.0}
                yield "AdjustContrastv2", {}, [pixels, np.float32(factor)], {"tolerance": 10.0}
    yield "AdjustContrastv2", {}, [rng.uniform(0, 1, (2, 3, 4, 5)).astype(np.float32), np.float32(2)]
    yield "AdjustContrastv2", {}, [np.ones([3, 3], np.float32), np.float32(2)]
    yield "AdjustContrastv2", {}, [np.ones([3, 3, 3], np.float32), np.float32([2])]
    yield "AdjustHue", {}, [np.ones([3, 3, 4], np.float32), np.float32(2)]
    yield "AdjustHue", {}, [np.ones([0, 3, 3], np.float32), np.float32(2)]


def patches(rng):
    for dtype in REAL + [np.bool_, np.complex64]:
        attrs = {"ksizes": [1, 2, 3, 1], "strides": [1, 2, 1, 1], "rates": [1, 1, 2, 1], "padding": "SAME"}
        yield "ExtractImagePatches", attrs, [numbers(rng, dtype, (2, 5, 6, 2))]
    for padding in ("SAME", "VALID"):
        for rates in ([1, 1], [2, 2]):
            attrs = {"ksizes": [1, 3, 3, 1], "strides": [1, 2, 2, 1], "rates": [1] + rates + [1], "padding": padding}
            yield "ExtractImagePatches", attrs, [numbers(rng, np.float32, (1, 7, 8, 3))]
    for method in ("bilinear", "nearest"):
        for dtype in REAL:
            boxes = np.float32([[0, 0, 1, 1], [0.2, 0.7, 0.9, 0.1], [-0.5, 0.1, 1.5, 0.4]])
            attrs = {"method": method, "extrapolation_value": -2.0}
            yield "CropAndResize", attrs, [numbers(rng, dtype, (2, 5, 6, 2)), boxes, np.int32([0, 1, 1]), np.int32([3, 4])], {"tolerance": 10.0}
        yield "CropAndResize", {"method": method}, [numbers(rng, np.float32, (2, 5, 6, 2)), boxes, np.int32([0, 1, 1]), np.int32([1, 1])], {"tolerance": 10.0}
        yield "CropAndResize", {"method": method}, [numbers(rng, np.float32, (2, 5, 6, 2)), boxes, np.int32([0, 2, 1]), np.int32([1, 1])]
        yield "CropAndResize", {"method": method}, [numbers(rng, np.float32, (2, 5, 6, 2)), boxes, np.int32([0, 1]), np.int32([1, 1])]
        yield "CropAndResize", {"method": method}, [numbers(rng, np.float32, (2, 5, 6, 2)), boxes, np.int32([0, 1, 0]), np.int32([0, 1])]
        yield "CropAndResize", {"method": method}, [numbers(rng, np.float32, (2, 5, 6, 2)), np.zeros([0, 4], np.float32), np.zeros([0], np.int32), np.int32([2, 1])]


def transforms(rng):
    t = np.float32([[1, 0.2, -1, 0.1, 0.9, 0.5, 0, 0], [0.7, 0, 3, 0, 1.4, -6, 0.01, 0.02]])
    for interpolation in ("NEAREST", "BILINEAR"):
        for fill in ("CONSTANT", "REFLECT", "WRAP", "NEAREST"):
            attrs = {"interpolation": interpolation, "fill_mode": fill}
            images = numbers(rng, np.float32, (2, 5, 6, 2))
            yield "ImageProjectiveTransformV2", attrs, [images, t, np.int32([6, 7])], {"tolerance": 20.0}
            yield "ImageProjectiveTransformV3", attrs, [images, t, np.int32([6, 7]), np.float32(3)], {"tolerance": 20.0}
            yield "ImageProjectiveTransformV3", attrs, [images, t[:1], np.int32([4, 9]), np.float32(3)], {"tolerance": 20.0}
        for dtype in (np.uint8, np.int32, np.int64, np.float16, BF16, np.float64):
            yield "ImageProjectiveTransformV3", {"interpolation": interpolation}, [numbers(rng, dtype, (2, 5, 6, 2)), t[:1].round(), np.int32([5, 6]), np.float32(1)], {"tolerance": 20.0}
    yield "ImageProjectiveTransformV2", {"interpolation": "NEAREST"}, [numbers(rng, np.float32, (3, 5, 6, 2)), t, np.int32([6, 7])]


def cases():
    rng = np.random.RandomState(23)
    yield from resizes(rng)
    yield from colours(rng)
    yield from patches(rng)
    yield from transforms(rng)
