"""TF-TRT's Python interface on Tenon: `from tenon import trt_convert as trt`.

The names, arguments, defaults and the order of calls are those of TensorFlow's module trt_convert. With TensorFlow imported (or
TENON_TENSORFLOW=1) convert() returns a ConcreteFunction; without it a callable on NumPy arrays. What differs on purpose: TensorRT is not
looked for, models are converted for the CPU, the number of engines is not limited unless TF_TRT_MAX_ALLOWED_ENGINES says so, and ops
that TF-TRT could not convert may become parts of engines.
"""
from .converter import TrtGraphConverterV2
from .converter_v1 import TrtGraphConverter, create_inference_graph
from .options import ConverterOptions
from .parameters import (DEFAULT_TRT_CONVERSION_PARAMS, DEFAULT_TRT_MAX_WORKSPACE_SIZE_BYTES,
                         PROFILE_STRATEGY_IMPLICIT_BATCH_MODE_COMPATIBLE, PROFILE_STRATEGY_OPTIMAL, PROFILE_STRATEGY_RANGE,
                         PROFILE_STRATEGY_RANGE_OPTIMAL, TrtConversionParams, TrtPrecisionMode, supported_profile_strategies)
from .rewriter import get_tensorrt_rewriter_config

__all__ = ["TrtGraphConverterV2", "TrtGraphConverter", "TrtConversionParams", "TrtPrecisionMode", "ConverterOptions",
           "DEFAULT_TRT_CONVERSION_PARAMS", "DEFAULT_TRT_MAX_WORKSPACE_SIZE_BYTES", "PROFILE_STRATEGY_RANGE",
           "PROFILE_STRATEGY_OPTIMAL", "PROFILE_STRATEGY_RANGE_OPTIMAL", "PROFILE_STRATEGY_IMPLICIT_BATCH_MODE_COMPATIBLE",
           "supported_profile_strategies", "create_inference_graph", "get_tensorrt_rewriter_config"]
