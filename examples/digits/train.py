"""Trains the model of this folder on scikit-learn's digits (8x8 grey images) and writes model/, images.npy and labels.npy.

usage: pip install -r ../../requirements/train.txt; python train.py      (a minute on two cores; the same result each time)

The network has what small vision networks have (batch norms, a residual block, a depthwise block, pooling) and, behind it, an
index and a text, so that a part of the model has a reason to stay out of engines.
"""
import pathlib
import shutil

import numpy as np
import sklearn.datasets
import sklearn.model_selection
import tensorflow as tf

FOLDER = pathlib.Path(__file__).resolve().parent
NAMES = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
layers = tf.keras.layers


def convolve(x, filters, activation="relu"):
    x = layers.Conv2D(filters, 3, padding="same", use_bias=False)(x)
    x = layers.BatchNormalization()(x)
    return layers.Activation(activation)(x) if activation else x


def make_network():
    image = layers.Input([8, 8, 1], name="image")
    x = convolve(image, 24)
    branch = convolve(convolve(x, 24), 24, activation=None)
    x = layers.ReLU()(layers.Add()([x, branch]))
    x = layers.MaxPooling2D(2)(x)
    x = layers.DepthwiseConv2D(3, padding="same", use_bias=False)(x)
    x = layers.ReLU(6.0)(layers.BatchNormalization()(x))
    x = layers.Conv2D(48, 1, use_bias=False)(x)
    x = layers.Activation("swish")(layers.BatchNormalization()(x))
    x = layers.GlobalAveragePooling2D()(x)
    x = layers.Dropout(0.2)(x)
    return tf.keras.Model(image, layers.Dense(10, activation="softmax")(x))


class Classifier(tf.Module):
    """What is exported: probabilities, the likeliest digit, and its name."""

    def __init__(self, network):
        super().__init__()
        self.network = network
        self.names = tf.constant(NAMES)

    @tf.function(input_signature=[tf.TensorSpec([None, 8, 8, 1], tf.float32, name="image")])
    def __call__(self, image):
        probabilities = self.network(image, training=False)
        digit = tf.argmax(probabilities, axis=-1)
        return {"probabilities": probabilities, "digit": digit, "name": tf.gather(self.names, digit)}


def main():
    tf.keras.utils.set_random_seed(7)
    tf.config.experimental.enable_op_determinism()
    digits = sklearn.datasets.load_digits()
    images = (digits.images / 16.0).astype(np.float32)[..., None]
    train, held_out, train_labels, labels = sklearn.model_selection.train_test_split(
        images, digits.target, test_size=360, random_state=7, stratify=digits.target)
    network = make_network()
    epochs, batch = 30, 32
    rate = tf.keras.optimizers.schedules.CosineDecay(4e-3, epochs * -(-len(train) // batch))
    network.compile(optimizer=tf.keras.optimizers.Adam(rate), loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    network.fit(train, train_labels, epochs=epochs, batch_size=batch, verbose=2)
    print("accuracy on held-out images:", network.evaluate(held_out, labels, verbose=0)[1])

    exported = make_network()  # without the optimizer's state
    exported.set_weights(network.get_weights())
    model = Classifier(exported)
    shutil.rmtree(FOLDER / "model", ignore_errors=True)
    tf.saved_model.save(model, str(FOLDER / "model"), signatures=model.__call__)
    np.save(FOLDER / "images.npy", held_out)
    np.save(FOLDER / "labels.npy", labels.astype(np.int64))


if __name__ == "__main__":
    main()
