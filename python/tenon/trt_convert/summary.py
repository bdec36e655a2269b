"""The table of engines that summary() prints."""

MINIMUM_LINE_LENGTH = 160
# Head and share of the line.
_COLUMNS = (("TRTEngineOP Name", 0.20), ("Device", 0.09), ("# Nodes", 0.05), ("# Inputs", 0.09), ("# Outputs", 0.09), ("Input DTypes", 0.12),
            ("Output Dtypes", 0.12), ("Input Shapes", 0.12), ("Output Shapes", 0.12))


def _row(cells, ends):
    line = ""
    for cell, end in zip(cells, ends):
        line = (f"{line} {cell}" if line else str(cell)).ljust(end)
        if len(line) > end:
            line = line[:end - 4] + " ..."
    return line


def _column_ends(line_length):
    ends, at = [], 0
    for _, share in _COLUMNS:
        at += int(line_length * share)
        ends.append(at)
    return ends


def _shapes(shapes):
    """Sizes as lists, -1 for unknown ones; a shape of unknown rank is an empty list."""
    return [list(shape or []) for shape in shapes]


def lines(engines, other_nodes, device, line_length, detailed):
    """The lines of the table. engines: dictionaries as Conversion.engines() gives them; other_nodes: how many nodes the
    converted main graph has besides them."""
    ends = _column_ends(line_length)
    yield _row([head for head, _ in _COLUMNS], ends)
    yield "=" * line_length
    for engine in sorted(engines, key=lambda entry: entry["name"]):
        if len(engines) != 1:
            yield "\n" + "-" * 40 + "\n"
        yield _row([engine["name"], device, engine["nodes"], len(engine["input_types"]), len(engine["output_types"]),
                    engine["input_types"], engine["output_types"], _shapes(engine["input_shapes"]), _shapes(engine["output_shapes"])],
                   ends)
        if detailed:
            yield ""
            yield from (f"\t- {op}: {count}x" for op, count in sorted(engine["ops"].items()))
    yield "\n" + "=" * line_length
    converted = sum(engine["nodes"] for engine in engines)
    total = converted + other_nodes
    yield f"[*] Total number of TensorRT engines: {len(engines)}"
    yield f"[*] % of OPs Converted: {100 * converted / total if total else 0:.2f}% [{converted}/{total}]\n"
