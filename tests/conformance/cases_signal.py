"""Fourier transforms and sound."""
import struct

import numpy as np


def signal(rng, shape, dtype):
    dtype = np.dtype(dtype)
    x = rng.uniform(-1, 1, shape)
    return (x + 1j * rng.uniform(-1, 1, shape)).astype(dtype) if dtype.kind == "c" else np.asarray(x).astype(dtype)


def transforms():
    rng = np.random.RandomState(11)
    for dtype in (np.complex64, np.complex128):
        for length in (1, 2, 3, 4, 5, 7, 8, 12, 16, 17, 30, 64, 97, 100, 169, 289, 256):
            for op in ("FFT", "IFFT"):
                yield (op, {}, [signal(rng, (2, length), dtype)])
        for op in ("FFT2D", "IFFT2D"):
            for shape in ((4, 6), (2, 5, 3), (1, 1), (0, 3, 4), (3,)):
                yield (op, {}, [signal(rng, shape, dtype)])
        for op in ("FFT3D", "IFFT3D"):
            yield (op, {}, [signal(rng, (2, 3, 4, 5), dtype)])
    for real, spectrum in ((np.float32, np.complex64), (np.float64, np.complex128)):
        forward = {"Treal": np.dtype(real).name, "Tcomplex": np.dtype(spectrum).name}
        for length in (1, 2, 5, 8, 9, 16, 20, 33):
            for have in (length, length + 3, max(length - 3, 1)):
                yield ("RFFT", forward, [signal(rng, (2, have), real), np.array([length], np.int32)])
            for have in (length // 2 + 1, length // 2 + 3, max(length // 2 - 1, 1)):
                yield ("IRFFT", forward, [signal(rng, (2, have), spectrum), np.array([length], np.int32)])
        for sizes in ((4, 6), (3, 5), (6, 4)):
            yield ("RFFT2D", forward, [signal(rng, (2, 4, 6), real), np.array(sizes, np.int32)])
            yield ("IRFFT2D", forward, [np.fft.rfft2(signal(rng, (2,) + sizes, np.float64)).astype(spectrum), np.array(sizes, np.int32)])
        yield ("RFFT3D", forward, [signal(rng, (3, 4, 5), real), np.array([3, 4, 5], np.int32)])
        yield ("IRFFT3D", forward, [np.fft.rfftn(signal(rng, (3, 4, 6), np.float64)).astype(spectrum), np.array([3, 4, 6], np.int32)])
        yield ("RFFT", forward, [signal(rng, (2, 8), real), np.array([4, 4], np.int32)])
        yield ("RFFT", forward, [signal(rng, (), real), np.array([4], np.int32)])


def wav(samples, channels, rate=16000, bits=16, extra=b"", tag=1):
    data = np.asarray(samples, np.int16).tobytes()
    fmt = struct.pack("<HHIIHH", tag, channels, rate, rate * channels * bits // 8, channels * bits // 8, bits)
    body = b"WAVEfmt " + struct.pack("<I", len(fmt)) + fmt + extra + b"data" + struct.pack("<I", len(data)) + data
    return np.array(b"RIFF" + struct.pack("<I", len(body)) + body, object)


def sound():
    samples = np.array([0, 1, -1, 32767, -32768, 1000, -5, 77])
    for channels in (1, 2):
        for attrs in ({}, {"desired_channels": 1}, {"desired_channels": 2}, {"desired_channels": 3}, {"desired_samples": 3}, {"desired_samples": 12}):
            yield ("DecodeWav", attrs, [wav(samples, channels)])
    yield ("DecodeWav", {}, [wav(samples, 1, extra=b"LIST" + struct.pack("<I", 4) + b"abcd")])
    yield ("DecodeWav", {}, [wav(samples, 1, bits=8)])
    yield ("DecodeWav", {}, [np.array(b"RIFFxxxxWAVE", object)])
    yield ("DecodeWav", {}, [np.array(wav(samples, 1).item()[:50], object)])
    rng = np.random.RandomState(12)
    clip = (np.sin(np.arange(1000) * 0.3) + 0.1 * rng.uniform(-1, 1, 1000)).astype(np.float32)
    spectrograms = []
    for window, stride in ((64, 32), (100, 40), (480, 160), (1000, 1), (1001, 1), (2, 7)):
        for squared in (False, True):
            yield ("AudioSpectrogram", {"window_size": window, "stride": stride, "magnitude_squared": squared}, [clip[:, None]])
    yield ("AudioSpectrogram", {"window_size": 64, "stride": 50}, [clip.reshape(500, 2)])
    yield ("AudioSpectrogram", {"window_size": 1, "stride": 50}, [clip[:, None]])
    power = rng.uniform(0, 5, (2, 3, 257)).astype(np.float32)
    for attrs in ({}, {"dct_coefficient_count": 40}, {"upper_frequency_limit": 7600.0, "lower_frequency_limit": 100.0, "filterbank_channel_count": 26},
                  {"upper_frequency_limit": 20000.0}):
        yield ("Mfcc", attrs, [power, np.array(16000, np.int32)])
    yield ("Mfcc", {}, [np.zeros((1, 2, 257), np.float32), np.array(16000, np.int32)])
    yield ("Mfcc", {}, [power, np.array(44100, np.int32)])


def cases():
    yield from transforms()
    yield from sound()
