"""One peer with one network in a process of its own: reads "seconds" lines, runs that long, answers with the times in ms.

Not called by hand; bench/peers/compare.py starts it.
"""
import json
import os
import sys
import time


def by_prefix(feeds, name):
    return next(value for key, value in feeds.items() if name.startswith(key))


def tensorflow_call(root, name, feeds, threads, xla):
    import numpy as np
    import tensorflow as tf
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    loaded = tf.saved_model.load(f"{root}/{name}")  # owns the variables for as long as the function is used
    frozen = convert_variables_to_constants_v2(loaded.signatures["serving_default"])
    arguments = [tf.constant(by_prefix(feeds, t.name)) for t in frozen.inputs]
    call = tf.function(lambda *a: frozen(*a), jit_compile=True) if xla else frozen
    return lambda: [np.asarray(t) for t in tf.nest.flatten(call(*arguments))]


def openvino_call(root, name, feeds, threads):
    import openvino as ov
    model = ov.convert_model(f"{root}/{name}.pb")
    model.reshape({i.any_name: ov.PartialShape(list(by_prefix(feeds, i.any_name).shape)) for i in model.inputs})
    compiled = ov.Core().compile_model(model, "CPU", {"INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY",
                                                      "INFERENCE_PRECISION_HINT": "f32"})
    request = compiled.create_infer_request()
    arguments = {i.any_name: by_prefix(feeds, i.any_name) for i in compiled.inputs}
    return lambda: list(request.infer(arguments).values())


def onnxruntime_call(root, name, feeds, threads):
    import onnxruntime
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(f"{root}/{name}.onnx", options)
    arguments = {i.name: by_prefix(feeds, i.name) for i in session.get_inputs()}
    return lambda: session.run(None, arguments)


def litert_call(root, name, feeds, threads):
    from ai_edge_litert.interpreter import Interpreter
    interpreter = Interpreter(f"{root}/{name}.tflite", num_threads=threads)
    find = lambda detail: next(value for key, value in feeds.items() if key in detail["name"])
    for detail in interpreter.get_input_details():
        interpreter.resize_tensor_input(detail["index"], find(detail).shape)
    interpreter.allocate_tensors()
    inputs, outputs = interpreter.get_input_details(), interpreter.get_output_details()

    def call():
        for detail in inputs:
            interpreter.set_tensor(detail["index"], find(detail))
        interpreter.invoke()
        return [interpreter.get_tensor(detail["index"]) for detail in outputs]
    return call


def tenon_call(root, name, feeds, threads):
    import tenon
    converted = f"{root}/{name}.tenon.{threads}"
    if not os.path.isdir(converted):
        shapes = {key: value.shape for key, value in feeds.items()}
        tenon.convert(f"{root}/{name}", converted, shapes=shapes, threads=threads, timing_cache=f"{root}/timing_cache")
    session = tenon.Session(converted, threads=threads)
    return lambda: session.run(feeds)


def make_call(peer, root, name, batch, threads):
    from models import feeds as make_feeds
    feeds = make_feeds(name, batch)
    if peer in ("TensorFlow", "XLA"):
        return tensorflow_call(root, name, feeds, threads, peer == "XLA")
    return {"OpenVINO": openvino_call, "ONNX Runtime": onnxruntime_call, "LiteRT": litert_call, "Tenon": tenon_call}[peer](
        root, name, feeds, threads)


def main():
    peer, root, name, batch, threads = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]), int(sys.argv[5])
    os.environ["OMP_NUM_THREADS"] = str(threads)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print does not mix with the answers
    call = make_call(peer, root, name, batch, threads)
    for _ in range(3):
        call()
    print("ready", file=answers, flush=True)
    for line in sys.stdin:
        times, end = [], time.perf_counter() + float(line)
        while not times or time.perf_counter() < end:
            start = time.perf_counter()
            call()
            times.append((time.perf_counter() - start) * 1e3)
        print(json.dumps(times), file=answers, flush=True)


if __name__ == "__main__":
    main()
