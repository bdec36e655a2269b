"""Conversion parameters: their names, defaults and checks are those of TensorFlow's module of this name."""
import collections

from . import notices

PROFILE_STRATEGY_RANGE = "Range"
PROFILE_STRATEGY_OPTIMAL = "Optimal"
PROFILE_STRATEGY_RANGE_OPTIMAL = "Range+Optimal"
PROFILE_STRATEGY_IMPLICIT_BATCH_MODE_COMPATIBLE = "ImplicitBatchModeCompatible"

# What TensorFlow's module has where no TensorRT is installed. Tenon's engines need no such limit.
DEFAULT_TRT_MAX_WORKSPACE_SIZE_BYTES = 1 << 30

DEFAULT_TAGS = ("serve",)
DEFAULT_SIGNATURE_KEY = "serving_default"


def supported_profile_strategies():
    """The names that `dynamic_shape_profile_strategy` may have; case does not matter."""
    return [PROFILE_STRATEGY_RANGE, PROFILE_STRATEGY_OPTIMAL, PROFILE_STRATEGY_RANGE_OPTIMAL,
            PROFILE_STRATEGY_IMPLICIT_BATCH_MODE_COMPATIBLE]


class TrtPrecisionMode:
    """The lowest precision that engines may compute in; a permission, not an order."""
    FP32 = "FP32"
    FP16 = "FP16"
    INT8 = "INT8"

    @staticmethod
    def supported_precision_modes():
        """The names, in upper and in lower case."""
        names = [TrtPrecisionMode.FP32, TrtPrecisionMode.FP16, TrtPrecisionMode.INT8]
        return names + [name.lower() for name in names]


class TrtConversionParams(
        collections.namedtuple("TrtConversionParams", [
            "max_workspace_size_bytes", "precision_mode", "minimum_segment_size", "maximum_cached_engines", "use_calibration",
            "allow_build_at_runtime"
        ])):
    """How to convert; a named tuple, so `_replace` makes a changed copy.

    max_workspace_size_bytes: taken over into the model; Tenon's engines need no such limit. precision_mode: one of
    TrtPrecisionMode.supported_precision_modes(). minimum_segment_size: the fewest nodes that an engine is made of; -1 makes
    none. maximum_cached_engines: how many engines a node keeps, the least recently used one is dropped for a new one (without
    dynamic shapes). use_calibration: whether INT8 takes its ranges from calibration data. allow_build_at_runtime: whether a call of the
    saved model may build an engine when none fits.
    """

    def __new__(cls, max_workspace_size_bytes=DEFAULT_TRT_MAX_WORKSPACE_SIZE_BYTES, precision_mode=TrtPrecisionMode.FP32,
                minimum_segment_size=3, maximum_cached_engines=1, use_calibration=True, allow_build_at_runtime=True):
        return super().__new__(cls, max_workspace_size_bytes, precision_mode, minimum_segment_size, maximum_cached_engines,
                               use_calibration, allow_build_at_runtime)


DEFAULT_TRT_CONVERSION_PARAMS = TrtConversionParams()


def check(params):
    """Raises ValueError for a precision or a segment size that does not exist; warns of what has no meaning here."""
    precisions = TrtPrecisionMode.supported_precision_modes()
    if params.precision_mode not in precisions:
        raise ValueError(f"precision mode '{params.precision_mode}' is not supported. It should be one of {precisions}")
    if params.minimum_segment_size <= 0 and params.minimum_segment_size != -1:
        raise ValueError(f"minimum segment size should be positive or -1 (no engine in the main graph), not "
                         f"{params.minimum_segment_size}.")
    if params.max_workspace_size_bytes != DEFAULT_TRT_MAX_WORKSPACE_SIZE_BYTES:
        notices.once("workspace", "max_workspace_size_bytes is written into the model but limits nothing: Tenon chooses kernels "
                     "without a workspace")
    precision = params.precision_mode.upper()
    if precision != TrtPrecisionMode.FP32:
        notices.once("precision " + precision, f"precision_mode={precision} permits a lower precision; engines run FP32 for now")


def needs_calibration(params):
    """Whether these parameters ask for calibration data."""
    return bool(params.precision_mode.upper() == TrtPrecisionMode.INT8 and params.use_calibration)


def check_strategy(strategy):
    """Raises ValueError unless the strategy exists; warns of the deprecated one."""
    names = supported_profile_strategies()
    if str(strategy).lower() not in [name.lower() for name in names]:
        raise ValueError(f"profile_strategy '{strategy}' is not supported. It should be one of {names}")
    if strategy == PROFILE_STRATEGY_IMPLICIT_BATCH_MODE_COMPATIBLE:
        notices.warn("The strategy ImplicitBatchModeCompatible is deprecated: it sets the first size of every profile's minimum to 1, "
                     "which not every graph can be built for. Another strategy is better.")
