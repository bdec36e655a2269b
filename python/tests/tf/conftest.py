"""Models that the plug-in's tests share. All of these tests are skipped where TensorFlow is not installed."""
import importlib.util
import os

import pytest

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "0"  # tests read what Tenon writes to TensorFlow's log

if importlib.util.find_spec("tensorflow") is None:
    collect_ignore_glob = ["test_*.py"]


@pytest.fixture(scope="session", autouse=True)
def plugin():
    import tenon.tensorflow
    return tenon.tensorflow.load()


@pytest.fixture(scope="session")
def model(tmp_path_factory):
    from plugin_models import make_model
    return make_model(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="session")
def other_model(tmp_path_factory):
    """Engines of the same names as `model`'s, other weights."""
    from plugin_models import make_model
    return make_model(tmp_path_factory.mktemp("other"), seed=2)
