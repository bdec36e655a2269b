"""Writes tests/savedmodel/data with TensorFlow: a bundle with every dtype, one with a partitioned variable, a graph as text.

    record_savedmodel_data.py        run once; the files are part of the project
"""
import os
import shutil

import numpy as np
import tensorflow as tf
from google.protobuf import text_format

v1 = tf.compat.v1
DATA = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tests", "savedmodel", "data")


def write_every_dtype():
    """Values 0, 1, 2 of every dtype, in shape [3]; strings with zero bytes and without bytes."""
    dtypes = ["float32", "float64", "int32", "uint8", "int16", "int8", "complex64", "int64", "bool", "bfloat16", "uint16",
              "complex128", "half", "uint32", "uint64", "float8_e5m2", "float8_e4m3fn"]
    names, tensors = [], []
    for name in dtypes:
        names.append(name)
        tensors.append(tf.constant(np.arange(3).astype(tf.as_dtype(name).as_numpy_dtype)))
    names.append("string")
    tensors.append(tf.constant([b"", b"a\0b", b"long " * 100]))
    names.append("scalar")
    tensors.append(tf.constant(7.5))
    names.append("empty")
    tensors.append(tf.zeros([0, 4]))
    names.append("quint8")
    tensors.append(tf.bitcast(tf.constant([0, 1, 2], tf.uint8), tf.quint8))
    tf.raw_ops.SaveV2(prefix=os.path.join(DATA, "every_dtype"), tensor_names=names, shape_and_slices=[""] * len(names),
                      tensors=tensors)


def write_partitioned():
    """arange(40) in shape [10, 4] cut in three along dimension 0, and its middle columns cut out of another tensor."""
    whole = np.arange(40, dtype=np.float32).reshape(10, 4)
    specs = ["10 4 0,4:-", "10 4 4,3:-", "10 4 7,3:-"]
    parts = [whole[0:4], whole[4:7], whole[7:10]]
    corner = ["300 2 0,299:0,2", "300 2 299,1:0,2"]
    tall = np.arange(600, dtype=np.int64).reshape(300, 2)
    tf.raw_ops.SaveV2(prefix=os.path.join(DATA, "partitioned"), tensor_names=["part"] * 3 + ["tall"] * 2,
                      shape_and_slices=specs + corner,
                      tensors=[tf.constant(p) for p in parts] + [tf.constant(tall[:299]), tf.constant(tall[299:])])


FIELDS = {"float32": "float_val", "float64": "double_val", "complex64": "scomplex_val", "complex128": "dcomplex_val",
          "int64": "int64_val", "bool": "bool_val", "half": "half_val", "bfloat16": "half_val", "uint32": "uint32_val",
          "uint64": "uint64_val"}


def spell_out(tensor):
    """Moves tensor_content into the repeated field of the dtype."""
    name = tf.as_dtype(tensor.dtype).name.replace("float16", "half").replace("bhalf", "bfloat16")
    if not tensor.tensor_content:
        return
    array = tf.make_ndarray(tensor).ravel()
    if name in ("half", "bfloat16"):
        array = array.view(np.uint16)
    elif name.startswith("complex"):
        array = array.view("float32" if name == "complex64" else "float64")
    getattr(tensor, FIELDS.get(name, "int_val")).extend(array.tolist())
    tensor.tensor_content = b""


def write_graph():
    """Constants in every form that TensorProto has, as text and binary; the last of few values repeats."""
    with tf.Graph().as_default() as graph:
        for name in ["float32", "float64", "int32", "uint8", "int16", "int8", "complex64", "int64", "bool", "bfloat16", "uint16",
                     "complex128", "half", "uint32", "uint64"]:
            tf.constant(np.array([1, 0, 1]).astype(tf.as_dtype(name).as_numpy_dtype), name=name)
        tf.constant(["x", "y\n\"\\\0\xc3"], name="string")
        tf.constant(2.5, shape=[2, 3], name="splat")
        tf.constant([float("inf"), -float("inf"), float("nan"), 1e-42, -0.0, 3.4e38], name="special")
        tf.zeros([0, 2], name="nothing")
    definition = graph.as_graph_def()
    for node in definition.node:
        if node.name not in ("uint8", "splat"):
            spell_out(node.attr["value"].tensor)
    with open(os.path.join(DATA, "constants.pb"), "wb") as file:
        file.write(definition.SerializeToString(deterministic=True))
    with open(os.path.join(DATA, "constants.pbtxt"), "w") as file:
        file.write(text_format.MessageToString(definition))


if __name__ == "__main__":
    shutil.rmtree(DATA, ignore_errors=True)
    os.makedirs(DATA)
    write_every_dtype()
    write_partitioned()
    write_graph()
