"""One peer with one network in a process of its own. Not called by hand; bench/peers/workers.py starts it.

    python bench/peers/worker.py PEER DIR NETWORK THREADS

Reads one JSON command a line, answers with one JSON line: {"prepare": BATCH} warms up and gives {"result": sum of the outputs'
magnitudes}; {"run": BATCH, "seconds": S} makes one call, then calls for S seconds and gives their times in ms.
"""
import ctypes
import json
import os
import signal
import sys
import time

PR_SET_PDEATHSIG = 1


def by_prefix(feeds, name):
    return next(value for key, value in feeds.items() if name.startswith(key))


def frozen_function(path):
    """The graph of a .pb as a function of its placeholders. (Freezing the SavedModel here takes several times its memory.)"""
    import tensorflow as tf
    graph = tf.compat.v1.GraphDef()
    with open(path, "rb") as file:
        graph.ParseFromString(file.read())
    wrapped = tf.compat.v1.wrap_function(lambda: tf.graph_util.import_graph_def(graph, name=""), [])
    nodes = wrapped.graph.get_operations()
    read = {tensor.op.name for node in nodes for tensor in node.inputs}
    return wrapped.prune([node.outputs[0] for node in nodes if node.type == "Placeholder"],
                         [node.outputs[0] for node in nodes if node.name not in read and node.type == "Identity"])


def variables_function(path):
    """The SavedModel's function with its variables. The result also holds the model: it owns the variables."""
    import tensorflow as tf
    model = tf.saved_model.load(path)
    signature = model.signatures["serving_default"]
    names = list(signature.structured_input_signature[1])
    return names, lambda *arguments: signature(**dict(zip(names, arguments))), model


class TensorFlow:
    """One function serves all batches; XLA compiles it once for each. It is frozen, which is faster, but BERT-base's is not: TensorFlow
    would take 8 GB for the constants."""

    def __init__(self, root, name, threads, xla=False):
        import tensorflow as tf
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(1)
        if name.startswith("bert"):
            self.names, function, self.model = variables_function(f"{root}/{name}")
        else:
            function = frozen_function(f"{root}/{name}.pb")
            self.names = [tensor.name for tensor in function.inputs]
        self.function = tf.function(lambda *a: function(*a), jit_compile=True) if xla else function

    def call(self, feeds):
        import numpy as np
        import tensorflow as tf
        arguments = [tf.constant(by_prefix(feeds, name)) for name in self.names]
        return lambda: [np.asarray(t) for t in tf.nest.flatten(self.function(*arguments))]


class Xla(TensorFlow):
    def __init__(self, root, name, threads):
        super().__init__(root, name, threads, xla=True)


class SavedModel:
    """The model as TensorFlow's users call it: its signature, with its variables. `converted`: as Tenon wrote it, by the plug-in."""

    def __init__(self, root, name, threads, converted=False):
        import tensorflow as tf
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(1)
        self.path_for = lambda batch: f"{root}/{name}"
        if converted:
            import convert
            import tenon.tensorflow
            tenon.tensorflow.load()
            self.path_for = lambda batch: convert.converted_path(root, name, batch, threads)

    def call(self, feeds):
        import tensorflow as tf
        names, function, model = variables_function(self.path_for(len(next(iter(feeds.values())))))
        arguments = [tf.constant(by_prefix(feeds, name)) for name in names]
        self.kept = getattr(self, "kept", []) + [model]
        return lambda: [t.numpy() for t in function(*arguments).values()]


class Converted(SavedModel):
    def __init__(self, root, name, threads):
        super().__init__(root, name, threads, converted=True)


class OpenVino:
    def __init__(self, root, name, threads):
        self.path, self.threads = f"{root}/{name}.pb", threads

    def call(self, feeds):
        import openvino as ov
        model = ov.convert_model(self.path)
        model.reshape({i.any_name: ov.PartialShape(list(by_prefix(feeds, i.any_name).shape)) for i in model.inputs})
        settings = {"INFERENCE_NUM_THREADS": self.threads, "PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"}
        compiled = ov.Core().compile_model(model, "CPU", settings)
        request = compiled.create_infer_request()
        arguments = {i.any_name: by_prefix(feeds, i.any_name) for i in compiled.inputs}
        return lambda: list(request.infer(arguments).values())


class OnnxRuntime:
    def __init__(self, root, name, threads):
        import onnxruntime
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        self.session = onnxruntime.InferenceSession(f"{root}/{name}.onnx", options)

    def call(self, feeds):
        arguments = {i.name: by_prefix(feeds, i.name) for i in self.session.get_inputs()}
        return lambda: self.session.run(None, arguments)


class LiteRt:
    def __init__(self, root, name, threads):
        self.path, self.threads = f"{root}/{name}.tflite", threads

    def call(self, feeds):
        from ai_edge_litert.interpreter import Interpreter
        interpreter = Interpreter(self.path, num_threads=self.threads)
        fed = {}
        for detail in interpreter.get_input_details():
            fed[detail["index"]] = next(value for key, value in feeds.items() if key in detail["name"])
            interpreter.resize_tensor_input(detail["index"], fed[detail["index"]].shape)
        interpreter.allocate_tensors()
        outputs = [detail["index"] for detail in interpreter.get_output_details()]

        def call():
            for index, value in fed.items():
                interpreter.set_tensor(index, value)
            interpreter.invoke()
            return [interpreter.get_tensor(index) for index in outputs]
        return call


class Tenon:
    """Each batch has the engine that was tuned for it (bench/peers/convert.py)."""

    def __init__(self, root, name, threads):
        import convert
        self.path_for, self.threads = lambda batch: convert.converted_path(root, name, batch, threads), threads

    def call(self, feeds):
        import tenon
        batch = len(next(iter(feeds.values())))
        session = tenon.Session(self.path_for(batch), threads=self.threads)
        slow = [engine.reason for engine in session.engines if not engine.loaded or engine.rebuilt]
        if slow or not session.engines:
            raise RuntimeError(f"the model does not run by its own engines: {slow}")
        return lambda: list(session.run(feeds).values())


PEERS = {"SavedModel": SavedModel, "Converted": Converted, "TensorFlow": TensorFlow, "XLA": Xla, "OpenVINO": OpenVino, "ONNX Runtime": OnnxRuntime, "LiteRT": LiteRt, "Tenon": Tenon}


def magnitude(outputs):
    import numpy as np
    return float(sum(np.abs(np.asarray(output, np.float64)).sum() for output in outputs))


def prepare(call):
    for _ in range(2):
        outputs = call()
    return {"result": magnitude(outputs)}


def run(call, seconds):
    call()  # caches and threads as they are in the middle of work
    times, end = [], time.perf_counter() + seconds
    while not times or time.perf_counter() < end:
        start = time.perf_counter()
        call()
        times.append((time.perf_counter() - start) * 1e3)
    return times


def main():
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)  # also a stopped process ends with its parent
    peer, root, name, threads = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
    os.environ["OMP_NUM_THREADS"] = str(threads)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print does not mix with the answers
    from models import feeds
    network, calls = PEERS[peer](root, name, threads), {}
    for line in sys.stdin:
        command = json.loads(line)
        if "prepare" in command:
            batch = command["prepare"]
            calls[batch] = network.call(feeds(name, batch))
            answer = prepare(calls[batch])
        else:
            answer = run(calls[command["run"]], command["seconds"])
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main()
