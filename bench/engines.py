"""Engines as their user meets them: time to build, to load and to call, memory, and what must be installed to run them."""
import json
import os
import re
import shutil
import subprocess
import tempfile
import time

import models
import report


class Tool:
    """The command line of a build folder, each call a process of its own."""

    def __init__(self, build, threads):
        self.program, self.threads = f"{build}/tenon", str(threads)

    def convert(self, model, output, shapes, cache):
        """Seconds of the whole command, and of them those that the conversion itself took."""
        start = time.perf_counter()
        done = subprocess.run([self.program, "convert", "--saved-model-dir", model, "--output-dir", output, "--shapes", shapes, "--threads",
                               self.threads, "--timing-cache", cache, "--force", "--quiet"], capture_output=True, text=True)
        if done.returncode != 0:
            raise RuntimeError(done.stderr.strip())
        return time.perf_counter() - start

    def bench(self, model, shapes):
        """What `tenon bench --json` says after one call in a fresh process."""
        done = subprocess.run([self.program, "bench", model, "--shapes", shapes, "--threads", self.threads, "--warmup", "0", "--iterations", "1",
                               "--json"], capture_output=True, text=True, check=True)
        return json.loads(done.stdout)


def shape_text(name, batch):
    return ",".join(f"{key}:" + "x".join(map(str, shape)) for key, shape in models.shapes(name, batch).items())


def drop_from_page_cache(folder):
    """The next reader of these files reads the disk."""
    for parent, _, files in os.walk(folder):
        for name in files:
            descriptor = os.open(f"{parent}/{name}", os.O_RDONLY)
            os.fdatasync(descriptor)
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
            os.close(descriptor)


def measure_network(tool, root, name, opens):
    """One network: built without and with a timing cache, then opened in fresh processes, first of all from the disk."""
    report.progress(f"building and opening {name}")
    shapes = shape_text(name, 1)
    with tempfile.TemporaryDirectory(dir=root) as folder:
        model, cache = f"{folder}/model", f"{folder}/timing_cache"
        row = {"model": name, "build_s": tool.convert(f"{root}/{name}", model, shapes, cache)}
        row["build_with_cache_s"] = tool.convert(f"{root}/{name}", model, shapes, cache)
        drop_from_page_cache(model)
        runs = [tool.bench(model, shapes) for _ in range(1 + opens)]
    row["open_from_disk_ms"], row["open_first_ms"] = runs[0]["load_ms"], runs[1]["load_ms"]
    row["open_ms"] = sorted(run["load_ms"] for run in runs[1:])[opens // 2]
    row["first_call_ms"] = sorted(run["median_ms"] for run in runs[1:])[opens // 2]
    return row | max((run["memory"] for run in runs), key=lambda memory: memory["peak_bytes"])


def measure(build, root, names, threads, opens):
    tool = Tool(build, threads)
    return [measure_network(tool, root, name, opens) for name in names]


def print_result(rows):
    report.table("Engines, batch 1: build (wanted of ResNet-50: at most 10 s, 3 s with a timing cache), open in a fresh process (at most 100 ms)",
                 ["network", "build s", "with cache s", "open from disk ms", "open at first ms", "open again ms", "first call ms"],
                 [[models.TITLES[r["model"]], *[report.number(r[key]) for key in
                   ("build_s", "build_with_cache_s", "open_from_disk_ms", "open_first_ms", "open_ms", "first_call_ms")]] for r in rows])
    report.table("Memory of a fresh process that opens the model and makes one call, MB (VmHWM, mapped files included)",
                 ["network", "weights", "activations", "their sum", "peak", "peak / sum"],
                 [[models.TITLES[r["model"]], report.megabytes(r["weight_bytes"]), report.megabytes(r["activation_bytes"]),
                   report.megabytes(r["weight_bytes"] + r["activation_bytes"]), report.megabytes(r["peak_bytes"]),
                   report.number(r["peak_bytes"] / (r["weight_bytes"] + r["activation_bytes"]))] for r in rows])


def call_cost(build):
    """{kernel_us, engine_us, session_us}: one call of a one-op engine."""
    report.progress("timing calls of an engine of one op")
    return json.loads(subprocess.run([f"{build}/call_bench"], stdout=subprocess.PIPE, text=True, check=True).stdout)


def print_call_cost(cost):
    report.table("A call of an engine of one op, us (wanted: at most 5 over the kernel)",
                 ["kernel alone", "engine", "over the kernel", "session", "over the kernel"],
                 [[report.number(cost["kernel_us"]), report.number(cost["engine_us"]), report.number(cost["engine_us"] - cost["kernel_us"]),
                   report.number(cost["session_us"]), report.number(cost["session_us"] - cost["kernel_us"])]])


def size_of(folder):
    return sum(os.lstat(f"{parent}/{name}").st_size for parent, _, files in os.walk(folder) for name in files)


def packages_of(library):
    """Shared libraries of the distribution's packages that `library` needs besides the C and C++ runtimes."""
    lines = subprocess.run(["ldd", library], stdout=subprocess.PIPE, text=True, check=True).stdout
    paths = re.findall(r"=> (/\S+)", lines)
    runtimes = ("libc.", "libm.", "libstdc++.", "libgcc_s.", "libpthread.", "libdl.", "ld-linux")
    return [os.path.realpath(path) for path in paths if not os.path.basename(path).startswith(runtimes)]


def installed_size(build):
    """Bytes of what somebody who only runs models installs."""
    report.progress("installing what running models needs")
    prefix = tempfile.mkdtemp()
    try:
        subprocess.run(["cmake", "--install", build, "--prefix", prefix, "--component", "runtime", "--strip"], check=True,
                       stdout=subprocess.DEVNULL)
        libraries = [f"{parent}/{name}" for parent, _, files in os.walk(prefix) for name in files if re.match(r"libtenon\.so\.\d+$", name)]
        needed = sorted(set(packages_of(libraries[0])))
        return {"own_bytes": size_of(prefix), "package_bytes": sum(os.path.getsize(path) for path in needed),
                "packages": [os.path.basename(path) for path in needed]}
    finally:
        shutil.rmtree(prefix)


def print_installed_size(size):
    print(f"\nA runtime-only installation: {report.megabytes(size['own_bytes'])} MB, and {report.megabytes(size['package_bytes'])} MB of "
          f"packages ({', '.join(size['packages'])}); wanted: at most 80 MB.")
