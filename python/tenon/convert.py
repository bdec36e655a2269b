"""Converting models."""
from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypedDict

from . import _native
from .report import ConversionReport

if TYPE_CHECKING:
    from typing_extensions import Unpack

_Shapes = Mapping[str, Sequence[int]]


class ConvertOptions(TypedDict, total=False):
    """The keywords of `convert`."""
    signature_key: str | Iterable[str] | None
    tags: str | Iterable[str] | None
    precision: str | None
    minimum_segment_size: int | None
    op_denylist: str | Iterable[str] | None
    shapes: _Shapes | None
    min_shapes: _Shapes | None
    max_shapes: _Shapes | None
    min_gain: float | None
    threads: int | None
    timing_cache: str | os.PathLike[str] | None
    verify: bool | None
    report: str | os.PathLike[str] | None
    force: bool | None


def _names(value: str | Iterable[str]) -> list[str]:
    return [value] if isinstance(value, str) else list(value)


def _shapes(value: _Shapes) -> dict[str, list[int]]:
    return {name: [int(size) for size in shape] for name, shape in value.items()}


_LISTS = {"tags", "op_denylist"}
_SHAPES = {"shapes", "min_shapes", "max_shapes"}


def convert(input_saved_model_dir: str | os.PathLike[str], output_saved_model_dir: str | os.PathLike[str],
            **options: Unpack[ConvertOptions]) -> ConversionReport:
    """Converts a SavedModel and returns the report, a dictionary with more: ConversionReport.

    Options are those of `tenon convert`, underscores for dashes: signature_key (one or a list), tags, precision,
    minimum_segment_size, op_denylist, shapes / min_shapes / max_shapes ({name: tuple}), min_gain, threads, timing_cache,
    verify, report (a file for the report as JSON), force. Raises subclasses of tenon.Error; on failure the output folder is as it was.
    """
    native: dict[str, Any] = {}
    given: dict[str, Any] = dict(options)
    for name, value in given.items():
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
