"""Exceptions: one class per kind of error, all of them subclasses of `Error`."""
import atexit

from . import _native


class Error(RuntimeError):
    """What Tenon raises. The message says who, what was wanted, what was found and what to do."""


class InvalidArgument(Error, ValueError):
    """The caller passed something wrong: a feed's name, dtype or shape, an option."""


class InvalidModel(Error):
    """The model is malformed or inconsistent."""


class NotFound(Error, FileNotFoundError, KeyError):
    """A file, signature, node, function or variable does not exist. It is a FileNotFoundError and a KeyError because TensorFlow's loader
    raises these for a missing model and a missing signature."""


class Unsupported(Error):
    """An op, attribute or dtype that Tenon does not implement."""


class IncompatiblePlan(Error):
    """An engine of another format version, device or build."""


class IoError(Error, OSError):
    """Reading or writing a file failed."""


class OutOfMemory(Error, MemoryError):
    """Memory is short."""


class Cancelled(Error):
    """The work was interrupted."""


class Aborted(Error):
    """A part of the model was to run natively, and TF_TRT_ALLOW_ENGINE_NATIVE_SEGMENT_EXECUTION refuses that."""


class InternalError(Error):
    """A defect of Tenon; please report it."""


_CLASSES = {
    "invalid_argument": InvalidArgument, "invalid_model": InvalidModel, "not_found": NotFound, "unsupported": Unsupported,
    "incompatible_plan": IncompatiblePlan, "io": IoError, "out_of_memory": OutOfMemory, "cancelled": Cancelled, "aborted": Aborted,
}

_native.set_error_factory(lambda code, message: _CLASSES.get(code, InternalError)(message))
atexit.register(_native.clear_error_factory)
