"""The report as one HTML page that needs no network: data, style and script are inside it."""
import base64
import hashlib
import html
import json
import os
import pathlib
import string
import tempfile

from .errors import IoError

_SCRIPTS = ("model.js", "layout.js", "graph.js", "tables.js", "main.js")


class _Nodes:
    """The page's list of nodes, which grows by those that only the lists of reasons and of times know."""

    def __init__(self, nodes, engines):
        self.rows = []
        self._engines = {name: number for number, name in enumerate(engines)}
        self._reasons, self.reasons = {}, []
        self._by_name, self._by_engine = {}, {}
        for node in nodes:
            own = node["name"] if node["name"] in self._engines and node["op"] == "TRTEngineOp" else node["engine"]
            self.add(node["name"], node["op"], own, node["reason"])
        for row, node in zip(self.rows, nodes):
            row[4] = [found for found in (self._find(name, row[2]) for name in node["inputs"]) if found is not None]

    def add(self, name, op, engine="", reason=""):
        number, inside = len(self.rows), self._engine(engine)
        self.rows.append([name, op, inside, self.reason(reason) if reason else -1, []])
        self._by_engine.setdefault((inside, name), number)
        if inside < 0 or name not in self._by_name:
            self._by_name[name] = number
        return number

    def _engine(self, name):
        return self._engines.setdefault(name, len(self._engines)) if name else -1

    def engine_names(self):
        return list(self._engines)

    def reason(self, text):
        if text not in self._reasons:
            self._reasons[text] = len(self.reasons)
            self.reasons.append(text)
        return self._reasons[text]

    def _find(self, name, engine):
        """A part of the graph may have its own node of a name that others have too."""
        return self._by_engine.get((engine, name), self._by_name.get(name))

    def find_or_add(self, name, op, engine="", reason=""):
        inside = self._engine(engine)
        found = self._by_engine.get((inside, name), self._by_name.get(name) if inside >= 0 else None)
        return self.add(name, op, engine, reason) if found is None else found


def _engine_rows(report, names):
    known = {engine["name"]: engine for engine in report.engines}
    return [known.get(name, {"name": name}) for name in names]


def page_data(report):
    """What the page's script reads. Nodes are [name, op, engine, reason, inputs] with numbers into the other lists, -1 for none."""
    nodes = _Nodes(report.nodes, [engine["name"] for engine in report.engines])
    native = [[group["op_type"], nodes.reason(group["reason"]),
               [nodes.find_or_add(name, group["op_type"], "", group["reason"]) for name in group["nodes"]]]
              for group in report.native]
    owners = [nodes.find_or_add(layer["node"], layer["op"], layer["engine"]) if layer["node"] else -1 for layer in report.layers]
    layers = [[owner, *(layer[key] for key in ("op", "kernel", "shape", "ms", "engine", "merged"))]
              for owner, layer in zip(owners, report.layers)]
    drawn = {row[2] for row in nodes.rows}
    for number, name in enumerate(nodes.engine_names()):
        if number not in drawn:
            nodes.add(name, "TRTEngineOp", name)
    inside, outside = report.node_counts()
    figures = {key: report.get(key) for key in ("total_flops", "engine_flops", "native_ms", "converted_ms")}
    return {"engines": _engine_rows(report, nodes.engine_names()), "reasons": nodes.reasons, "nodes": nodes.rows, "native": native,
            "layers": layers, "notes": report.notes, "inside": inside, "outside": outside, **figures}


def _asset(name):
    return (pathlib.Path(__file__).parent / "page" / name).read_text(encoding="utf-8")


def _hash(text):
    return "'sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() + "'"


def render(report, title):
    """The page as text. Names get into it only as JSON without "<", and from there only as text: nothing in them is ever markup, and
    the page's policy runs no script but its own and loads nothing."""
    style = "\n" + _asset("style.css")
    script = '\n"use strict";\n(() => {\n' + "\n".join(_asset(name) for name in _SCRIPTS) + "})();\n"
    data = json.dumps(page_data(report), separators=(",", ":"), allow_nan=False)
    data = data.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
    policy = f"default-src 'none'; style-src {_hash(style)}; script-src {_hash(script)}; base-uri 'none'; form-action 'none'"
    title = html.escape(title.encode("utf-8", "replace").decode("utf-8"))
    return string.Template(_asset("page.html")).substitute(title=title, policy=policy, style=style, script=script, data=data)


def write_whole(path, text):
    """Writes the file, or leaves what was there. Raises IoError."""
    path = os.fspath(path)
    temporary = None
    try:
        handle, temporary = tempfile.mkstemp(prefix=".tenon-report-", dir=os.path.dirname(os.path.abspath(path)))
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        mask = os.umask(0)
        os.umask(mask)
        os.chmod(temporary, 0o666 & ~mask)
        os.replace(temporary, path)
        temporary = None
    except OSError as error:
        raise IoError(f"the report cannot be written to {path}: {error.strerror or error}; name a file in a folder that exists and "
                      "can be written") from error
    finally:
        if temporary is not None:
            try:
                os.unlink(temporary)
            except OSError:
                pass
