"""The session configuration that TF-TRT's graph pass was started by."""
from . import notices, parameters, worlds

_OPTIMIZERS = ("pruning", "debug_stripper", "layout", "dependency", "constfold", "common_subgraph_elimination")
_IDLE = ("layout_optimizer", "constant_folding", "shape_optimization", "remapping", "arithmetic_optimization", "dependency_optimization",
         "loop_optimization", "function_optimization", "debug_stripper", "scoped_allocator_optimization", "implementation_selector",
         "auto_mixed_precision", "pin_to_host_optimization")


def get_tensorrt_rewriter_config(conversion_params, is_dynamic_op=None, max_batch_size=None, is_v2=False,
                                 disable_non_trt_optimizers=False):
    """The RewriterConfig message that names TensorRTOptimizer with these parameters.

    Tenon converts models, not running sessions: TensorFlow has no such optimizer unless it has TensorRT, and ignores or refuses the
    configuration. It is here for scripts that look into it.

    Raises ValueError for arguments that do not go together, RuntimeError without TensorFlow.
    """
    parameters.check(conversion_params)
    if is_v2 and is_dynamic_op is not None and not is_dynamic_op:
        raise ValueError("is_dynamic_op is either None or True for TF2")
    if not is_v2 and is_dynamic_op is None:
        raise ValueError("is_dynamic_op can't be None for TF1")
    if (is_dynamic_op is None or is_dynamic_op) and max_batch_size is not None:
        raise ValueError("max_batch_size has to be None for TF2 or when is_dynamic_op == True in TF1")
    if is_dynamic_op is not None and not is_dynamic_op and not isinstance(max_batch_size, int):
        raise ValueError("max_batch_size has to be an integer for is_dynamic_op==False in TF1")
    if not worlds.wants_tensorflow():
        raise RuntimeError("get_tensorrt_rewriter_config makes a message of TensorFlow's; import tensorflow first")
    notices.warn("get_tensorrt_rewriter_config is deprecated, and sessions do not convert graphs by it; use the converters")
    return _config(conversion_params, is_dynamic_op, max_batch_size, disable_non_trt_optimizers)


def _config(params, is_dynamic_op, max_batch_size, disable_non_trt_optimizers):
    from tensorflow.core.protobuf import rewriter_config_pb2
    config = rewriter_config_pb2.RewriterConfig()
    config.meta_optimizer_iterations = rewriter_config_pb2.RewriterConfig.ONE
    optimizer = config.custom_optimizers.add()
    optimizer.name = "TensorRTOptimizer"
    numbers = {"minimum_segment_size": params.minimum_segment_size, "max_workspace_size_bytes": params.max_workspace_size_bytes,
               "maximum_cached_engines": params.maximum_cached_engines}
    if max_batch_size is not None:
        numbers["max_batch_size"] = max_batch_size
    for name, value in numbers.items():
        optimizer.parameter_map[name].i = value
    switches = {"use_calibration": params.use_calibration, "is_dynamic_op": bool(is_dynamic_op),
                "allow_build_at_runtime": params.allow_build_at_runtime, "use_implicit_batch": True}
    for name, value in switches.items():
        optimizer.parameter_map[name].b = value
    optimizer.parameter_map["precision_mode"].s = params.precision_mode.encode()
    if disable_non_trt_optimizers:
        for name in _IDLE:
            setattr(config, name, rewriter_config_pb2.RewriterConfig.OFF)
        config.auto_parallel.enable = False
        config.disable_meta_optimizer = False
        config.disable_model_pruning = True
        config.memory_optimization = rewriter_config_pb2.RewriterConfig.NO_MEM_OPT
        config.min_graph_nodes = -1
    else:
        config.optimizers.extend(_OPTIMIZERS)
        config.custom_optimizers.add().name = "constfold"
    return config
