"""What the converters have to say besides errors: the logger "tenon"."""
import logging
import threading

logger = logging.getLogger("tenon")

_said = set()
_lock = threading.Lock()


def warn(message):
    """Says something that the user should know."""
    logger.warning("%s", message)


def info(message):
    """Says something for whoever listens."""
    logger.info("%s", message)


def once(key, message):
    """Warns the first time in this process that `key` comes up."""
    with _lock:
        if key in _said:
            return
        _said.add(key)
    warn(message)


def forget():
    """Makes `once` say everything again."""
    with _lock:
        _said.clear()
