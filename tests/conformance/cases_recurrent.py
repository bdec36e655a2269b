"""LSTM and GRU cells."""
import numpy as np


def cases():
    rng = np.random.RandomState(31)

    def some(dtype, *shape):
        return rng.uniform(-1, 1, shape).astype(dtype)

    for dtype in (np.float32, np.float16):
        options = {"tolerance": 10.0}
        for batch, inputs, cells in ((2, 3, 4), (1, 1, 1), (3, 5, 2)):
            weights = [some(dtype, inputs + cells, 4 * cells)] + [some(dtype, cells) for _ in range(3)] + [some(dtype, 4 * cells)]
            state = [some(dtype, batch, cells) * 4, some(dtype, batch, cells)]
            for peephole in (False, True):
                for clip in (3.0, 0.5, -1.0):
                    attrs = {"use_peephole": peephole, "cell_clip": clip}
                    yield "LSTMBlockCell", {**attrs, "forget_bias": 0.3}, [some(dtype, batch, inputs)] + state + weights, options
                    for steps in (0, 2, 4):
                        x = some(dtype, 4, batch, inputs)
                        # After the steps that count most results are not initialised.
                        own = options if steps == 4 else {"check": "shape"}
                        yield "BlockLSTM", {**attrs, "forget_bias": 0.3}, [np.int64(steps), x] + state + weights, own
                        yield "BlockLSTMV2", attrs, [np.int64(steps), x] + state + weights, own
            yield "BlockLSTMV2", {}, [np.int64(4), x] + state + weights, options
            if dtype is np.float32:
                gru = [some(dtype, inputs + cells, 2 * cells), some(dtype, inputs + cells, cells), some(dtype, 2 * cells), some(dtype, cells)]
                yield "GRUBlockCell", {}, [some(dtype, batch, inputs), some(dtype, batch, cells)] + gru, options
    yield "LSTMBlockCell", {}, [some(np.float32, 2, 3), some(np.float32, 2, 4), some(np.float32, 2, 4), some(np.float32, 7, 15)] + weights[1:]
