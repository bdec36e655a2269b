"""Functions of a model's library: polymorphic ones, recursive ones, ones that a conversion has to write again."""
import numpy as np
import pytest

import tenon
from test_bad_input import DTYPE, FLOAT, X, convert, node, placeholder, run, write_model

TYPES = "key: 'Tin' value { list { type: DT_FLOAT } }", "key: 'Tout' value { list { type: DT_FLOAT } }"
SCALAR = "key: 'value' value { tensor { dtype: DT_FLOAT tensor_shape { } float_val: %s } }"


def function(name, body, result, attr=""):
    kind = "type_attr: 'T'" if attr else "type: DT_FLOAT"
    return f"function {{ signature {{ name: '{name}' input_arg {{ name: 'x' {kind} }} output_arg {{ name: 'y' {kind} }} {attr} }} " + \
        body.replace("node {", "node_def {") + f" ret {{ key: 'y' value: '{result}' }} }} "


def library(*functions):
    return " library { " + "".join(functions) + " } "


def call(name, op, of, operands, *attrs):
    return node(name, op, operands, *(f"key: '{key}' value {{ func {{ name: '{f}' {rest} }} }}" for key, f, rest in of), *TYPES, *attrs)


# add(x) = x + v for the attributes T and v of who names it; choose(x) runs it in both branches, with values of its own caller.
ADD = function("add", node("v", "Const", (), "key: 'dtype' value { placeholder: 'T' }", "key: 'value' value { placeholder: 'v' }") +
               node("sum", "AddV2", ("x", "v:output:0"), "key: 'T' value { placeholder: 'T' }"), "sum:z:0",
               "attr { name: 'T' type: 'type' } attr { name: 'v' type: 'tensor' }")
GIVEN = "attr { key: 'T' value { placeholder: 'T' } } attr { key: 'v' value { placeholder: '%s' } }"
CHOOSE = function("choose", node("zero", "Const", (), DTYPE, SCALAR % 0) + node("total", "Sum", ("x", "all:output:0"), FLOAT, "key: 'Tidx' value { type: DT_INT32 }") +
                  node("all", "Const", (), "key: 'dtype' value { type: DT_INT32 }",
                       "key: 'value' value { tensor { dtype: DT_INT32 tensor_shape { dim { size: 2 } } int_val: 0 int_val: 1 } }") +
                  node("positive", "Greater", ("total:output:0", "zero:output:0"), FLOAT) +
                  call("if", "If", [("then_branch", "add", GIVEN % "a"), ("else_branch", "add", GIVEN % "b")], ("positive:z:0", "x"),
                       "key: 'Tcond' value { type: DT_BOOL }"), "if:output:0",
                  "attr { name: 'T' type: 'type' } attr { name: 'a' type: 'tensor' } attr { name: 'b' type: 'tensor' }")
VALUES = "attr { key: 'T' value { type: DT_FLOAT } } attr { key: 'a' value { tensor { dtype: DT_FLOAT tensor_shape { } float_val: %s } } } " \
    "attr { key: 'b' value { tensor { dtype: DT_FLOAT tensor_shape { } float_val: %s } } }"
POLYMORPHIC = placeholder() + call("first", "PartitionedCall", [("f", "choose", VALUES % (1, 2))], ("x",)) + \
    call("second", "PartitionedCall", [("f", "choose", VALUES % (10, 20))], ("first",)) + node("y", "Relu", ("second",), FLOAT) + library(ADD, CHOOSE)


def expected(x):
    for a, b in [(1, 2), (10, 20)]:
        x = x + (a if x.sum() > 0 else b)
    return np.maximum(x, 0)


@pytest.mark.parametrize("x", [X, np.abs(X), -np.abs(X), -5 * np.abs(X)], ids=["mixed", "positive", "negative", "more negative"])
def test_polymorphic_branches(tmp_path, x):
    path = write_model(tmp_path / "model", POLYMORPHIC)
    np.testing.assert_allclose(run(path, x), expected(x), rtol=1e-6)
    convert(path, tmp_path / "converted")
    np.testing.assert_allclose(run(str(tmp_path / "converted"), x), expected(x), rtol=1e-6)
    convert(path, tmp_path / "written", minimum_segment_size=-1)
    np.testing.assert_allclose(run(str(tmp_path / "written"), x), expected(x), rtol=1e-6)


# TF1: the op of a node is a function's name. twice(x) = add(add(x)).
TWICE = function("twice", node("one", "add", ("x",), "key: 'T' value { placeholder: 'T' }", SCALAR.replace("'value'", "'v'") % 2) +
                 node("two", "add", ("one:y:0",), "key: 'T' value { placeholder: 'T' }", SCALAR.replace("'value'", "'v'") % 3), "two:y:0",
                 "attr { name: 'T' type: 'type' }")
NAMED_AS_OPS = placeholder() + node("first", "twice", ("x",), FLOAT) + node("y", "Relu", ("first:0",), FLOAT) + library(ADD, TWICE)


@pytest.mark.parametrize("size", [-1, 1])
def test_functions_named_as_ops(tmp_path, size):
    path = write_model(tmp_path / "model", NAMED_AS_OPS)
    np.testing.assert_allclose(run(path), np.maximum(X + 5, 0), rtol=1e-6)
    convert(path, tmp_path / "converted", minimum_segment_size=size)
    np.testing.assert_allclose(run(str(tmp_path / "converted")), np.maximum(X + 5, 0), rtol=1e-6)


ENDLESS = {
    "a function named as an op that calls itself": (node("y", "f", ("x",)), function("f", node("again", "f", ("x",)), "again:y:0")),
    "a function that calls itself": (call("y", "PartitionedCall", [("f", "f", "")], ("x",)),
                                     function("f", call("again", "PartitionedCall", [("f", "f", "")], ("x",)), "again:output:0")),
    "two that call each other": (call("y", "PartitionedCall", [("f", "f", "")], ("x",)),
                                 function("f", call("other", "PartitionedCall", [("f", "g", "")], ("x",)), "other:output:0"),
                                 function("g", call("other", "StatefulPartitionedCall", [("f", "f", "")], ("x",)), "other:output:0")),
    "branches without an end": (call("y", "If", [("then_branch", "f", ""), ("else_branch", "f", "")], ("c", "x"), "key: 'Tcond' value { type: DT_FLOAT }"),
                                function("f", node("c", "Const", (), DTYPE, SCALAR % 1) +
                                         call("if", "If", [("then_branch", "f", ""), ("else_branch", "f", "")], ("c:output:0", "x"),
                                              "key: 'Tcond' value { type: DT_FLOAT }"), "if:output:0")),
}


@pytest.mark.parametrize("name", ENDLESS)
def test_recursion_without_an_end(tmp_path, name):
    nodes, *functions = ENDLESS[name]
    path = write_model(tmp_path / "model", placeholder() + node("c", "Const", (), DTYPE, SCALAR % 1) + nodes + library(*functions))
    with pytest.raises(tenon.Error, match="nested|deep"):
        run(path)
    try:
        convert(path, tmp_path / "converted")
    except tenon.Error:
        assert not (tmp_path / "converted").exists()
    else:
        with pytest.raises(tenon.Error, match="nested|deep"):
            run(str(tmp_path / "converted"))


def test_functions_that_are_missing_or_wrong(tmp_path):
    cases = {
        "nowhere": (call("y", "PartitionedCall", [("f", "nowhere", "")], ("x",)), ""),
        "branch": (call("y", "If", [("then_branch", "nowhere", ""), ("else_branch", "nowhere", "")], ("c", "x"), "key: 'Tcond' value { type: DT_FLOAT }"), ""),
        "result": (call("y", "PartitionedCall", [("f", "f", "")], ("x",)), library(function("f", "", "nothing:y:0"))),
        "arguments": (call("y", "PartitionedCall", [("f", "f", "")], ("x", "x")), library(function("f", "", "x"))),
        "cycle": (call("y", "PartitionedCall", [("f", "f", "")], ("x",)),
                  library(function("f", node("a", "Neg", ("b:y:0",), FLOAT) + node("b", "Neg", ("a:y:0",), FLOAT), "a:y:0"))),
        "twice": (call("y", "PartitionedCall", [("f", "f", "")], ("x",)),
                  library(function("f", node("a", "Neg", ("x",), FLOAT) + node("a", "Neg", ("x",), FLOAT), "a:y:0"))),
    }
    for name, (nodes, functions) in cases.items():
        path = write_model(tmp_path / name, placeholder() + node("c", "Const", (), DTYPE, SCALAR % 1) + nodes + functions)
        with pytest.raises(tenon.Error) as error:
            run(path)
        assert any(word in str(error.value) for word in ("\"nowhere\"", "\"f\"", "\"a\"", "cycle")), error.value
