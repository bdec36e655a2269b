# -*- coding: utf-8 -*-
"""String ops."""
import itertools

import ml_dtypes
import numpy as np


def s(*values):
    return np.array(values, object) if values else np.zeros((0,), object)


def one(value):
    return np.array(value, object)


ASCII = s(b"", b"a", b"Hello World", b"  pad\t\n", b"x,y,,z", b"\x00bin\xff", b"0123456789" * 10)
TEXT = [u"", u"Straße", u"ÀÉÎ õü", u"ΑΣ ΣΑΣ ὈΔΥΣΣΕΎΣ", u"日本語テキスト", u"😀 emoji ǅ", u"ﬁ ŉ İı"]
UTF8 = s(*[t.encode() for t in TEXT])


def plain():
    yield ("StringLower", {}, [ASCII])
    yield ("StringUpper", {}, [ASCII.reshape(7, 1)])
    for op in ("StringLower", "StringUpper"):
        yield (op, {"encoding": "utf-8"}, [UTF8])
        yield (op, {}, [UTF8])
        yield (op, {"encoding": "latin"}, [UTF8])
    yield ("StringStrip", {}, [s(b"", b" ", b" a b ", b"\t\r\n\x0b\x0cx\n", b"none", b"\xc2\xa0x")])
    for unit in ("BYTE", "UTF8_CHAR"):
        yield ("StringLength", {"unit": unit}, [UTF8])
        yield ("StringLength", {"unit": unit}, [one(b"\xff\x80abc")])
        for dtype in (np.int32, np.int64):
            for pos, length in itertools.product((0, 2, -1, -3), (0, 1, 3, 100)):
                yield ("Substr", {"unit": unit}, [s(b"Hello", u"日本語x".encode()), np.array(pos, dtype), np.array(length, dtype)])
        yield ("Substr", {"unit": unit}, [s(b"abc", b"def"), np.array([3, 1], np.int32), np.array([1, 1], np.int32)])
        yield ("Substr", {"unit": unit}, [s(b"abc", b"def"), np.array([4, 1], np.int32), np.array([1, 1], np.int32)])
        yield ("Substr", {"unit": unit}, [s(b"abc", b"def"), np.array([-4, 1], np.int32), np.array([1, 1], np.int32)])
    yield ("Substr", {}, [s(b"abcdef", b"ghijkl").reshape(2, 1), np.array([1, 2, 3], np.int32), np.array([1, 2, 3], np.int32)])
    yield ("Substr", {}, [one(b"abcdef"), np.array([1, 2, 3], np.int32), np.array([1, 2, 3], np.int32)])
    yield ("Substr", {}, [s(b"abcdef", b"ghijkl", b"mnopqr"), np.array([[1], [2]], np.int32), np.array([[1], [2]], np.int32)])
    yield ("Substr", {}, [s(), np.array(0, np.int32), np.array(1, np.int32)])
    for pad in (False, True):
        yield ("EncodeBase64", {"pad": pad}, [ASCII])
        yield ("EncodeBase64", {"pad": pad}, [UTF8])
    for text in (b"", b"YQ", b"YQ==", b"YWI=", b"YWI", b"YWJj", b"_-8", b"Y", b"YQ=", b"+/8=", b"YW J", b"YQ===", b"===", b"=", b"YR=="):
        yield ("DecodeBase64", {}, [one(text)])


def joins():
    matrix = s(b"a", b"b", b"c", b"d", b"e", b"f").reshape(2, 3)
    yield ("StringJoin", {"N": 1}, [matrix])
    yield ("StringJoin", {"N": 3, "separator": "--"}, [matrix, one(b"X"), matrix])
    yield ("StringJoin", {"N": 2}, [one(b"X"), one(b"Y")])
    yield ("StringJoin", {"N": 2}, [matrix, s(b"q", b"r")])
    yield ("StringJoin", {"N": 2}, [s(), s()])
    for keep in (False, True):
        for axes in ([0], [1], [-1], [0, 1], [1, 0], [], [0, 0], [2], 0):
            yield ("ReduceJoin", {"keep_dims": keep, "separator": "."}, [matrix, np.array(axes, np.int32)])
        yield ("ReduceJoin", {"keep_dims": keep}, [np.zeros((0, 2), object), np.array([0], np.int32)])
        yield ("ReduceJoin", {"keep_dims": keep}, [np.zeros((2, 0), object), np.array([0], np.int32)])
        yield ("ReduceJoin", {"keep_dims": keep}, [one(b"x"), np.array([], np.int32)])
        yield ("ReduceJoin", {"keep_dims": keep}, [np.array([b"%d" % i for i in range(24)], object).reshape(2, 3, 4), np.array([2, 0], np.int32)])


def splits():
    texts = s(b"", b"a b c", b" a  b ", b"a,b,,c,", b",", b"a, b;c", b"nothing", b"\xe6\x97\xa5 x")
    for skip in (False, True):
        for delimiter in (b" ", b",", b", ;", b"", b"\xe6"):
            yield ("StringSplit", {"skip_empty": skip}, [texts, one(delimiter)])
        yield ("StringSplit", {"skip_empty": skip}, [s(), one(b" ")])
    for most in (-1, 0, 1, 2, 5):
        for separator in (b"", b" ", b",", b", ", b"a"):
            yield ("StringSplitV2", {"maxsplit": most}, [texts, one(separator)])
    yield ("StringSplitV2", {}, [s(), one(b"")])
    yield ("StringSplitV2", {}, [s(b"a").reshape(1, 1), one(b"")])


def ngrams():
    data = s(b"aa", b"bb", b"cc", b"dd", b"ee", b"ff")
    for widths in ([1], [2], [3], [1, 2, 3], [5, 2], [0]):
        for pad in (-1, 0, 1, 5):
            for keep in (False, True):
                for dtype in (np.int64, np.int32) if widths == [2] else (np.int64,):
                    yield ("StringNGrams", {"separator": "|", "ngram_widths": widths, "left_pad": "LP", "right_pad": "RP", "pad_width": pad,
                                            "preserve_short_sequences": keep}, [data, np.array([0, 4, 4, 6], dtype)])
    attrs = {"separator": "", "ngram_widths": [2], "left_pad": "", "right_pad": "", "pad_width": 0, "preserve_short_sequences": False}
    yield ("StringNGrams", attrs, [s(), np.array([], np.int64)])
    yield ("StringNGrams", attrs, [s(), np.array([0], np.int64)])
    yield ("StringNGrams", attrs, [data, np.array([0, 3], np.int64)])
    yield ("StringNGrams", attrs, [data, np.array([0, 7], np.int64)])
    yield ("StringNGrams", attrs, [data, np.array([1, 6], np.int64)])
    yield ("StringNGrams", attrs, [data, np.array([0, 4, 3, 6], np.int64)])


def regex():
    texts = s(b"", b"abc123", b"foo.bar", b"a\nb", u"日本".encode())
    for pattern in (r"\d+", r"[a-z]", r"", r"(\w)(\d)", r"^.*$", r"(", r"\s", r"日"):
        for every in (False, True):
            for rewrite in ("<\\0>", "", "\\1-", "x"):
                yield ("StaticRegexReplace", {"pattern": pattern, "rewrite": rewrite, "replace_global": every}, [texts])
        yield ("StaticRegexFullMatch", {"pattern": pattern}, [texts])
        yield ("RegexFullMatch", {}, [texts, one(pattern.encode())])
    yield ("RegexReplace", {}, [texts, one(b"[a-c]"), one(b"_")])
    yield ("RegexReplace", {"replace_global": False}, [texts.reshape(5, 1), one(b"[a-c]"), one(b"\\0\\0")])
    yield ("StaticRegexFullMatch", {"pattern": r"[a-c]+\d{3}"}, [texts])


def hashes():
    data = s(*([b"x" * n for n in range(0, 40)] + [bytes(range(k % 256)) for k in (64, 65, 100, 128, 129, 200, 255)] + [UTF8[4], UTF8[1]]))
    for buckets in (1, 10, 1000003, 2**62):
        yield ("StringToHashBucketFast", {"num_buckets": buckets}, [data])
        yield ("StringToHashBucket", {"num_buckets": buckets}, [data])
        for key in ([123, 456], [-1, 2**62]):
            yield ("StringToHashBucketStrong", {"num_buckets": buckets, "key": key}, [data])
    yield ("StringToHashBucketStrong", {"num_buckets": 7, "key": [1, 2, 3]}, [data])
    yield ("StringToHashBucketFast", {"num_buckets": 7}, [data.reshape(7, 7)])


def numbers():
    floats = np.array([0.0, -0.0, 1.0, -1.5, 1e20, 1e-20, 3.14159265, np.inf, -np.inf, np.nan, 123456.789])
    for dtype in (np.float32, np.float64, np.float16, ml_dtypes.bfloat16):
        with np.errstate(over="ignore"):
            x = floats.astype(dtype)
        for attrs in ({}, {"precision": 3}, {"scientific": True}, {"shortest": True}, {"width": 12}, {"width": 12, "fill": "0"},
                      {"precision": 2, "width": 10, "fill": "-"}, {"fill": "+"}, {"fill": " "}, {"scientific": True, "precision": 0},
                      {"shortest": True, "scientific": True}, {"fill": "x"}, {"shortest": True, "precision": 10}):
            yield ("AsString", attrs, [x])
    for dtype in (np.int8, np.int16, np.int32, np.int64, np.uint8, np.uint16, np.uint32, np.uint64):
        info = np.iinfo(dtype)
        for attrs in ({}, {"width": 6}, {"width": 6, "fill": "0"}, {"fill": "+"}, {"precision": 2}, {"shortest": True}):
            yield ("AsString", attrs, [np.array([[0, 1], [info.min, info.max]], dtype)])
    yield ("AsString", {}, [np.array([True, False])])
    yield ("AsString", {}, [np.array([1 + 2j, -0.5j], np.complex64)])
    yield ("AsString", {"precision": 1}, [np.array([1 + 2j, -0.5j], np.complex128)])
    yield ("AsString", {}, [np.zeros((0, 2), np.float32)])
    yield ("AsString", {}, [s(b"x", b"y")])
    good = s(b"0", b"1", b"-7", b" 12", b"13 ", b"2147483647")
    for out in ("float32", "float64", "int32", "int64"):
        yield ("StringToNumber", {"out_type": out}, [good])
        for text in (b"", b" ", b"+5", b"1.5", b"1e3", b"inf", b"-Infinity", b"nan", b"NaN", b"abc", b"1x", b"2147483648", b"-2147483649",
                     b"9223372036854775808", b"1e400", b"-1e400", b"1e-400", b"0x10", b"1.", b".5", b"--1", b"+-1", b"1 2", b"1e39", b"1e-50"):
            yield ("StringToNumber", {"out_type": out}, [one(text)])


def formats():
    cases = [np.array(5, np.int32), np.arange(10, dtype=np.int32), np.arange(6, dtype=np.float32).reshape(2, 3), np.arange(100).reshape(10, 10),
             np.array([1.5, 0.1, 1e20], np.float32), np.array([0.1, 1 / 3]), np.array([True, False]), s(b"a", b"b"), one(b"z"),
             np.zeros((0,), np.float32), np.zeros((2, 0), np.float32), np.arange(24, dtype=np.int64).reshape(2, 3, 4)]
    for x in cases:
        for ends in (3, 1, -1):
            yield ("StringFormat", {"T": [x.dtype.name if x.dtype != object else "string"], "template": "[%s]", "summarize": ends}, [x])
    two = {"T": ["int32", "int32"], "placeholder": "{}"}
    for template in ("{} and {}", "{}", "{}{}{}", "a{}b{}c"):
        yield ("StringFormat", {**two, "template": template}, [np.array(1, np.int32), np.array([2, 3], np.int32)])


def unicode_ops():
    bad = s(b"\xff", b"a\xc3", b"\xe6\x97x", b"\xed\xa0\x80", b"\xf0\x9f\x98", b"\xc0\x80", b"ok", b"\xf4\x90\x80\x80", b"a\x00\x07b", b"\xe0\x80\x80")
    for errors in ("replace", "ignore", "strict"):
        for controls in (False, True):
            for data in (UTF8, bad):
                attrs = {"input_encoding": "UTF-8", "errors": errors, "replace_control_characters": controls}
                yield ("UnicodeDecode", attrs, [data])
                yield ("UnicodeDecodeWithOffsets", attrs, [data])
                for to in ("UTF-8", "UTF-16-BE", "UTF-32-BE"):
                    yield ("UnicodeTranscode", {**attrs, "output_encoding": to}, [data])
    for name, codec in (("UTF-16-BE", "utf-16-be"), ("UTF-32-BE", "utf-32-be"), ("ISO-8859-1", "latin-1")):
        data = s(*[t.encode(codec, "ignore") for t in TEXT])
        yield ("UnicodeDecodeWithOffsets", {"input_encoding": name}, [data])
        yield ("UnicodeTranscode", {"input_encoding": name, "output_encoding": "UTF-8"}, [data])
    yield ("UnicodeDecode", {"input_encoding": "UTF-16-BE"}, [s(b"\xd8\x00\x00a", b"\xdc\x00", b"\xd8\x3d\xde\x00", b"\x00a\x00")])
    yield ("UnicodeDecode", {"input_encoding": "US-ASCII"}, [s(b"abc", b"a\xe9")])
    yield ("UnicodeDecode", {"input_encoding": "UTF-8", "replacement_char": 63}, [bad])
    yield ("UnicodeDecode", {"input_encoding": "nonsense"}, [bad])
    codes = np.array([72, 105, 0x65E5, 0x1F600, 0xE9, 0], np.int32)
    wrong = np.array([72, 0xD800, 0x110000, -1, 0x41, 0x42], np.int32)
    for values in (codes, wrong):
        for errors in ("replace", "ignore", "strict"):
            for to in ("UTF-8", "UTF-16-BE", "UTF-32-BE"):
                yield ("UnicodeEncode", {"output_encoding": to, "errors": errors}, [values, np.array([0, 2, 2, 6], np.int64)])
    yield ("UnicodeEncode", {"output_encoding": "UTF-8"}, [codes, np.array([0, 6], np.int32)])
    yield ("UnicodeEncode", {"output_encoding": "UTF-8"}, [codes, np.array([0, 5], np.int32)])
    yield ("UnicodeEncode", {"output_encoding": "UTF-8"}, [codes, np.array([0, 4, 2, 6], np.int32)])


def raw():
    data = s(bytes(range(16)), bytes(range(16, 32)))
    for out in ("float32", "float64", "float16", "int8", "uint8", "int16", "uint16", "int32", "int64", "bool", "complex64", "bfloat16", "complex128"):
        for little in (True, False):
            yield ("DecodeRaw", {"out_type": out, "little_endian": little}, [data if out != "bool" else s(b"\x00\x01")])
    yield ("DecodeRaw", {"out_type": "int32"}, [s(b"123")])
    yield ("DecodeRaw", {"out_type": "int8"}, [s(b"123", b"12")])
    yield ("DecodeRaw", {"out_type": "int8"}, [s()])
    yield ("DecodeRaw", {"out_type": "int8"}, [one(b"")])
    for length in (2, 4, 20, 3, 0):
        yield ("DecodePaddedRaw", {"out_type": "int16"}, [s(b"1234", b"12", b""), np.array(length, np.int32)])
    yield ("DecodePaddedRaw", {"out_type": "int32", "little_endian": False}, [s(b"1234", b"12", b""), np.array(8, np.int32)])


def cases():
    for part in (plain, joins, splits, ngrams, regex, hashes, numbers, formats, unicode_ops, raw):
        yield from part()
