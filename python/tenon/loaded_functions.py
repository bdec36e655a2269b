"""Lets TensorFlow's eager context forget the functions of a loaded model when the model goes.

Native segments are such functions, and a frozen model's weights are inside them. TensorFlow (seen with 2.21) keeps them in two places:

- each signature of a model without an object graph, which is what Tenon writes, registers all functions of the model once more, and nobody
  takes that back;
- functions that call an engine, in a model with an object graph (a loaded model that was saved again), stay in the default graph for ever,
  on purpose, because TensorRT's engines needed it.
"""
import functools
import threading
import weakref

_SEGMENT = "_native_segment"  # in the names of engines' functions: other models are left alone
_lock = threading.Lock()
_installed = False


def install():
    """Makes it so for all models that are loaded from now on. Any number of calls; needs TensorFlow.

    A TensorFlow whose insides are different is left as it is.
    """
    global _installed
    with _lock:
        if _installed:
            return
        _installed = True
        try:
            from tensorflow.python.eager import context, wrap_function
            from tensorflow.python.framework import ops
            from tensorflow.python.saved_model import function_deserialization
            wrap_function.WrappedFunction.__init__ = _taking_back(wrap_function.WrappedFunction.__init__, context)
            function_deserialization.load_function_def_library = _leaving_no_trace(
                function_deserialization.load_function_def_library, context, ops)
        except (ImportError, AttributeError):
            pass


def _taking_back(init, context):
    @functools.wraps(init)
    def initialize(self, fn_graph, *args, **kwargs):
        init(self, fn_graph, *args, **kwargs)
        names = list(getattr(fn_graph, "_functions", ()))
        called = getattr(self, "_inference_function", None)  # what other functions hold that call this one
        if called is not None and any(_SEGMENT in name for name in names):
            weakref.finalize(called, _remove, context.context(), names).atexit = False
    return initialize


def _remove(context, names):
    for name in names:
        if context.has_function(name):
            context.remove_function(name)


def _leaving_no_trace(load, context, ops):
    @functools.wraps(load)
    def load_functions(*args, **kwargs):
        if not context.executing_eagerly():
            return load(*args, **kwargs)
        graph = ops.get_default_graph()
        before = set(graph._functions)
        functions = load(*args, **kwargs)
        added = set(graph._functions) - before
        if any(_SEGMENT in name for name in added):
            with _lock:
                for name in added:
                    graph._remove_function(name)
        return functions
    return load_functions
