"""Tenon: makes TensorFlow SavedModels faster and runs them, converted or not, without TensorFlow."""
from ._native import version as _version
from .convert import convert
from .errors import (Aborted, Cancelled, Error, IncompatiblePlan, InternalError, InvalidArgument, InvalidModel, IoError, NotFound,
                     OutOfMemory, Unsupported)
from .report import ConversionReport
from .session import EngineStatus, Session, TensorSpec

__version__ = _version()
__all__ = ["Session", "TensorSpec", "EngineStatus", "convert", "ConversionReport", "Error", "Aborted", "Cancelled", "IncompatiblePlan",
           "InternalError", "InvalidArgument", "InvalidModel", "IoError", "NotFound", "OutOfMemory", "Unsupported"]
