#!/usr/bin/env python3
"""Writes src/ops/unicode_case.inc: the Unicode case mappings that Python knows, as runs of code points.

  python3 tools/unicode_case.py > src/ops/unicode_case.inc
"""
import sys
import unicodedata


def tables(convert):
    """Runs (first, last, step, delta) of one-to-one mappings, and (code point, text) of the others."""
    runs, special = [], []
    for code in range(0x110000):
        if 0xD800 <= code < 0xE000:
            continue
        text = convert(chr(code))
        if text == chr(code):
            continue
        if len(text) != 1:
            special.append((code, text))
            continue
        delta = ord(text) - code
        last = runs[-1] if runs else None
        if last and last[3] == delta and code - last[1] in (1, 2) and (last[0] == last[1] or last[2] == code - last[1]):
            last[2] = code - last[1]
            last[1] = code
        else:
            runs.append([code, code, 1, delta])
    return runs, special


def escape(text):
    return "".join("\\x%02x" % b for b in text.encode())


def main():
    print("// Written by tools/unicode_case.py from Unicode %s." % unicodedata.unidata_version)
    for name, convert in (("Lower", str.lower), ("Upper", str.upper)):
        runs, special = tables(convert)
        print("constexpr CaseRun k%sRuns[] = {" % name)
        for run in runs:
            print("    {0x%x, 0x%x, %d, %d}," % tuple(run))
        print("};\nconstexpr CaseSpecial k%sSpecials[] = {" % name)
        for code, text in special:
            print('    {0x%x, "%s"},' % (code, escape(text)))
        print("};")


if __name__ == "__main__":
    sys.exit(main())
