"""The environment variables of TF-TRT that the converters honour, read at each use. TF_TRT_ALLOW_ENGINE_NATIVE_SEGMENT_EXECUTION and
TF_TRT_ABORT_CUDA_ENGINE_BUILD are read by the engines themselves, at each call and build."""
import os

from . import notices

DISABLE_GRAPH_FREEZING = "disable_graph_freezing"
REMOVE_NATIVE_SEGMENTS = "remove_native_segments"
_MEANINGLESS_FEATURES = {"reject_all_fp_cast_ops": "casts are converted exactly", "disable_logger_filtering": "no messages are filtered"}
_MEANINGLESS = {
    "TF_TRT_ALLOW_NMS_TOPK_OVERRIDE": "no top_k is too large for an engine",
    "TF_TRT_ENABLE_LAYOUT_OPTIMIZER": "engines choose their layouts themselves",
    "TF_TRT_FIXED_ALGORITHM_ID": "kernels have no such numbers",
    "TF_TRT_OP_FAKELIST": "there are no fake converters",
    "TF_TRT_SPARSE_MODE": "weights are used as they are",
    "TF_TRT_USE_EFFICIENT_NMS_PLUGIN": "there are no such plug-ins",
    "TF_DEBUG_TRT_ALLOW_INEFFICIENT_TRANSPOSE": "every transpose is allowed",
}


def _items(name):
    return [item.strip() for item in os.environ.get(name, "").split(",") if item.strip()]


def feature(name):
    """Whether TF_TRT_EXPERIMENTAL_FEATURES, a list with commas, has this item."""
    return name in _items("TF_TRT_EXPERIMENTAL_FEATURES")


def op_denylist():
    """Op types that TF_TRT_OP_DENYLIST keeps out of engines."""
    return _items("TF_TRT_OP_DENYLIST")


def maximum_engines():
    """TF_TRT_MAX_ALLOWED_ENGINES; 0 when it is not set or no positive number: no limit."""
    text = os.environ.get("TF_TRT_MAX_ALLOWED_ENGINES", "").strip()
    if not text:
        return 0
    try:
        return max(0, int(text))
    except ValueError:
        notices.warn(f"TF_TRT_MAX_ALLOWED_ENGINES must be a number; \"{text}\" is ignored and the number of engines is not limited")
        return 0


def detailed_report():
    """TF_TRT_SHOW_DETAILED_REPORT: None, True (print it) or the path of a CSV file."""
    text = os.environ.get("TF_TRT_SHOW_DETAILED_REPORT", "").strip()
    if not text:
        return None
    try:
        return True if int(text) >= 1 else None
    except ValueError:
        return text


def graph_viz_path():
    """TF_TRT_EXPORT_GRAPH_VIZ_PATH: the file for a drawing of the converted graph, or None."""
    return os.environ.get("TF_TRT_EXPORT_GRAPH_VIZ_PATH") or None


def engines_path():
    """TF_TRT_EXPORT_TRT_ENGINES_PATH: the folder for engines as they are stored, or None."""
    return os.environ.get("TF_TRT_EXPORT_TRT_ENGINES_PATH") or None


def say_what_has_no_meaning():
    """One warning per variable that is set and that Tenon has no use for."""
    for name, why in _MEANINGLESS.items():
        if os.environ.get(name):
            notices.once(name, f"{name} has no effect: {why}")
    for item in _items("TF_TRT_EXPERIMENTAL_FEATURES"):
        if item not in (DISABLE_GRAPH_FREEZING, REMOVE_NATIVE_SEGMENTS):
            why = _MEANINGLESS_FEATURES.get(item, "there is no such feature")
            notices.once("feature " + item, f"TF_TRT_EXPERIMENTAL_FEATURES: {item} has no effect: {why}")
