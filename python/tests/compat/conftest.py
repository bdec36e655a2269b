"""Worker processes for the yardstick and the round trips: one with TensorFlow, one that never sees it."""
import importlib.util

import pytest

from yardstick.client import Worker


@pytest.fixture(scope="session")
def tensorflow_worker():
    if importlib.util.find_spec("tensorflow") is None:
        pytest.skip("needs tensorflow-cpu")
    worker = Worker("tensorflow")
    yield worker
    worker.stop()


@pytest.fixture(scope="session")
def plain_worker():
    worker = Worker("plain")
    yield worker
    worker.stop()


@pytest.fixture(scope="session")
def recorded(tensorflow_worker, tmp_path_factory):
    """name of a case -> its model, feeds and TensorFlow's own answers, recorded once."""
    made = {}

    def get(name):
        if name not in made:
            made[name] = tensorflow_worker.run("record", name, str(tmp_path_factory.mktemp("recorded")))
        return made[name]
    return get
