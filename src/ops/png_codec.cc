// PNG (ISO/IEC 15948): all colour types and depths, interlacing, transparency.
#include <zlib.h>

#include <array>
#include <cstdlib>
#include <span>

#include "base/error.h"
#include "ops/image_codecs.h"

namespace tenon::ops {
namespace {

constexpr std::string_view kSignature("\x89PNG\r\n\x1a\n", 8);
constexpr int kPalette = 3, kColour = 2, kAlpha = 4;  // colour type: 3, else a sum of the flags

[[noreturn]] void refuse(const char* what) { fail(ErrorCode::kInvalidArgument, "PNG: {}", what); }

struct Header {
  std::int64_t width = 0, height = 0;
  int depth = 0, colour = 0;
  bool interlaced = false;

  int channels() const {
    if (colour == kPalette) return 1;
    return (colour & kColour ? 3 : 1) + (colour & kAlpha ? 1 : 0);
  }
  int bits_per_pixel() const { return channels() * depth; }
};

struct File {
  Header header;
  std::string_view palette;
  std::string_view transparency;  // tRNS
  bool has_transparency = false;
  std::string compressed;
};

std::uint32_t number(std::string_view bytes, std::size_t at) {
  std::uint32_t value = 0;
  for (std::size_t i = 0; i < 4; ++i) value = value << 8 | static_cast<unsigned char>(bytes[at + i]);
  return value;
}

Header read_header(std::string_view data) {
  if (data.size() != 13) refuse("its header is malformed");
  Header header;
  header.width = number(data, 0);
  header.height = number(data, 4);
  header.depth = static_cast<unsigned char>(data[8]);
  header.colour = static_cast<unsigned char>(data[9]);
  header.interlaced = data[12] == 1;
  constexpr unsigned kDepths[] = {0x10116, 0, 0x10100, 0x116, 0x10100, 0, 0x10100};  // bit d: depth d is allowed
  const bool known = header.colour <= 6 && header.depth <= 16 && (kDepths[header.colour] >> header.depth & 1) != 0;
  if (!known || data[10] != 0 || data[11] != 0 || (data[12] != 0 && data[12] != 1)) refuse("its header is malformed");
  if (header.width == 0 || header.height == 0) refuse("its size is zero");
  check_image_size(header.height, header.width, 4);
  return header;
}

File read_file(std::string_view bytes) {
  if (!bytes.starts_with(kSignature)) refuse("it does not start as a PNG does");
  File file;
  bool headed = false;
  for (std::size_t at = kSignature.size();;) {
    if (bytes.size() - at < 12) refuse("it is cut short");
    const std::size_t size = number(bytes, at);
    if (size > bytes.size() - at - 12) refuse("it is cut short");
    const std::string_view type = bytes.substr(at + 4, 4), data = bytes.substr(at + 8, size);
    const bool critical = (type[0] & 0x20) == 0;
    const auto crc = crc32_z(0, reinterpret_cast<const Bytef*>(type.data()), size + 4);
    if (critical && crc != number(bytes, at + 8 + size)) refuse("a checksum is wrong");
    at += size + 12;
    if (type == "IHDR") {
      file.header = read_header(data);
      headed = true;
    } else if (!headed) {
      refuse("it has no header");
    } else if (type == "PLTE") {
      file.palette = data;
    } else if (type == "tRNS") {
      file.transparency = data;
      file.has_transparency = true;
    } else if (type == "IDAT") {
      file.compressed += data;
    } else if (type == "IEND") {
      return file;
    }
  }
}

std::string inflate_all(const std::string& compressed, std::size_t size) {
  if (size / 1040 > compressed.size() + 64) refuse("it declares a size that its data cannot have");
  std::string out(size, '\0');
  uLongf length = size;
  uLong used = compressed.size();
  const int state = uncompress2(reinterpret_cast<Bytef*>(out.data()), &length, reinterpret_cast<const Bytef*>(compressed.data()), &used);
  if ((state != Z_OK && state != Z_BUF_ERROR) || length != size) refuse("its compressed data is damaged or cut short");
  return out;
}

std::uint8_t paeth(int a, int b, int c) {
  const int p = a + b - c, pa = std::abs(p - a), pb = std::abs(p - b), pc = std::abs(p - c);
  return static_cast<std::uint8_t>(pa <= pb && pa <= pc ? a : pb <= pc ? b : c);
}

// Undoes the filter of one row in place; `above` is the row before, zeros for the first.
void unfilter(int filter, std::uint8_t* row, const std::uint8_t* above, std::size_t size, std::size_t step) {
  for (std::size_t i = 0; i < size; ++i) {
    const int left = i >= step ? row[i - step] : 0, up = above[i], corner = i >= step ? above[i - step] : 0;
    int add = 0;
    switch (filter) {
      case 0:
        return;
      case 1:
        add = left;
        break;
      case 2:
        add = up;
        break;
      case 3:
        add = (left + up) / 2;
        break;
      case 4:
        add = paeth(left, up, corner);
        break;
      default:
        refuse("a row has an unknown filter");
    }
    row[i] = static_cast<std::uint8_t>(row[i] + add);
  }
}

// One pass of interlacing: pixels (x0 + i*dx, y0 + j*dy).
struct Pass {
  int x0, y0, dx, dy;
};
constexpr Pass kWhole[] = {{0, 0, 1, 1}};
constexpr Pass kAdam7[] = {{0, 0, 8, 8}, {4, 0, 8, 8}, {0, 4, 4, 8}, {2, 0, 4, 4}, {0, 2, 2, 4}, {1, 0, 2, 2}, {0, 1, 1, 2}};

std::int64_t steps(std::int64_t size, int start, int step) { return size <= start ? 0 : (size - start + step - 1) / step; }

// The samples of the file as they are, one number each.
std::vector<std::uint16_t> read_samples(const File& file) {
  const Header& h = file.header;
  const std::span<const Pass> passes = h.interlaced ? std::span<const Pass>(kAdam7) : std::span<const Pass>(kWhole);
  const auto row_bytes = [&](std::int64_t columns) { return static_cast<std::size_t>((columns * h.bits_per_pixel() + 7) / 8); };
  std::size_t total = 0;
  for (const Pass& pass : passes) {
    const std::int64_t columns = steps(h.width, pass.x0, pass.dx);
    if (columns > 0) total += static_cast<std::size_t>(steps(h.height, pass.y0, pass.dy)) * (row_bytes(columns) + 1);
  }
  std::string data = inflate_all(file.compressed, total);
  auto* at = reinterpret_cast<std::uint8_t*>(data.data());
  const int channels = h.channels();
  std::vector<std::uint16_t> samples(static_cast<std::size_t>(h.width * h.height * channels));
  for (const Pass& pass : passes) {
    const std::int64_t columns = steps(h.width, pass.x0, pass.dx), rows = steps(h.height, pass.y0, pass.dy);
    if (columns == 0) continue;
    const std::size_t size = row_bytes(columns);
    std::vector<std::uint8_t> zeros(size, 0);
    const std::uint8_t* above = zeros.data();
    for (std::int64_t j = 0; j < rows; ++j) {
      std::uint8_t* row = at + 1;
      unfilter(at[0], row, above, size, std::max<std::size_t>(1, static_cast<std::size_t>(h.bits_per_pixel()) / 8));
      for (std::int64_t i = 0; i < columns * channels; ++i) {
        std::uint16_t value = 0;
        if (h.depth == 16) {
          value = static_cast<std::uint16_t>(row[2 * i] << 8 | row[2 * i + 1]);
        } else {
          const std::int64_t bit = i * h.depth;
          value = static_cast<std::uint16_t>(row[bit / 8] >> (8 - h.depth - bit % 8) & ((1 << h.depth) - 1));
        }
        const std::int64_t x = pass.x0 + i / channels * pass.dx, y = pass.y0 + j * pass.dy;
        samples[static_cast<std::size_t>((y * h.width + x) * channels + i % channels)] = value;
      }
      above = row;
      at += size + 1;
    }
  }
  return samples;
}

using Pixel = std::array<std::uint32_t, 4>;  // red, green, blue, alpha

// Turns samples of a file into pixels of 8 or 16 bits per sample.
class PixelReader {
 public:
  explicit PixelReader(const File& file) : file_(file), deep_(file.header.depth == 16) {}

  Pixel read(const std::uint16_t* s) const {
    const Header& h = file_.header;
    // Where there is no transparency at all, TensorFlow adds the largest number of the file's own depth, not scaled to 8 bits.
    const std::uint32_t opaque = file_.has_transparency && !deep_ ? 255 : (1u << h.depth) - 1;
    if (h.colour == kPalette) return palette_pixel(s[0], opaque);
    Pixel pixel{};
    if (h.colour & kColour) {
      pixel = {s[0], s[1], s[2], opaque};
    } else {
      const std::uint32_t grey = h.depth < 8 ? s[0] * 255u / ((1u << h.depth) - 1) : s[0];
      pixel = {grey, grey, grey, opaque};
    }
    if (h.colour & kAlpha) {
      pixel[3] = s[h.channels() - 1];
    } else if (file_.has_transparency && is_transparent(s)) {
      pixel[3] = 0;
    }
    return pixel;
  }

 private:
  Pixel palette_pixel(std::uint16_t index, std::uint32_t opaque) const {
    const std::size_t at = 3 * static_cast<std::size_t>(index);
    Pixel pixel{0, 0, 0, opaque};
    for (std::size_t c = 0; c < 3 && at + 2 < file_.palette.size(); ++c) pixel[c] = static_cast<unsigned char>(file_.palette[at + c]);
    if (index < file_.transparency.size()) pixel[3] = static_cast<unsigned char>(file_.transparency[index]);
    return pixel;
  }
  bool is_transparent(const std::uint16_t* s) const {
    const int channels = file_.header.channels();
    if (file_.transparency.size() < static_cast<std::size_t>(2 * channels)) return false;
    for (int c = 0; c < channels; ++c) {
      const auto high = static_cast<unsigned char>(file_.transparency[static_cast<std::size_t>(2 * c)]);
      const auto low = static_cast<unsigned char>(file_.transparency[static_cast<std::size_t>(2 * c + 1)]);
      if (s[c] != (high << 8 | low)) return false;
    }
    return true;
  }

  const File& file_;
  bool deep_;
};

// The weights of ITU-R BT.601 in 1/32768, rounded as libpng rounds: 8-bit results are cut off, 16-bit ones rounded.
std::uint32_t luminance(const Pixel& p, bool deep) {
  if (p[0] == p[1] && p[0] == p[2]) return p[0];
  constexpr std::uint32_t kRed = 9797, kGreen = 19234, kBlue = 32768 - kRed - kGreen;
  return (kRed * p[0] + kGreen * p[1] + kBlue * p[2] + (deep ? 16384 : 0)) >> 15;
}

}  // namespace

Image decode_png(std::string_view bytes, int channels, bool wide) {
  if (channels < 0 || channels > 4) fail(ErrorCode::kInvalidArgument, "PNG: {} channels were asked for", channels);
  const File file = read_file(bytes);
  const Header& h = file.header;
  if (h.colour == kPalette && file.palette.empty()) refuse("it has no palette");
  if (channels == 0) channels = h.colour != kPalette ? h.channels() : file.has_transparency ? 4 : 3;
  Image image;
  image.height = h.height;
  image.width = h.width;
  image.channels = channels;
  image.wide = wide;
  check_image_size(h.height, h.width, channels);
  const std::vector<std::uint16_t> samples = read_samples(file);
  const PixelReader reader(file);
  const bool grey_file = h.colour != kPalette && !(h.colour & kColour);
  const std::int64_t pixels = h.width * h.height;
  if (wide) image.samples.reserve(static_cast<std::size_t>(image.size()));
  if (!wide) image.narrow.reserve(static_cast<std::size_t>(image.size()));
  const auto put = [&](std::uint32_t value) {
    const bool deep = h.depth == 16;
    if (wide) {
      image.samples.push_back(static_cast<std::uint16_t>(deep ? value : value * 257));
    } else {
      image.narrow.push_back(static_cast<std::uint8_t>(deep ? value >> 8 : value));
    }
  };
  for (std::int64_t i = 0; i < pixels; ++i) {
    const Pixel pixel = reader.read(samples.data() + i * h.channels());
    if (channels < 3) {
      put(grey_file ? pixel[0] : luminance(pixel, h.depth == 16));
    } else {
      for (std::size_t c = 0; c < 3; ++c) put(pixel[c]);
    }
    if (channels % 2 == 0) put(pixel[3]);
  }
  return image;
}

}  // namespace tenon::ops
