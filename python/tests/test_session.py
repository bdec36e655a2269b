"""tenon.Session and tenon.convert."""
import threading

import ml_dtypes
import numpy as np
import pytest
import tenon

from tenon_cli import DIGITS


@pytest.fixture(scope="module")
def images():
    return np.load(DIGITS / "images.npy")


@pytest.mark.parametrize("which", ["digits", "converted_digits"])
def test_the_trained_model_knows_its_digits(which, images, request):
    session = tenon.Session(request.getfixturevalue(which))
    result = session.run({"image": images})
    labels = np.load(DIGITS / "labels.npy")
    assert (result["digit"] == labels).mean() >= 0.97
    names = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
    assert [name.decode() for name in result["name"]] == [names[digit] for digit in result["digit"]]
    assert [engine.loaded for engine in session.engines] == ([True] if which == "converted_digits" else [])


def test_engines_count_their_calls(converted_digits, images):
    session = tenon.Session(converted_digits)
    for _ in range(3):
        session.run({"image": images[:2]})
    assert session.engines[0].calls == 3 and session.engines[0].native_calls == 0
    native = tenon.Session(converted_digits, native=True)
    native.run({"image": images[:2]})
    assert all(engine.calls == 0 for engine in native.engines)


def test_inputs_and_outputs_are_described(digits):
    session = tenon.Session(digits)
    assert session.inputs == [tenon.TensorSpec("image", np.dtype("float32"), (None, 8, 8, 1))]
    outputs = {spec.name: spec for spec in session.outputs}
    assert outputs["probabilities"].shape == (None, 10)
    assert outputs["digit"].dtype == np.int64
    assert outputs["name"].dtype == object


def test_signatures(scale_model):
    session = tenon.Session(scale_model)
    assert sorted(session.signature_keys) == ["double", "serving_default", "triple"]
    x = np.ones((1, 3), np.float32)
    assert session.run({"x": x})["y"][0, 0] == 5
    assert session.run({"x": x}, signature_key="triple")["y"][0, 0] == 3
    assert tenon.Session(scale_model, signature_key="double").run({"x": x})["y"][0, 0] == 2
    with pytest.raises(tenon.NotFound, match="nope"):
        session.run({"x": x}, signature_key="nope")


def test_raw_tensor_names(frozen_graph):
    session = tenon.Session(frozen_graph, inputs=["x:0"], outputs=["double", "split:1"])
    x = np.arange(6, dtype=np.float32).reshape(2, 3)
    result = session.run({"x:0": x})
    np.testing.assert_array_equal(result["double"], 2 * x)
    np.testing.assert_array_equal(result["split:1"], x[:, 1])


def test_wanted_outputs_restrict(digits, images):
    assert set(tenon.Session(digits).run({"image": images[:1]}, outputs=["digit"])) == {"digit"}


def test_results_are_bit_equal_for_any_number_of_threads(converted_digits, images):
    results = [tenon.Session(converted_digits, threads=n).run({"image": images[:37]})["probabilities"] for n in (1, 2, 3)]
    assert results[0].tobytes() == results[1].tobytes() == results[2].tobytes()


@pytest.mark.parametrize("which", ["digits", "converted_digits"])
def test_many_threads_share_a_session(which, images, request):
    session = tenon.Session(request.getfixturevalue(which), threads=2)
    batches = [images[i:i + 1 + i % 5] for i in range(20)]
    wanted = [session.run({"image": batch})["probabilities"].tobytes() for batch in batches]
    wrong = []

    def work(seed):
        for i in np.random.default_rng(seed).permutation(len(batches)):
            if session.run({"image": batches[i]})["probabilities"].tobytes() != wanted[i]:
                wrong.append(i)

    threads = [threading.Thread(target=work, args=[seed]) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_several_sessions_live_side_by_side(digits, converted_digits, images):
    sessions = [tenon.Session(digits), tenon.Session(converted_digits), tenon.Session(digits, threads=1)]
    digits_found = [session.run({"image": images})["digit"] for session in sessions]
    del sessions
    assert all(np.array_equal(digits_found[0], other) for other in digits_found[1:])


NUMBERS = {"DT_FLOAT": np.float32, "DT_DOUBLE": np.float64, "DT_HALF": np.float16, "DT_BFLOAT16": ml_dtypes.bfloat16, "DT_INT8": np.int8,
           "DT_UINT8": np.uint8, "DT_INT16": np.int16, "DT_UINT16": np.uint16, "DT_INT32": np.int32, "DT_UINT32": np.uint32,
           "DT_INT64": np.int64, "DT_UINT64": np.uint64, "DT_BOOL": np.bool_, "DT_COMPLEX64": np.complex64, "DT_COMPLEX128": np.complex128}


@pytest.mark.parametrize("name", NUMBERS)
def test_every_dtype_passes_through(identity_model, name):
    dtype = np.dtype(NUMBERS[name])
    session = tenon.Session(identity_model(name))
    assert session.inputs[0].dtype == dtype and session.outputs[0].dtype == dtype
    values = np.array([0, 1, 3, 100]).astype(dtype)
    result = session.run({"x": values})["y"]
    assert result.dtype == dtype and result.tobytes() == values.tobytes()


@pytest.mark.parametrize("values", [np.array([b"a", b"bc", b""]), np.array(["a", "bc", ""]), np.array([b"a", "bc", b""], dtype=object),
                                    [b"a", b"bc", b""], ["a", "bc", ""]])
def test_strings(identity_model, values):
    result = tenon.Session(identity_model("DT_STRING")).run({"x": values})["y"]
    assert result.dtype == object and list(result) == [b"a", b"bc", b""]


def test_strings_may_hold_any_bytes(identity_model):
    values = np.array([b"\x00\xff\x00", "grün €".encode(), b"x" * 100000], dtype=object)
    assert list(tenon.Session(identity_model("DT_STRING")).run({"x": values})["y"]) == list(values)


def test_lists_of_bytes_keep_zeros_at_their_ends(identity_model):
    values = [b"a\x00", b"\x00\x00"]
    assert list(tenon.Session(identity_model("DT_STRING")).run({"x": values})["y"]) == values


@pytest.mark.parametrize("value", [b"\xff\xd8 a file\x00", "text", b""])
def test_bytes_and_text_are_scalar_strings(identity_model, value):
    result = tenon.Session(identity_model("DT_STRING", ())).run({"x": value})["y"]
    assert result.shape == () and result.item() == (value if isinstance(value, bytes) else value.encode())


@pytest.mark.parametrize("sizes", [(0,), (2, 0, 3), ()])
def test_empty_tensors_and_scalars(identity_model, sizes):
    values = np.full(sizes, 7, np.float32)
    result = tenon.Session(identity_model("DT_FLOAT", None)).run({"x": values})["y"]
    assert result.shape == sizes and np.array_equal(result, values)


def test_layouts_of_arrays_do_not_matter(scale_model):
    session = tenon.Session(scale_model)
    base = np.arange(48, dtype=np.float32).reshape(4, 12)
    for array in [base[:, ::4], np.asfortranarray(base[:, :3]), base[::-1, :3], base[:, :3].astype(">f4"), base[:0, :3]]:
        np.testing.assert_array_equal(session.run({"x": array})["y"], 5 * array)


def test_python_numbers_take_the_inputs_dtype(scale_model):
    np.testing.assert_array_equal(tenon.Session(scale_model).run({"x": [[1, 2, 3]]})["y"], [[5, 10, 15]])


def test_results_belong_to_the_caller(identity_model):
    session = tenon.Session(identity_model("DT_FLOAT"))
    values = np.arange(1000, dtype=np.float32)
    result = session.run({"x": values})["y"]
    result[:] = -1  # an identity hands its input on, but not its memory
    assert values[7] == 7


def test_results_outlive_the_session_and_the_feeds(identity_model, scale_model):
    session = tenon.Session(scale_model)
    result = session.run({"x": np.ones((1000, 3), np.float32)})["y"]
    del session
    passed = tenon.Session(identity_model("DT_FLOAT")).run({"x": np.full(1000, 4, np.float32)})["y"]
    assert (result == 5).all() and (passed == 4).all()


@pytest.mark.parametrize("feeds", [{}, {"z": np.zeros((1, 3), np.float32)}, {"x": np.zeros((1, 3), np.float32), "z": 1},
                                   {"x": np.zeros((1, 3))}, {"x": np.zeros((1, 4), np.float32)}, {"x": np.zeros(3, np.float32)},
                                   {"x": np.zeros((1, 1, 3), np.float32)}, {"x": np.array([["a", "b", "c"]])}])
def test_bad_feeds_raise(scale_model, feeds):
    session = tenon.Session(scale_model)
    with pytest.raises(tenon.InvalidArgument) as error:
        session.run(feeds)
    assert "x" in str(error.value) or "z" in str(error.value)
    assert session.run({"x": np.ones((1, 3), np.float32)})["y"][0, 0] == 5  # and the session goes on


def test_objects_and_dates_are_refused(scale_model):
    session = tenon.Session(scale_model)
    with pytest.raises(tenon.InvalidArgument):
        session.run({"x": np.array([[{}, 1, None]], dtype=object)})
    with pytest.raises(tenon.InvalidArgument):
        session.run({"x": np.zeros((1, 3), "datetime64[s]")})


def test_errors_have_classes(tmp_path):
    for wanted in (tenon.NotFound, FileNotFoundError, KeyError):  # the last two are what TensorFlow's loader raises
        with pytest.raises(wanted, match="missing"):
            tenon.Session(tmp_path / "missing")
    (tmp_path / "saved_model.pb").write_bytes(b"\xff" * 100)
    with pytest.raises(tenon.InvalidModel):
        tenon.Session(tmp_path)
    assert issubclass(tenon.NotFound, tenon.Error) and issubclass(tenon.InvalidArgument, ValueError) and issubclass(tenon.IoError, OSError)


def test_nan_and_infinity_pass(scale_model, converted_digits, images):
    x = np.array([[np.nan, np.inf, -np.inf]], np.float32)
    np.testing.assert_array_equal(tenon.Session(scale_model).run({"x": x})["y"], x)
    poisoned = images[:2].copy()
    poisoned[0, 3, 3] = np.nan
    result = tenon.Session(converted_digits).run({"image": poisoned})["probabilities"]
    assert np.isfinite(result[1]).all()


def test_convert_returns_its_report(digits, tmp_path, images):
    report = tenon.convert(digits, tmp_path / "out", shapes={"image": (4, 8, 8, 1)}, verify=True, min_gain=0, signature_key=["serving_default"])
    assert len(report["engines"]) == 1 and report["native"]
    both = [tenon.Session(path).run({"image": images})["probabilities"] for path in (digits, tmp_path / "out")]
    np.testing.assert_allclose(both[0], both[1], atol=1e-5)
    with pytest.raises(tenon.Error, match="force"):
        tenon.convert(digits, tmp_path / "out")
    with pytest.raises(tenon.InvalidArgument, match="colour"):
        tenon.convert(digits, tmp_path / "other", colour="blue")
    assert not (tmp_path / "other").exists()
