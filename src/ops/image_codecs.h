// Encoded images: JPEG, PNG, GIF, BMP. Files may be hostile: sizes are bounded before anything is allocated.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace tenon::ops {

enum class ImageFormat { kUnknown, kJpeg, kPng, kGif, kBmp };
// By the file's first bytes.
ImageFormat image_format(std::string_view bytes);

// Interleaved samples, rows from the top; `frames` images one after the other.
struct Image {
  std::int64_t frames = 1, height = 0, width = 0, channels = 0;
  bool wide = false;                  // 16-bit samples
  std::vector<std::uint8_t> narrow;   // 8-bit samples
  std::vector<std::uint16_t> samples; // 16-bit samples
  std::int64_t size() const { return frames * height * width * channels; }
};

struct JpegOptions {
  int channels = 0;  // 0: as in the file; 1 or 3
  int ratio = 1;     // the image is reduced by 1, 2, 4 or 8
  bool fancy_upscaling = true;
  bool try_recover_truncated = false;
  float acceptable_fraction = 1;  // of the rows, for a truncated file to be accepted
  bool fast_transform = false;
};

// All throw kInvalidArgument for malformed files and for what the format cannot give, kUnsupported for kinds of files that
// TensorFlow does not read either.
Image decode_jpeg(std::string_view bytes, const JpegOptions& options);
// Height, width, channels, from the header alone.
Image read_jpeg_header(std::string_view bytes);
// channels: 0 as in the file, 1 grey, 2 grey and alpha, 3 RGB, 4 RGB and alpha. `wide`: 16-bit samples.
Image decode_png(std::string_view bytes, int channels, bool wide);
// Every frame on top of the one before, RGB.
Image decode_gif(std::string_view bytes);
// channels: 0 as in the file, 1 for a file of 8 bits per pixel alone, 3, or 4 with opaque alpha where the file has none.
Image decode_bmp(std::string_view bytes, int channels);

// Throws kInvalidArgument unless an image of this size may be allocated.
void check_image_size(std::int64_t height, std::int64_t width, std::int64_t channels, std::int64_t frames = 1);

}  // namespace tenon::ops
