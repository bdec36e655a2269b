"""NumPy arrays to and from the buffers that the native module takes."""
import numpy as np

from .errors import InvalidArgument

_NAMES = {"bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float16", "float32", "float64",
          "complex64", "complex128"}
# Quantized integers arrive as the integers that carry them.
_CARRIERS = {"qint8": "int8", "quint8": "uint8", "qint16": "int16", "quint16": "uint16", "qint32": "int32", "int4": "int8",
             "uint4": "uint8"}


def numpy_dtype(name):
    """The NumPy dtype of an element type's name; strings are objects (bytes)."""
    if name == "string":
        return np.dtype(object)
    if name == "bfloat16" or name.startswith("float8"):
        import ml_dtypes
        return np.dtype(getattr(ml_dtypes, name))
    return np.dtype(_CARRIERS.get(name, name))


def _bytes(value):
    return value.encode() if isinstance(value, str) else bytes(value)


def to_native(value, dtype_name):
    """(dtype, shape, address or list of bytes, owner) of anything that NumPy makes an array of."""
    array = value if isinstance(value, np.ndarray) else np.asarray(value, dtype=_python_default(value, dtype_name))
    if array.dtype.kind in "SUO":
        if array.dtype.kind == "O" and not all(isinstance(v, (bytes, str)) for v in array.flat):
            raise InvalidArgument("arrays of objects must hold bytes or str")
        return "string", list(array.shape), [_bytes(v) for v in array.flat], None
    name = array.dtype.name
    if name not in _NAMES and name != "bfloat16" and not name.startswith("float8"):
        raise InvalidArgument(f"arrays of dtype {array.dtype} are not supported")
    array = np.require(array, requirements=["C", "A"])
    if not array.dtype.isnative:
        array = array.astype(array.dtype.newbyteorder("="))
    return name, list(array.shape), array.ctypes.data, array


def _python_default(value, dtype_name):
    """Python numbers and lists take the input's dtype; what has a dtype of its own keeps it."""
    if isinstance(value, (bytes, str)):
        return np.dtype(object)  # NumPy's own arrays of bytes lose zeros at the end
    if hasattr(value, "dtype") or hasattr(value, "__array__") or dtype_name is None:
        return None
    return numpy_dtype(dtype_name)


def to_numpy(result):
    """The array behind a native result; it shares the result's memory."""
    name, shape, data = result
    if name == "string":
        array = np.empty(len(data), dtype=object)
        array[:] = data
        return array.reshape(shape)
    return data.view(numpy_dtype(name)).reshape(shape)
