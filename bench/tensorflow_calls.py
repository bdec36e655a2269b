"""What a call costs inside TensorFlow: two small ops, and the engine made of them. Prints {caller: {"ops": us, "engine": us}} as JSON."""
import json
import statistics
import tempfile
import time

import numpy as np
import tensorflow as tf
import tenon
import tenon.tensorflow


def time_calls():
    """Medians of turns of 200 calls, models taking turns."""
    tenon.tensorflow.load()

    class Model(tf.Module):
        def __init__(self):
            self.weights = tf.Variable(np.ones((64, 64), np.float32))

        @tf.function(input_signature=[tf.TensorSpec([8, 64], tf.float32, name="x")])
        def __call__(self, x):
            return {"y": tf.nn.relu(tf.matmul(x, self.weights))}

    def timed(call):
        start = time.perf_counter()
        for _ in range(200):
            call()
        return (time.perf_counter() - start) / 200 * 1e6

    with tempfile.TemporaryDirectory() as folder:
        model = Model()
        tf.saved_model.save(model, f"{folder}/ops", signatures=model.__call__)
        tenon.convert(f"{folder}/ops", f"{folder}/engine", minimum_segment_size=1, min_gain=0)
        x, calls, kept = tf.ones([8, 64]), {}, []
        for name in ("ops", "engine"):
            loaded = tf.saved_model.load(f"{folder}/{name}")
            function = loaded.signatures["serving_default"]
            calls["ConcreteFunction", name] = lambda function=function: function(x=x)
            session = tf.compat.v1.Session(graph=tf.Graph())
            with session.graph.as_default():
                meta = tf.compat.v1.saved_model.load(session, ["serve"], f"{folder}/{name}").signature_def["serving_default"]
            run = session.make_callable(meta.outputs["y"].name, feed_list=[meta.inputs["x"].name])
            feed = np.ones((8, 64), np.float32)
            calls["Session.run", name] = lambda run=run, feed=feed: run(feed)
            kept += [loaded, session]
        times = {key: [] for key in calls}
        for _ in range(30):
            for key, call in calls.items():
                times[key].append(timed(call))
        result = {}
        for (caller, name), turns in times.items():
            result.setdefault(caller, {})[name] = statistics.median(turns)
        print(json.dumps(result))


if __name__ == "__main__":
    time_calls()
