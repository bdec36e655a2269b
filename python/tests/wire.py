"""Protobuf's wire format in a few lines: to look into a saved_model.pb, and to put fields in that no reader knows."""


def varint(value):
    out = bytearray()
    while value >= 128:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)


def field(number, payload):
    """A length-delimited field."""
    return varint(number << 3 | 2) + varint(len(payload)) + payload


def _read_varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return value, at


def fields(data):
    """(number, raw field, content of a length-delimited field or None) of a message."""
    at = 0
    while at < len(data):
        start = at
        key, at = _read_varint(data, at)
        content = None
        if key & 7 == 0:
            _, at = _read_varint(data, at)
        elif key & 7 == 2:
            size, at = _read_varint(data, at)
            content = data[at:at + size]
            at += size
        else:
            at += {1: 8, 5: 4}[key & 7]
        yield key >> 3, data[start:at], content


def contents(data, *path):
    """Contents of all fields at a path of field numbers."""
    found = [data]
    for number in path:
        found = [content for message in found for n, _, content in fields(message) if n == number and content is not None]
    return found


def edited(data, path, change):
    """The message with change(content) in place of the content of every field at the path."""
    if not path:
        return change(data)
    return b"".join(field(number, edited(content, path[1:], change)) if number == path[0] and content is not None else raw
                    for number, raw, content in fields(data))
