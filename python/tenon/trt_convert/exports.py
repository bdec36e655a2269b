"""Files that environment variables ask for: the drawing of the graph, the engines, the reasons."""
import os

from . import environment, notices


def _quoted(text):
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def graph_as_dot(nodes, engines):
    """A drawing of the converted graph in Graphviz' language: engines as boxes, everything else as it is."""
    place = {node["name"]: node["engine"] or node["name"] for node in nodes}
    lines = ["digraph converted {", "  rankdir=TB;"]
    for engine in engines:
        label = f"{engine['name']}\n{engine['nodes']} nodes"
        lines.append(f"  {_quoted(engine['name'])} [shape=box, style=filled, fillcolor=palegreen, label={_quoted(label)}];")
    for node in nodes:
        if not node["engine"]:
            label = f"{node['name']}\n{node['op']}"
            lines.append(f"  {_quoted(node['name'])} [label={_quoted(label)}];")
    edges = {(place.get(source, source), place[node["name"]]) for node in nodes for source in node["inputs"]}
    lines += [f"  {_quoted(source)} -> {_quoted(target)};" for source, target in sorted(edges) if source != target]
    return "\n".join(lines + ["}", ""])


def draw_graph(conversion):
    """Writes the drawing where TF_TRT_EXPORT_GRAPH_VIZ_PATH says; a failure is only told."""
    path = environment.graph_viz_path()
    if path is None:
        return
    try:
        with open(path, "w", encoding="utf-8") as file:
            file.write(graph_as_dot(conversion.nodes(), conversion.engines()))
    except OSError as error:
        notices.warn(f"TF_TRT_EXPORT_GRAPH_VIZ_PATH: the drawing of the graph could not be written: {error}")


def overview(report):
    """What stays native, by op type and number, in one text; None when nothing does."""
    counts = {}
    for group in report.native:
        counts[group["op_type"]] = counts.get(group["op_type"], 0) + len(group["nodes"])
    if not counts:
        return None
    rows = sorted(counts.items(), key=lambda row: (-row[1], row[0]))
    return "\n".join([f"{sum(counts.values())} nodes of {len(counts)} op types stay native; TF_TRT_SHOW_DETAILED_REPORT=1 shows why:",
                      *(f"\t- {op_type} -> {count}x" for op_type, count in rows)])


def show_reasons(report):
    """Prints why nodes stay native, or writes it as CSV, as TF_TRT_SHOW_DETAILED_REPORT says."""
    wanted = environment.detailed_report()
    if wanted is None:
        return
    rows = [(group["op_type"], group["reason"], len(group["nodes"])) for group in report.native]
    if wanted is True:
        print("Nodes that stay native:" if rows else "No node stays native.")
        for op_type, reason, count in rows:
            print(f"\t- {op_type} -> {count}x: {reason}")
        return
    try:
        with open(wanted, "w", encoding="utf-8") as file:
            file.write("OP Name|Reason|Count\n")
            file.writelines(f"{op_type}|{reason.replace('|', '/')}|{count}\n" for op_type, reason, count in rows)
    except OSError as error:
        notices.warn(f"TF_TRT_SHOW_DETAILED_REPORT: the reasons could not be written: {error}")


def export_engines(engines, entries):
    """Writes engines as they are stored, and the shapes that they serve, where TF_TRT_EXPORT_TRT_ENGINES_PATH says.

    engines: {name: bytes}; entries: {name: list of what EngineResource.entries() gives}."""
    folder = environment.engines_path()
    if folder is None:
        return
    try:
        os.makedirs(folder, exist_ok=True)
        for name, content in engines.items():
            canonical = name.split("/")[-1]
            with open(os.path.join(folder, canonical), "wb") as file:
                file.write(content)
            with open(os.path.join(folder, "dims-" + canonical), "w", encoding="utf-8") as file:
                for entry in entries[name]:
                    file.write("any\n" if entry["unlimited"] else f"min {entry['min']} opt {entry['opt']} max {entry['max']}\n")
    except OSError as error:
        notices.warn(f"TF_TRT_EXPORT_TRT_ENGINES_PATH: the engines could not be written: {error}")
