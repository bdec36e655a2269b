"""The converter of TensorFlow 2's SavedModels."""
from .. import progress
from . import environment, notices, parameters, summary, worlds
from .model import PartitionedModel, native_options
from .options import ConverterOptions
from .parameters import (DEFAULT_SIGNATURE_KEY, DEFAULT_TAGS, DEFAULT_TRT_MAX_WORKSPACE_SIZE_BYTES, PROFILE_STRATEGY_RANGE,
                         TrtConversionParams, TrtPrecisionMode)


class TrtGraphConverterV2:
    """Converts one signature of a SavedModel: parts of its graph become engines.

    The order of calls is convert(), then build() if engines are to be there before the first inference, then save(). summary() and
    `report` tell what became of the graph.

    input_saved_model_dir: the model. input_saved_model_tags: its tags (["serve"]). input_saved_model_signature_key: the only
    signature that is converted and saved ("serving_default"). use_dynamic_shape: engines may serve other sizes than the batch's; then
    dynamic_shape_profile_strategy, one of supported_profile_strategies(), says how shapes seen by build() become ranges that
    engines serve. Otherwise an engine built for a batch serves every smaller one. The other arguments are those of
    TrtConversionParams; conversion_params replaces all of these.

    Attributes beyond TF-TRT's: `options` (see ConverterOptions), and after convert() `report` (a tenon.ConversionReport). `freeze`
    says whether variables become constants.

    Raises AssertionError in TensorFlow's graph mode, ValueError for parameters that do not exist.
    """

    def __init__(self, input_saved_model_dir=None, input_saved_model_tags=None, input_saved_model_signature_key=None,
                 use_dynamic_shape=None, dynamic_shape_profile_strategy=None,
                 max_workspace_size_bytes=DEFAULT_TRT_MAX_WORKSPACE_SIZE_BYTES, precision_mode=TrtPrecisionMode.FP32,
                 minimum_segment_size=3, maximum_cached_engines=1, use_calibration=True, allow_build_at_runtime=True,
                 conversion_params=None):
        if not worlds.current().executing_eagerly():
            raise AssertionError("TrtGraphConverterV2 needs eager execution; TrtGraphConverter is for graph mode")
        if conversion_params is None:
            conversion_params = TrtConversionParams(
                max_workspace_size_bytes=max_workspace_size_bytes, precision_mode=precision_mode,
                minimum_segment_size=minimum_segment_size, maximum_cached_engines=maximum_cached_engines,
                use_calibration=use_calibration, allow_build_at_runtime=allow_build_at_runtime)
        else:
            notices.once("conversion_params", "conversion_params is deprecated: it replaces the individual arguments")
        parameters.check(conversion_params)
        environment.say_what_has_no_meaning()
        self._conversion_params = conversion_params
        self._input_saved_model_dir = input_saved_model_dir
        tags = input_saved_model_tags or DEFAULT_TAGS
        self._input_saved_model_tags = [tags] if isinstance(tags, str) else list(tags)
        self._input_saved_model_signature_key = input_saved_model_signature_key or DEFAULT_SIGNATURE_KEY
        self._need_calibration = parameters.needs_calibration(conversion_params)
        self._calibration_input_fn = None
        self._converted = self._build_called_once = self._build_tried = self._calibrated = False
        self._device = self._converted_func = self._saved_model = self._model = self._world = None
        self._use_dynamic_shape = bool(use_dynamic_shape)
        self._profile_strategy = self._strategy(dynamic_shape_profile_strategy)
        self.freeze = not environment.feature(environment.DISABLE_GRAPH_FREEZING)
        if not self.freeze and not self._use_dynamic_shape:
            notices.warn("Disabling graph freezing is only possible with use_dynamic_shape=True. The graph will be frozen.")
            self.freeze = True
        self.options = ConverterOptions()

    def _strategy(self, asked):
        if not self._use_dynamic_shape:
            if asked is not None:
                notices.warn("dynamic_shape_profile_strategy has no effect without use_dynamic_shape=True")
            return "Unknown"
        if self._conversion_params.maximum_cached_engines > 1:
            notices.once("dynamic cache", "maximum_cached_engines has no effect with use_dynamic_shape=True: there is one engine "
                         "with all profiles")
        if asked is None:
            return PROFILE_STRATEGY_RANGE
        parameters.check_strategy(asked)
        return asked

    def _need_trt_profiles(self):
        return self._use_dynamic_shape

    def _progress(self, description):
        return progress.progress(description, quiet=self.options.quiet)

    def convert(self, calibration_input_fn=None):
        """Loads the model, makes engines of parts of its graph, and returns the converted signature as a function.

        The function takes tensors by position or by name and returns a dictionary. With TensorFlow it is a ConcreteFunction, without
        it a callable on arrays. An engine is built when the function's first call, or build(), reaches it.

        calibration_input_fn: for INT8 with calibration: a function whose call gives an iterable of inputs as build() takes them.

        Raises AssertionError when called twice, ValueError when calibration data are missing or not needed.
        """
        if self._converted:
            raise AssertionError("convert() was called already; another conversion needs another converter")
        self._world = worlds.current()
        self._request_device()
        if self._need_calibration and not calibration_input_fn:
            raise ValueError("Should specify calibration_input_fn because INT8 calibration is needed")
        if not self._need_calibration and calibration_input_fn:
            raise ValueError("Should not specify calibration_input_fn because INT8 calibration is not needed")
        if self._input_saved_model_dir is None:
            raise ValueError("input_saved_model_dir must name the model to convert")
        with self._progress("convert") as bar:
            self._model = PartitionedModel.of_saved_model(self._input_saved_model_dir, self._native_options(),
                                                          lambda text, fraction: bar.update(0.8 * fraction, text))
            self._converted_func = self._world.load(self._model.runnable(), self._input_saved_model_tags,
                                                    self._input_saved_model_signature_key, self.options.threads, self._model)
            bar.update(1.0, f"{len(self._model.engines)} engines")
        self._model.tell(self.options.quiet)
        self._converted = True
        if self._need_calibration:
            if self._use_dynamic_shape:
                self._calibration_input_fn = calibration_input_fn
            else:
                self._execute_calibration(calibration_input_fn)
        return self._converted_func

    def _request_device(self):
        self._device = device = self._world.requested_device()
        if "gpu" in device.lower():
            notices.once("gpu", f"the device {device} is asked for; engines run on the CPU")

    def _native_options(self):
        return native_options(self._conversion_params, self.options, self._input_saved_model_tags, self._input_saved_model_signature_key,
                              self._use_dynamic_shape, self._profile_strategy, self.freeze)

    def _call(self, item):
        args, kwargs = self._world.arguments(item)
        self._converted_func(*args, **kwargs)

    def _execute_calibration(self, calibration_input_fn):
        with self._progress("calibrate") as bar:
            for count, item in enumerate(calibration_input_fn(), 1):
                self._call(item)
                bar.update(1 - 1 / (count + 1), f"inputs: {count}")
        self._calibrated = True

    def build(self, input_fn):
        """Builds the engines before the first inference.

        input_fn: a function whose call gives an iterable of inputs: a tensor or array, a list or tuple of them in the function's order, or
        a dictionary by name. Only their shapes matter, except where shapes follow from values. With dynamic shapes all of them
        together make the profiles; otherwise an engine is built for each shape that no cached one serves.

        Raises NotImplementedError after a build() that succeeded (one that failed may be repeated), RuntimeError before
        convert(), without input_fn, for inputs that are no tensors or when there are none.
        """
        if self._build_called_once:
            raise NotImplementedError("build() is already called. It is not supported to call build() more than once.")
        if not input_fn:
            raise RuntimeError("input_fn is None. build() needs input_fn to be specified in order to build engines")
        if not self._converted:
            raise RuntimeError("Need to call convert() before build()")
        if self._need_calibration and not self._calibrated and self._calibration_input_fn is None:
            raise RuntimeError("Need to provide the calibration_input_fn arg while calling convert().")
        if self._build_tried:  # what a failed build left behind is in the way
            self._model.clear()
        self._build_tried = True
        with self._progress("build") as bar:
            first = self._run_inputs(input_fn, bar)
            bar.update(0.5, "building engines")
            if self._need_calibration and not self._calibrated:
                self._execute_calibration(self._calibration_input_fn)
            native_calls = self._model.native_calls()
            with self._model.timed_layers():
                self._call(first)
            bar.update(1.0, "engines are built")
        for name, reason in self._model.failures(native_calls).items():
            notices.warn(f"{name} has no engine and runs natively: {reason}")
        self._build_called_once = True

    def _run_inputs(self, input_fn, bar):
        """Runs every input and returns the first; with dynamic shapes the engines collect the shapes meanwhile."""
        collecting = self._model.resources() if self._need_trt_profiles() else []
        first = None
        try:
            for resource in collecting:
                resource.collect_shapes(True)
            for count, item in enumerate(input_fn(), 1):
                if first is None:
                    first = item
                self._call(item)
                bar.update(0.5 * (1 - 1 / (count + 1)), f"inputs: {count}")
        finally:
            for resource in collecting:
                resource.collect_shapes(False)
        return first

    def save(self, output_saved_model_dir, save_gpu_specific_engines=True, options=None):
        """Saves the converted signature, and the engines that were built, as a SavedModel.

        An existing model is replaced in one step; other files of the folder stay. The engines are no longer in memory afterwards: what runs
        on uses new ones.

        save_gpu_specific_engines: False leaves the engines' files empty; the loaded model builds them when it runs. options:
        tf.saved_model.SaveOptions; None without TensorFlow.

        Raises AssertionError before convert(), RuntimeError when INT8 calibration is still to be done by build().
        """
        if not self._converted:
            raise AssertionError("Need to call convert() before save()")
        if self._need_calibration and not self._calibrated:
            raise RuntimeError("A model that requires INT8 calibration has to be built before saving it. Call build() to build and "
                               "calibrate the engines.")
        with self._progress("save") as bar:
            self._model.save(output_saved_model_dir, save_gpu_specific_engines, self._conversion_params.allow_build_at_runtime,
                             environment.feature(environment.REMOVE_NATIVE_SEGMENTS),
                             lambda folder: self._world.finish(folder, options, self._converted_func, self._model.conversion.nodes()),
                             bar.update)

    def summary(self, line_length=160, detailed=True, print_fn=None):
        """Prints one row per engine of the main graph: its types and shapes and, when `detailed`, the ops that it took in.

        line_length: at least 160. print_fn: called with each line; print by default.

        Raises RuntimeError before convert(), ValueError for a shorter line.
        """
        if not self._converted:
            name = type(self).__name__
            raise RuntimeError(f"Impossible to call `{name}.summary()` before calling `{name}.convert()`.")
        if line_length < summary.MINIMUM_LINE_LENGTH:
            raise ValueError(f"Invalid `line_length` value has been received: {line_length}. Minimum: {summary.MINIMUM_LINE_LENGTH}.")
        engines = [engine for engine in self._model.engines if engine["in_main_graph"]]
        for line in summary.lines(engines, self._model.conversion.main_graph_nodes(), "device:CPU:0", line_length, detailed):
            (print_fn or print)(line)

    @property
    def report(self):
        """What became of each node and why: a tenon.ConversionReport; after build() with the times of the engines' layers, as its last call
        took them. RuntimeError before convert()."""
        if not self._converted:
            raise RuntimeError("Need to call convert() before there is a report")
        return self._model.report

    @property
    def _converted_graph_def(self):
        """The converted graph, as TF-TRT's converter keeps it."""
        return self._world.graph_def(self._model.conversion.graph_def({"in_process": True})) if self._converted else None
