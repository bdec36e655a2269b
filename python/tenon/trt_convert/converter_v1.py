"""The converter of TensorFlow 1: frozen graphs, and SavedModels in graph mode."""
import numpy as np

from .. import progress
from ..arrays import numpy_dtype, to_native
from . import environment, notices, parameters, wire, world_arrays, worlds
from .model import PartitionedModel, native_options
from .options import ConverterOptions
from .parameters import (DEFAULT_SIGNATURE_KEY, DEFAULT_TAGS, DEFAULT_TRT_MAX_WORKSPACE_SIZE_BYTES, TrtConversionParams,
                         TrtPrecisionMode)

# Bytes of variables: the GraphDef shall need nothing else, and cannot be larger than 2 GB.
_FREEZE_LIMIT = 1 << 30
_VARIABLES = {"VarHandleOp", "VariableV2", "Variable"}


def _name(node):
    """The name of a tensor or node that is given by name or as TensorFlow's object."""
    name = node if isinstance(node, str) else node.decode() if isinstance(node, bytes) else node.name
    return name.lstrip("^")


def _node_name(node):
    return _name(node).split(":")[0]


class TrtGraphConverter:
    """Converts a frozen GraphDef or a SavedModel to a GraphDef with engines.

    input_saved_model_dir, input_saved_model_tags, input_saved_model_signature_key: the model and its signature; or
    input_graph_def: a frozen graph, as a message or as bytes. Exactly one of them. nodes_denylist: nodes, or tensors, of the graph that
    stay as they are: its outputs at least; None stands for all nodes that nobody reads. is_dynamic_op: engines are built when the
    graph runs; otherwise convert() builds them for batches up to max_batch_size and puts them into the graph. The other arguments are
    those of TrtConversionParams.

    Without TensorFlow, GraphDefs are returned as bytes. Attribute `options` as TrtGraphConverterV2 has it, `report` after convert().

    Raises RuntimeError when TensorFlow executes eagerly, ValueError for arguments that do not go together.
    """

    def __init__(self, input_saved_model_dir=None, input_saved_model_tags=None, input_saved_model_signature_key=None,
                 input_graph_def=None, nodes_denylist=None, max_batch_size=1,
                 max_workspace_size_bytes=DEFAULT_TRT_MAX_WORKSPACE_SIZE_BYTES, precision_mode=TrtPrecisionMode.FP32,
                 minimum_segment_size=3, is_dynamic_op=False, maximum_cached_engines=1, use_calibration=True):
        self._world = worlds.current()
        if self._world.NAME == "tensorflow" and self._world.executing_eagerly():
            raise RuntimeError("TrtGraphConverter needs graph mode; with eager execution use TrtGraphConverterV2.")
        if input_graph_def and input_saved_model_dir:
            raise ValueError("Can only specify one of input_graph_def and input_saved_model_dir")
        if not input_graph_def and not input_saved_model_dir:
            raise ValueError("Must specify one of input_graph_def and input_saved_model_dir")
        self._conversion_params = TrtConversionParams(
            max_workspace_size_bytes=max_workspace_size_bytes, precision_mode=precision_mode, minimum_segment_size=minimum_segment_size,
            maximum_cached_engines=maximum_cached_engines, use_calibration=use_calibration)
        parameters.check(self._conversion_params)
        environment.say_what_has_no_meaning()
        self._need_calibration = parameters.needs_calibration(self._conversion_params)
        self._is_dynamic_op = bool(is_dynamic_op)
        if self._need_calibration and not is_dynamic_op:
            notices.warn("INT8 with calibration needs engines that are built when the graph runs: is_dynamic_op counts as True")
            self._is_dynamic_op = True
        self._max_batch_size = self._batch_size(max_batch_size)
        self._input_graph_def = input_graph_def
        self._input_saved_model_dir = input_saved_model_dir
        tags = input_saved_model_tags or DEFAULT_TAGS
        self._input_saved_model_tags = [tags] if isinstance(tags, str) else list(tags)
        self._input_saved_model_signature_key = input_saved_model_signature_key or DEFAULT_SIGNATURE_KEY
        self._nodes_denylist = list(nodes_denylist or [])
        self._converted = self._calibration_data_collected = False
        self._model = self._saved = self._converted_graph_def = None
        self.options = ConverterOptions()

    def _batch_size(self, asked):
        if self._is_dynamic_op:
            if asked is not None and asked != 1:
                notices.warn("max_batch_size has no effect when is_dynamic_op is True: engines fit the batches that come")
            return None
        if not isinstance(asked, int):
            raise ValueError("When is_dynamic_op==False max_batch_size should be an integer")
        return asked

    def convert(self):
        """Converts and returns the GraphDef. AssertionError when called twice."""
        if self._converted:
            raise AssertionError("convert() was called already; another conversion needs another converter")
        with progress.progress("convert", quiet=self.options.quiet) as bar:
            self._model = self._saved = self._partitioned(lambda text, fraction: bar.update(0.5 * fraction, text))
            if self._input_saved_model_dir and _VARIABLES & {node["op"] for node in self._model.conversion.nodes()}:
                self._freeze()
            if not self._is_dynamic_op:
                self._build_static_engines(self._model, bar)
            self._converted_graph_def = self._world.graph_def(self._graph_bytes())
            bar.update(1.0, f"{len(self._model.engines)} engines")
        self._model.tell(self.options.quiet)
        self._converted = True
        return self._converted_graph_def

    def _partitioned(self, show):
        if not self._input_saved_model_dir:
            content = self._world.graph_def_bytes(self._input_graph_def)
            return self._of_graph(content, [_name(node) for node in self._nodes_denylist] or wire.ends(content), show)
        options = native_options(self._conversion_params, self.options, self._input_saved_model_tags, self._input_saved_model_signature_key,
                                 denylist=[_node_name(node) for node in self._nodes_denylist])
        options.setdefault("freeze_limit", _FREEZE_LIMIT)
        return PartitionedModel.of_saved_model(self._input_saved_model_dir, options, show)

    def _of_graph(self, content, kept, show=None):
        denied = [_node_name(node) for node in [*self._nodes_denylist, *kept]]
        return PartitionedModel.of_graph(content, kept, native_options(self._conversion_params, self.options, denylist=denied), show)

    def _freeze(self):
        """Variables that the conversion left as they are (loops' bodies read them, say) become constants where TensorFlow is there
        for it; the SavedModel that is written keeps them."""
        frozen = self._world.freeze(self._input_saved_model_dir, self._input_saved_model_tags, self._input_saved_model_signature_key)
        if frozen is None:
            notices.warn("The GraphDef that is returned has variables without values, which need TensorFlow to become constants; save() "
                         "writes a complete model")
        else:
            self._model = self._of_graph(*frozen)

    def _graph_bytes(self):
        engines = {} if self._is_dynamic_op else self._model.stored_engines()
        return self._model.conversion.graph_def({"engines": engines, "allow_build_at_runtime": self._is_dynamic_op or not engines})

    def _build_static_engines(self, model, bar):
        """Builds engines for batches up to max_batch_size."""
        if not self._input_saved_model_dir or model is not self._saved:
            return self._build_each_engine(model, bar)
        bar.update(0.5, "building engines")
        function = world_arrays.load(model.runnable(), self._input_saved_model_tags, self._input_saved_model_signature_key,
                                     self.options.threads, model)
        if all(self._can_build(spec.shape) for spec in function.inputs):
            function(**{spec.name: self._zeros(spec.shape, spec.dtype) for spec in function.inputs})
        else:
            notices.warn("The engines are not built: more than the batch of the signature's inputs is unknown. They will be built when the "
                         "model runs")

    def _build_each_engine(self, model, bar):
        library = wire.library(model.conversion.graph_def({}))
        for count, engine in enumerate(model.engines):
            bar.update(0.5 + 0.5 * count / len(model.engines), f"building {engine['name']}")
            if not all(map(self._can_build, engine["input_shapes"])):
                notices.warn(f"{engine['name']} is not built: more than the batch of its inputs is unknown. It will be built when the "
                             "graph runs")
                continue
            feeds = [self._zeros(shape, numpy_dtype(dtype)) for shape, dtype in zip(engine["input_shapes"], engine["input_types"])]
            ran, reason, _ = model.resource(engine).run([to_native(feed, None) for feed in feeds], library,
                                                        engine["name"] + "_native_segment", len(engine["output_types"]))
            if not ran:
                notices.warn(f"{engine['name']} has no engine and will run natively: {reason}")

    @staticmethod
    def _can_build(shape):
        return shape is not None and not any(size in (None, -1) for size in shape[1:])

    def _zeros(self, shape, dtype):
        sizes = [self._max_batch_size if size in (None, -1) else size for size in shape]
        return np.full(sizes, b"", dtype) if dtype == object else np.zeros(sizes, dtype)

    def calibrate(self, fetch_names, num_runs, feed_dict_fn=None, input_map_fn=None):
        """Runs the converted graph on calibration data and returns the GraphDef.

        fetch_names: names of what is computed. num_runs: how many times. feed_dict_fn: its call gives {tensor name: value};
        input_map_fn: its call gives {tensor name: tensor}. Exactly one of the two, else ValueError.

        Raises AssertionError before convert(), when no calibration is needed, and when it was done.
        """
        for fact, message in ((self._converted, "Need to call convert() before calibrate()"),
                              (self._need_calibration, "These parameters need no calibration"),
                              (not self._calibration_data_collected, "calibrate() was called already")):
            if not fact:
                raise AssertionError(message)
        if bool(feed_dict_fn) == bool(input_map_fn):
            raise ValueError("Should specify one and only one of feed_dict_fn and input_map_fn.")
        self._world.calibrate_graph(self._graph_bytes(), fetch_names, num_runs, feed_dict_fn, input_map_fn)
        self._calibration_data_collected = True
        return self._converted_graph_def

    def save(self, output_saved_model_dir):
        """Saves the converted signature as a SavedModel. AssertionError before convert() and while calibration is still to be
        done, ValueError when a GraphDef was converted."""
        if not self._converted:
            raise AssertionError("Need to call convert() before save()")
        if self._need_calibration and not self._calibration_data_collected:
            raise AssertionError("Need to call calibrate() before save()")
        if self._input_graph_def:
            raise ValueError("Not able to save to a SavedModel since input is a GraphDef")
        with progress.progress("save", quiet=self.options.quiet) as bar:
            if self._saved is not self._model and not self._is_dynamic_op:
                self._build_static_engines(self._saved, bar)
            built = not self._is_dynamic_op and all(map(self._saved.executed, self._saved.engines))
            self._saved.save(output_saved_model_dir, True, not built, False, lambda folder: None, bar.update)

    @property
    def report(self):
        """What became of each node and why: a tenon.ConversionReport. RuntimeError before convert()."""
        if not self._converted:
            raise RuntimeError("Need to call convert() before there is a report")
        return self._model.report


def create_inference_graph(input_graph_def, outputs, max_batch_size=1, max_workspace_size_bytes=DEFAULT_TRT_MAX_WORKSPACE_SIZE_BYTES,
                           precision_mode=TrtPrecisionMode.FP32, minimum_segment_size=3, is_dynamic_op=False, maximum_cached_engines=1,
                           input_saved_model_dir=None, input_saved_model_tags=None, input_saved_model_signature_key=None,
                           output_saved_model_dir=None):
    """Converts a frozen graph, or a SavedModel when input_graph_def is None, and returns the GraphDef.

    outputs: names of the nodes, or tensors, that the graph is for. output_saved_model_dir: also save there (SavedModels only). The
    other arguments are TrtGraphConverter's.
    """
    converter = TrtGraphConverter(
        input_saved_model_dir=input_saved_model_dir, input_saved_model_tags=input_saved_model_tags,
        input_saved_model_signature_key=input_saved_model_signature_key, input_graph_def=input_graph_def, nodes_denylist=outputs,
        max_batch_size=max_batch_size, max_workspace_size_bytes=max_workspace_size_bytes, precision_mode=precision_mode,
        minimum_segment_size=minimum_segment_size, is_dynamic_op=is_dynamic_op, maximum_cached_engines=maximum_cached_engines,
        use_calibration=False)
    graph = converter.convert()
    if output_saved_model_dir:
        converter.save(output_saved_model_dir)
    return graph
