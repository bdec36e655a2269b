"""Reshapes, transposes and squeezes: those that keep the batch, those that do not."""
from ..cases import Case, Input, batched, both, case


def reshapes(tf, x):
    results = []
    for number, sizes in enumerate(([2, 50, 24, 24, 2], [-1, 50, 24, 24, 2], [2, 50, -1, 24, 2])):
        y = tf.reshape(x, sizes, name=f"changes_batch{number}")
        y = tf.reshape(y, [-1, 24, 24, 2], name=f"restores_batch{number}")
        results.append(tf.math.erfc(y, name=f"border{number}"))
    y = x
    kept = ([-1, 576, 2], [100, 24, -1], [100, 48, 24], [-1, 24, 48],
            [-1, 6, 4, 24, 2], [-1, 6, 4, 6, 4, 2, 1], [-1, 24, 24, 2])
    for number, sizes in enumerate(kept):
        y = tf.reshape(y, sizes, name=f"keeps_batch{number}")
    results.append(tf.math.erfc(y, name="border3"))
    return tf.add_n(results, name="total")


_KEEPS = [f"keeps_batch{n}" for n in range(7)]


def there_and_back(tf, x):
    y = tf.transpose(x, [0, 3, 1, 2], name="there")
    return tf.identity(tf.transpose(y, [0, 2, 3, 1], name="back"))


def batch_moved(tf, x):
    y = tf.transpose(x, [2, 1, 0, 3], name="moved")
    return tf.identity(tf.transpose(y, [0, 2, 3, 1], name="then"))


_IMAGE = batched(100, 24, 24, 2)
_TURNS = [["there", "back"]]


def squeezed_batch(tf, x):
    y = tf.multiply(tf.add(tf.abs(x, name="abs0"), 1.0, name="add0"), 3.0, name="scale")
    y = tf.squeeze(y, 0, name="squeeze")
    return tf.identity(tf.add(tf.abs(y, name="abs1"), 5.0, name="add1"))


_BEFORE, _AFTER = ["abs0", "add0", "scale"], ["abs1", "add1"]
_WHOLE = [_BEFORE + ["squeeze"] + _AFTER]
_FIRST = (1, 12, 5)

BATCHES = [(1, 512, 1, 1), (64, 2, 2, 2), (32, 4, 2, 2), (16, 8, 2, 2)]


def regrouped_batches(tf, x):
    x = tf.multiply(x, 2.0, name="scale0")
    x = tf.add(tf.reshape(x, BATCHES[1], name="regroup0"), 3.0, name="shift0")
    x = tf.multiply(tf.reshape(x, BATCHES[2], name="regroup1"), 4.0, name="scale1")
    x = tf.reshape(x, BATCHES[3], name="regroup2")
    return tf.identity(tf.add(x, tf.add(x, 5.0, name="shift1"), name="sum"))


_REGROUPED = [["scale0"], ["shift0"], ["scale1"], ["shift1", "sum"]]

CASES = [
    case("reshapes", reshapes, _IMAGE, borders=True),
    Case("reshapes_of_known_batch", reshapes, [Input((100, 24, 24, 2))], [[(100, 24, 24, 2)]], **both([_KEEPS]),
         borders=True),
    case("transposes", there_and_back, _IMAGE, **both(_TURNS)),
    case("transposes_of_the_batch", batch_moved, _IMAGE, implicit=[]),
    case("squeezed_batch", squeezed_batch, batched(*_FIRST), implicit=[_BEFORE, _AFTER], dynamic=_WHOLE),
    Case("squeezed_known_batch", squeezed_batch, [Input(_FIRST)], [[_FIRST]], implicit=[_BEFORE, _AFTER], dynamic=_WHOLE),
    Case("squeezed_unknown_sizes", squeezed_batch, [Input((None, None, None))], [[_FIRST], [(1, 2, 3)], [(1, 4, 6)]],
         dynamic=_WHOLE),
    Case("regrouped_batches", regrouped_batches, [Input(BATCHES[0])], [[BATCHES[0]]], implicit=_REGROUPED),
]
