"""Converting models."""
import json
import os

from . import _native
from .report import ConversionReport


def _names(value):
    return [value] if isinstance(value, str) else list(value)


def _shapes(value):
    return {name: [int(size) for size in shape] for name, shape in value.items()}


_LISTS = {"tags", "op_denylist"}
_SHAPES = {"shapes", "min_shapes", "max_shapes"}


def convert(input_saved_model_dir, output_saved_model_dir, **options):
    """Converts a SavedModel and returns the report, a dictionary with more: ConversionReport.

    Options are those of `tenon convert`, underscores for dashes: signature_key (one or a list), tags, precision,
    minimum_segment_size, op_denylist, shapes / min_shapes / max_shapes ({name: tuple}), min_gain, threads, timing_cache,
    verify, report (a file for the report as JSON), force. Raises subclasses of tenon.Error; on failure the output folder is as it was.
    """
    native = {}
    for name, value in options.items():
        if value is None:
            continue
        if name == "signature_key":
            native["signature_keys"] = _names(value)
        elif name in _LISTS:
            native[name] = _names(value)
        elif name in _SHAPES:
            native[name] = _shapes(value)
        elif name in ("timing_cache", "report"):
            native[name] = os.fspath(value)
        else:
            native[name] = value
    report, nodes = _native.convert(os.fspath(input_saved_model_dir), os.fspath(output_saved_model_dir), native)
    return ConversionReport(json.loads(report), nodes)
