"""The four networks that the comparison runs, random weights, written once in the forms that each peer reads.

    python bench/peers/models.py DIR        DIR/<name>/ (SavedModel), <name>.pb (frozen), <name>.onnx, <name>.tflite
"""
import os
import subprocess
import sys

NAMES = ["resnet50", "mobilenetv2", "efficientnetb0", "bert_base_s128"]
TITLES = {"resnet50": "ResNet-50", "mobilenetv2": "MobileNetV2", "efficientnetb0": "EfficientNet-B0", "bert_base_s128": "BERT-base s128"}
SEQUENCE = 128
VOCABULARY = 30522


def feeds(name, batch):
    """Inputs of a network, {name: array}; the same ones in every process."""
    import numpy as np
    rng = np.random.default_rng(11)
    if name.startswith("bert"):
        return {"ids": rng.integers(0, VOCABULARY, (batch, SEQUENCE), dtype=np.int32), "mask": np.ones((batch, SEQUENCE), np.int32)}
    return {"image": rng.standard_normal((batch, 224, 224, 3), dtype=np.float32)}


def shapes(name, batch):
    """Shapes of a network's inputs, {name: sizes}."""
    return {key: value.shape for key, value in feeds(name, batch).items()}


def bert_base(keras, tf, spell_gelu_with_erf):
    """A BERT-base encoder: 12 post-norm blocks, 12 heads, masked attention, tanh pooler."""
    width, heads, inner = 768, 12, 3072
    layers = keras.layers

    class Attention(layers.Layer):
        def build(self, shape):
            self.projections = [layers.Dense(width, name=n) for n in ("query", "key", "value", "output")]
            for projection in self.projections:
                projection.build((None, None, width))
            super().build(shape)

        def call(self, x, mask):
            def heads_of(t):
                return tf.transpose(tf.reshape(t, (-1, SEQUENCE, heads, width // heads)), (0, 2, 1, 3))
            query, key, value = (heads_of(p(x)) for p in self.projections[:3])
            scores = tf.matmul(query, key, transpose_b=True) / (width // heads) ** 0.5
            scores += (1.0 - tf.cast(mask, tf.float32))[:, None, None, :] * -1e4
            mixed = tf.transpose(tf.matmul(tf.nn.softmax(scores), value), (0, 2, 1, 3))
            return self.projections[3](tf.reshape(mixed, (-1, SEQUENCE, width)))

    class Positions(layers.Layer):
        def build(self, shape):
            self.table = self.add_weight(shape=(SEQUENCE, width), name="positions")

        def call(self, x):
            return x + self.table

    def gelu(t):
        if spell_gelu_with_erf:  # tf2onnx has no rule for the Erfc that tf.nn.gelu emits
            return 0.5 * t * (1.0 + tf.math.erf(t * 0.5 ** 0.5))
        return tf.nn.gelu(t, approximate=False)

    ids = keras.Input((SEQUENCE,), dtype="int32", name="ids")
    mask = keras.Input((SEQUENCE,), dtype="int32", name="mask")
    x = layers.LayerNormalization(epsilon=1e-12)(Positions()(layers.Embedding(VOCABULARY, width)(ids)))
    for _ in range(12):
        x = layers.LayerNormalization(epsilon=1e-12)(x + Attention()(x, mask))
        hidden = layers.Dense(inner, activation=gelu)(x)
        x = layers.LayerNormalization(epsilon=1e-12)(x + layers.Dense(width)(hidden))
    return keras.Model({"ids": ids, "mask": mask}, {"sequence": x, "pooled": layers.Dense(width, activation="tanh")(x[:, 0])})


def network(name, spell_gelu_with_erf=False):
    import tensorflow as tf
    keras = tf.keras
    keras.backend.clear_session()
    keras.utils.set_random_seed(2)
    if name.startswith("bert"):
        model = bert_base(keras, tf, spell_gelu_with_erf)
        specs = [tf.TensorSpec((None, SEQUENCE), tf.int32, name=n) for n in ("ids", "mask")]
        return model, tf.function(lambda ids, mask: model({"ids": ids, "mask": mask}), input_signature=specs)
    make = {"resnet50": keras.applications.ResNet50, "mobilenetv2": keras.applications.MobileNetV2,
            "efficientnetb0": keras.applications.EfficientNetB0}[name]
    model = make(weights=None)
    spec = tf.TensorSpec((None, 224, 224, 3), tf.float32, name="image")
    return model, tf.function(lambda image: {"probs": model(image, training=False)}, input_signature=[spec])


def save(name, path, spell_gelu_with_erf=False):
    import tensorflow as tf
    model, function = network(name, spell_gelu_with_erf)
    module = tf.Module()
    module.model, module.function = model, function
    tf.saved_model.save(module, path, signatures=function.get_concrete_function())


def make_onnx(name, path):
    """A missing converter costs ONNX Runtime its row, nothing else."""
    source = path
    if name.startswith("bert"):
        source = path + "_erf"
        save(name, source, spell_gelu_with_erf=True)
    done = subprocess.run([sys.executable, "-m", "tf2onnx.convert", "--saved-model", source, "--output", f"{path}.onnx", "--opset", "17"],
                          capture_output=True, text=True)
    if done.returncode != 0:
        print(f"no {name}.onnx: {(done.stderr.strip().splitlines() or ['no reason given'])[-1]}", flush=True)
    return done.returncode == 0


def make(root, name):
    path = f"{root}/{name}"
    if os.path.exists(f"{path}.done"):
        return
    print(f"making {name}", flush=True)
    import tensorflow as tf
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2
    save(name, path)
    loaded = tf.saved_model.load(path)  # owns the variables for as long as the function is used
    frozen = convert_variables_to_constants_v2(loaded.signatures["serving_default"])
    tf.io.write_graph(frozen.graph.as_graph_def(), root, f"{name}.pb", as_text=False)
    with open(f"{path}.tflite", "wb") as file:
        file.write(tf.lite.TFLiteConverter.from_concrete_functions([frozen]).convert())
    if make_onnx(name, path):
        open(f"{path}.done", "w").close()


if __name__ == "__main__":
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.makedirs(sys.argv[1], exist_ok=True)
    for wanted in NAMES:
        make(sys.argv[1], wanted)
