"""Long chains of unary ops on tensors of several ranks and batches, and ranks that meet."""
import numpy as np

from ..cases import Case, Input, batched, both, case


class Chain:
    """Appends ops and remembers the names of those that count."""

    def __init__(self, tf, x, prefix):
        self.tf, self.x, self.prefix, self.names = tf, x, prefix, []

    def then(self, function, *arguments, **options):
        self.names.append(f"{self.prefix}{len(self.names)}")
        self.x = function(self.x, *arguments, name=self.names[-1], **options)
        return self

    def plus(self, value):
        return self.then(self.tf.add, value)

    def squeeze(self, *axes):
        return self.then(self.tf.squeeze, axis=list(axes))

    def ops(self, *names):
        for name in names:
            self.then(getattr(self.tf.math, name))
        return self


def three_chains(tf, first, third):
    a = Chain(tf, first, "a").ops("abs").plus(1.0).ops("exp", "log").squeeze(-2).ops("abs").plus(2.2)
    a.ops("sqrt", "rsqrt", "negative").squeeze(3).ops("abs").plus(3.0).ops("reciprocal")
    second = tf.constant(np.random.default_rng(6).standard_normal((5, 8, 12)), tf.float32)
    b = Chain(tf, second, "b").ops("abs").plus(2.0).ops("exp", "log", "abs").plus(2.1)
    b.ops("sqrt", "rsqrt", "negative", "abs").plus(4.0).ops("reciprocal")
    c = Chain(tf, third, "c").ops("abs").plus(5.0).ops("exp").squeeze(-1, -2, 3).ops("log", "abs").plus(5.1)
    c.then(tf.reshape, [12, 5, 1, 1, 8, 1, 12]).squeeze(5, 2, 3).ops("sqrt", "abs").plus(5.2).ops("rsqrt", "negative", "abs")
    c.plus(5.3).ops("reciprocal")
    result = tf.divide(tf.multiply(a.x, b.x, name="product"), c.x, name="quotient")
    return tf.squeeze(result)


_FIRST = [f"a{n}" for n in range(14)]
# TF-TRT splits the third chain where the reshape names the batch; its second part is not published node by node.
_THIRD = [f"c{n}" for n in range(7)]
_ALL = _FIRST + [f"c{n}" for n in range(17)] + ["product", "quotient"]


def ranks(tf, low, high):
    results = []
    for number, x in enumerate((low, high)):
        for step, value in enumerate((1.0, 2.2, 3.0)):
            x = tf.add(x, tf.constant(value), name=f"add{number}{step}")
            x = tf.abs(x, name=f"abs{number}{step}") if step < 2 else x
        if number == 0:
            x = tf.expand_dims(tf.expand_dims(x, -1, name="widen0"), -1, name="widen1")
            x = tf.math.erfc(x, name="border")
        results.append(tf.math.reciprocal(x, name=f"reciprocal{number}"))
    return tf.squeeze(tf.add(*results, name="sum"))


_LOW = ["add00", "abs00", "add01", "abs01", "add02", "widen0", "widen1"]
_HIGH = ["add10", "abs10", "add11", "abs11", "add12", "reciprocal1"]
_END = ["reciprocal0", "sum"]

CASES = [
    case("three_chains", three_chains, batched(12, 5, 8, 1, 1, 12), batched(12, 5, 8, 1, 12, 1, 1),
         implicit=[_FIRST, _THIRD], dynamic=[_ALL]),
    case("ranks", ranks, batched(12, 5), batched(12, 5, 2, 2), implicit=[_LOW, _HIGH, _END], dynamic=[_LOW, _HIGH + _END],
         borders=True),
    Case("ranks_of_known_batch", ranks, [Input((12, 5)), Input((12, 5, 2, 2))], [[(12, 5), (12, 5, 2, 2)]],
         **both([_LOW, _HIGH + _END]), borders=True),
]
