"""As much of protobuf's wire format as it takes to look into a GraphDef without TensorFlow."""

_GRAPH_NODE, _GRAPH_LIBRARY = 1, 2
_NODE_NAME, _NODE_INPUT = 1, 3


def _varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return value, at
        if shift > 63:
            raise ValueError("a number is too long")


def _fields(data):
    """(number, content) of the length-delimited fields."""
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        kind = key & 7
        if kind == 0:
            _, at = _varint(data, at)
        elif kind == 2:
            size, at = _varint(data, at)
            if at + size > len(data):
                raise ValueError("a field ends behind its message")
            yield key >> 3, data[at:at + size]
            at += size
        elif kind in (1, 5):
            at += 8 if kind == 1 else 4
        else:
            raise ValueError(f"fields of kind {kind} do not exist")


def _contents(data, number):
    try:
        return [content for found, content in _fields(memoryview(data)) if found == number]
    except (IndexError, ValueError) as error:
        raise ValueError(f"these bytes are no GraphDef: {error}") from error


def library(graph):
    """The bytes of a GraphDef's function library."""
    return b"".join(bytes(content) for content in _contents(graph, _GRAPH_LIBRARY))


def ends(graph):
    """Names of the nodes of a GraphDef that no other node reads."""
    names, read = [], set()
    for node in _contents(graph, _GRAPH_NODE):
        names += [bytes(name).decode() for name in _contents(node, _NODE_NAME)]
        read.update(bytes(name).decode().lstrip("^").split(":")[0] for name in _contents(node, _NODE_INPUT))
    return [name for name in names if name not in read]
