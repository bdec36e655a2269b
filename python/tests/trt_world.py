"""The two worlds of tenon.trt_convert, as a fixture: tests that take `world` run without TensorFlow, and with it where it is installed."""
import contextlib
import sys

import numpy as np
import pytest

from tenon.trt_convert import notices


class World:
    """What differs between the worlds."""

    def __init__(self, name):
        self.name = name

    def tensor(self, value, dtype=np.float32):
        array = np.asarray(value, dtype)
        if self.name == "arrays":
            return array
        import tensorflow as tf
        return tf.constant(array)

    @property
    def refusal(self):
        """What native execution that is refused raises."""
        if self.name == "arrays":
            import tenon
            return tenon.Aborted
        import tensorflow as tf
        return tf.errors.AbortedError


@pytest.fixture(params=["arrays", "tensorflow"])
def world(request, monkeypatch):
    """Without TensorFlow it cannot even be imported."""
    notices.forget()
    if request.param == "arrays":
        monkeypatch.setitem(sys.modules, "tensorflow", None)
        monkeypatch.delenv("TENON_TENSORFLOW", raising=False)
    else:
        pytest.importorskip("tensorflow", reason="needs tensorflow-cpu")
    return World(request.param)


@contextlib.contextmanager
def graph_mode(world):
    """TensorFlow's graph mode, which TrtGraphConverter wants; nothing without TensorFlow."""
    if world.name == "arrays":
        yield
        return
    import tensorflow as tf
    with tf.Graph().as_default():
        yield
