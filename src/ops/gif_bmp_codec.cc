#include <algorithm>
#include <cstring>

#include "base/error.h"
#include "ops/image_codecs.h"

namespace tenon::ops {

ImageFormat image_format(std::string_view bytes) {
  if (bytes.starts_with("\xff\xd8\xff")) return ImageFormat::kJpeg;
  if (bytes.starts_with("\x89PNG\r\n\x1a\n")) return ImageFormat::kPng;
  if (bytes.starts_with("GIF8")) return ImageFormat::kGif;
  if (bytes.starts_with("BM")) return ImageFormat::kBmp;
  return ImageFormat::kUnknown;
}

void check_image_size(std::int64_t height, std::int64_t width, std::int64_t channels, std::int64_t frames) {
  constexpr std::int64_t kMaxSamples = std::int64_t{1} << 29;
  std::int64_t count = 0;
  const bool overflow = __builtin_mul_overflow(height, width, &count) || __builtin_mul_overflow(count, channels, &count) ||
                        __builtin_mul_overflow(count, frames, &count);
  if (height <= 0 || width <= 0 || overflow || count > kMaxSamples) {
    fail(ErrorCode::kInvalidArgument, "an image of {} x {} pixels, {} channels, {} frames: at most {} samples are decoded", width, height,
         channels, frames, kMaxSamples);
  }
}

namespace {

// Checked reading, front to back, little-endian.
class Bytes {
 public:
  Bytes(std::string_view bytes, const char* format) : bytes_(bytes), format_(format) {}

  std::string_view take(std::size_t count) {
    if (count > bytes_.size() - at_) refuse("is cut short");
    at_ += count;
    return bytes_.substr(at_ - count, count);
  }
  std::uint32_t number(std::size_t size) {
    const std::string_view raw = take(size);
    std::uint32_t value = 0;
    for (std::size_t i = size; i-- > 0;) value = value << 8 | static_cast<unsigned char>(raw[i]);
    return value;
  }
  bool at_end() const { return at_ == bytes_.size(); }
  [[noreturn]] void refuse(const char* what) const { fail(ErrorCode::kInvalidArgument, "{}: the file {}", format_, what); }

 private:
  std::string_view bytes_;
  const char* format_;
  std::size_t at_ = 0;
};

// Codes of growing width, lowest bits first, in a chain of blocks of up to 255 bytes.
class CodeReader {
 public:
  explicit CodeReader(Bytes& bytes) : bytes_(bytes) {}
  // Nothing at the end of the chain.
  std::optional<unsigned> next(int width) {
    while (count_ < width) {
      if (block_.empty()) {
        if (ended_) return std::nullopt;
        block_ = bytes_.take(bytes_.number(1));
        ended_ = block_.empty();
        continue;
      }
      bits_ |= static_cast<std::uint32_t>(static_cast<unsigned char>(block_[0])) << count_;
      count_ += 8;
      block_.remove_prefix(1);
    }
    const unsigned code = bits_ & ((1u << width) - 1);
    bits_ >>= width;
    count_ -= width;
    return code;
  }
  void skip_rest() {
    while (!ended_) ended_ = bytes_.take(bytes_.number(1)).empty();
  }

 private:
  Bytes& bytes_;
  std::string_view block_;
  std::uint32_t bits_ = 0;
  int count_ = 0;
  bool ended_ = false;
};

// Lempel, Ziv and Welch's code as GIF uses it; `count` palette indices.
std::vector<std::uint8_t> read_lzw(Bytes& bytes, std::size_t count) {
  constexpr unsigned kMaxCodes = 4096;
  const int root_width = static_cast<int>(bytes.number(1));
  if (root_width < 1 || root_width > 8) bytes.refuse("has a malformed code size");
  const unsigned clear = 1u << root_width, stop = clear + 1;
  std::vector<std::uint16_t> prefix(kMaxCodes);
  std::vector<std::uint8_t> suffix(kMaxCodes), stack, out;
  for (unsigned i = 0; i < clear; ++i) suffix[i] = static_cast<std::uint8_t>(i);
  unsigned next = stop + 1;
  int width = root_width + 1;
  unsigned before = kMaxCodes;  // none
  CodeReader codes(bytes);
  std::uint8_t first = 0;
  while (out.size() < count) {
    const auto code = codes.next(width);
    if (!code || *code == stop) break;
    if (*code == clear) {
      next = stop + 1;
      width = root_width + 1;
      before = kMaxCodes;
      continue;
    }
    const bool first_code = before == kMaxCodes;
    if (*code > next || (first_code && *code > clear)) bytes.refuse("has damaged image data");
    unsigned walk = *code;
    if (*code == next) {  // the string before, and its first byte again
      stack.push_back(first);
      walk = before;
    }
    for (; walk > stop; walk = prefix[walk]) stack.push_back(suffix[walk]);
    first = suffix[walk];
    stack.push_back(first);
    while (!stack.empty() && out.size() < count) {
      out.push_back(stack.back());
      stack.pop_back();
    }
    stack.clear();
    if (!first_code && next < kMaxCodes) {
      prefix[next] = static_cast<std::uint16_t>(before);
      suffix[next] = first;
      if (++next == 1u << width && width < 12) ++width;
    }
    before = *code;
  }
  codes.skip_rest();
  if (out.size() < count) bytes.refuse("has too little image data");
  return out;
}

struct GifFrame {
  std::int64_t left = 0, top = 0, width = 0, height = 0;
  bool interlaced = false;
  std::string_view palette;
  int transparent = -1;
  std::vector<std::uint8_t> indices;  // into the palette
};

// The row of the image that the i-th row of the data is.
std::int64_t interlaced_row(std::int64_t i, std::int64_t height) {
  constexpr std::int64_t kStarts[] = {0, 4, 2, 1}, kSteps[] = {8, 8, 4, 2};
  for (int pass = 0; pass < 4; ++pass) {
    const std::int64_t rows = height <= kStarts[pass] ? 0 : (height - kStarts[pass] + kSteps[pass] - 1) / kSteps[pass];
    if (i < rows) return kStarts[pass] + i * kSteps[pass];
    i -= rows;
  }
  return 0;
}

class GifReader {
 public:
  explicit GifReader(std::string_view bytes) : bytes_(bytes, "GIF") {}

  // The images' size is that of the largest frame, not the one that the file states for its screen.
  Image read() {
    const std::string_view magic = bytes_.take(6);
    if (magic != "GIF87a" && magic != "GIF89a") bytes_.refuse("does not start as a GIF does");
    bytes_.take(4);
    const std::uint32_t flags = bytes_.number(1);
    bytes_.take(2);
    if (flags & 0x80) global_ = bytes_.take(std::size_t{3} << ((flags & 7) + 1));
    while (read_block()) {
    }
    if (frames_.empty()) bytes_.refuse("has no image");
    image_.channels = 3;
    image_.frames = 0;
    for (const GifFrame& frame : frames_) {
      image_.width = std::max(image_.width, frame.width);
      image_.height = std::max(image_.height, frame.height);
    }
    check_image_size(image_.height, image_.width, 3, static_cast<std::int64_t>(frames_.size()));
    image_.narrow.reserve(frames_.size() * static_cast<std::size_t>(image_.height * image_.width * 3));
    for (const GifFrame& frame : frames_) draw(frame);
    return std::move(image_);
  }

 private:
  // False at the end of the file; a missing end mark is forgiven once there is an image.
  bool read_block() {
    if (bytes_.at_end() && !frames_.empty()) return false;
    switch (bytes_.number(1)) {
      case 0x21:
        read_extension();
        return true;
      case 0x2c:
        read_frame();
        return true;
      case 0x3b:
        return false;
      default:
        bytes_.refuse("has an unknown block");
    }
  }

  void read_extension() {
    const bool control = bytes_.number(1) == 0xf9;
    for (std::string_view block = bytes_.take(bytes_.number(1)); !block.empty(); block = bytes_.take(bytes_.number(1))) {
      if (control && block.size() >= 4) transparent_ = block[0] & 1 ? static_cast<unsigned char>(block[3]) : -1;
    }
  }

  void read_frame() {
    GifFrame frame;
    frame.left = bytes_.number(2);
    frame.top = bytes_.number(2);
    frame.width = bytes_.number(2);
    frame.height = bytes_.number(2);
    const std::uint32_t flags = bytes_.number(1);
    frame.interlaced = (flags & 0x40) != 0;
    frame.palette = flags & 0x80 ? bytes_.take(std::size_t{3} << ((flags & 7) + 1)) : global_;
    frame.transparent = transparent_;
    transparent_ = -1;
    if (frame.palette.empty()) bytes_.refuse("has no palette");
    check_image_size(frame.height, frame.width, 1);
    frame.indices = read_lzw(bytes_, static_cast<std::size_t>(frame.width * frame.height));
    frames_.push_back(std::move(frame));
  }

  void draw(const GifFrame& frame) {
    const auto size = static_cast<std::size_t>(image_.height * image_.width * 3);
    const std::size_t start = image_.narrow.size();
    image_.narrow.resize(start + size, 0);
    std::uint8_t* canvas = image_.narrow.data() + start;
    if (image_.frames > 0) std::memcpy(canvas, canvas - size, size);
    ++image_.frames;
    for (std::int64_t i = 0; i < frame.height; ++i) {
      const std::int64_t y = frame.top + (frame.interlaced ? interlaced_row(i, frame.height) : i);
      if (y >= image_.height) continue;
      for (std::int64_t j = 0; j < frame.width && frame.left + j < image_.width; ++j) {
        const std::size_t index = frame.indices[static_cast<std::size_t>(i * frame.width + j)];
        if (static_cast<int>(index) == frame.transparent) continue;
        if (3 * index + 2 >= frame.palette.size()) bytes_.refuse("names a colour outside its palette");
        std::memcpy(canvas + 3 * (y * image_.width + frame.left + j), frame.palette.data() + 3 * index, 3);
      }
    }
  }

  Bytes bytes_;
  std::vector<GifFrame> frames_;
  Image image_;
  std::string_view global_;
  int transparent_ = -1;
};

}  // namespace

Image decode_gif(std::string_view bytes) { return GifReader(bytes).read(); }

Image decode_bmp(std::string_view bytes, int channels) {
  Bytes reader(bytes, "BMP");
  if (reader.take(2) != "BM") reader.refuse("does not start as a BMP does");
  reader.take(8);
  const std::size_t start = reader.number(4);
  reader.take(4);
  const auto width = static_cast<std::int32_t>(reader.number(4));
  const auto signed_height = static_cast<std::int32_t>(reader.number(4));
  reader.take(2);
  const std::uint32_t bits = reader.number(2);
  const std::int64_t height = signed_height < 0 ? -static_cast<std::int64_t>(signed_height) : signed_height;
  if (bits != 8 && bits != 24 && bits != 32) reader.refuse("has neither 8, 24 nor 32 bits per pixel");
  const int own = static_cast<int>(bits / 8);
  if (channels == 0) channels = own;
  if (channels == 1 && own != 1) fail(ErrorCode::kInvalidArgument, "BMP: 1 channel was asked for, the file has {}", own);
  check_image_size(height, width, std::max(own, channels));
  const std::size_t row = (static_cast<std::size_t>(width) * bits + 31) / 32 * 4;
  if (start > bytes.size() || (bytes.size() - start) / row < static_cast<std::size_t>(height)) reader.refuse("is cut short");
  Image image;
  image.height = height;
  image.width = width;
  image.channels = channels;
  image.narrow.resize(static_cast<std::size_t>(image.size()));
  std::uint8_t* to = image.narrow.data();
  const auto byte = [](char c) { return static_cast<std::uint8_t>(c); };
  for (std::int64_t y = 0; y < height; ++y) {
    const std::int64_t stored = signed_height < 0 ? y : height - 1 - y;
    const char* from = bytes.data() + start + static_cast<std::size_t>(stored) * row;
    for (std::int64_t x = 0; x < width; ++x, from += own, to += channels) {
      const std::uint8_t pixel[4] = {byte(from[own >= 3 ? 2 : 0]), byte(from[own >= 3 ? 1 : 0]), byte(from[0]),
                                     byte(own == 4 ? from[3] : '\xff')};  // blue comes first in the file
      std::memcpy(to, pixel, static_cast<std::size_t>(channels));
    }
  }
  return image;
}

}  // namespace tenon::ops
