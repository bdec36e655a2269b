"""Text from models, which is hostile, made fit for a terminal."""
import re

# Control characters, and those that end lines or turn the direction of writing.
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def printable(text):
    """`text` on one line; characters that could steer a terminal are written as escapes."""
    return _CONTROL.sub(lambda match: match[0].encode("unicode_escape").decode("ascii"), str(text))


def table(header, rows, right=()):
    """Lines of a table whose columns are as wide as they need; the columns with a number in `right` are aligned there."""
    rows = [[printable(cell) for cell in row] for row in [header, *rows]]
    widths = [max(len(row[i]) for row in rows) for i in range(len(header))]
    align = [str.rjust if i in right else str.ljust for i in range(len(header))]
    return ["  ".join(put(cell, width) for put, cell, width in zip(align, row, widths)).rstrip() for row in rows]
