"""Names, signatures and defaults of tenon.trt_convert, compared with the module that TensorFlow still ships."""
import inspect

import pytest
from tensorflow.python.compiler.tensorrt import trt_convert as theirs

from tenon import trt_convert as ours

CLASSES = ["TrtGraphConverterV2", "TrtGraphConverter", "TrtConversionParams", "TrtPrecisionMode"]


def is_public(name, value):
    """Whether a name of their module is its own, not an import."""
    module = getattr(value, "__module__", None) or getattr(type(value), "__module__", "")
    return not name.startswith("_") and not inspect.ismodule(value) and name != "LazyLoader" and (
        module == theirs.__name__ or isinstance(value, (str, int)))


def parameters(function):
    return [(parameter.name, parameter.kind, parameter.default) for parameter in inspect.signature(function).parameters.values()]


def test_every_public_name_is_there():
    names = {name for name, value in vars(theirs).items() if is_public(name, value)}
    assert {"TrtGraphConverterV2", "create_inference_graph", "DEFAULT_TRT_CONVERSION_PARAMS"} <= names
    assert names <= set(dir(ours))


@pytest.mark.parametrize("name", ["create_inference_graph", "supported_profile_strategies", "get_tensorrt_rewriter_config"])
def test_functions_have_the_same_parameters_and_defaults(name):
    assert parameters(getattr(ours, name)) == parameters(getattr(theirs, name))


@pytest.mark.parametrize("name", CLASSES)
def test_constructors_have_the_same_parameters_and_defaults(name):
    assert parameters(getattr(ours, name)) == parameters(getattr(theirs, name))


@pytest.mark.parametrize("name", CLASSES)
def test_methods_have_the_same_parameters_and_defaults(name):
    methods = [method for method in vars(getattr(theirs, name)) if not method.startswith("_") and callable(getattr(getattr(theirs, name), method))]
    for method in methods:
        assert parameters(getattr(getattr(ours, name), method)) == parameters(getattr(getattr(theirs, name), method)), method


def test_constants_are_equal():
    names = [name for name, value in vars(theirs).items() if name.isupper() and not name.startswith("_")]
    assert len(names) >= 6
    for name in names:
        assert getattr(ours, name) == getattr(theirs, name), name


def test_params_have_the_same_fields_in_the_same_order():
    assert ours.TrtConversionParams._fields == theirs.TrtConversionParams._fields
    assert ours.DEFAULT_TRT_CONVERSION_PARAMS._asdict() == theirs.DEFAULT_TRT_CONVERSION_PARAMS._asdict()


def test_precisions_and_strategies_are_the_same():
    assert ours.TrtPrecisionMode.supported_precision_modes() == theirs.TrtPrecisionMode.supported_precision_modes()
    assert ours.supported_profile_strategies() == theirs.supported_profile_strategies()


def test_the_rewriter_configuration_names_the_optimizer_with_its_parameters():
    params = ours.DEFAULT_TRT_CONVERSION_PARAMS._replace(precision_mode="FP16", minimum_segment_size=7, allow_build_at_runtime=False)
    config = ours.get_tensorrt_rewriter_config(params, is_dynamic_op=False, max_batch_size=8)
    assert list(config.optimizers) == ["pruning", "debug_stripper", "layout", "dependency", "constfold", "common_subgraph_elimination"]
    assert [optimizer.name for optimizer in config.custom_optimizers] == ["TensorRTOptimizer", "constfold"]
    values = config.custom_optimizers[0].parameter_map
    assert (values["minimum_segment_size"].i, values["max_batch_size"].i, values["precision_mode"].s) == (7, 8, b"FP16")
    assert not values["allow_build_at_runtime"].b and values["use_implicit_batch"].b
    bare = ours.get_tensorrt_rewriter_config(params, is_dynamic_op=True, disable_non_trt_optimizers=True)
    assert [optimizer.name for optimizer in bare.custom_optimizers] == ["TensorRTOptimizer"] and not bare.optimizers


@pytest.mark.parametrize("arguments", [
    {"is_dynamic_op": False, "is_v2": True}, {}, {"is_dynamic_op": True, "max_batch_size": 1}, {"is_dynamic_op": False}])
def test_a_rewriter_configuration_of_what_does_not_go_together_is_refused(arguments):
    for module in (ours, theirs):
        with pytest.raises(ValueError):
            module.get_tensorrt_rewriter_config(module.DEFAULT_TRT_CONVERSION_PARAMS, **arguments)
