"""Writes src/ops/tensorflow_ops.inc: what TensorFlow's op registry says of every op's results and attribute defaults.

    python tools/record_op_signatures.py > src/ops/tensorflow_ops.inc      (needs tensorflow-cpu)

One string per op, sorted by name, fields separated by tabs: name, "S" when stateful else "-", results, attributes with defaults.
A result is name:dtype, dtype being a number, an attribute's name, "N*dtype" for a list whose length attribute N holds, or
"@attr" for a list of types. A default is name=kind:value; kinds: i f b s t (dtype) h (shape), and l? for a list of one of them.
"""
from tensorflow.python.framework import op_def_registry  # noqa: F401  (loads the registry)
from tensorflow.core.framework import op_def_pb2
from tensorflow.python.client import pywrap_tf_session as c_api


def result(arg):
    dtype = arg.type_attr or (str(arg.type) if arg.type else "")
    if arg.number_attr:
        dtype = f"{arg.number_attr}*{dtype}"
    if arg.type_list_attr:
        dtype = f"@{arg.type_list_attr}"
    return f"{arg.name}:{dtype}"


def shape(proto):
    return "?" if proto.unknown_rank else "x".join(str(d.size) for d in proto.dim) or "scalar"


def default(attr):
    value, kind = attr.default_value, attr.default_value.WhichOneof("value")
    text = lambda b: b.decode("latin-1").encode("unicode_escape").decode().replace('"', '\\"')
    if kind == "i":
        return f"i:{value.i}"
    if kind == "f":
        return f"f:{value.f!r}"
    if kind == "b":
        return f"b:{int(value.b)}"
    if kind == "s":
        return f"s:{text(value.s)}"
    if kind == "type":
        return f"t:{value.type}"
    if kind == "shape":
        return f"h:{shape(value.shape)}"
    if kind == "list":
        lists = value.list
        element = attr.type.removeprefix("list(").removesuffix(")")
        key, values = {
            "int": ("i", [str(v) for v in lists.i]), "float": ("f", [repr(v) for v in lists.f]),
            "bool": ("b", [str(int(v)) for v in lists.b]), "string": ("s", [text(v) for v in lists.s]),
            "type": ("t", [str(v) for v in lists.type]), "shape": ("h", [shape(v) for v in lists.shape]),
            "func": ("n", []), "tensor": ("n", []), "attr": ("n", []),
        }[element]
        return f"l{key}:{','.join(values)}"
    return None


ops = op_def_pb2.OpList()
buffer = c_api.TF_GetAllOpList()
ops.ParseFromString(c_api.TF_GetBuffer(buffer))
print("// Made by tools/record_op_signatures.py; do not edit.")
for op in sorted(ops.op, key=lambda o: o.name.encode()):
    defaults = [f"{a.name}={d}" for a in op.attr if a.HasField("default_value") and (d := default(a)) is not None]
    fields = [op.name, "S" if op.is_stateful else "-", ";".join(map(result, op.output_arg)), ";".join(defaults)]
    print('"' + "\\t".join(fields) + '",')
