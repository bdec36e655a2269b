"""What a conversion found out, as an object: engines, the reasons of native nodes, times, text, JSON, and a page."""
from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable, Mapping
from typing import Any

from .report_page import render, write_whole
from .text import printable, table

_SHOWN_REASONS = 20
_SHOWN_LAYERS = 10
_LAYER_FIELDS = {"node": ("node", "name"), "op": ("op", "op_type"), "kernel": ("kernel",), "shape": ("shape",),
                 "engine": ("engine",)}
_QUIET_OPS = {"Const", "ReadVariableOp", "Identity"}  # not worth a place in a line of text


def _plain(value):
    """`value` of JSON's types alone: names as text, numbers that JSON does not have as null."""
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(one) for one in value]
    if hasattr(value, "tolist"):  # NumPy's numbers and arrays
        return _plain(value.tolist())
    return str(value)


def _field(entry, *names, default=None):
    """The first of the fields that a dictionary or an object has."""
    for name in names:
        found = entry.get(name) if isinstance(entry, dict) else getattr(entry, name, None)
        if found is not None:
            return found
    return default


def _layer(entry):
    ms = _field(entry, "ms")
    if ms is None:
        ms = 1e3 * float(_field(entry, "seconds", default=0.0))
    layer = {key: str(_field(entry, *names, default="")) for key, names in _LAYER_FIELDS.items()}
    return {**layer, "ms": float(ms), "merged": [str(name) for name in _field(entry, "merged", default=())]}


def _node(entry):
    return {"name": str(entry["name"]), "op": str(entry.get("op", "")), "engine": str(entry.get("engine") or ""),
            "reason": str(entry.get("reason") or ""), "inputs": [str(name) for name in entry.get("inputs", ())]}


def _merged_engines(reported, described):
    """One dictionary per engine with what both lists say of it, in the order of `reported`."""
    engines = {engine["name"]: dict(engine) for engine in reported}
    for engine in described:
        engines.setdefault(engine["name"], {}).update(engine)
    return list(engines.values())


def _grouped(nodes):
    """Native nodes with a reason, by op type and reason, most frequent first."""
    groups = {}
    for node in nodes:
        if not node["engine"] and node["reason"]:
            groups.setdefault((node["op"], node["reason"]), []).append(node["name"])
    return [{"op_type": op, "reason": reason, "nodes": names}
            for (op, reason), names in sorted(groups.items(), key=lambda group: -len(group[1]))]


def _ms(value):
    return f"{value:.3f}" if value else "-"


class ConversionReport(dict[str, Any]):
    """The report of a conversion.

    It is the dictionary that `tenon convert --report` writes (seconds, converted_nodes, native_nodes, engines, native, notes, …)
    with attributes for what is used most, and with the graph and the times of its layers where they are known.

    engines: one dictionary per engine: name, nodes, ops ({op type: count}), and what is known of times, types and shapes.
    native: native nodes grouped by op type and reason, most frequent first: dictionaries of op_type, reason, nodes.
    nodes: every node of the converted graph: dictionaries of name, op, engine ("": native), reason, inputs (names).
    layers: times of layers: dictionaries of node, op, kernel, shape, ms, engine, merged (further nodes in the same step). Steps that
        belong to no node of the model (copies that an engine makes) have an empty node.
    notes: what was assumed, dropped or left out.
    """

    def __init__(self, report: Mapping[str, Any], nodes: Iterable[Mapping[str, Any]] = (),
                 engines: Iterable[Mapping[str, Any]] = ()) -> None:
        super().__init__(_plain(report))
        self.nodes = [_node(_plain(node)) for node in nodes]
        self["engines"] = _merged_engines(self.get("engines") or [], [_plain(engine) for engine in engines])
        if not self.get("native"):
            self["native"] = _grouped(self.nodes)
        self["native"] = sorted(self["native"], key=lambda group: -len(group["nodes"]))
        self.setdefault("notes", [])
        self._layers: list[dict[str, Any]] = []

    @property
    def engines(self) -> list[dict[str, Any]]:
        return self["engines"]

    @property
    def native(self) -> list[dict[str, Any]]:
        return self["native"]

    @property
    def notes(self) -> list[str]:
        return self["notes"]

    @property
    def layers(self) -> list[dict[str, Any]]:
        return self._layers

    @layers.setter
    def layers(self, profile_entries: Iterable[Any]) -> None:
        self._layers = [_layer(entry) for entry in profile_entries]

    def add_layer_times(self, profile_entries: Iterable[Any]) -> None:
        """Takes over the times of a profiled run, in place of earlier ones: what `Session.profile` returns, or the list `layers` of
        `tenon bench --profile --json`. Entries are dictionaries, or objects with these attributes: node, op (or op_type), kernel,
        shape, ms (or seconds), engine, merged."""
        self.layers = profile_entries

    def reasons(self) -> dict[str, str]:
        """{name of a native node: why it is native}. Nodes that need no reason (constants, inputs) are left out."""
        reasons = {name: group["reason"] for group in self.native for name in group["nodes"]}
        reasons.update({node["name"]: node["reason"] for node in self.nodes if not node["engine"] and node["reason"]})
        return reasons

    def to_json(self) -> str:
        """Everything as JSON text: the report's fields, and `nodes` and `layers` where there are some."""
        return json.dumps(self._everything(), indent=2)

    def save_html(self, path: str | os.PathLike[str], title: str = "Conversion report") -> None:
        """Writes the report as one HTML page that needs nothing else, no network either: the graph, coloured by engine, its nodes
        with reasons and times, and the tables, with a search over all. Raises IoError; then the file is as it was."""
        write_whole(path, render(self, title))

    def _everything(self):
        more = {"nodes": self.nodes, "layers": self._layers}
        return _plain({**self, **{key: value for key, value in more.items() if value}})

    def __str__(self) -> str:
        lines = [*self._engine_lines(), self._totals(), *self._time_lines(), *self._reason_lines(),
                 *("note: " + printable(note) for note in self.notes)]
        return "\n".join(lines)

    def __repr__(self) -> str:
        return f"<ConversionReport: {self._totals()}>"

    def _engine_lines(self):
        rows = []
        for engine in self.engines:
            native, own = engine.get("native_ms"), engine.get("engine_ms")
            gain = f"{native / own:.2f}x" if native and own else "-"
            ops = [f"{op} {count}x" for op, count in engine.get("ops", {}).items() if op not in _QUIET_OPS]
            shared = [f"(the engine of {engine['shared_with']}, an equal part)"] if engine.get("shared_with") else []
            rows.append([engine["name"], engine.get("nodes", "-"), _ms(native), _ms(own), gain, " ".join(ops + shared)])
        return table(["engine", "nodes", "native ms", "engine ms", "speed-up", "ops"], rows, right=(1, 2, 3, 4)) if rows else []

    def node_counts(self) -> tuple[int, int]:
        """(nodes in engines, native nodes)."""
        if "converted_nodes" in self and "native_nodes" in self:
            return self["converted_nodes"], self["native_nodes"]
        inside = sum(1 for node in self.nodes if node["engine"])
        return inside, len(self.nodes) - inside

    def _totals(self):
        inside, native = self.node_counts()
        line = f"{len(self.engines)} engine(s) hold {inside} of {inside + native} nodes"
        if self.get("total_flops"):
            line += f" and {100 * self.get('engine_flops', 0) / self['total_flops']:.1f}% of FLOPs"
        return line

    def _time_lines(self):
        lines = []
        if self.get("converted_ms"):
            native, converted = self.get("native_ms", 0), self["converted_ms"]
            lines.append(f"the whole model: {native:.3f} ms natively, {converted:.3f} ms converted ({native / converted:.2f}x)")
        if self._layers:
            total = sum(layer["ms"] for layer in self._layers) or 1.0
            slowest = sorted(self._layers, key=lambda layer: -layer["ms"])[:_SHOWN_LAYERS]
            rows = [[f"{layer['ms']:.3f}", f"{100 * layer['ms'] / total:.1f}%", layer["op"], layer["kernel"], layer["shape"],
                     layer["engine"] or "-", layer["node"] or "-"] for layer in slowest]
            lines += [f"the slowest of {len(self._layers)} layers:",
                      *table(["ms", "share", "op", "kernel", "shape", "engine", "node"], rows, right=(0, 1))]
        return lines

    def _reason_lines(self):
        lines = [f"native: {printable(group['op_type'])} {len(group['nodes'])}x ({printable(group['nodes'][0])}"
                 f"{', …' if len(group['nodes']) > 1 else ''}): {printable(group['reason'])}"
                 for group in self.native[:_SHOWN_REASONS] if group["nodes"]]
        hidden = len(self.native) - _SHOWN_REASONS
        return lines + ([f"native: … and {hidden} more kinds; .native has them all"] if hidden > 0 else [])
