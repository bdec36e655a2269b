"""The two worlds that a converted model may run in: TensorFlow's tensors, or arrays without TensorFlow.

Both are modules with the functions executing_eagerly(), requested_device(), threads(), arguments(item), load(folder, ...), finish(folder, ...).
"""
import os
import sys


def wants_tensorflow():
    """TensorFlow is used if and only if this process has imported it, or TENON_TENSORFLOW=1 says so."""
    return sys.modules.get("tensorflow") is not None or os.environ.get("TENON_TENSORFLOW") == "1"


def current():
    """The world of this moment."""
    if wants_tensorflow():
        from . import world_tensorflow
        return world_tensorflow
    from . import world_arrays
    return world_arrays
