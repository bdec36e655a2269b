"""Keras nets: small ones made of the blocks of well-known architectures, and those architectures whole."""
import numpy as np


def _conv(layers, x, filters, size=3, strides=1, activation="relu", depthwise=False):
    """Convolution without bias, batch normalization, activation."""
    if depthwise:
        x = layers.DepthwiseConv2D(size, strides, padding="same", use_bias=False)(x)
    else:
        x = layers.Conv2D(filters, size, strides, padding="same", use_bias=False)(x)
    x = layers.BatchNormalization()(x)
    return layers.Activation(activation)(x) if activation else x


def _classes(layers, x, count=10):
    return layers.Dense(count, activation="softmax")(layers.GlobalAveragePooling2D()(x))


def residual(keras):
    layers = keras.layers
    image = keras.Input((32, 32, 3))
    x = layers.MaxPooling2D(3, 2, padding="same")(_conv(layers, image, 16, 7, 2))
    for filters, strides in ((16, 1), (32, 2)):
        same = _conv(layers, x, 4 * filters, 1, strides, None)
        x = _conv(layers, _conv(layers, x, filters, 1, strides), filters)
        x = layers.ReLU()(layers.add([same, _conv(layers, x, 4 * filters, 1, activation=None)]))
    return keras.Model(image, _classes(layers, x))


def inverted_residual(keras):
    layers = keras.layers
    image = keras.Input((32, 32, 3))
    x = _conv(layers, image, 16, strides=2, activation="relu6")
    for strides in (1, 2):
        y = _conv(layers, _conv(layers, x, 96, 1, activation="relu6"), 0, 3, strides, "relu6", depthwise=True)
        y = _conv(layers, y, 16, 1, activation=None)
        x = layers.add([x, y]) if strides == 1 else y
    return keras.Model(image, _classes(layers, x))


def squeeze_and_excite(keras):
    layers = keras.layers
    image = keras.Input((32, 32, 3))
    x = layers.Rescaling(1 / 255)(image)
    x = _conv(layers, x, 16, strides=2, activation="swish")
    y = _conv(layers, _conv(layers, x, 64, 1, activation="swish"), 0, 5, 1, "swish", depthwise=True)
    weight = layers.Reshape((1, 1, 64))(layers.GlobalAveragePooling2D()(y))
    weight = layers.Conv2D(64, 1, activation="sigmoid")(layers.Conv2D(4, 1, activation="swish")(weight))
    y = _conv(layers, layers.multiply([y, weight]), 16, 1, activation=None)
    return keras.Model(image, _classes(layers, layers.add([x, y])))


def dense_block(keras):
    layers = keras.layers
    image = keras.Input((32, 32, 3))
    x = layers.Conv2D(8, 3, 2)(layers.ZeroPadding2D(2)(image))
    for _ in range(3):
        y = layers.ReLU()(layers.BatchNormalization()(x))
        x = layers.concatenate([x, layers.Conv2D(8, 3, padding="same", use_bias=False)(_conv(layers, y, 16, 1))])
    return keras.Model(image, _classes(layers, layers.AveragePooling2D(2)(x)))


def inception_block(keras):
    layers = keras.layers
    image = keras.Input((31, 31, 3))
    x = _conv(layers, image, 16)
    branches = [_conv(layers, x, 8, 1), _conv(layers, _conv(layers, x, 8, (1, 7)), 8, (7, 1)),
                _conv(layers, layers.AveragePooling2D(3, 1, padding="same")(x), 8, 1)]
    return keras.Model(image, _classes(layers, layers.concatenate(branches)))


def patches_and_norms(keras):
    layers = keras.layers
    image = keras.Input((32, 32, 3))
    x = layers.LayerNormalization(epsilon=1e-6)(layers.Conv2D(24, 4, 4)(image))
    y = layers.LayerNormalization(epsilon=1e-6)(layers.DepthwiseConv2D(7, padding="same")(x))
    y = layers.Dense(24)(layers.Dense(96, activation="gelu")(y))
    return keras.Model(image, _classes(layers, layers.add([x, y])))


def encoder(keras):
    layers = keras.layers
    ids = keras.Input((None,), dtype="int32")
    x = layers.Embedding(50, 32)(ids)
    for _ in range(2):
        y = layers.MultiHeadAttention(4, 8)(x, x)
        x = layers.LayerNormalization()(layers.add([x, y]))
        y = layers.Dense(32)(layers.Dense(64, activation="gelu")(x))
        x = layers.LayerNormalization()(layers.add([x, y]))
    return keras.Model(ids, layers.Dense(5)(x))


def masked_encoder(keras):
    """Two inputs, positions that are counted, a mask in the attention: what BERT exports look like."""
    layers, ops = keras.layers, keras.ops
    ids, mask = (keras.Input((None,), dtype="int32", name=name) for name in ("ids", "mask"))
    x = layers.Embedding(50, 16)(ids) + layers.Embedding(40, 16)(ops.cumsum(ops.ones_like(ids), 1))
    y = layers.MultiHeadAttention(2, 8)(x, x, attention_mask=ops.cast(mask, "bool")[:, None, :])
    x = layers.LayerNormalization()(layers.add([x, y]))
    y = layers.Dense(16)(layers.Dense(32, activation="gelu")(x))
    return keras.Model([ids, mask], layers.Dense(4)(layers.LayerNormalization()(layers.add([x, y]))[:, 0]))


def masked_recurrent(keras):
    layers = keras.layers
    ids = keras.Input((None,), dtype="int32")
    x = layers.Bidirectional(layers.LSTM(8))(layers.Embedding(50, 8, mask_zero=True)(ids))
    return keras.Model(ids, layers.Dense(3)(x))


def upsampling(keras):
    layers = keras.layers
    image = keras.Input((16, 16, 3))
    x = layers.Conv2D(8, 3, padding="same", activation="relu")(image)
    y = layers.Conv2DTranspose(8, 3, 2, padding="same")(layers.MaxPooling2D()(x))
    return keras.Model(image, layers.Conv2D(2, 1)(layers.UpSampling2D(2)(layers.concatenate([x, y]))))


def in_policy(policy, build):
    """The net with narrow floats inside and float32 outside."""
    def with_policy(keras):
        before = keras.mixed_precision.dtype_policy()
        keras.mixed_precision.set_dtype_policy(policy)
        try:
            inner = build(keras)
        finally:
            keras.mixed_precision.set_dtype_policy(before)
        return keras.Model(inner.inputs, keras.layers.Activation("linear", dtype="float32")(inner.outputs[0]))
    return with_policy


def recurrent(kind):
    def build(keras):
        layers = keras.layers
        sequence = keras.Input((None, 6))
        x = getattr(layers, kind)(16, return_sequences=True)(sequence)
        return keras.Model(sequence, layers.Dense(4, activation="softmax")(getattr(layers, kind)(16)(x)))
    return build


def application(name):
    return lambda keras: getattr(keras.applications, name)(weights=None)


def images(size):
    return [(3, size, size, 3), (1, size, size, 3)]


# name: (builder, shapes of the input sets)
SMALL = {
    "residual": (residual, images(32)), "inverted_residual": (inverted_residual, images(32)),
    "squeeze_and_excite": (squeeze_and_excite, images(32)), "dense_block": (dense_block, images(32)),
    "inception_block": (inception_block, images(31)), "patches_and_norms": (patches_and_norms, images(32)),
    "encoder": (encoder, [(3, 12), (2, 7)]), "lstm": (recurrent("LSTM"), [(3, 9, 6), (2, 5, 6)]),
    "gru": (recurrent("GRU"), [(3, 9, 6), (2, 5, 6)]),
    "masked_encoder": (masked_encoder, [[(3, 12), (3, 12)], [(2, 7), (2, 7)]]),
    "masked_recurrent": (masked_recurrent, [(3, 12), (2, 7)]), "upsampling": (upsampling, images(16)),
    "float16": (in_policy("mixed_float16", inverted_residual), images(32)),
    "bfloat16": (in_policy("mixed_bfloat16", encoder), [(3, 12), (2, 7)]),
}
WHOLE = {name: (application(name), images(299 if name == "InceptionV3" else 224)[1:]) for name in (
    "ResNet50", "MobileNetV2", "EfficientNetB0", "DenseNet121", "InceptionV3", "ConvNeXtTiny")}


def write(tf, name, folder):
    """Writes a net with weights and statistics as training could leave them; returns its input sets by the inputs' names."""
    build, shapes = {**SMALL, **WHOLE}[name]
    tf.keras.utils.set_random_seed(7)
    rng = np.random.default_rng(7)
    model = build(tf.keras)
    for layer in model.layers:
        if isinstance(layer, tf.keras.layers.BatchNormalization):
            layer.moving_mean.assign(rng.normal(0, 0.1, layer.moving_mean.shape))
            layer.moving_variance.assign(rng.uniform(0.5, 1.5, layer.moving_variance.shape))
    model.export(folder, verbose=False)

    def value(tensor, shape):
        if tensor.dtype == "int32":
            return rng.integers(0, 50, shape).astype(np.int32)
        return rng.random(shape).astype(np.float32)
    sets = [shape if isinstance(shape, list) else [shape] for shape in shapes]
    return [{tensor.name: value(tensor, shape) for tensor, shape in zip(model.inputs, one)} for one in sets]
