"""Converted models on arrays, without TensorFlow."""
import os
import tempfile

import numpy as np

from ..session import Session
from . import call_arguments

NAME = "arrays"


def executing_eagerly():
    """There is no other way without TensorFlow."""
    return True


def requested_device():
    """Where the converted model will run."""
    return "/device:CPU:0"


def _checked(value):
    """What has no dtype stays as it is: it takes the dtype of its input when it is fed."""
    array = np.asarray(value)
    if array.dtype.kind == "O" and not all(isinstance(element, (bytes, str)) for element in array.flat):
        raise TypeError(f"an object of type {type(value).__name__} is no array")
    return array if hasattr(value, "dtype") or hasattr(value, "__array__") else value


def threads():
    """The size of the team that runs engines unless an option says it; 0: the CPUs of this process."""
    return 0


def arguments(item):
    """(args, kwargs) of what an input function yields; RuntimeError for what is no array."""
    return call_arguments.split(item, _checked)


class ArrayFunction:
    """A converted signature on NumPy arrays. It is called with one array per input, by position (in the order of `inputs`) or by name,
    and returns a dictionary of arrays. May be called from many threads.

    inputs, outputs: lists of tenon.TensorSpec, ordered by name. structured_input_signature, structured_outputs: the same as
    ((), {name: spec}) and {name: spec}. session: the tenon.Session behind it.
    """

    def __init__(self, session, key, kept=()):
        self.session, self.name = session, key
        self.inputs = sorted(session.signature_inputs(key))
        self.outputs = sorted(session.signature_outputs(key))
        self._key, self._kept = key, kept
        self._names = [spec.name for spec in self.inputs]

    @property
    def structured_input_signature(self):
        return (), {spec.name: spec for spec in self.inputs}

    @property
    def structured_outputs(self):
        return {spec.name: spec for spec in self.outputs}

    def __call__(self, *args, **kwargs):
        values = call_arguments.bind(self._names, args, kwargs)
        return self.session.run(dict(zip(self._names, values)), self._key)

    def __repr__(self):
        return f"<converted function {self.name}({', '.join(self._names)})>"


def load(folder, tags, key, threads, kept):
    """The function of a written model; it keeps `folder` and `kept` alive."""
    session = Session(folder.path, signature_key=key, tags=list(tags), threads=threads or None)
    return ArrayFunction(session, key, (folder, kept))


def finish(folder, options, function, nodes):
    """What save options add to a written model: there are none without TensorFlow."""
    if options is not None:
        raise ValueError("options must be None without TensorFlow; tf.saved_model.SaveOptions needs it imported")


def graph_def(content):
    """A GraphDef as its users here hold it: the bytes."""
    return content


def graph_def_bytes(graph):
    """The bytes of a GraphDef: bytes, or a message object."""
    return bytes(graph) if isinstance(graph, (bytes, bytearray, memoryview)) else graph.SerializeToString()


def freeze(folder, tags, key):
    """A SavedModel's GraphDef with constants for variables, and its outputs; None: that cannot be made here."""
    del folder, tags, key


def calibrate_graph(content, fetches, runs, feed_dict_fn, input_map_fn):
    """Runs a GraphDef `runs` times on what one of the functions returns: {tensor name: array}."""
    feeds = feed_dict_fn or input_map_fn
    with tempfile.TemporaryDirectory(prefix="tenon-") as folder:
        path = os.path.join(folder, "graph.pb")
        with open(path, "wb") as file:
            file.write(content)
        session = None
        for _ in range(runs):
            values = {str(name): value for name, value in feeds().items()}
            if session is None:
                session = Session(path, inputs=list(values), outputs=[str(name) for name in fetches])
            session.run(values)
