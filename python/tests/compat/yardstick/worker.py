"""Converts and runs cases in a process of its own, with TensorFlow or without.

Jobs come as pickles on standard input, answers go back on standard output; what anything prints goes to standard error.
`python -m yardstick.worker tensorflow|plain`.
"""
import contextlib
import os
import sys
import traceback

import numpy as np

from . import cases
from .client import receive, send

NATIVE = "TF_TRT_ALLOW_ENGINE_NATIVE_SEGMENT_EXECUTION"
tf = None


@contextlib.contextmanager
def environment(values):
    """Sets variables for a while."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.__setitem__(name, value)


def made_up(case, seed=12345):
    """The feeds of a case: one dictionary per input set."""
    rng = np.random.default_rng(seed)

    def value(spec, shape):
        if spec.dtype == "bool":
            return rng.random(shape) < 0.5
        return np.asarray((rng.random(shape) * (10 if spec.dtype.startswith("int") else 1))).astype(spec.dtype)
    feeds = [{f"input_{i}": value(spec, shape) for i, (spec, shape) in enumerate(zip(case.inputs, shapes))}
             for shapes in case.shapes]
    for number, arrays in case.values.items():
        for feed, array in zip(feeds, arrays):
            feed[f"input_{number}"] = np.asarray(array, case.inputs[number].dtype)
    return feeds


def build_module(case, build):
    """A module with the case's function under its signature."""
    module = tf.Module()
    if case.module is not None:
        build = case.module(tf, module)
    specs = [tf.TensorSpec(s.shape, s.dtype, name=f"input_{i}") for i, s in enumerate(case.inputs)]

    def serve(*inputs):
        outputs = build(tf, *inputs)
        outputs = outputs if isinstance(outputs, (list, tuple)) else [outputs]
        return {f"output_{i}": output for i, output in enumerate(outputs)}
    module.serve = tf.function(serve, input_signature=specs)
    return module


def as_arrays(outputs):
    return {name: np.asarray(value) for name, value in outputs.items()}


def call(function, feeds):
    """Calls what a converter or a loader gave, with TensorFlow's tensors or with arrays."""
    if tf is not None:
        feeds = {name: tf.constant(value) for name, value in feeds.items()}
    return as_arrays(function(**feeds))


def graph_engines(graph_def):
    """{engine: names of its nodes} of a GraphDef, engines in functions included."""
    functions = {f.signature.name: f for f in graph_def.library.function}
    nodes = list(graph_def.node) + [n for f in functions.values() for n in f.node_def]
    segment = lambda node: functions[node.attr["segment_func"].func.name]
    return {n.name: [inner.name for inner in segment(n).node_def] for n in nodes if n.op == "TRTEngineOp"}


def record(name, folder):
    """Writes the case's model, its feeds and TensorFlow's answers; names of groups that the graph lacks are an error."""
    case = cases.all_cases()[name]
    module = build_module(case, case.build)
    path = os.path.join(folder, "model")
    tf.saved_model.save(module, path, signatures=module.serve.get_concrete_function())
    graph = module.serve.get_concrete_function().graph.as_graph_def()
    known = {n.name for n in graph.node} | {n.name for f in graph.library.function for n in f.node_def}
    missing = {n for groups in (case.implicit, case.dynamic) for group in groups or () for n in group} - known
    if missing:
        raise AssertionError(f"no such nodes in the graph: {sorted(missing)}")
    if case.edit is not None:
        case.edit(tf, path)
    if case.reference is not None:
        expected = build_module(case, case.reference).serve.get_concrete_function()
    else:
        expected = tf.saved_model.load(path).signatures["serving_default"]
    feeds = made_up(case)
    return {"path": path, "feeds": feeds, "expected": [call(expected, f) for f in feeds]}


def convert(path, feeds, folder, build=True, named=False, variables=None, **options):
    """Converts a model, builds with the feeds, runs twice, saves; in TensorFlow also loads and runs. Answers with the path
    and the outputs of each stage. named: build() gets dictionaries, not tuples. variables: of the environment meanwhile."""
    from tenon import trt_convert as trt
    with environment(variables or {}):
        converter = trt.TrtGraphConverterV2(input_saved_model_dir=path, **options)
        function = converter.convert()
        if build:
            converter.build(lambda: (f if named else tuple(f.values()) for f in feeds))
        stages = {stage: [call(function, f) for f in feeds] for stage in ("converted", "converted, second run")}
        saved = os.path.join(folder, "converted")
        converter.save(saved)
        if tf is not None:
            key = options.get("input_saved_model_signature_key") or "serving_default"
            loaded = tf.saved_model.load(saved, options.get("input_saved_model_tags")).signatures[key]
            stages["saved and loaded"] = [call(loaded, f) for f in feeds]
    return {"path": saved, "stages": stages}


def convert_case(name, recorded, mode, folder, denied):
    """convert() as a case and a mode want it."""
    case = cases.all_cases()[name]
    variables = {NATIVE: str(case.native), "TF_TRT_OP_DENYLIST": ",".join(denied), **case.environment}
    options = {"minimum_segment_size": 2, "maximum_cached_engines": case.maximum_cached_engines}
    if mode.startswith("dynamic-"):
        options.update(use_dynamic_shape=True, dynamic_shape_profile_strategy=mode.split("-", 1)[1])
    return convert(recorded["path"], recorded["feeds"], folder, build=mode != "implicit", variables=variables, **options)


def reference(path, feeds, key):
    """TensorFlow's own outputs of a model on disk, run twice; None where it refuses the feeds or is not deterministic."""
    import reference as oracle
    try:
        once, again = (oracle.run_saved_model(path, feeds, key) for _ in range(2))
    except Exception:  # pylint: disable=broad-except
        return None
    same = all(np.array_equal(np.asarray(again[name]), np.asarray(value)) for name, value in once.items())
    return as_arrays(once) if same else None


def reference_or_error(path, feeds):
    """The outputs of a model on disk, loaded and run by TensorFlow."""
    return call(tf.saved_model.load(path).signatures["serving_default"], feeds)


def loads(path):
    """Whether TensorFlow 2's loader takes the model."""
    try:
        tf.saved_model.load(path)
    except Exception:  # pylint: disable=broad-except
        return False
    return True


def net(name, folder):
    """Writes a net of nets.py; answers with its path, feeds and TensorFlow's outputs."""
    from . import nets
    path = os.path.join(folder, "model")
    feeds = nets.write(tf, name, path)
    function = tf.saved_model.load(path).signatures["serving_default"]
    keys = list(function.structured_input_signature[1])
    if len(keys) == 1:  # Keras may name it otherwise
        feeds = [dict(zip(keys, feed.values())) for feed in feeds]
    return {"path": path, "feeds": feeds, "expected": [call(function, f) for f in feeds]}


def example(**features):
    """A serialized tf.train.Example of one float each."""
    made = tf.train.Example()
    for name, value in features.items():
        made.features.feature[name].float_list.value.append(value)
    return made.SerializeToString()


def written(path):
    """The first meta graph of a model on disk."""
    from tensorflow.core.protobuf import saved_model_pb2
    model = saved_model_pb2.SavedModel()
    with open(os.path.join(path, "saved_model.pb"), "rb") as file:
        model.ParseFromString(file.read())
    return model.meta_graphs[0]


def engines(path):
    """The engines of a written model: {name: names of their nodes}."""
    return graph_engines(written(path).graph_def)


def engine_attributes(path):
    """What the engine nodes of a written model say of themselves."""
    graph = written(path).graph_def
    nodes = list(graph.node) + [n for f in graph.library.function for n in f.node_def]
    return {n.name: {"implicit": n.attr["_use_implicit_batch"].b, "strategy": n.attr["profile_strategy"].s.decode(),
                     "precision": n.attr["precision_mode"].s.decode(), "static": n.attr["static_engine"].b}
            for n in nodes if n.op == "TRTEngineOp"}


def signature_types(path):
    """Tensor names, dtypes and shapes (None: unknown rank) of the serving signature, by its keys."""
    def plain(infos):
        shape = lambda proto: None if proto.unknown_rank else [d.size for d in proto.dim]
        return {key: (info.name, info.dtype, shape(info.tensor_shape)) for key, info in infos.items()}
    signature = written(path).signature_def["serving_default"]
    return plain(signature.inputs), plain(signature.outputs), signature.method_name


def connections(path):
    """{node: what it reads} of a written main graph; names without scopes and ports, "^" for control edges."""
    def short(name):
        return ("^" if name.startswith("^") else "") + name.split("/")[-1].split(":")[0]
    return {short(n.name): [short(i) for i in n.input] for n in written(path).graph_def.node}


def guarded(folder):
    """Writes a model whose function checks its input before it goes on; answers with the path."""
    module = tf.Module()

    def serve(x):
        y = tf.multiply(tf.add(x, 1.0, name="plus"), 2.0, name="times")
        with tf.control_dependencies([tf.debugging.Assert(tf.reduce_all(x < 10.0), [x])]):
            y = tf.subtract(y, 3.0, name="minus")
        return {"output_0": tf.square(tf.nn.relu(y, name="relu"), name="square")}
    module.serve = tf.function(serve, input_signature=[tf.TensorSpec((None, 4), tf.float32, name="input_0")])
    path = os.path.join(folder, "model")
    tf.saved_model.save(module, path, signatures=module.serve)
    return path


def session(path, feeds, key=None, variables=None):
    """Runs a model in Tenon alone: outputs and the states of its engines."""
    import tenon
    with environment(variables or {}):
        model = tenon.Session(path, key)
        outputs = [as_arrays(model.run(f)) for f in feeds]
        return {"outputs": outputs, "engines": [e._asdict() for e in model.engines]}


def session_of_case(name, recorded, path):
    """session() as a case wants it."""
    case = cases.all_cases()[name]
    return session(path, recorded["feeds"], variables={NATIVE: str(case.native), **case.environment})


JOBS = {job.__name__: job for job in (
    record, convert, convert_case, reference, reference_or_error, loads, net, example, engines, engine_attributes,
    signature_types, connections, guarded, session, session_of_case)}


def main(kind):
    global tf
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    if kind == "tensorflow":
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
        import tensorflow
        tf = tensorflow
    while True:
        job = receive(sys.stdin.buffer)
        if job is None:
            return
        try:
            answer = (True, JOBS[job[0]](*job[1], **job[2]))
            if kind == "plain" and "tensorflow" in sys.modules:
                raise AssertionError("tensorflow was imported where it must not be needed")
        except BaseException:  # pylint: disable=broad-except
            answer = (False, traceback.format_exc())
        send(answers, answer)


if __name__ == "__main__":
    main(sys.argv[1])
