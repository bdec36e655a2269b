"""The stub of tenon.trt_convert says what the module has. (scripts/test_wheel.sh runs a type checker over typed_program.py.)"""
import ast
import inspect
import pathlib

import pytest

from tenon import trt_convert

STUB = ast.parse(pathlib.Path(trt_convert.__file__).with_suffix(".pyi").read_text(encoding="utf-8"))
CLASSES = {node.name: node for node in STUB.body if isinstance(node, ast.ClassDef)}
FUNCTIONS = {"": [node for node in STUB.body if isinstance(node, ast.FunctionDef)],
             **{name: [node for node in body.body if isinstance(node, ast.FunctionDef)] for name, body in CLASSES.items()}}


def parameters_of_stub(function):
    """{name: default, or inspect's empty} in order; a default `...` stands for any."""
    arguments = function.args
    defaults = [inspect.Parameter.empty] * (len(arguments.args) - len(arguments.defaults)) + [ast.literal_eval(d) for d in arguments.defaults]
    return dict(zip([argument.arg for argument in arguments.args], defaults))


def decorated(function, name):
    return any(isinstance(decorator, ast.Name) and decorator.id == name for decorator in function.decorator_list)


def has_body_elsewhere(function):
    return decorated(function, "property") or any(isinstance(decorator, ast.Attribute) for decorator in function.decorator_list)


@pytest.mark.parametrize("owner, function", [(owner, function) for owner, functions in FUNCTIONS.items() for function in functions
                                             if not has_body_elsewhere(function)],
                         ids=lambda value: value if isinstance(value, str) else value.name)
def test_stub_has_the_parameters_and_defaults(owner, function):
    holder = getattr(trt_convert, owner) if owner else trt_convert
    wanted = {name: parameter.default for name, parameter in inspect.signature(getattr(holder, function.name)).parameters.items()}
    found = parameters_of_stub(function)
    assert list(found) == list(wanted)
    assert {name: wanted[name] if default is ... else default for name, default in found.items()} == wanted


def test_stub_has_every_public_name_and_no_other():
    names = {node.name for node in STUB.body if isinstance(node, (ast.FunctionDef, ast.ClassDef))}
    names |= {node.target.id for node in STUB.body if isinstance(node, ast.AnnAssign)}
    exported = next(ast.literal_eval(node.value) for node in STUB.body if isinstance(node, ast.Assign) and node.targets[0].id == "__all__")
    assert names == set(trt_convert.__all__) == set(exported)


def test_stub_has_every_public_method_and_attribute():
    for name in ["TrtGraphConverterV2", "TrtGraphConverter", "TrtPrecisionMode", "ConverterOptions"]:
        found = {node.name for node in FUNCTIONS[name]}
        found |= {node.target.id for node in CLASSES[name].body if isinstance(node, ast.AnnAssign)}
        wanted = {attribute for attribute in vars(getattr(trt_convert, name)) if not attribute.startswith("_")}
        wanted |= set(vars(trt_convert.ConverterOptions())) if name == "ConverterOptions" else set()
        assert wanted <= found, name
    fields = [node.target.id for node in CLASSES["TrtConversionParams"].body]
    assert tuple(fields) == trt_convert.TrtConversionParams._fields
