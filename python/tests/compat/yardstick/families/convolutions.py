"""Convolutions in both layouts: kernels, dilations, strides, transposed; a block of a VGG net; two small ones in a row."""
import numpy as np

from ..cases import batched, both, case


def _filter(tf, seed, *shape):
    return tf.constant(np.random.default_rng(seed).standard_normal(shape), tf.float32)


def _to_nhwc(tf, x):
    return tf.transpose(x, [0, 2, 3, 1])


def _to_nchw(tf, x):
    return tf.transpose(x, [0, 3, 1, 2])


def as_channels_last(build):
    """The same graph with the layout that TensorFlow's CPU kernels have, between transposes."""
    def reference(tf, x):
        return _to_nchw(tf, build(tf, _to_nhwc(tf, x), "NHWC"))
    return reference


def in_layout(build, layout):
    return lambda tf, x: build(tf, x, layout)


def kernels_and_dilations(tf, x, layout):
    channels = x.shape[-1 if layout == "NHWC" else 1]
    results = []
    for size in ((3, 3), (3, 2)):
        for dilation in ((1, 1), (2, 3)):
            number = len(results)
            results.append(tf.nn.conv2d(x, _filter(tf, 20 + number, *size, channels, 5), strides=1, padding="SAME",
                                        data_format=layout, dilations=dilation, name=f"conv{number}"))
    total = results[0]
    for number, result in enumerate(results[1:]):
        total = tf.add(total, result, name=f"sum{number}")
    return tf.identity(total)


_DILATED = [[f"conv{n}" for n in range(4)] + [f"sum{n}" for n in range(3)]]


def strided(tf, x, layout):
    channels = x.shape[-1 if layout == "NHWC" else 1]
    wide = lambda a, b: [1, a, b, 1] if layout == "NHWC" else [1, 1, a, b]
    x = tf.raw_ops.Conv2D(input=x, filter=_filter(tf, 30, 3, 2, channels, 5), strides=wide(2, 2), padding="SAME",
                          data_format=layout, name="conv0")
    x = tf.raw_ops.Conv2D(input=x, filter=_filter(tf, 31, 3, 3, 5, 5), strides=wide(2, 2), dilations=wide(2, 3),
                          padding="SAME", data_format=layout, name="conv1")
    return tf.identity(x)


def transposed(tf, x, layout):
    sizes = [13, 14, 22, 8] if layout == "NHWC" else [13, 8, 14, 22]
    y = tf.nn.conv2d_transpose(x, _filter(tf, 32, 2, 2, 8, 3), sizes, strides=2,
                               padding="SAME", data_format=layout, name="spread")
    return tf.identity(y)


def vgg_block(tf, x, layout):
    pool = lambda: [1, 2, 2, 1] if layout == "NHWC" else [1, 1, 2, 2]
    x = tf.raw_ops.FusedBatchNormV3(x=x, scale=[1.0, 1.0], offset=[0.0, 0.0], mean=[0.5, 0.5], variance=[1.0, 1.0],
                                    is_training=False, epsilon=1e-3, data_format=layout, name="norm")[0]
    x = tf.nn.conv2d(x, _filter(tf, 33, 1, 1, 2, 6), strides=pool(), padding="SAME", data_format=layout, name="conv")
    x = tf.nn.bias_add(x, _filter(tf, 34, 6), data_format=layout, name="bias")
    x = tf.identity(tf.nn.relu(x, name="relu"))
    return tf.nn.max_pool2d(x, pool(), pool(), "VALID", data_format=layout, name="pool")


def _squeezed(build):
    return lambda *arguments: arguments[0].squeeze(build(*arguments))


_VGG = [["norm", "conv", "bias", "relu", "pool"]]


def two_in_a_row(tf, x):
    x = tf.nn.conv2d(x, _filter(tf, 35, 1, 1, 3, 5), strides=1, padding="VALID", name="conv0")
    x = tf.nn.conv2d(x, _filter(tf, 36, 1, 1, 5, 10), strides=1, padding="VALID", name="conv1")
    return tf.squeeze(x)


_ROW = [["conv0", "conv1"]]


def both_layouts(name, build, groups, shape, squeeze=False, **more):
    """The case in NCHW, its reference in NHWC; `shape` is NCHW."""
    wrap = _squeezed if squeeze else (lambda b: b)
    return case(name, wrap(in_layout(build, "NCHW")), batched(*shape), reference=wrap(as_channels_last(build)),
                **both(groups), **more)


CASES = [
    both_layouts("nchw", kernels_and_dilations, _DILATED, (13, 3, 7, 11)),
    case("nhwc", in_layout(kernels_and_dilations, "NHWC"), batched(13, 7, 11, 3), **both(_DILATED)),
    both_layouts("strided_nchw", strided, [["conv0", "conv1"]], (13, 3, 7, 11), atol=1e-2, rtol=1e-2),
    both_layouts("transposed_nchw", transposed, [["spread"]], (13, 3, 7, 11)),
    case("vgg_block", _squeezed(in_layout(vgg_block, "NHWC")), batched(5, 8, 8, 2), **both(_VGG)),
    both_layouts("vgg_block_nchw", vgg_block, _VGG, (5, 2, 8, 8), squeeze=True),
    case("two_in_a_row", two_in_a_row, batched(2, 15, 15, 3), **both(_ROW), atol=1e-6, rtol=0.1),
]
