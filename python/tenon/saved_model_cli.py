"""TensorFlow's saved_model_cli for converted models: `python -m tenon.saved_model_cli run --dir FOLDER --tag_set serve ...`.

The plug-in is loaded first; everything else, arguments and exit status included, is TensorFlow's own program.
"""
import sys

from . import tensorflow as plugin


def main() -> int:
    """Loads the plug-in and runs TensorFlow's program on sys.argv."""
    plugin.load()
    from tensorflow.python.tools import saved_model_cli
    return saved_model_cli.main() or 0


if __name__ == "__main__":
    sys.exit(main())
