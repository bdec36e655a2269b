"""A stored engine that does not fit is built again or left out, with one clear line, and never gives a wrong answer."""
import os
import shutil

import numpy as np
import pytest

import tenon
from tenon_cli import tenon_command
from test_bad_input import ENGINE, MLP, X, convert, engine_file, run, weights, write_model

NAME = "TRTEngineOp_000_000"


@pytest.fixture
def model(tmp_path):
    return write_model(tmp_path / "model", MLP)


@pytest.fixture
def converted(model, tmp_path):
    convert(model, tmp_path / "converted")
    return str(tmp_path / "converted")


def replace(path, data):
    """A new file of that name: the old one may be mapped."""
    os.unlink(path)
    with open(path, "wb") as file:
        file.write(data)


def corrupt(folder, tmp_path):
    data = bytearray(open(engine_file(folder), "rb").read())
    data[len(data) // 2] ^= 0x10
    data[-5000] ^= 0x10
    replace(engine_file(folder), bytes(data))


def truncate(folder, tmp_path):
    data = open(engine_file(folder), "rb").read()
    replace(engine_file(folder), data[:len(data) * 3 // 4])


def other_version(folder, tmp_path):
    data = bytearray(open(engine_file(folder), "rb").read())
    data[8] += 1
    replace(engine_file(folder), bytes(data))


def other_weights(folder, tmp_path):
    """The engine of a model of the same form, whole in itself."""
    other = write_model(tmp_path / "other", MLP.replace(weights("w1", 1), weights("w1", 3)))
    convert(other, tmp_path / "other_converted")
    replace(engine_file(folder), open(engine_file(str(tmp_path / "other_converted")), "rb").read())


def missing(folder, tmp_path):
    os.unlink(engine_file(folder))


def no_plan(folder, tmp_path):
    replace(engine_file(folder), b"\x1f\x8b TFRecords of TensorRT, say" * 100)


MISFITS = {"corrupted": (corrupt, "checksum"), "truncated": (truncate, "cut"), "another version": (other_version, "version"),
           "another model's": (other_weights, "another"), "missing": (missing, ""), "no plan": (no_plan, "not a Tenon plan")}


@pytest.mark.parametrize("allow_build", [True, False], ids=["building allowed", "building forbidden"])
@pytest.mark.parametrize("misfit", MISFITS)
def test_a_plan_that_does_not_fit(converted, model, tmp_path, capfd, misfit, allow_build):
    change, word = MISFITS[misfit]
    change(converted, tmp_path)
    expected = run(model)
    capfd.readouterr()
    session = tenon.Session(converted, allow_build=allow_build)
    np.testing.assert_allclose(session.run({"x": X})["y"], expected, rtol=1e-5, atol=1e-6)
    engine = session.engines[0]
    assert (engine.loaded, engine.rebuilt) == (allow_build, allow_build)
    assert (engine.calls, engine.native_calls) == ((1, 0) if allow_build else (0, 1))
    lines = capfd.readouterr().err.splitlines()
    assert len(lines) == 1, lines
    assert lines[0].startswith(f"tenon: {NAME}: ") and word in lines[0]
    assert ("engine built again" in lines[0]) == allow_build and ("forbidden" in lines[0]) == (not allow_build)


@pytest.mark.parametrize("flag", [[], ["--no-build"]], ids=["building allowed", "building forbidden"])
def test_another_instruction_set(model, tmp_path, flag):
    """Converted where the instruction set is capped, run where it is not, and the other way round."""
    for made, used in [("AVX2", None), (None, "AVX2")]:
        folder = tmp_path / f"made_{made}"
        env = {**os.environ, **({"TENON_MAX_CPU_ISA": made} if made else {})}
        done = tenon_command("convert", "--saved-model-dir", model, "--output-dir", folder, "--min-gain", 0, "--minimum-segment-size", 1, env=env)
        assert done.returncode == 0, done.stderr
        env = {**os.environ, **({"TENON_MAX_CPU_ISA": used} if used else {})}
        np.save(tmp_path / "x.npy", X)
        done = tenon_command("run", folder, "--inputs", f"x={tmp_path}/x.npy", "--output-dir", tmp_path / "out", "--quiet", *flag, env=env)
        assert done.returncode == 0 and done.stderr == ""
        np.testing.assert_allclose(np.load(tmp_path / "out" / "y.npy"), run(model), rtol=1e-5, atol=1e-6)
        done = tenon_command("inspect", folder, env=env)
        done_run = tenon_command("run", folder, "--random-inputs", *flag, env=env)
        if "does not fit here" not in done.stdout:
            pytest.skip("this machine has no more than AVX2")
        lines = done_run.stderr.splitlines()
        assert len(lines) == 1 and NAME in lines[0] and ("engine built again" in lines[0]) == (not flag), lines


def test_a_node_can_forbid_building(converted, model, tmp_path, capfd):
    path = os.path.join(converted, "saved_model.pb")
    data = open(path, "rb").read()
    key = b"_allow_build_at_runtime"
    at = data.index(key) + len(key)
    assert data[at:at + 4] == b"\x12\x02\x28\x01"  # value { b: true }
    replace(path, data[:at + 3] + b"\0" + data[at + 4:])
    assert tenon.Session(converted).engines[0].loaded
    corrupt(converted, tmp_path)
    capfd.readouterr()
    session = tenon.Session(converted)
    np.testing.assert_allclose(session.run({"x": X})["y"], run(model), rtol=1e-5, atol=1e-6)
    assert not session.engines[0].loaded and not session.engines[0].rebuilt
    assert "building is forbidden" in capfd.readouterr().err


def test_nothing_is_said_of_a_plan_that_fits(converted, tmp_path, capfd):
    shutil.move(converted, tmp_path / "moved")  # nor does it matter where the folder lies
    assert ENGINE in os.listdir(tmp_path / "moved" / "assets")
    capfd.readouterr()
    assert tenon.Session(str(tmp_path / "moved"), allow_build=False).engines[0].loaded
    assert capfd.readouterr().err == ""
