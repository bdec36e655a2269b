"""TensorFlow as the oracle: runs the same models on the same feeds, each in this process, as TensorFlow's own loaders do."""
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
import numpy as np
import tensorflow as tf


def run_saved_model(path, feeds, signature_key, tags=("serve",), wanted=None):
    """Outputs {name: array} of a signature by TensorFlow's TF1 loader, which takes TF1 and TF2 models alike; falls back to the
    TF2 loader for models whose variables only the object graph restores."""
    try:
        return _run_in_session(path, feeds, signature_key, list(tags))
    except (tf.errors.FailedPreconditionError, tf.errors.NotFoundError):
        function = tf.saved_model.load(path, tags=list(tags)).signatures[signature_key]
        result = function(**{name: tf.constant(value) for name, value in feeds.items()})
        return {name: value.numpy() for name, value in result.items()}


def _run_in_session(path, feeds, signature_key, tags):
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        meta_graph = tf.compat.v1.saved_model.load(session, tags, path)
        signature = meta_graph.signature_def[signature_key]
        fetches = {name: info.name for name, info in signature.outputs.items()}
        return session.run(fetches, {signature.inputs[name].name: value for name, value in feeds.items()})


def run_graph(path, feeds, fetches):
    """Outputs of a frozen graph by tensor names."""
    graph_def = tf.compat.v1.GraphDef()
    with open(path, "rb") as file:
        graph_def.ParseFromString(file.read())
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        tf.import_graph_def(graph_def, name="")
        name = lambda tensor: tensor if ":" in tensor else tensor + ":0"
        values = session.run([name(f) for f in fetches], {name(k): v for k, v in feeds.items()})
    return dict(zip(fetches, values))


def made_up(spec, batch=2, seed=5):
    """A value for an input: unknown sizes are `batch`, an unknown rank is taken as [batch, 1]."""
    rng = np.random.default_rng(seed)
    shape = [batch if size is None else size for size in ((None, 1) if spec.shape is None else spec.shape)]
    if spec.dtype == object:
        return np.full(shape, b"text", dtype=object)
    if spec.dtype == bool:
        return rng.random(shape) < 0.5
    if np.issubdtype(spec.dtype, np.integer):
        return rng.integers(0, 5, shape).astype(spec.dtype)
    return rng.standard_normal(shape).astype(spec.dtype)
