"""Compiling the plug-in and handing it to TensorFlow."""
import concurrent.futures
import os
import shutil
import stat
import subprocess
import sys
import types

import pytest
import tensorflow as tf
from plugin_models import ONLY_ENGINES, run_python

import tenon
import tenon.tensorflow as plugin


def test_loading_any_number_of_times_from_any_thread():
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        paths = {done.result() for done in [pool.submit(plugin.load) for _ in range(16)]}
    assert paths == {plugin.library_path()} and os.path.exists(plugin.library_path())


def test_the_library_may_be_loaded_by_its_path():
    tf.load_op_library(plugin.library_path())
    plugin.load()


def test_the_library_finds_its_own_without_an_environment():
    done = subprocess.run(["ldd", plugin.library_path()], stdout=subprocess.PIPE, text=True, check=True, env={"PATH": os.environ["PATH"]})
    (line,) = [line for line in done.stdout.splitlines() if "libtenon.so" in line]
    assert "not found" not in line


def test_the_key_names_tensorflow_and_tenon():
    folder = os.path.basename(os.path.dirname(plugin.library_path()))
    assert folder.startswith(f"tensorflow-{tf.__version__}-tenon-{tenon.__version__}-")


@pytest.fixture
def unbuilt(monkeypatch, tmp_path):
    """As in a process that has not asked for the plug-in, with an empty cache."""
    monkeypatch.setattr(plugin, "_path", None)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path


def test_no_compiler_is_told_as_what_it_is(unbuilt, monkeypatch):
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.setenv("PATH", str(unbuilt))
    with pytest.raises(tenon.NotFound, match="apt install g\\+\\+"):
        plugin.library_path()
    assert not list(unbuilt.rglob("*.so"))


def script(path, text):
    path.write_text("#!/bin/sh\n" + text)
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def test_a_compiler_that_fails_is_quoted_and_leaves_nothing(unbuilt, monkeypatch):
    monkeypatch.setenv("CXX", str(script(unbuilt / "cxx", "echo 'x.cc:1: error: no such thing' >&2; exit 1\n")))
    with pytest.raises(tenon.Error, match="no such thing"):
        plugin.library_path()
    assert not list(unbuilt.rglob("*.so"))


def test_processes_that_start_together_compile_once(unbuilt, monkeypatch):
    compiler = script(unbuilt / "cxx", f'echo once >> "{unbuilt}/count"\nsleep 1\nexec g++ -O0 "$@"\n')
    code = "import tenon.tensorflow as plugin; print(plugin.load())"
    environment = {**os.environ, "CXX": str(compiler), "PYTHONPATH": os.pathsep.join(sys.path)}
    started = [subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, env=environment) for _ in range(2)]
    paths = {process.communicate(timeout=300)[0].split()[-1] for process in started}
    assert len(paths) == 1 and (unbuilt / "count").read_text() == "once\n"


def test_a_cache_that_cannot_be_written_is_done_without(unbuilt, monkeypatch):
    (unbuilt / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(unbuilt / "file"))
    monkeypatch.setenv("CXX", str(script(unbuilt / "cxx", 'while [ "$1" != -o ]; do shift; done; echo > "$2"\n')))
    with pytest.warns(UserWarning, match="XDG_CACHE_HOME"):
        path = plugin.library_path()
    assert os.path.exists(path)


def test_a_tensorflow_with_an_engine_op_of_its_own_is_refused(unbuilt, monkeypatch):
    from tensorflow.python.framework import op_def_registry
    allowed = types.SimpleNamespace(list=types.SimpleNamespace(type=[tf.float32.as_datatype_enum]))
    monkeypatch.setattr(op_def_registry, "get", lambda name: types.SimpleNamespace(
        attr=[types.SimpleNamespace(name="InT", allowed_values=allowed)]))
    with pytest.raises(tenon.Unsupported, match="TRTEngineOp of its own"):
        plugin.load()


COPIES = """
import ctypes, sys
import numpy as np, tensorflow as tf, tenon.tensorflow
how, path, copy, folder = sys.argv[1:]
load = {"load": tenon.tensorflow.load, "by path": lambda: tf.load_op_library(path), "copy": lambda: tf.load_op_library(copy),
        "dlopen": lambda: ctypes.CDLL(path), "dlopen copy": lambda: ctypes.CDLL(copy)}
for step in how.split(", "):
    load[step]()
print("y", next(iter(tf.saved_model.load(folder).signatures["serving_default"](tf.zeros((1, 16, 16, 3))).values())).shape)
"""


@pytest.mark.parametrize("how", ["load, by path, copy, dlopen copy", "dlopen copy, load", "copy, dlopen"])
def test_copies_of_the_library_do_not_meet(model, how, tmp_path):
    """As when a Python program uses a C++ library that is linked with the plug-in of a build tree."""
    copy = shutil.copy(plugin.library_path(), tmp_path)
    assert "y (1, 5)" in run_python(COPIES, how, plugin.library_path(), copy, model.folder, **{ONLY_ENGINES: "false"})


FOREIGN_OP = """
#include "tensorflow/core/framework/op.h"
REGISTER_OP("TRTEngineOp")
    .Attr("serialized_segment: string")
    .Attr("InT: list({bool,int8,half,float,int32,resource})")
    .Attr("OutT: list({bool,int8,half,float,int32})")
    .Input("in_tensor: InT")
    .Output("out_tensor: OutT");
"""

BESIDE_FOREIGN_OP = """
import ctypes, sys
import tensorflow as tf, tenon, tenon.tensorflow
ctypes.CDLL(sys.argv[1])
try:
    tenon.tensorflow.load()
except tenon.Unsupported as error:
    print("refused", error)
ctypes.CDLL(sys.argv[2])
print("alive")
"""


@pytest.mark.full
def test_a_tensorflow_with_an_engine_op_of_its_own_goes_on_without_the_plugin(tmp_path):
    (tmp_path / "op.cc").write_text(FOREIGN_OP)
    subprocess.run(["g++", "-std=c++17", "-O0", "-fPIC", "-shared", "-w", *tf.sysconfig.get_compile_flags(), str(tmp_path / "op.cc"), "-o",
                    str(tmp_path / "op.so"), *tf.sysconfig.get_link_flags()], check=True)
    output = run_python(BESIDE_FOREIGN_OP, tmp_path / "op.so", plugin.library_path())
    assert "refused" in output and "alive" in output
    assert output.count("TRTEngineOp of its own") == 2  # the exception, and the log of a C++ program
