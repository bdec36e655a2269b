"""Non-maximum suppression and drawn boxes."""
import numpy as np

f = np.float32


def boxes_of(rng, shape):
    corner = rng.uniform(0, 0.8, shape[:-1] + (2,))
    size = rng.uniform(0.1, 0.4, shape[:-1] + (2,))
    return np.concatenate([corner, corner + size], -1)


def cases():
    rng = np.random.RandomState(29)
    for n in (12, 1, 0):
        for dtype in (f, np.float16):
            boxes, scores = boxes_of(rng, (n, 4)).astype(dtype), rng.uniform(-0.2, 1, n).astype(dtype)
            if n > 3:
                scores[2] = scores[3]
                boxes[4] = boxes[4][[2, 3, 0, 1]]  # corners the other way round
                boxes[5, 2:] = boxes[5, :2]  # no area
            for most in (0, 3, 20):
                m = np.int32(most)
                if dtype is f:
                    yield "NonMaxSuppression", {"iou_threshold": 0.3}, [boxes, scores, m]
                for iou in (0.0, 0.2, 0.5, 1.0):
                    t = dtype(iou)
                    yield "NonMaxSuppressionV2", {}, [boxes, scores, m, t]
                    yield "NonMaxSuppressionV3", {}, [boxes, scores, m, t, dtype(0.1)]
                    for pad in (False, True):
                        yield "NonMaxSuppressionV4", {"pad_to_max_output_size": pad}, [boxes, scores, m, t, dtype(0.1)]
                        for sigma in (0.0, 0.5):
                            if dtype is np.float16 and sigma:  # near scores change places where TensorFlow rounds to 16 bits
                                continue
                            yield "NonMaxSuppressionV5", {"pad_to_max_output_size": pad}, [boxes, scores, m, t, dtype(0.05), dtype(sigma)], {"tolerance": 4.0}
    boxes, scores = boxes_of(rng, (5, 4)).astype(f), rng.uniform(0, 1, 5).astype(f)
    for bad in ([boxes, scores, np.int32(-1), f(0.5)], [boxes, scores[:4], np.int32(2), f(0.5)], [boxes, scores, np.int32(2), f(1.5)], [boxes[:, :3], scores, np.int32(2), f(0.5)],
                [boxes, scores, np.int32([2]), f(0.5)]):
        yield "NonMaxSuppressionV2", {}, bad
    overlaps = rng.uniform(0, 1, (6, 6)).astype(f)
    yield "NonMaxSuppressionWithOverlaps", {}, [overlaps, rng.uniform(0, 1, 6).astype(f), np.int32(4), f(0.5), f(0.1)]
    for q in (1, 3):
        for per_class in (False, True):
            for clip in (False, True):
                boxes = boxes_of(rng, (2, 8, q, 4)).astype(f) * 1.2
                scores = rng.uniform(0, 1, (2, 8, 3)).astype(f)
                for total in (4, 30):
                    yield "CombinedNonMaxSuppression", {"pad_per_class": per_class, "clip_boxes": clip}, [boxes, scores, np.int32(3), np.int32(total), f(0.3), f(0.2)]
    yield "CombinedNonMaxSuppression", {}, [boxes, scores[:, :4], np.int32(3), np.int32(4), f(0.3), f(0.2)]
    yield "CombinedNonMaxSuppression", {}, [boxes, scores, np.int32(0), np.int32(4), f(0.3), f(0.2)]
    for channels in (1, 3, 4):
        for dtype in (f, np.float16):
            images = rng.uniform(0, 1, (2, 9, 11, channels)).astype(dtype)
            boxes = np.concatenate([boxes_of(rng, (2, 3, 4)), [[[-0.5, 0.2, 0.7, 1.4], [0.6, 0.1, 0.3, 0.9]]] * 2], 1).astype(f)
            yield "DrawBoundingBoxes", {}, [images, boxes]
            yield "DrawBoundingBoxesV2", {}, [images, boxes, rng.uniform(0, 1, (2, channels)).astype(f)]
            yield "DrawBoundingBoxesV2", {}, [images, boxes, np.zeros([0, channels], f)]
