"""Models that TensorFlow makes on the spot, native and converted: loops over lists, tables, text, parsing, random numbers,
variables that calls change, Keras layers that leave such ops behind."""
import os

import numpy as np
import pytest

import tenon

tf = pytest.importorskip("tensorflow", reason="needs tensorflow-cpu")

MODELS = {}


def spec(shape, dtype, name="x"):
    return tf.TensorSpec(shape, dtype, name=name)


def with_function(module, function, *specs):
    module.function = tf.function(function, input_signature=specs)
    return module


def model(build):
    """Registers a function of a scratch folder that returns (module, feeds)."""
    MODELS[build.__name__] = build
    return build


@model
def tables(folder):
    module = tf.Module()
    words = tf.constant(["a", "b", "c"])
    numbers = tf.constant([1, 2, 3], tf.int64)
    module.to_number = tf.lookup.StaticHashTable(tf.lookup.KeyValueTensorInitializer(words, numbers), -1)
    module.to_word = tf.lookup.StaticHashTable(tf.lookup.KeyValueTensorInitializer(numbers, words), "?")
    module.changing = tf.lookup.experimental.MutableHashTable(tf.string, tf.float32, 0.0)

    def function(x):
        module.changing.insert(x, tf.cast(tf.strings.length(x), tf.float32))
        number = module.to_number.lookup(x)
        return {"number": number, "word": module.to_word.lookup(number), "size": module.to_number.size(),
                "changing": module.changing.lookup(tf.concat([x, ["none"]], 0)), "changed": module.changing.size()}

    return with_function(module, function, spec([None], tf.string)), {"x": np.array([b"a", b"zz", b"c"], object)}


@model
def vocabulary_file(folder):
    path = os.path.join(folder, "words.txt")
    with open(path, "w") as file:
        file.write("the\nquick\nbrown\nfox\n")
    module = tf.Module()
    lines = tf.lookup.TextFileInitializer(path, tf.string, tf.lookup.TextFileIndex.WHOLE_LINE, tf.int64, tf.lookup.TextFileIndex.LINE_NUMBER)
    module.table = tf.lookup.StaticVocabularyTable(lines, 3)
    function = lambda x: {"y": module.table.lookup(x)}
    return with_function(module, function, spec([None, None], tf.string)), {"x": np.array([[b"fox", b"dog"], [b"the", b"cat"]], object)}


@model
def text(folder):
    def function(x):
        words = tf.strings.split(tf.strings.regex_replace(tf.strings.lower(x), "[^a-z0-9 ]", ""))
        dense = words.to_tensor("")
        buckets = tf.strings.to_hash_bucket_fast(dense, 1000)
        return {"words": dense, "buckets": buckets, "length": tf.strings.length(x, unit="UTF8_CHAR"), "start": tf.strings.substr(x, 0, 3),
                "joined": tf.strings.reduce_join(dense, axis=1, separator="_"), "count": words.row_lengths(), "number": tf.strings.as_string(buckets),
                "codes": tf.strings.unicode_decode(x, "UTF-8").to_tensor(), "pairs": tf.strings.ngrams(words, 2).to_tensor("")}

    return with_function(tf.Module(), function, spec([None], tf.string)), {"x": np.array([b"Hello, World!", b"One two  three", b"x y"], object)}


@model
def loops_over_lists(folder):
    module = tf.Module()
    module.weights = tf.Variable(np.random.RandomState(0).rand(4, 4).astype(np.float32))

    def function(x):
        steps = tf.shape(x)[0]
        step = lambda i, kept, state: (i + 1, kept.write(i, state), tf.tanh(tf.matmul(state, module.weights) + x[i]))
        start = (0, tf.TensorArray(tf.float32, size=steps), tf.zeros([2, 4]))
        _, kept, state = tf.while_loop(lambda i, kept, state: i < steps, step, start)
        large = tf.TensorArray(tf.float32, size=0, dynamic_size=True, element_shape=[])
        for row in x:
            if tf.reduce_sum(row) > 4.0:
                large = large.write(large.size(), tf.reduce_max(row))
        return {"kept": kept.stack(), "state": state, "large": large.stack(), "mapped": tf.map_fn(lambda r: tf.reduce_sum(r * r), x),
                "scanned": tf.scan(lambda a, r: a + r, x), "folded": tf.foldl(lambda a, r: a * 0.5 + r, x)}

    return with_function(module, function, spec([None, 2, 4], tf.float32)), {"x": np.random.RandomState(1).rand(5, 2, 4).astype(np.float32)}


@model
def branches(folder):
    def function(x):
        y = tf.cond(tf.reduce_sum(x) > 1.0, lambda: tf.nn.relu(x - 0.5), lambda: x * 2)
        z = tf.switch_case(tf.cast(tf.reduce_max(x) * 3, tf.int32), [lambda: x, lambda: x + 1, lambda: x + 2])
        return {"y": y, "z": z}

    return with_function(tf.Module(), function, spec([None], tf.float32)), {"x": np.array([0.1, 0.5, 0.9], np.float32)}


@model
def changing_variables(folder):
    module = tf.Module()
    module.total = tf.Variable(3.0)
    module.rows = tf.Variable(np.arange(12, dtype=np.float32).reshape(4, 3))

    def function(x):
        module.total.assign_add(tf.reduce_sum(x))
        module.rows.scatter_add(tf.IndexedSlices(tf.ones([2, 3]), [0, 2]))
        module.rows[1].assign([7.0, 8.0, 9.0])
        return {"total": module.total.read_value(), "rows": module.rows.read_value(), "gathered": tf.gather(module.rows, [3, 0])}

    return with_function(module, function, spec([None], tf.float32)), {"x": np.array([1, 2], np.float32)}


@model
def seeded_random_numbers(folder):
    def function(x):
        return {"uniform": tf.random.stateless_uniform([3, 4], x), "normal": tf.random.stateless_normal([5], x),
                "integers": tf.random.stateless_uniform([5], x, 0, 100, tf.int32), "truncated": tf.random.stateless_truncated_normal([5], x),
                "classes": tf.random.stateless_categorical([[0.0, 1.0, 2.0]], 7, x)}

    return with_function(tf.Module(), function, spec([2], tf.int32)), {"x": np.array([4, 5], np.int32)}


def example(**features):
    def feature(values):
        if isinstance(values[0], float):
            return tf.train.Feature(float_list=tf.train.FloatList(value=values))
        return tf.train.Feature(int64_list=tf.train.Int64List(value=values))

    features = {key: feature(values) for key, values in features.items()}
    return tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString()


@model
def parsed_examples(folder):
    def function(x):
        parsed = tf.io.parse_example(x, {"a": tf.io.FixedLenFeature([2], tf.float32), "b": tf.io.VarLenFeature(tf.int64),
                                         "s": tf.io.FixedLenFeature([], tf.string, "none"), "r": tf.io.RaggedFeature(tf.int64)})
        return {"a": parsed["a"] * 2, "b": tf.sparse.to_dense(parsed["b"]), "s": parsed["s"], "r": parsed["r"].to_tensor(-1)}

    serialized = [example(a=[1.0, 2.0], b=[5, 6], r=[1, 2, 3]), example(a=[3.0, 4.0], r=[9])]
    return with_function(tf.Module(), function, spec([None], tf.string)), {"x": np.array(serialized, object)}


@model
def ragged_tensors(folder):
    def function(x, lengths):
        ragged = tf.RaggedTensor.from_row_lengths(x, lengths)
        doubled = tf.map_fn(lambda row: row * 2, ragged, fn_output_signature=tf.RaggedTensorSpec([None], tf.float32))
        return {"sum": tf.reduce_sum(ragged, axis=1), "dense": ragged.to_tensor(), "rows": tf.gather(ragged, [0, 1]).to_tensor(),
                "sparse": tf.sparse.to_dense(ragged.to_sparse()), "doubled": doubled.to_tensor()}

    specs = spec([None], tf.float32), spec([None], tf.int64, "lengths")
    return with_function(tf.Module(), function, *specs), {"x": np.arange(6, dtype=np.float32), "lengths": np.array([2, 0, 4])}


@model
def sound(folder):
    def function(x):
        spectrum = tf.signal.stft(x, 64, 32)
        mel = tf.matmul(tf.abs(spectrum), tf.signal.linear_to_mel_weight_matrix(10, 33, 8000, 20.0, 3900.0))
        return {"magnitude": tf.abs(spectrum), "mfcc": tf.signal.mfccs_from_log_mel_spectrograms(tf.math.log(mel + 1e-6)),
                "back": tf.signal.inverse_stft(spectrum, 64, 32), "dct": tf.signal.dct(x)}

    return with_function(tf.Module(), function, spec([None, 256], tf.float32)), {"x": np.random.RandomState(3).rand(2, 256).astype(np.float32)}


@model
def greedy_ctc(folder):
    def function(x):
        decoded, score = tf.nn.ctc_greedy_decoder(x, [6, 4])
        return {"decoded": tf.sparse.to_dense(decoded[0]), "score": score}

    return with_function(tf.Module(), function, spec([6, 2, 5], tf.float32)), {"x": np.random.RandomState(2).rand(6, 2, 5).astype(np.float32)}


@model
def recurrent_layers(folder):
    keras = pytest.importorskip("keras")
    keras.utils.set_random_seed(1)
    x = keras.Input((None, 4))
    y = keras.layers.LSTM(8, return_sequences=True)(x)
    y = keras.layers.SimpleRNN(6, return_sequences=True)(y)
    y = keras.layers.Bidirectional(keras.layers.GRU(5))(y)
    module = tf.Module()
    module.layers = keras.Model(x, keras.layers.Dense(3)(y))
    function = lambda x: {"y": module.layers(x)}
    return with_function(module, function, spec([None, None, 4], tf.float32)), {"x": np.random.RandomState(2).rand(3, 9, 4).astype(np.float32)}


@model
def preprocessing_layers(folder):
    keras = pytest.importorskip("keras")
    module = tf.Module()
    words = keras.layers.TextVectorization(max_tokens=20, ngrams=2, output_sequence_length=6)
    words.adapt(["the cat sat", "on the mat"])
    lookup = keras.layers.StringLookup(vocabulary=["a", "b", "c"], num_oov_indices=2)
    many_hot = keras.layers.StringLookup(vocabulary=["a", "b", "c"], output_mode="multi_hot")
    hashing, salted = keras.layers.Hashing(17), keras.layers.Hashing(11, salt=[3, 4])
    module.layers = [words, lookup, many_hot, hashing, salted]
    function = lambda x: {"words": words(x[:, 0]), "index": lookup(x), "hot": many_hot(x), "hash": hashing(x), "salted": salted(x)}
    return with_function(module, function, spec([None, 2], tf.string)), {"x": np.array([[b"The cat! a", b"zz"], [b"c", b"a"]], object)}


def assert_same(found, expected):
    assert sorted(found) == sorted(expected)
    for name, value in expected.items():
        want = value.numpy()
        assert np.shape(found[name]) == want.shape, name
        if want.dtype == object:
            assert (np.asarray(found[name]) == want).all(), name
        else:
            assert np.asarray(found[name]).dtype == want.dtype, name
            np.testing.assert_allclose(found[name], want, rtol=1e-4, atol=1e-5, err_msg=name)


@pytest.mark.parametrize("name", sorted(MODELS))
def test_gives_what_tensorflow_gives(name, tmp_path):
    module, feeds = MODELS[name](str(tmp_path))
    path, converted = str(tmp_path / "model"), str(tmp_path / "converted")
    tf.saved_model.save(module, path, signatures={"serving_default": module.function})
    signature = tf.saved_model.load(path).signatures["serving_default"]
    tenon.convert(path, converted, minimum_segment_size=3, min_gain=0.0)
    sessions = [tenon.Session(path, native=True), tenon.Session(converted)]
    for _ in range(2):  # what a call changes, the next one sees
        expected = signature(**{key: tf.constant(value) for key, value in feeds.items()})
        for session in sessions:
            assert_same(session.run(feeds), expected)
