"""Small SavedModels for the tests of tenon.trt_convert, written as text, and their quiet converters."""
import numpy as np
import pytest

from tenon import trt_convert as trt

DTYPES = {"float32": "DT_FLOAT", "int32": "DT_INT32"}


def _node(name, op, inputs=(), **attributes):
    lines = [f'name: "{name}"', f'op: "{op}"', *(f'input: "{source}"' for source in inputs)]
    lines += [f'attr {{ key: "{key}" value {{ {value} }} }}' for key, value in attributes.items()]
    return "node { " + " ".join(lines) + " }"


def _shape(sizes):
    return "shape { unknown_rank: true }" if sizes is None else "shape { " + " ".join(f"dim {{ size: {size} }}" for size in sizes) + " }"


def _info(tensor, dtype, sizes):
    return f'name: "{tensor}" dtype: {dtype} tensor_{_shape(sizes)}'


def _write(folder, nodes, key, inputs, outputs):
    text = "".join(f'{kind} {{ key: "{name}" value {{ {info} }} }} ' for kind, infos in (("inputs", inputs), ("outputs", outputs))
                   for name, info in infos.items())
    folder.mkdir(parents=True)
    (folder / "saved_model.pbtxt").write_text(
        'saved_model_schema_version: 1\nmeta_graphs {\nmeta_info_def { tags: "serve" }\ngraph_def {\n' + "\n".join(nodes) +
        f'\nversions {{ producer: 1395 }}\n}}\nsignature_def {{ key: "{key}" value {{ {text} '
        'method_name: "tensorflow/serving/predict" } }\n}\n')
    return folder


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
    return _write(folder, nodes, key, {name: _info(f"in_{name}:0", kind, sizes) for name in inputs}, outputs)


def expected(*values):
    """y of the model."""
    return 2 * sum(values) + 1


def converter(folder, **arguments):
    """A quiet TrtGraphConverterV2 that makes engines of two nodes already."""
    made = trt.TrtGraphConverterV2(input_saved_model_dir=str(folder), **{"minimum_segment_size": 2, **arguments})
    made.options.quiet = True
    return made


def shapes_of(world, *shapes):
    """An input function with one input per shape."""
    return lambda: iter([world.tensor(np.ones(shape)) for shape in shapes])


@pytest.fixture
def vector(tmp_path):
    return model(tmp_path / "vector", [-1, -1])


@pytest.fixture
def negated(tmp_path):
    return model(tmp_path / "negated", [-1, -1], minus=True)
