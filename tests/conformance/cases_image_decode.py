"""Encoded images. JPEG and most PNG files come from TensorFlow's encoders, the rest is made by hand."""
import struct
import zlib

import numpy as np
import tensorflow as tf


def one(data):
    return np.array(bytes(data), object)


def picture(height, width, channels, dtype=np.uint8):
    y, x = np.mgrid[0:height, 0:width]
    planes = [(y * 7 + x * 3) % 256, (x * x + y) % 256, np.where((x // 4 + y // 3) % 2, 230, 20), (x + y) * 5 % 256][:channels]
    image = np.stack(planes, -1)
    return (image * 257 + 11 if dtype == np.uint16 else image).astype(dtype)


def jpeg(height, width, channels, **options):
    return tf.io.encode_jpeg(picture(height, width, channels), **options).numpy()


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


ADAM7 = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]


def png(samples, depth, colour, interlaced=False, palette=None, transparency=None, filters=(0,)):
    """samples: [height, width, channels of the colour type], numbers of `depth` bits."""
    height, width, channels = samples.shape
    data = b""
    for x0, y0, dx, dy in ADAM7 if interlaced else [(0, 0, 1, 1)]:
        part = samples[y0::dy, x0::dx]
        if part.size == 0:
            continue
        above = None
        for index, row in enumerate(part):
            if depth == 16:
                raw = row.reshape(-1).astype(">u2").tobytes()
            elif depth == 8:
                raw = row.reshape(-1).astype(np.uint8).tobytes()
            else:
                bits = "".join(format(int(v), "0%db" % depth) for v in row.reshape(-1))
                bits += "0" * (-len(bits) % 8)
                raw = bytes(int(bits[i:i + 8], 2) for i in range(0, len(bits), 8))
            step = max(1, channels * depth // 8)
            above = above or bytes(len(raw))
            kind = filters[index % len(filters)]
            left = bytes(step) + raw
            corner = bytes(step) + above
            def predict(i):
                a, b, c = left[i], above[i], corner[i]
                if kind == 4:
                    p = a + b - c
                    return min((abs(p - v), k, v) for k, v in enumerate((a, b, c)))[2]
                return (0, a, b, (a + b) // 2)[kind]
            data += bytes([kind]) + bytes((raw[i] - predict(i)) & 255 for i in range(len(raw)))
            above = raw
    out = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, int(interlaced)))
    if palette is not None:
        out += chunk(b"PLTE", palette.astype(np.uint8).tobytes())
    if transparency is not None:
        out += chunk(b"tRNS", transparency)
    compressed = zlib.compress(data)
    return out + chunk(b"IDAT", compressed[:20]) + chunk(b"IDAT", compressed[20:]) + chunk(b"IEND", b"")


def pack_codes(codes):
    """(code, width) pairs, lowest bits first, in blocks."""
    value = count = 0
    out = b""
    for code, width in codes:
        value |= code << count
        count += width
        while count >= 8:
            out += bytes([value & 255])
            value >>= 8
            count -= 8
    if count:
        out += bytes([value & 255])
    return b"".join(bytes([len(out[i:i + 255])]) + out[i:i + 255] for i in range(0, len(out), 255)) + b"\0"


def lzw(indices, root):
    clear, stop = 1 << root, (1 << root) + 1
    table, next_code, width = {(i,): i for i in range(clear)}, stop + 1, root + 1
    codes, word = [(clear, width)], ()
    for index in indices:
        if word + (index,) in table:
            word += (index,)
            continue
        codes.append((table[word], width))
        if next_code < 4096:
            table[word + (index,)] = next_code
            if next_code == 1 << width and width < 12:
                width += 1
            next_code += 1
        word = (index,)
    codes += [(table[word], width), (stop, width)]
    return bytes([root]) + pack_codes(codes)


def gif(width, height, frames, palette):
    """frames: (left, top, indices [h, w], transparent index or None, interlaced)."""
    bits = max(1, (len(palette) - 1).bit_length())
    palette = np.vstack([palette, np.zeros(((1 << bits) - len(palette), 3))])
    out = b"GIF89a" + struct.pack("<HHBBB", width, height, 0x80 | bits - 1, 0, 0) + palette.astype(np.uint8).tobytes()
    for left, top, indices, transparent, interlaced in frames:
        if transparent is not None:
            out += b"\x21\xf9\x04\x01\x00\x00" + bytes([transparent]) + b"\0"
        h, w = indices.shape
        out += b"\x2c" + struct.pack("<HHHHB", left, top, w, h, 0x40 if interlaced else 0)
        rows = [r for s, d in ((0, 8), (4, 8), (2, 4), (1, 2)) for r in range(s, h, d)] if interlaced else range(h)
        out += lzw([int(v) for r in rows for v in indices[r]], max(2, bits))
    return out + b"\x3b"


def bmp(height, width, channels, top_down=False):
    row = (width * channels + 3) // 4 * 4
    image = picture(height, width, channels)
    pixels = image[..., [2, 1, 0] + [3] * (channels == 4)] if channels >= 3 else image
    rows = pixels if top_down else pixels[::-1]
    data = b"".join(r.tobytes().ljust(row, b"\0") for r in rows)
    offset = 54
    head = b"BM" + struct.pack("<IHHI", offset + len(data), 0, 0, offset)
    return head + struct.pack("<IiiHHIIiiII", 40, width, -height if top_down else height, 1, channels * 8, 0, len(data), 0, 0, 0, 0) + data


def jpegs():
    files = [jpeg(17, 23, 3), jpeg(16, 16, 1), jpeg(33, 20, 3, progressive=True), jpeg(19, 21, 3, chroma_downsampling=False, quality=40),
             jpeg(8, 9, 3, quality=100)]
    for data in files:
        for channels in (0, 1, 3, 4):
            yield ("DecodeJpeg", {"channels": channels}, [one(data)])
        for ratio in (2, 4, 8):
            yield ("DecodeJpeg", {"ratio": ratio}, [one(data)])
        for attrs in ({"dct_method": "INTEGER_FAST"}, {"dct_method": "INTEGER_ACCURATE"}, {"fancy_upscaling": False}, {"dct_method": "x"}):
            yield ("DecodeJpeg", attrs, [one(data)])
        for dtype in ("uint8", "uint16", "float32"):
            yield ("DecodeImage", {"dtype": dtype}, [one(data)])
        yield ("ExtractJpegShape", {}, [one(data)])
        yield ("ExtractJpegShape", {"output_type": "int64"}, [one(data)])
        yield ("DecodeAndCropJpeg", {}, [one(data), np.array([2, 3, 5, 6], np.int32)])
    yield ("DecodeAndCropJpeg", {"channels": 1}, [one(files[0]), np.array([0, 0, 17, 23], np.int32)])
    yield ("DecodeAndCropJpeg", {}, [one(files[0]), np.array([10, 3, 8, 6], np.int32)])
    yield ("DecodeJpeg", {}, [one(files[0][:200])])
    yield ("DecodeJpeg", {}, [one(files[0][:20])])
    yield ("DecodeJpeg", {}, [one(b"")])
    yield ("DecodeJpeg", {}, [one(b"text")])
    yield ("DecodePng", {}, [one(files[0])])
    yield ("DecodeGif", {}, [one(files[0])])
    yield ("DecodeBmp", {}, [one(files[0])])


def pngs():
    rng = np.random.RandomState(8)
    files = [tf.io.encode_png(picture(7, 9, c, d)).numpy() for c in (1, 2, 3, 4) for d in (np.uint8, np.uint16)]
    palette = rng.randint(0, 256, (11, 3))
    for interlaced in (False, True):
        for depth in (1, 2, 4, 8, 16):
            files.append(png(rng.randint(0, 1 << depth, (6, 13, 1)), depth, 0, interlaced, filters=(0, 1, 2, 3, 4)))
        for depth in (4, 8):
            indices = rng.randint(0, 11, (6, 13, 1))
            files.append(png(indices, depth, 3, interlaced, palette))
            files.append(png(indices, depth, 3, interlaced, palette, bytes([0, 128, 255])))
        for depth in (8, 16):
            files.append(png(rng.randint(0, 1 << depth, (9, 5, 3)), depth, 2, interlaced, filters=(4, 3, 2, 1)))
            files.append(png(rng.randint(0, 1 << depth, (9, 5, 4)), depth, 6, interlaced))
            files.append(png(rng.randint(0, 1 << depth, (9, 5, 2)), depth, 4, interlaced))
    grey = rng.randint(0, 4, (5, 6, 1))
    files.append(png(grey, 8, 0, transparency=struct.pack(">H", 2)))
    colours = rng.randint(0, 2, (5, 6, 3))
    files.append(png(colours, 8, 2, transparency=struct.pack(">HHH", 1, 0, 1)))
    files.append(png(colours, 16, 2, transparency=struct.pack(">HHH", 1, 0, 1)))
    for data in files:
        for channels in (0, 1, 3, 4):
            for dtype in ("uint8", "uint16"):
                yield ("DecodePng", {"channels": channels, "dtype": dtype}, [one(data)])
        yield ("DecodeImage", {"dtype": "float32"}, [one(data)])
        yield ("DecodeJpeg", {"channels": 3}, [one(data)])
    yield ("DecodePng", {}, [one(files[0][:60])])
    yield ("DecodePng", {}, [one(files[0][:40] + b"\xff" + files[0][41:])])


def gifs():
    rng = np.random.RandomState(9)
    palette = rng.randint(0, 256, (13, 3))
    whole = lambda: rng.randint(0, 13, (10, 12))
    still = gif(12, 10, [(0, 0, whole(), None, False)], palette)
    files = [still, gif(12, 10, [(0, 0, whole(), None, True)], palette),
             gif(12, 10, [(0, 0, whole(), None, False), (2, 3, rng.randint(0, 13, (4, 5)), None, False), (0, 0, whole(), None, False)], palette),
             gif(12, 10, [(0, 0, whole(), None, False), (0, 0, whole(), 3, False)], palette),
             gif(12, 10, [(1, 2, rng.randint(0, 13, (6, 7)), None, False)], palette),
             gif(60, 50, [(0, 0, rng.randint(0, 13, (50, 60)), None, False)], palette)]
    for data in files:
        yield ("DecodeGif", {}, [one(data)])
        for attrs in ({}, {"expand_animations": False}, {"channels": 3}, {"channels": 1}, {"dtype": "float32"}):
            yield ("DecodeImage", attrs, [one(data)])
        yield ("DecodePng", {}, [one(data)])
    yield ("DecodeGif", {}, [one(still[:70])])


def bmps():
    for channels in (1, 3, 4):
        for top_down in (False, True):
            data = bmp(5, 7, channels, top_down)
            for wanted in (0, 1, 3, 4):
                yield ("DecodeBmp", {"channels": wanted}, [one(data)])
            yield ("DecodeImage", {}, [one(data)])  # other dtypes crash TensorFlow 2.21
    yield ("DecodeBmp", {}, [one(data[:80])])
    yield ("DecodeJpeg", {}, [one(data)])


def cases():
    for part in (jpegs, pngs, gifs, bmps):
        yield from part()
