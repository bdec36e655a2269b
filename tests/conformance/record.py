#!/usr/bin/env python3
"""Records what TensorFlow computes for tables of single-op cases.

  python tests/conformance/record.py [family ...]     (all families without arguments; needs TensorFlow 2.21)

A family is a module cases_<family>.py beside this file. Its cases() yields tuples
    (op, attrs, inputs) or (op, attrs, inputs, options)
  attrs    attributes that the operands do not imply; types as NumPy or TensorFlow names ("float32", "DT_QINT8")
  inputs   NumPy arrays, all operands in order, lists flattened; bfloat16 by ml_dtypes, strings as arrays of bytes (object);
           (array, "qint8") for a quantized dtype
  options  {"check": "shape"} for random results, {"tolerance": 10.0} to allow ten times the usual difference
A case for which TensorFlow has no CPU kernel is left out with a note; one that TensorFlow refuses is recorded as an error.

The result is data/<family>.bin, little-endian:
  "TCASES1\\n"  u32 cases, then per case:
    str op;  u32 attrs {str name, u8 kind, payload};  u32 inputs {tensor};  f32 tolerance
    u8 outcome: 0 values, 1 error (str message follows), 2 dtypes and shapes only;  u32 outputs {tensor} unless an error
  str     u32 length, bytes
  tensor  i32 dtype (TensorFlow's number), i32 rank, i64 dims, elements (strings: str each)
  kinds   i i64, f f32, b u8, s str, t i32, h shape (i32 rank, -1 unknown; i64 dims, -1 unknown), T tensor; I F B S Y H: u32 count,
          then that many of i f b s t h
"""
import importlib
import os
import struct
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")
import numpy as np
import tensorflow as tf
from tensorflow.python.eager import context
from tensorflow.python.eager import execute
from tensorflow.python.framework import op_def_registry

HERE = os.path.dirname(os.path.abspath(__file__))
LIST_KINDS = {"int": "I", "float": "F", "bool": "B", "string": "S", "type": "Y", "shape": "H"}
NOTES = set()  # what was said already
UNSUPPORTED = ("list of allowed values", "has constraint on attr")
KINDS = {"int": "i", "float": "f", "bool": "b", "string": "s", "type": "t", "shape": "h", "tensor": "T"}


def as_bytes(value):
    return value if isinstance(value, bytes) else value.encode()


def put_str(value):
    value = as_bytes(value)
    return struct.pack("<I", len(value)) + value


def dtype_number(value):
    if isinstance(value, int):
        return value
    if isinstance(value, str) and value.startswith("DT_"):
        value = value[3:].lower()
    return tf.as_dtype(value).as_datatype_enum


def put_tensor(array, dtype=None):
    array = np.asarray(array)
    number = dtype_number(dtype) if dtype is not None else tf.as_dtype(array.dtype).as_datatype_enum
    head = struct.pack("<ii", number, array.ndim) + struct.pack("<%dq" % array.ndim, *array.shape)
    if number == tf.string.as_datatype_enum:
        return head + b"".join(put_str(element) for element in array.reshape(-1))
    return head + np.ascontiguousarray(array).tobytes()


def put_shape(shape):
    shape = tf.TensorShape(shape)
    if shape.rank is None:
        return struct.pack("<i", -1)
    dims = [-1 if d is None else d for d in shape.as_list()]
    return struct.pack("<i", len(dims)) + struct.pack("<%dq" % len(dims), *dims)


PUT = {
    "i": lambda v: struct.pack("<q", int(v)),
    "f": lambda v: struct.pack("<f", v),
    "b": lambda v: struct.pack("<B", bool(v)),
    "s": put_str,
    "t": lambda v: struct.pack("<i", dtype_number(v)),
    "h": put_shape,
    "T": put_tensor,
}


def put_attr(name, attr_type, value):
    if attr_type.startswith("list("):
        kind = LIST_KINDS[attr_type[5:-1]]
        one = {"Y": "t"}.get(kind, kind.lower())
        payload = struct.pack("<I", len(value)) + b"".join(PUT[one](v) for v in value)
    else:
        kind = KINDS[attr_type]
        payload = PUT[kind](value)
    return put_str(name) + kind.encode() + payload


def to_tensor(value):
    if isinstance(value, tuple):
        return tf.bitcast(tf.constant(value[0]), tf.as_dtype(value[1]))
    return tf.constant(value)


def to_array(tensor):
    """The elements of a tensor, and its dtype."""
    if tensor.dtype.is_quantized:
        carrier = {tf.qint8: tf.int8, tf.quint8: tf.uint8, tf.qint16: tf.int16, tf.quint16: tf.uint16, tf.qint32: tf.int32}
        return tf.bitcast(tensor, carrier[tensor.dtype]).numpy(), tensor.dtype.name
    value = tensor.numpy()
    if tensor.dtype == tf.string:
        value = np.array(value, object)  # NumPy's own byte strings lose NULs at their end
    return value, tensor.dtype.name


def implied_attrs(op_def, inputs, attrs):
    """Attributes that follow from the operands' number and dtypes."""
    result = {}
    at = 0
    open_lists = [a for a in op_def.input_arg if a.number_attr or a.type_list_attr]
    fixed = len(op_def.input_arg) - len(open_lists)
    for arg in op_def.input_arg:
        count = 1
        key = arg.number_attr or arg.type_list_attr
        if key:
            known = attrs.get(key, result.get(key))
            count = (known if isinstance(known, int) else len(known)) if known is not None else (len(inputs) - fixed) // len(open_lists)
        types = [t.dtype.as_datatype_enum for t in inputs[at:at + count]]
        at += count
        if arg.number_attr:
            result[arg.number_attr] = count
        if arg.type_list_attr:
            result[arg.type_list_attr] = types
        elif arg.type_attr and types:
            result[arg.type_attr] = types[0]
    return result


def output_count(op_def, attrs):
    count = 0
    for arg in op_def.output_arg:
        if arg.number_attr:
            count += attrs[arg.number_attr]
        elif arg.type_list_attr:
            count += len(attrs[arg.type_list_attr])
        else:
            count += 1
    return count


def for_execute(attr_type, value):
    if attr_type == "type":
        return dtype_number(value)
    if attr_type == "list(type)":
        return [dtype_number(v) for v in value]
    if attr_type == "string":
        return as_bytes(value)
    if attr_type == "list(string)":
        return [as_bytes(v) for v in value]
    if attr_type == "shape":
        return tf.TensorShape(value)
    if attr_type == "list(shape)":
        return [tf.TensorShape(v) for v in value]
    return value


def run(op_def, attrs, types, inputs):
    flat = []
    for name, value in attrs.items():
        flat += [name, for_execute(types[name], value)]
    attrs = dict(attrs)
    for attr in op_def.attr:  # eager execution does not fill these in before it looks for a kernel
        if attr.name not in attrs and attr.HasField("default_value") and attr.type in ("int", "type"):
            attrs[attr.name] = attr.default_value.i if attr.type == "int" else attr.default_value.type
            flat += [attr.name, attrs[attr.name]]
    context.ensure_initialized()
    return execute.execute(op_def.name.encode(), output_count(op_def, attrs), inputs=inputs, attrs=tuple(flat), ctx=context.context())


def record_case(op, attrs, inputs, options=None):
    """The bytes of one case; nothing when TensorFlow has no kernel."""
    options = options or {}
    op_def = op_def_registry.get(op)
    if op_def is None:
        raise ValueError("TensorFlow has no op " + op)
    types = {a.name: a.type for a in op_def.attr}
    tensors = [to_tensor(value) for value in inputs]
    attrs = {**implied_attrs(op_def, tensors, attrs), **attrs}
    given = dict(attrs)
    text = put_str(op) + struct.pack("<I", len(given))
    for name, value in given.items():
        text += put_attr(name, types[name], value)
    text += struct.pack("<I", len(tensors)) + b"".join(put_tensor(*to_array(t)) for t in tensors)
    text += struct.pack("<f", options.get("tolerance", 1.0))
    try:
        outputs = run(op_def, attrs, types, tensors)
        outputs = outputs if isinstance(outputs, list) else [outputs]
        outputs = [to_array(t) for t in outputs if t is not None and isinstance(t, tf.Tensor)]
    except Exception as error:  # pylint: disable=broad-except
        message = str(error).split("\n")[0][:160]
        if isinstance(error, (tf.errors.NotFoundError, tf.errors.UnimplementedError)) or any(m in message for m in UNSUPPORTED):
            note = "left out: %s %s: %s" % (op, [t.dtype.name for t in tensors], message)
            if note not in NOTES:
                print(note)
            NOTES.add(note)
            return None
        if os.environ.get("TENON_RECORD_ERRORS"):
            print("error: %s %s: %s" % (op, given, message))
        return text + b"\x01" + put_str(message)
    outcome = 2 if options.get("check") == "shape" else 0
    text += struct.pack("<BI", outcome, len(outputs))
    for array, dtype in outputs:
        text += put_tensor(np.zeros_like(array) if outcome == 2 else array, dtype)
    return text


def record_family(family):
    module = importlib.import_module("cases_" + family)
    recorded = [r for r in (record_case(*case) for case in module.cases()) if r is not None]
    path = os.path.join(HERE, "data", family + ".bin")
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as out:
        out.write(b"TCASES1\n" + struct.pack("<I", len(recorded)) + b"".join(recorded))
    print("%s: %d cases, %d bytes" % (family, len(recorded), os.path.getsize(path)))


def main():
    sys.path.insert(0, HERE)
    families = sys.argv[1:] or sorted(f[6:-3] for f in os.listdir(HERE) if f.startswith("cases_") and f.endswith(".py"))
    for family in families:
        record_family(family)


if __name__ == "__main__":
    main()
