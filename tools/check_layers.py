#!/usr/bin/env python3
"""Checks every #include of the sources against tools/layers.txt; prints what breaks it and exits with 1."""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
INCLUDE = re.compile(r'^\s*#\s*include\s+"([^"]+)"', re.M)


def read_layers():
    layers = {}
    for line in (ROOT / "tools/layers.txt").read_text().splitlines():
        line = line.split("#")[0].strip()
        if line:
            module, _, allowed = line.partition(":")
            layers[module.strip()] = set(allowed.split())
    return layers


def module_of_file(path):
    parts = path.relative_to(ROOT).parts
    if parts[0] == "src":
        return parts[1]
    if parts[0] == "backends":
        return f"backends/{parts[1]}"
    if parts[0] == "include":
        return "public"
    return parts[0]


def module_of_include(include, path):
    if include.startswith("tenon/"):
        return "public"
    if include.startswith("backends/"):
        return "/".join(include.split("/")[:2])
    if (ROOT / "src" / include).exists():
        return include.split("/")[0]
    if (path.parent / include).exists():
        return module_of_file(path)
    return None  # a library's header


def main():
    layers, problems = read_layers(), []
    for folder in ("include", "src", "backends", "cli", "python", "tfplugin"):
        for path in sorted((ROOT / folder).rglob("*")):
            if path.suffix not in (".h", ".cc", ".inc"):
                continue
            module = module_of_file(path)
            if module not in layers:
                problems.append(f"{path.relative_to(ROOT)}: module {module} is not in tools/layers.txt")
                continue
            for include in INCLUDE.findall(path.read_text(errors="replace")):
                target = module_of_include(include, path)
                if target is None or target == module or target in layers[module] or include in layers[module]:
                    continue
                problems.append(f"{path.relative_to(ROOT)}: {module} may not include {include} ({target})")
    order = list(layers)
    for module, allowed in layers.items():
        for other in allowed:
            if other in layers and order.index(other) > order.index(module):
                problems.append(f"tools/layers.txt: {module} names {other}, which stands above it")
    print("\n".join(problems) if problems else f"layers: {len(layers)} modules, no arrow out of order")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
