"""Running models."""
from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from . import _native
from .arrays import numpy_dtype, to_native, to_numpy

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike, NDArray


class TensorSpec(NamedTuple):
    """An input or output: its name, NumPy dtype, and shape (None for an unknown size; None alone for an unknown rank)."""
    name: str
    dtype: np.dtype[Any]
    shape: tuple[int | None, ...] | None


class EngineStatus(NamedTuple):
    """How an engine of the model is served. `reason` says why it was rebuilt or is not loaded; `engine` names the stored engine,
    which nodes with equal parts share."""
    name: str
    loaded: bool
    rebuilt: bool
    reason: str
    calls: int
    native_calls: int
    engine: str


def _specs(native: list[Any]) -> list[TensorSpec]:
    return [TensorSpec(name, numpy_dtype(dtype), shape if shape is None else tuple(None if s < 0 else s for s in shape))
            for name, dtype, shape in native]


class Session:
    """A model ready to run: a SavedModel folder, converted or not, or a frozen graph.

    signature_key: what run() uses when it is not told (default: serving_default, else the only one). tags: tags of the meta
    graph. inputs, outputs: raw tensor names to feed and fetch instead of a signature. native: ignore engines. threads: size of
    the session's team (default: the CPUs of this process). allow_build: whether an engine that does not fit this machine is built
    again at open; otherwise its part runs natively. May be called from many threads; raises subclasses of tenon.Error.
    """

    def __init__(self, path: str | os.PathLike[str], signature_key: str | None = None, tags: str | Iterable[str] | None = None,
                 inputs: Iterable[str] | None = None, outputs: Iterable[str] | None = None, native: bool = False,
                 threads: int | None = None, allow_build: bool = True) -> None:
        tags = [tags] if isinstance(tags, str) else list(tags or [])
        self._native = _native.Session(os.fspath(path), signature_key or "", tags, list(inputs or []), list(outputs or []),
                                       bool(native), int(threads or 0), bool(allow_build))
        self._dtypes: dict[str, dict[str, str]] = {}

    def run(self, feeds: Mapping[str, ArrayLike], signature_key: str | None = None,
            outputs: list[str] | tuple[str, ...] | None = None) -> dict[str, NDArray[Any]]:
        """Feeds {name: array} and returns {name: array}. `outputs` restricts what is computed; names that are no outputs of
        the signature are tensors of the graph. Arrays are passed without a copy where their layout allows."""
        key = signature_key or ""
        return self._native.run(feeds if isinstance(feeds, dict) else dict(feeds), key, outputs or (),
                                lambda value, name: to_native(value, self._dtype(key, name)), to_numpy)

    def profile(self, feeds: Mapping[str, ArrayLike], signature_key: str | None = None) -> list[dict[str, Any]]:
        """Runs and returns the time of every step in order of execution: dictionaries of node (the model's own name), op, kernel,
        shape, engine ("": native), ms, flops (0: not known), merged (further nodes in the same step). The first call of a signature
        is not what is timed."""
        key = signature_key or ""
        return self._native.profile(dict(feeds), key, lambda value, name: to_native(value, self._dtype(key, name)))

    def _dtype(self, signature_key: str, name: str) -> str | None:
        dtypes = self._dtypes.get(signature_key)
        if dtypes is None:
            dtypes = self._dtypes[signature_key] = {n: dtype for n, dtype, _ in self._native.inputs(signature_key)}
        return dtypes.get(name)

    @property
    def signature_keys(self) -> list[str]:
        """Keys of the signatures that can be run."""
        return self._native.signature_keys()

    @property
    def inputs(self) -> list[TensorSpec]:
        """Inputs of the default signature."""
        return self.signature_inputs()

    @property
    def outputs(self) -> list[TensorSpec]:
        """Outputs of the default signature."""
        return self.signature_outputs()

    def signature_inputs(self, signature_key: str | None = None) -> list[TensorSpec]:
        """Inputs of a signature."""
        return _specs(self._native.inputs(signature_key or ""))

    def signature_outputs(self, signature_key: str | None = None) -> list[TensorSpec]:
        """Outputs of a signature."""
        return _specs(self._native.outputs(signature_key or ""))

    @property
    def engines(self) -> list[EngineStatus]:
        """The model's engines and how they are served."""
        return [EngineStatus(*engine) for engine in self._native.engines()]

    @property
    def threads(self) -> int:
        """Threads of the session's team."""
        return self._native.threads()
