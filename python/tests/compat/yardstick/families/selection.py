"""Choosing: the largest values, boxes that do not overlap."""
from ..cases import batched, both, case


def top(tf, x):
    values, indices = tf.math.top_k(x, 5, name="top")
    return [tf.identity(values), tf.identity(indices)]


def top_then_reshape(tf, x):
    values, indices = tf.math.top_k(x, 5, name="top")
    return [tf.identity(values), tf.identity(tf.reshape(indices, [100, 1, 5], name="reshape"))]


def boxes(per_class, total):
    def build(tf, corners, scores):
        found = tf.image.combined_non_max_suppression(corners, scores, per_class, total, 0.5, 0.1, name="nms")
        return [tf.identity(part) for part in found]
    return build


def boxes_case(name, count, classes, total, **more):
    return case(name, boxes(total, total), batched(1, count, 1, 4), batched(1, count, classes),
                implicit=[["nms/CombinedNonMaxSuppression"]], dynamic=[], **more)


_ROWS = batched(100, 100)

CASES = [
    case("top", top, _ROWS, **both([["top"]])),
    case("top_then_reshape", top_then_reshape, _ROWS, implicit=[["top"]], dynamic=[["top", "reshape"]]),
    boxes_case("boxes", 200, 2, 3),
    boxes_case("boxes_of_many_classes", 2048, 90, 20),
    boxes_case("more_boxes_than_4096", 5000, 2, 4),
]
