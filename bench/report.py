"""What the programs of bench/ print: Markdown on standard output, progress on standard error, all figures as JSON."""
import json
import sys
import time

MISSING = "–"
START = time.monotonic()


def progress(text):
    print(f"[{time.monotonic() - START:6.1f} s] {text}", file=sys.stderr, flush=True)


def number(value, digits=2):
    return MISSING if value is None else f"{value:.{digits}f}"


def megabytes(count):
    return MISSING if count is None else f"{count / 1e6:.1f}"


def table(title, columns, rows):
    print(f"\n**{title}**\n")
    for cells in [columns, ["---"] * len(columns), *rows]:
        print("| " + " | ".join(str(cell) for cell in cells) + " |")
    sys.stdout.flush()


def write_json(path, result):
    if path:
        with open(path, "w") as file:
            json.dump(result, file, indent=1)
