"""The plug-in with which TensorFlow runs converted models: `tenon.tensorflow.load()`, once, before such a model is loaded.

The plug-in is compiled against the TensorFlow that is installed, when it is first asked for (about 10 s, with the system's C++ compiler),
and kept in the user's cache (`$XDG_CACHE_HOME/tenon`), one for each version of TensorFlow and of Tenon.
"""
import atexit
import contextlib
import ctypes
import fcntl
import hashlib
import os
import pathlib
import shutil
import subprocess
import tempfile
import threading
import warnings

from . import _native, loaded_functions
from .errors import Error, NotFound, Unsupported

__all__ = ["load", "library_path", "build_foreign_engines"]

_PACKAGE = pathlib.Path(_native.__file__).resolve().parent
_NAME = "libtenon_tf.so"
_lock = threading.RLock()
_path: str | None = None     # of the compiled plug-in
_loaded = False


def load() -> str:
    """Makes TensorFlow know the ops of converted models. Any number of calls, from any thread, do it once.

    Imports `tensorflow`, and compiles the plug-in when there is none for this TensorFlow yet. Returns the path of the plug-in.

    Raises `tenon.NotFound` when TensorFlow or a C++ compiler is missing, `tenon.Unsupported` when this TensorFlow has a TRTEngineOp of
    its own (GPU builds up to 2.17), `tenon.Error` when the plug-in does not compile.
    """
    global _loaded
    with _lock:
        tf = _import_tensorflow()
        path = library_path()
        if not _loaded:
            if not _has_ops():
                tf.load_op_library(path)
            loaded_functions.install()
            _loaded = True
        return path


def library_path() -> str:
    """The path of the compiled plug-in, for C++ programs (`TF_LoadLibrary`, `dlopen`) and `tf.load_op_library`; compiles it if need be.

    Raises as `load()` does.
    """
    global _path
    with _lock:
        if _path is None or not os.path.exists(_path):
            tf = _import_tensorflow()
            _has_ops()
            _path = str(_find_or_build(tf))
        return _path


def build_foreign_engines(on: bool = True) -> None:
    """Whether models that TF-TRT itself converted get engines of Tenon, built from their native segments at the first call.

    Without it they run natively, that is by TensorFlow's own kernels. The same as the environment variable TENON_BUILD_FOREIGN_ENGINES.
    """
    os.environ["TENON_BUILD_FOREIGN_ENGINES"] = "1" if on else "0"


def _import_tensorflow():
    try:
        import tensorflow  # pylint: disable=import-outside-toplevel
    except ImportError as error:
        raise NotFound(f"tenon.tensorflow: TensorFlow cannot be imported ({error}); install tensorflow or tensorflow-cpu, or run the "
                       "model without it: tenon.Session") from error
    return tensorflow


def _has_ops():
    """Whether the ops are there already, from this plug-in; another TRTEngineOp is refused."""
    from tensorflow.python.framework import op_def_registry  # pylint: disable=import-outside-toplevel
    op = op_def_registry.get("TRTEngineOp")
    if op is None:
        return False
    import tensorflow as tf  # pylint: disable=import-outside-toplevel
    types = next((attr.allowed_values.list.type for attr in op.attr if attr.name == "InT"), [])
    if tf.float64.as_datatype_enum in types:  # TF-TRT's op never took them
        return True
    raise Unsupported(f"tenon.tensorflow: this TensorFlow ({tf.__version__}) has a TRTEngineOp of its own, as GPU builds up to 2.17 have; "
                      "use tensorflow-cpu, or TensorFlow 2.18 or newer")


def _libtenon():
    """The path of the libtenon.so that this process runs."""
    class Info(ctypes.Structure):
        _fields_ = [("file", ctypes.c_char_p), ("base", ctypes.c_void_p), ("symbol", ctypes.c_char_p), ("address", ctypes.c_void_p)]
    info = Info()
    version = ctypes.CDLL(_native.__file__)["_ZN5tenon7versionEv"]
    dladdr = ctypes.CDLL(None).dladdr
    if dladdr(ctypes.cast(version, ctypes.c_void_p), ctypes.byref(info)) == 0:
        raise Error("tenon.tensorflow: libtenon.so was not found among the loaded libraries; please report it")
    return pathlib.Path(os.path.abspath(os.fsdecode(info.file)))


def _sources():
    files = sorted([*(_PACKAGE / "tfplugin").glob("*.cc"), *(_PACKAGE / "tfplugin").glob("*.h"),
                    *(_PACKAGE / "include" / "tenon").glob("*.h")])
    if not files:
        raise NotFound(f"tenon.tensorflow: the plug-in's sources are missing in {_PACKAGE}; install Tenon again")
    return files


def _flags(tf):
    """What the plug-in is compiled and linked with, apart from the compiler and the files."""
    # Tenon's headers need C++20; TensorFlow's are system headers, whose warnings are not the user's concern.
    compile_flags = [flag for flag in tf.sysconfig.get_compile_flags() if not flag.startswith(("--std", "-std", "-I"))]
    library = _libtenon()
    return ["-std=c++20", "-O2", "-fPIC", "-shared", f"-I{_PACKAGE}", f"-I{_PACKAGE / 'include'}", "-isystem", tf.sysconfig.get_include(),
            *compile_flags, str(_PACKAGE / "tfplugin" / "plugin.cc"), str(library), *tf.sysconfig.get_link_flags(),
            "-Wl,-rpath,$ORIGIN", f"-Wl,-rpath,{library.parent}"]


def _key(tf, flags):
    digest = hashlib.sha256()
    for text in (tf.version.VERSION, tf.version.GIT_VERSION, tf.version.COMPILER_VERSION, _native.version(), *flags):
        digest.update(text.encode() + b"\0")
    for file in _sources():
        digest.update(file.name.encode() + b"\0" + file.read_bytes())
    return f"tensorflow-{tf.version.VERSION}-tenon-{_native.version()}-{digest.hexdigest()[:16]}"


def _cache_root():
    root = os.environ.get("XDG_CACHE_HOME", "")
    return pathlib.Path(root if os.path.isabs(root) else pathlib.Path.home() / ".cache") / "tenon"


def _find_or_build(tf):
    flags = _flags(tf)
    try:
        folder = _cache_root() / _key(tf, flags)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = open(folder / "lock", "w", encoding="ascii")
    except OSError as error:
        if (folder / _NAME).exists():  # a cache that somebody else filled and that may only be read
            return folder / _NAME
        folder = pathlib.Path(tempfile.mkdtemp(prefix="tenon-"))
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        warnings.warn(f"tenon.tensorflow: the plug-in cannot be kept in {_cache_root()} ({error}); each process compiles it again. "
                      "Set XDG_CACHE_HOME to a folder that can be written")
        lock = contextlib.nullcontext()
    with lock:
        if not isinstance(lock, contextlib.nullcontext):
            fcntl.flock(lock, fcntl.LOCK_EX)  # another process may be compiling; released when the file is closed
        library = folder / _NAME
        if not library.exists():
            _compile(flags, library)
        return library


def _compiler():
    wanted = os.environ.get("CXX", "")
    for name in ([wanted] if wanted else ["g++", "c++", "clang++"]):
        if shutil.which(name.split()[0]):
            return name.split()
    raise NotFound("tenon.tensorflow: no C++ compiler was found (" + (f"CXX={wanted}" if wanted else "looked for g++, c++, clang++") +
                   "); the plug-in for TensorFlow is compiled when it is first used: install one (Debian: apt install g++), or run the model "
                   "without TensorFlow: tenon.Session")


def _compile(flags, library):
    with tempfile.TemporaryDirectory(prefix="build-", dir=library.parent) as folder:
        built = pathlib.Path(folder) / _NAME
        command = [*_compiler(), *flags, "-o", str(built)]
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", check=False)
        if done.returncode != 0:
            lines = [line for line in done.stdout.splitlines() if "error" in line][:10] or done.stdout.splitlines()[-10:]
            raise Error(f"tenon.tensorflow: the plug-in does not compile with {command[0]} (GCC 11 or newer is needed):\n" + "\n".join(lines))
        os.replace(built, library)
