"""Small SavedModels for the tests of tenon.trt_convert, written as text."""
from conftest import _info, _node, _signature, _write_saved_model, identity_nodes, _shape

DTYPES = {"float32": "DT_FLOAT", "int32": "DT_INT32"}


def constant(name, value, dtype="float32"):
    field = "float_val" if dtype == "float32" else "int_val"
    return _node(name, "Const", dtype=f"type: {DTYPES[dtype]}",
                 value=f"tensor {{ dtype: {DTYPES[dtype]} tensor_shape {{ }} {field}: {value} }}")


def binary(name, op, x, y, dtype="float32"):
    return _node(name, op, [x, y], T=f"type: {DTYPES[dtype]}")


def model(folder, sizes, dtype="float32", inputs=("x",), key="serving_default", minus=False):
    """y = 2·sum + 1 for each of `inputs`, of the shape `sizes`; -1 is an unknown size. The outputs are y, and with `minus` also z = -y."""
    kind = DTYPES[dtype]
    nodes = [_node(f"in_{name}", "Placeholder", dtype=f"type: {kind}", shape=_shape(sizes)) for name in inputs]
    nodes += [constant("two", 2, dtype), constant("one", 1, dtype)]
    last = f"in_{inputs[0]}"
    for count, name in enumerate(inputs[1:]):
        nodes.append(binary(f"sum_{count}", "AddV2", last, f"in_{name}", dtype))
        last = f"sum_{count}"
    nodes += [binary("double", "Mul", last, "two", dtype), binary("more", "AddV2", "double", "one", dtype),
              _node("y", "Identity", ["more"], T=f"type: {kind}")]
    outputs = {"y": _info("y:0", kind, sizes)}
    if minus:
        nodes.append(_node("z", "Neg", ["more"], T=f"type: {kind}"))
        outputs["z"] = _info("z:0", kind, sizes)
    return _write_saved_model(folder, nodes, [_signature(key, {name: _info(f"in_{name}:0", kind, sizes) for name in inputs}, outputs)])


def expected(*values):
    """y of the model."""
    return 2 * sum(values) + 1


def empty_model(folder):
    """A model without anything to convert."""
    return _write_saved_model(folder, identity_nodes("DT_FLOAT", [-1]), [
        _signature("serving_default", {"x": _info("x:0", "DT_FLOAT", [-1])}, {"y": _info("y:0", "DT_FLOAT", [-1])})])
