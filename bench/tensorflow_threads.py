"""Threads of TensorFlow and of engines together: is a machine oversubscribed when both are there?

usage: PYTHONPATH=build/python python bench/tensorflow_threads.py [--model SAVED_MODEL --shape 1,224,224,3]
           [--threads 1,2] [--callers 1,2,4] [--seconds 5] [--json FILE]

For each setting of tf.config.threading.set_intra_op_parallelism_threads, in a process of its own: a convolutional net (or the given model,
unconverted, with one input of float32) before and after conversion is called by so many Python threads at once. Printed: calls per second,
CPU seconds per second (at most the CPUs of the process; more than the setting with one caller means threads that only wait by spinning or
disturb each other), involuntary context switches per second, and the process's threads.
"""
import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import threading
import time


def numbers(text):
    return [int(number) for number in text.split(",")]


def parse():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model")
    parser.add_argument("--shape", type=numbers, default=[1, 64, 64, 16])
    parser.add_argument("--threads", type=numbers, default=[1, 2])
    parser.add_argument("--callers", type=numbers, default=[1, 2, 4])
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--json")
    parser.add_argument("--child", type=int, help=argparse.SUPPRESS)
    return parser.parse_args()


def save_net(tf, shape, folder):
    """Eight convolutions with constants for weights."""
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2
    random = tf.random.Generator.from_seed(1)
    filters = [random.normal((3, 3, shape[-1] if i == 0 else 32, 32)) * 0.1 for i in range(8)]

    def net(x):
        for weights in filters:
            x = tf.nn.relu(tf.nn.conv2d(x, weights, 1, "SAME"))
        return tf.reduce_mean(x, [1, 2])
    concrete = convert_variables_to_constants_v2(tf.function(net).get_concrete_function(tf.TensorSpec([None, *shape[1:]], tf.float32)))
    module = tf.Module()
    tf.saved_model.save(module, folder, signatures=tf.function(
        lambda x: {"y": concrete(x)[0]}, input_signature=[tf.TensorSpec([None, *shape[1:]], tf.float32)]))


def usage():
    used = resource.getrusage(resource.RUSAGE_SELF)
    return time.perf_counter(), used.ru_utime + used.ru_stime, used.ru_nivcsw


def call_side_by_side(call, callers, seconds):
    """Calls for some seconds from so many threads."""
    stop, counts = threading.Event(), [0] * callers

    def loop(index):
        while not stop.is_set():
            call()
            counts[index] += 1
    workers = [threading.Thread(target=loop, args=(i,)) for i in range(callers)]
    for worker in workers:
        worker.start()
    time.sleep(min(1.0, seconds / 4))  # pools have started and caches are warm
    calls, (wall, cpu, switches) = sum(counts), usage()
    time.sleep(seconds)
    done, (wall_end, cpu_end, switches_end) = sum(counts), usage()
    tasks = len(os.listdir("/proc/self/task")) - callers
    stop.set()
    for worker in workers:
        worker.join()
    wall = wall_end - wall
    return {"calls_per_s": (done - calls) / wall, "cpu_per_s": (cpu_end - cpu) / wall, "switches_per_s": (switches_end - switches) / wall,
            "threads": tasks}


def measure(options):
    """The rows of one setting, in this process."""
    import tensorflow as tf
    from tenon import trt_convert as trt
    tf.config.threading.set_intra_op_parallelism_threads(options.child)
    tf.config.threading.set_inter_op_parallelism_threads(options.child)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        source = options.model or os.path.join(folder, "source")
        x = tf.zeros(options.shape)
        if not options.model:
            save_net(tf, options.shape, source)
        before = tf.saved_model.load(source)
        calls = {"TensorFlow": before.signatures["serving_default"]}
        converter = trt.TrtGraphConverterV2(input_saved_model_dir=source)
        converter.options.quiet = True
        converter.convert()
        converter.build(lambda: iter([(x,)]))
        converter.save(os.path.join(folder, "converted"))
        after = tf.saved_model.load(os.path.join(folder, "converted"))
        calls["converted"] = after.signatures["serving_default"]
        for name, signature in calls.items():
            (argument,) = signature.structured_input_signature[1]
            for callers in options.callers:
                row = call_side_by_side(lambda call=signature: call(**{argument: x}), callers, options.seconds)
                rows.append({"model": name, "intra_op": options.child, "callers": callers, **row})
    print(json.dumps(rows))


def main():
    options = parse()
    if options.child:
        measure(options)
        return
    rows = []
    for threads in options.threads:
        done = subprocess.run([sys.executable, __file__, *sys.argv[1:], "--child", str(threads)], stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True, env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"})
        if done.returncode != 0:
            sys.exit(done.stderr)
        rows += json.loads(done.stdout.splitlines()[-1])
    print("| model | intra-op threads | callers | calls/s | CPU s per s | involuntary switches/s | threads without callers |\n"
          "|---|---|---|---|---|---|---|")
    for row in rows:
        print(f"| {row['model']} | {row['intra_op']} | {row['callers']} | {row['calls_per_s']:.1f} | {row['cpu_per_s']:.2f} | "
              f"{row['switches_per_s']:.0f} | {row['threads']} |")
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump(rows, file, indent=1)


if __name__ == "__main__":
    main()
