"""Compares what Tenon reads from and writes for the real models with what TensorFlow makes of the same files.

    check_savedmodel.py PROGRAM      PROGRAM is the built dump_savedmodel (ninja -C build dump_savedmodel)

Every variable; a bundle that Tenon wrote; every constant; every graph after it was read into structs and written from them (as protobuf messages, and
loaded and run by TensorFlow). Needs TensorFlow and xxhash. Exits with 1 and the differences when there are any.
"""
import os
import subprocess
import sys
import tempfile

import numpy as np
import tensorflow as tf
import xxhash
from google.protobuf import text_format
from tensorflow.core.protobuf import saved_model_pb2

v1 = tf.compat.v1
NAMES = {"half": "float16"}


def run_dump(program, name, path):
    subprocess.run([program, name, path], check=True)


def describe(dtype, shape):
    name = tf.as_dtype(dtype).name
    return f"{NAMES.get(name, name)}[{','.join(str(d) for d in shape)}]"


def content(value):
    if isinstance(value, bytes):  # as an array it would lose zero bytes at its end
        return value + b"\n"
    if value.dtype == object:
        return b"".join(v + b"\n" for v in value.ravel())
    return np.ascontiguousarray(value).tobytes()


def check_variables(program, folder):
    """What Tenon reads from the models, and a bundle that Tenon wrote."""
    dump = os.path.join(folder, "variables")
    run_dump(program, "variables", dump)
    run_dump(program, "bundle", os.path.join(folder, "bundle"))
    lines = [line.rstrip("\n").split("\t") for path in (dump, os.path.join(folder, "bundle.list")) for line in open(path)]
    wrong, seen = [], {}
    for directory, key, described, digest in lines:
        if directory not in seen:
            seen[directory] = (tf.train.load_checkpoint(
                directory + "/variables/variables" if os.path.isdir(directory) else directory), set())
        reader, keys = seen[directory]
        keys.add(key)
        value = reader.get_tensor(key)
        wanted = describe(reader.get_variable_to_dtype_map()[key], np.shape(value))
        if described != wanted or xxhash.xxh3_128_hexdigest(content(value)) != digest:
            wrong.append(f"{directory} {key}: {described}, TensorFlow has {wanted}")
    for directory, (reader, keys) in seen.items():
        wrong += [f"{directory} {key}: not listed" for key in set(reader.get_variable_to_shape_map()) - keys]
    print(f"{len(lines)} variables of {len(seen)} bundles compared")
    return wrong


def constants_of(path):
    """(node, tensor) for every constant, in file order."""
    if os.path.isdir(path):
        graphs = [meta_graph.graph_def for meta_graph in read_saved_model(path).meta_graphs]
    else:
        graphs = [tf.compat.v1.GraphDef.FromString(open(path, "rb").read())]
    for graph in graphs:
        for nodes in [graph.node] + [function.node_def for function in graph.library.function]:
            for node in nodes:
                if node.op == "Const":
                    yield node.name, node.attr["value"].tensor


def check_constants(program, folder):
    dump = os.path.join(folder, "constants")
    run_dump(program, "constants", dump)
    wrong, count, models = [], 0, {}
    for line in open(dump):
        path, name, described, digest = line.rstrip("\n").split("\t")
        if path not in models:
            models[path] = constants_of(path)
        wanted_name, proto = next(models[path])
        value = tf.make_ndarray(proto)
        if value.dtype.kind in "SO":
            value = value.astype(object)
        count += 1
        if (name, described) != (wanted_name, describe(proto.dtype, value.shape)) or \
                xxhash.xxh3_128_hexdigest(content(value)) != digest:
            wrong.append(f"{path} constant {name}: {described}")
    wrong += [f"{path}: constants missing" for path, rest in models.items() if next(rest, None) is not None]
    print(f"{count} constants of {len(models)} models compared")
    return wrong


def read_saved_model(path):
    message = saved_model_pb2.SavedModel()
    binary = os.path.join(path, "saved_model.pb")
    if os.path.exists(binary):
        message.ParseFromString(open(binary, "rb").read())
    else:
        text_format.Parse(open(os.path.join(path, "saved_model.pbtxt")).read(), message)
    return message


def outputs_of(path, meta_graph):
    """The outputs of every signature that takes numbers, on fixed inputs; None where TensorFlow cannot run it."""
    results = {}
    with v1.Session(graph=tf.Graph()) as session:
        v1.saved_model.load(session, list(meta_graph.meta_info_def.tags), path)
        for key, signature in sorted(meta_graph.signature_def.items()):
            if key.startswith("__") or not all(info.name for info in signature.outputs.values()):
                continue
            feeds = {}
            for info in signature.inputs.values():
                shape = [abs(dim.size) for dim in info.tensor_shape.dim]
                dtype = tf.as_dtype(info.dtype % 100)
                feeds[info.name] = np.full(shape, b"" if dtype == tf.string else 1, dtype.as_numpy_dtype)
            try:
                results[key] = session.run({k: info.name for k, info in signature.outputs.items()}, feeds)
            except (tf.errors.OpError, TypeError, ValueError) as error:
                results[key] = type(error).__name__
    return results


def same(a, b):
    if isinstance(a, dict):
        return isinstance(b, dict) and a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
    return a == b if isinstance(a, str) else np.array_equal(np.asarray(a), np.asarray(b))


def loads(path):
    try:
        return sorted(tf.saved_model.load(path).signatures)
    except Exception as error:  # whatever it is, it must be the same for both
        return type(error).__name__


def check_rewritten(program, folder):
    run_dump(program, "rewritten", folder)
    wrong, ran, count = [], 0, 0
    for number in sorted(os.listdir(folder), key=lambda n: (len(n), n)):
        path = os.path.join(folder, number)
        if not os.path.exists(path + "/origin"):
            continue
        origin = open(path + "/origin").read()
        count += 1
        written = read_saved_model(path)
        if not os.path.isdir(origin):
            if written.meta_graphs[0].graph_def != v1.GraphDef.FromString(open(origin, "rb").read()):
                wrong.append(f"{origin}: written graph differs")
            outputs_of(path, written.meta_graphs[0])
            continue
        if written != read_saved_model(origin):
            wrong.append(f"{origin}: written model differs")
        try:
            wanted = outputs_of(origin, written.meta_graphs[0])
        except (tf.errors.OpError, RuntimeError, ValueError) as error:
            print(f"{origin}: TensorFlow cannot load it: {str(error)[:80]}")
            continue
        found = outputs_of(path, written.meta_graphs[0])
        ran += sum(isinstance(value, dict) for value in found.values())
        if not same(wanted, found):
            wrong.append(f"{origin}: outputs differ")
        if written.meta_graphs[0].HasField("object_graph_def") and loads(origin) != loads(path):
            wrong.append(f"{origin}: tf.saved_model.load disagrees")
    print(f"{count} models rewritten, {ran} signatures run before and after")
    return wrong


def main():
    with tempfile.TemporaryDirectory() as folder:
        wrong = [line for check in (check_variables, check_constants, check_rewritten) for line in check(sys.argv[1], folder)]
    print(f"{len(wrong)} differences")
    print("\n".join(wrong))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
