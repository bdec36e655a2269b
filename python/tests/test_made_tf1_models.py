"""TF1 models made on the spot: reference variables, loops of frames and TensorArrays, tables with initializers, seeds."""
import os

import numpy as np
import pytest

import tenon

tf = pytest.importorskip("tensorflow", reason="needs tensorflow-cpu")
v1 = tf.compat.v1
RNG = np.random.RandomState

MODELS = {}


def model(build):
    """Registers a function of a scratch folder that returns inputs {name: tensor}, outputs and feeds."""
    MODELS[build.__name__] = build
    return build


def variable(name, value, use_resource=False):
    return v1.get_variable(name, initializer=np.asarray(value, np.float32), use_resource=use_resource)


@model
def reference_variables_that_change(folder):
    x = v1.placeholder(tf.float32, [None], name="x")
    counter = variable("counter", 3.0)
    rows = variable("rows", np.arange(6).reshape(3, 2))
    raised = v1.assign_add(counter, tf.reduce_sum(x))
    scattered = v1.scatter_add(rows, [0, 2], np.ones((2, 2), np.float32))
    with tf.control_dependencies([raised]):
        after = tf.identity(counter)
    with tf.control_dependencies([scattered]):
        gathered = tf.gather(rows, [2, 0])
    return {"x": x}, {"after": after, "raised": raised, "gathered": gathered}, {"x": np.array([1, 2], np.float32)}


@model
def reference_variables_of_a_layer(folder):
    x = v1.placeholder(tf.float32, [None, 4], name="x")
    y = tf.nn.softmax(tf.matmul(x, variable("w", RNG(0).rand(4, 3))) + variable("b", np.ones(3)))
    return {"x": x}, {"y": y}, {"x": RNG(1).rand(2, 4).astype(np.float32)}


@model
def loop_of_frames(folder):
    x = v1.placeholder(tf.float32, [None, None, 4], name="x")
    steps = tf.shape(x)[1]
    weights = variable("w", RNG(0).rand(4, 4))
    rows = tf.TensorArray(tf.float32, steps).unstack(tf.transpose(x, [1, 0, 2]))
    step = lambda i, kept, state: (i + 1, kept.write(i, state), tf.tanh(tf.matmul(state, weights) + rows.read(i)))
    start = (0, tf.TensorArray(tf.float32, steps), tf.zeros([tf.shape(x)[0], 4]))
    _, kept, state = v1.while_loop(lambda i, kept, state: i < steps, step, start)
    return {"x": x}, {"kept": kept.stack(), "state": state}, {"x": RNG(1).rand(2, 5, 4).astype(np.float32)}


@model
def nested_loops_and_branches(folder):
    x = v1.placeholder(tf.float32, [], name="x")
    inner = lambda a: v1.while_loop(lambda j, a: j < 3, lambda j, a: (j + 1, a * 1.1 + tf.cast(j, tf.float32)), (0, a))[1]
    branch = lambda a: v1.cond(a > 10.0, lambda: a / 2, lambda: inner(a))
    looped = v1.while_loop(lambda i, a: i < 4, lambda i, a: (i + 1, branch(a)), (0, x))[1]
    chosen = v1.case([(x > 5, lambda: x * 2), (x > 1, lambda: x * 3)], default=lambda: x * 4)
    return {"x": x}, {"looped": looped, "chosen": chosen}, {"x": np.float32(2)}


@model
def table_with_initializer(folder):
    path = os.path.join(folder, "words.txt")
    with open(path, "w") as file:
        file.write("a\nb\nc\n")
    x = v1.placeholder(tf.string, [None], name="x")
    lines = tf.lookup.TextFileInitializer(path, tf.string, tf.lookup.TextFileIndex.WHOLE_LINE, tf.int64, tf.lookup.TextFileIndex.LINE_NUMBER)
    table = tf.lookup.StaticHashTable(lines, -1)
    return {"x": x}, {"y": table.lookup(x)}, {"x": np.array([b"c", b"q", b"a"], object)}


@model
def random_numbers_of_a_seed(folder):
    v1.set_random_seed(7)
    x = v1.placeholder(tf.int32, [1], name="x")
    outputs = {"uniform": v1.random_uniform(x, seed=3), "normal": v1.random_normal(x, seed=4), "shuffled": v1.random_shuffle(tf.range(x[0]), seed=5),
               "integers": v1.random_uniform(x, 0, 50, tf.int32, seed=9), "truncated": v1.truncated_normal(x, seed=2),
               "classes": v1.multinomial([[0.0, 1.0, 2.0]], x[0], seed=8), "gamma": v1.random_gamma(x, [0.5, 2.0], seed=1),
               "poisson": v1.random_poisson([2.0, 20.0], x, seed=6)}
    return {"x": x}, outputs, {"x": np.array([12], np.int32)}


@pytest.fixture
def frames():
    """Loops and branches of TF1 instead of functions."""
    enabled = v1.control_flow_v2_enabled()
    v1.disable_control_flow_v2()
    yield
    if enabled:
        v1.enable_control_flow_v2()


def save(name, folder, path):
    with tf.Graph().as_default(), v1.Session() as session:
        inputs, outputs, feeds = MODELS[name](folder)
        session.run([v1.global_variables_initializer(), v1.tables_initializer()])
        v1.saved_model.simple_save(session, path, inputs, outputs, legacy_init_op=v1.tables_initializer())
    return feeds


def expected_calls(path, feeds, count):
    with tf.Graph().as_default(), v1.Session() as session:
        signature = v1.saved_model.load(session, ["serve"], path).signature_def["serving_default"]
        fetches = {name: info.name for name, info in signature.outputs.items()}
        feed_dict = {signature.inputs[name].name: value for name, value in feeds.items()}
        return [session.run(fetches, feed_dict) for _ in range(count)]


@pytest.mark.parametrize("name", sorted(MODELS))
def test_gives_what_tensorflow_gives(name, tmp_path, frames):
    path, converted = str(tmp_path / "model"), str(tmp_path / "converted")
    feeds = save(name, str(tmp_path), path)
    calls = expected_calls(path, feeds, 2)  # what a call changes, the next one sees
    tenon.convert(path, converted, minimum_segment_size=3, min_gain=0.0)
    for session in (tenon.Session(path, native=True), tenon.Session(converted)):
        for expected in calls:
            found = session.run(feeds)
            assert sorted(found) == sorted(expected)
            for output, want in expected.items():
                assert np.shape(found[output]) == np.shape(want)
                np.testing.assert_allclose(found[output], want, rtol=1e-4, atol=1e-5, err_msg=output)


def test_reference_variables_that_nothing_changes_are_frozen(tmp_path, frames):
    path, converted = str(tmp_path / "model"), str(tmp_path / "converted")
    feeds = save("reference_variables_of_a_layer", str(tmp_path), path)
    tenon.convert(path, converted, minimum_segment_size=1, min_gain=0.0)
    session = tenon.Session(converted)
    session.run(feeds)
    assert [(engine.loaded, engine.calls) for engine in session.engines] == [(True, 1)]
    os.rename(converted + "/variables", converted + "/moved")  # the weights come from there, not from the graph
    with pytest.raises(tenon.Error):
        tenon.Session(converted).run(feeds)
