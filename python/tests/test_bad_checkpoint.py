"""Variables whose files are damaged, cut or missing are refused by every command, and nothing is written. Needs no TensorFlow."""
import os
import random
import shutil

import numpy as np
import pytest

import tenon
from tenon_cli import DIGITS, tenon_command

INDEX = "variables/variables.index"
DATA = "variables/variables.data-00000-of-00001"


@pytest.fixture
def model(tmp_path):
    shutil.copytree(DIGITS / "model", tmp_path / "model")
    return tmp_path / "model"


def change(path, how):
    data = how(path.read_bytes())
    path.unlink()
    if data is not None:
        path.write_bytes(data)


def flipped(at):
    def flip(data):
        data = bytearray(data)
        data[at % len(data)] ^= 0x40
        return bytes(data)
    return flip


DAMAGES = {
    "no data": (DATA, lambda d: None), "no index": (INDEX, lambda d: None), "empty data": (DATA, lambda d: b""), "empty index": (INDEX, lambda d: b""),
    "half the data": (DATA, lambda d: d[:len(d) // 2]), "half the index": (INDEX, lambda d: d[:len(d) // 2]),
    "a byte less": (DATA, lambda d: d[:-1]), "a bit of the data": (DATA, flipped(20_000)), "a bit of the index": (INDEX, flipped(700)),
    "index of zeros": (INDEX, lambda d: bytes(len(d))), "footer alone": (INDEX, lambda d: d[-48:]), "index twice": (INDEX, lambda d: d + d),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_variables(model, tmp_path, damage):
    file, how = DAMAGES[damage]
    good = tenon.Session(str(DIGITS / "model")).run({"image": np.ones((1, 8, 8, 1), np.float32)})
    change(model / file, how)
    for arguments in [["run", model, "--random-inputs"], ["run", model, "--random-inputs", "--native"], ["compare", model, DIGITS / "model"],
                      ["convert", "--saved-model-dir", model, "--output-dir", tmp_path / "out"]]:
        done = tenon_command(*arguments)
        if damage == "index twice" and done.returncode == 0:
            continue  # the footer at the end still names blocks of the right content
        assert done.returncode == 1, (arguments, done.stdout)
        message = [line for line in done.stderr.splitlines() if line.startswith("tenon: ")]
        assert len(message) == 1 and "variables" in message[0] or "variable" in message[0], done.stderr
        assert damage == "index twice" or not (tmp_path / "out").exists()
    if damage == "index twice":
        found = tenon.Session(str(model)).run({"image": np.ones((1, 8, 8, 1), np.float32)})
        np.testing.assert_array_equal(found["probabilities"], good["probabilities"])
    assert tenon_command("inspect", model).returncode in (0, 1)


def test_flipped_bits_are_found_or_do_not_matter(model):
    x = {"image": np.random.default_rng(0).random((3, 8, 8, 1), np.float32)}
    expected = tenon.Session(str(model)).run(x)["probabilities"]
    generator = random.Random(5)
    found = 0
    for file in (INDEX, DATA):
        original = (model / file).read_bytes()
        for _ in range(60):
            change(model / file, flipped(generator.randrange(len(original))))
            try:
                np.testing.assert_array_equal(tenon.Session(str(model)).run(x)["probabilities"], expected)
            except tenon.Error:
                found += 1
            change(model / file, lambda _: original)
    assert found > 60


def test_a_variable_that_the_checkpoint_lacks(model, tmp_path):
    """Another model's checkpoint: whole, but with other names."""
    from test_bad_input import write_model, placeholder, node, DTYPE, FLOAT
    nodes = placeholder() + node("lost", "VarHandleOp", (), DTYPE, "key: 'shape' value { shape { } }", "key: 'shared_name' value { s: 'lost' }") + \
        node("read", "ReadVariableOp", ("lost",), DTYPE) + node("y", "Mul", ("x", "read"), FLOAT) + node("z", "Neg", ("x",), FLOAT)
    path = write_model(tmp_path / "other", nodes, {"y": "y:0", "z": "z:0"})
    shutil.copytree(model / "variables", tmp_path / "other" / "variables")
    session = tenon.Session(path)
    x = np.ones((2, 4), np.float32)
    np.testing.assert_array_equal(session.run({"x": x}, outputs=["z"])["z"], -x)
    with pytest.raises(tenon.Error, match="lost"):
        session.run({"x": x})


def test_a_folder_where_a_file_should_be(model):
    for name in ("saved_model.pb", INDEX, DATA):
        (model / name).rename(model / "aside")
        (model / name).mkdir()
        assert tenon_command("run", model, "--random-inputs").returncode == 1
        (model / name).rmdir()
        os.rename(model / "aside", model / name)
    assert tenon_command("run", model, "--random-inputs").returncode == 0


def test_without_permission_to_read(model):
    if os.geteuid() == 0:
        pytest.skip("root reads everything")
    os.chmod(model / DATA, 0)
    done = tenon_command("run", model, "--random-inputs")
    assert done.returncode == 1 and "ermission" in done.stderr
