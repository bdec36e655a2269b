"""Compares every variable that Tenon reads from the real models with what TensorFlow reads.

    check_savedmodel.py TEST_PROGRAM      TEST_PROGRAM is the built savedmodel_test

Needs TensorFlow and xxhash. Prints the number of tensors compared; exits with 1 and the differences when there are any.
"""
import os
import subprocess
import sys
import tempfile

import numpy as np
import tensorflow as tf
import xxhash

NAMES = {"half": "float16"}


def describe(dtype, shape):
    name = tf.as_dtype(dtype).name
    return f"{NAMES.get(name, name)}[{','.join(str(d) for d in shape)}]"


def content(value):
    if isinstance(value, bytes):  # as an array it would lose zero bytes at its end
        return value + b"\n"
    if value.dtype == object:
        return b"".join(v + b"\n" for v in value.ravel())
    return np.ascontiguousarray(value).tobytes()


def main():
    with tempfile.TemporaryDirectory() as folder:
        dump = os.path.join(folder, "dump")
        subprocess.run([sys.argv[1], "--gtest_also_run_disabled_tests", "--gtest_filter=Dump.DISABLED_Variables"],
                       env={**os.environ, "TENON_DUMP": dump}, check=True, stdout=subprocess.DEVNULL)
        lines = [line.rstrip("\n").split("\t") for line in open(dump)]
    wrong, seen = [], {}
    for directory, key, described, digest in lines:
        reader = seen.setdefault(directory, (tf.train.load_checkpoint(directory + "/variables/variables"), set()))
        reader[1].add(key)
        value = reader[0].get_tensor(key)
        wanted = describe(reader[0].get_variable_to_dtype_map()[key], np.shape(value))
        if described != wanted or xxhash.xxh3_128_hexdigest(content(value)) != digest:
            wrong.append(f"{directory} {key}: {described}, TensorFlow has {wanted}")
    for directory, (reader, keys) in seen.items():
        missing = set(reader.get_variable_to_shape_map()) - keys
        wrong += [f"{directory} {key}: not listed" for key in missing]
    print(f"{len(lines)} variables of {len(seen)} models compared, {len(wrong)} differ")
    print("\n".join(wrong))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
