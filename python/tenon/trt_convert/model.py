"""A partitioned model: what is common to the converters."""
import contextlib
import json
import os

from .. import _native
from ..report import ConversionReport
from . import environment, exports, notices, parameters, worlds
from .folders import Replacement, TemporaryFolder

_MODES = {True: "profiles", False: "implicit"}


def native_options(params, options, tags=(), key="", dynamic_shape=False, strategy="", freeze=True, denylist=()):
    """The options of a native conversion. `strategy` counts with dynamic shapes only."""
    result = {
        "tags": list(tags),
        "precision": params.precision_mode.upper(),
        "minimum_segment_size": int(params.minimum_segment_size),
        "maximum_cached_engines": int(params.maximum_cached_engines),
        "max_workspace_size_bytes": min(int(params.max_workspace_size_bytes), 2**63 - 1),
        "use_calibration": parameters.needs_calibration(params),
        "mode": _MODES[bool(dynamic_shape)],
        "op_denylist": sorted({*options.op_denylist, *environment.op_denylist()}),
        "node_denylist": sorted({*options.node_denylist, *denylist}),
        "maximum_engines": options.maximum_engines or environment.maximum_engines(),
        "threads": options.threads or worlds.current().threads(),
        "graph_number": options.graph_number,
        "freeze": bool(freeze),
    }
    if options.freeze_limit:
        result["freeze_limit"] = options.freeze_limit
    if key:
        result["signature_key"] = key
    if dynamic_shape:
        result["strategy"] = strategy
    return result


class PartitionedModel:
    """A native conversion with what Python adds to it."""

    def __init__(self, conversion):
        self.conversion = conversion
        self.engines = conversion.engines()
        self._cleared = {}
        self._report = None

    @classmethod
    def of_saved_model(cls, folder, options, show):
        """Loads and partitions a SavedModel; `show` is called with (text, fraction)."""
        return cls(_native.Conversion.open(os.fspath(folder), {**options, "progress": show}))

    @classmethod
    def of_graph(cls, content, outputs, options, show):
        """The same for a frozen GraphDef's bytes."""
        return cls(_native.Conversion.open_graph(content, list(outputs), {**options, "progress": show}))

    @property
    def report(self):
        """What the conversion found out: a tenon.ConversionReport."""
        if self._report is None:
            self._report = ConversionReport(json.loads(self.conversion.report()), self.conversion.nodes(), self.engines)
        return self._report

    @contextlib.contextmanager
    def timed_layers(self):
        """A context in which engines are timed layer by layer; the last calls' times go into the report."""
        resources = {engine["name"]: self.resource(engine) for engine in self.engines}
        try:
            for resource in resources.values():
                resource.set_profiling(True)
            yield
        finally:
            for resource in resources.values():
                resource.set_profiling(False)
        self.report.add_layer_times({**layer, "engine": name} for name, resource in resources.items() for layer in resource.profile())

    def tell(self, quiet=False):
        """Says what stays native unless `quiet`, and does what the environment asks for after a conversion."""
        overview = None if quiet else exports.overview(self.report)
        if overview:
            notices.warn(overview)
        for note in self.report.notes:
            notices.info(note)
        exports.show_reasons(self.report)
        exports.draw_graph(self.conversion)

    def resource(self, engine):
        """What holds the engines of a node."""
        return self.conversion.resource(engine["name"])

    def resources(self):
        """All of them."""
        return [self.resource(engine) for engine in self.engines]

    def runnable(self):
        """A temporary folder with the model as this process runs it: calls may build, and its nodes use this conversion's engines."""
        folder = TemporaryFolder()
        self.conversion.write(folder.path, {"in_process": True, "allow_build_at_runtime": True})
        return folder

    def _calls(self, resource):
        return resource.calls() + resource.native_calls()

    def executed(self, engine):
        """Whether an engine's node ran, or was given an engine, since its engines were last cleared."""
        resource = self.resource(engine)
        return bool(resource.entries()) or self._calls(resource) > self._cleared.get(engine["name"], 0)

    def stored_engines(self):
        """{name: bytes} of the engines that ran; bytes are empty where only the native segment did."""
        return {engine["name"]: self.resource(engine).serialize() for engine in self.engines if self.executed(engine)}

    def clear(self):
        """Forgets all built engines."""
        for engine in self.engines:
            resource = self.resource(engine)
            resource.clear()
            self._cleared[engine["name"]] = self._calls(resource)

    def native_calls(self):
        """{engine: how often its node ran natively}."""
        return {engine["name"]: self.resource(engine).native_calls() for engine in self.engines}

    def failures(self, native_calls):
        """{engine: reason} of nodes without any engine that ran natively since `native_calls` were counted."""
        found = {}
        for engine in self.engines:
            resource = self.resource(engine)
            if not resource.has_engine() and resource.native_calls() > native_calls[engine["name"]]:
                reasons = [entry["failure"] for entry in resource.entries() if entry["failure"]]
                found[engine["name"]] = reasons[0] if reasons else "its build failed or was aborted"
        return found

    def save(self, folder, save_engines, allow_build, remove_native_segments, finish, show=None):
        """Writes the model with the engines that there are; `finish` is called with the written folder before it gets to its place.
        Afterwards the built engines are forgotten."""
        show = show or (lambda fraction, text: None)
        show(0.1, "storing engines")
        engines = self.stored_engines()
        for engine in self.engines:
            if engine["name"] not in engines:
                notices.info(f"{engine['name']} was never executed; the saved model has no engine for it and builds one when it runs")
        exports.export_engines(engines, {engine["name"]: self.resource(engine).entries() for engine in self.engines})
        with Replacement(folder) as staged:
            show(0.5, "writing the model")
            self.conversion.write(staged, {"engines": engines, "save_engines": bool(save_engines),
                                           "allow_build_at_runtime": bool(allow_build),
                                           "remove_native_segments": remove_native_segments})
            finish(staged)
        self.clear()
        show(1.0, "saved")
