"""What a case of the yardstick is."""
import dataclasses
import importlib
import pkgutil
from typing import Callable, Mapping, Optional, Sequence, Tuple

STRATEGIES = ("Range", "Optimal", "Range+Optimal", "ImplicitBatchModeCompatible")
# Ops that TF-TRT has no converter for; the graphs use them to force borders between engines.
BORDER_OPS = ("Erfc", "Igamma")

# Groups of node names, one per engine of TF-TRT.
Groups = Sequence[Sequence[str]]


@dataclasses.dataclass(frozen=True)
class Input:
    """An input of the signature: sizes (None: unknown) and dtype as TensorFlow names it."""
    shape: Tuple[Optional[int], ...]
    dtype: str = "float32"


@dataclasses.dataclass(frozen=True)
class Case:
    """One graph.

    build(tf, *inputs) makes it and returns the outputs, one or a list. shapes: the input sets, each one shape per input.
    implicit, dynamic: the nodes that TF-TRT put into engines, one group per engine, constants left out; None where the
    original does not run in that mode (the values are compared all the same). borders: the graph has BORDER_OPS. native: the
    original lets calls run natively. values: {number of an input: its arrays, one per input set} where any will not do.
    reference: builds the same function from ops that TensorFlow has CPU kernels for. edit(tf, folder): changes the files.
    module(tf, module): gives the module state and returns a builder that uses it. environment: variables to set while
    converting and running. only: how the names of its modes begin.
    """
    name: str
    build: Callable
    inputs: Sequence[Input]
    shapes: Sequence[Sequence[Sequence[int]]]
    implicit: Optional[Groups] = None
    dynamic: Optional[Groups] = None
    atol: float = 1e-5
    rtol: float = 1e-5
    borders: bool = False
    native: bool = False
    values: Mapping[int, Sequence] = dataclasses.field(default_factory=dict)
    maximum_cached_engines: int = 1
    reference: Optional[Callable] = None
    edit: Optional[Callable] = None
    module: Optional[Callable] = None
    environment: Mapping[str, str] = dataclasses.field(default_factory=dict)
    only: Optional[str] = None

    def expected(self, mode):
        """Groups for "implicit", "implicit_built" or "dynamic-<strategy>"."""
        return self.implicit if mode.startswith("implicit") else self.dynamic

    def modes(self):
        """Ways to convert it that differ: with one input set all strategies make the same profiles."""
        strategies = STRATEGIES if len(self.shapes) > 1 else ("ImplicitBatchModeCompatible",)
        modes = ["implicit", "implicit_built", *("dynamic-" + s for s in strategies)]
        return [m for m in modes if self.only is None or m.startswith(self.only)]


def both(groups):
    """The same engines in both modes."""
    return {"implicit": groups, "dynamic": groups}


def batched(*shape, dtype="float32"):
    """(input of unknown batch, the shape): how most of the originals declare their inputs."""
    return Input((None, *shape[1:]), dtype), shape


def case(name, build, *inputs, **more):
    """A case of one input set whose inputs are batched()."""
    specs, shapes = zip(*inputs)
    return Case(name, build, specs, [shapes], **more)


def all_cases():
    """{"family/name": case} of every module of families."""
    from . import families
    found = {}
    for module in sorted(m.name for m in pkgutil.iter_modules(families.__path__)):
        for item in importlib.import_module(f"{families.__name__}.{module}").CASES:
            key = f"{module}/{item.name}"
            assert key not in found, key
            found[key] = item
    return found
