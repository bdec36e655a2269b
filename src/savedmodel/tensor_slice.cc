#include "savedmodel/tensor_slice.h"

#include <algorithm>
#include <charconv>
#include <cstring>
#include <protozero/pbf_writer.hpp>

#include "base/error.h"
#include "savedmodel/wire.h"

namespace tenon::saved {
namespace {

// TensorFlow's order-preserving encoding: a byte count, then the bytes from the highest.
void append_number(std::string& out, std::uint64_t value) {
  int bytes = 0;
  while (bytes < 8 && (value >> (8 * bytes)) != 0) ++bytes;
  out += static_cast<char>(bytes);
  for (int i = bytes - 1; i >= 0; --i) out += static_cast<char>(value >> (8 * i));
}

// Zero bytes become 00 FF, 0xFF becomes FF 00; 00 01 ends it.
void append_text(std::string& out, std::string_view text) {
  for (char c : text) {
    out += c;
    if (c == '\0') out += '\xff';
    if (c == '\xff') out += '\0';
  }
  out += '\0';
  out += '\x01';
}

// Signed numbers: two's complement from the highest byte, as few bytes as hold sign and value beside the length bits, which
// are ones (zeros for negative numbers) at the front, as many as there are bytes.
void append_signed(std::string& out, std::int64_t value) {
  const std::uint64_t magnitude = static_cast<std::uint64_t>(value < 0 ? ~value : value);
  std::size_t length = 1;
  while (length < 10 && length * 7 - 1 < 64 && (magnitude >> (length * 7 - 1)) != 0) ++length;
  unsigned char bytes[10];
  std::fill_n(bytes, 10, value < 0 ? 0xff : 0x00);
  for (int i = 0; i < 8; ++i) bytes[9 - i] = static_cast<unsigned char>(static_cast<std::uint64_t>(value) >> (8 * i));
  unsigned char* begin = bytes + 10 - length;
  for (std::size_t bit = 0; bit < length; ++bit) begin[bit / 8] ^= static_cast<unsigned char>(0x80 >> (bit % 8));
  out.append(reinterpret_cast<const char*>(begin), length);
}

TensorSlice::Extent decode_extent(std::string_view bytes) {
  TensorSlice::Extent extent;
  for (Fields fields(bytes, "TensorSliceProto.Extent"); fields.next();) {
    switch (fields.number()) {
      case 1:
        extent.start = fields.int64();
        break;
      case 2:
        extent.length = fields.int64();
        break;
      default:
        fields.skip();
    }
  }
  return extent;
}

std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  for (std::size_t begin = 0; begin <= text.size();) {
    const std::size_t end = std::min(text.find(separator, begin), text.size());
    parts.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return parts;
}

std::int64_t parse_size(std::string_view text, std::string_view spec) {
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size() || value < 0) {
    fail(ErrorCode::kInvalidModel, "slice \"{}\": \"{}\" is no size", spec, text);
  }
  return value;
}

TensorSlice::Extent parse_extent(std::string_view text, std::string_view spec) {
  if (text == "-") return {};
  const std::size_t comma = text.find(',');
  if (comma == std::string_view::npos) fail(ErrorCode::kInvalidModel, "slice \"{}\": \"{}\" has no comma", spec, text);
  return {parse_size(text.substr(0, comma), spec), parse_size(text.substr(comma + 1), spec)};
}

// One dimension of two overlapping boxes.
struct Overlap {
  std::int64_t count = 0;
  std::int64_t from_start = 0;
  std::int64_t to_start = 0;
};

Overlap overlap(const TensorSlice::Extent& from, const TensorSlice::Extent& to) {
  const std::int64_t begin = std::max(from.start, to.start);
  const std::int64_t end = std::min(from.start + from.length, to.start + to.length);
  return {std::max<std::int64_t>(end - begin, 0), begin - from.start, begin - to.start};
}

void copy_run(const Tensor& from, std::int64_t from_index, Tensor& to, std::int64_t to_index, std::int64_t count) {
  if (from.dtype() == DataType::kString) {
    std::copy_n(from.flat<std::string>().data() + from_index, count, to.flat<std::string>().data() + to_index);
    return;
  }
  const std::size_t size = dtype_size(from.dtype());
  std::memcpy(static_cast<char*>(to.data()) + static_cast<std::size_t>(to_index) * size,
              static_cast<const char*>(from.data()) + static_cast<std::size_t>(from_index) * size,
              static_cast<std::size_t>(count) * size);
}

std::int64_t copy_dimension(const Tensor& from, Tensor& to, const std::vector<Overlap>& overlaps, std::size_t axis,
                            std::int64_t from_index, std::int64_t to_index) {
  const Overlap& here = overlaps[axis];
  from_index = from_index * from.dim(static_cast<int>(axis)) + here.from_start;
  to_index = to_index * to.dim(static_cast<int>(axis)) + here.to_start;
  if (axis + 1 == overlaps.size()) {
    copy_run(from, from_index, to, to_index, here.count);
    return here.count;
  }
  std::int64_t copied = 0;
  for (std::int64_t i = 0; i < here.count; ++i) {
    copied += copy_dimension(from, to, overlaps, axis + 1, from_index + i, to_index + i);
  }
  return copied;
}

}  // namespace

std::string encode_slice_key(std::string_view key, const TensorSlice& slice) {
  std::string encoded;
  append_number(encoded, 0);
  append_text(encoded, key);
  append_number(encoded, slice.extents.size());
  for (const TensorSlice::Extent& extent : slice.extents) {
    append_signed(encoded, extent.start);
    append_signed(encoded, extent.length);
  }
  return encoded;
}

bool is_slice_key(std::string_view key) noexcept { return key.starts_with('\0'); }

TensorSlice decode_slice(std::string_view bytes) {
  TensorSlice slice;
  for (Fields fields(bytes, "TensorSliceProto"); fields.next();) {
    if (fields.number() == 1) {
      slice.extents.push_back(decode_extent(fields.bytes()));
    } else {
      fields.skip();
    }
  }
  return slice;
}

std::string encode_slice(const TensorSlice& slice) {
  std::string bytes;
  protozero::pbf_writer writer(bytes);
  for (const TensorSlice::Extent& extent : slice.extents) {
    std::string bytes_of_extent;  // a nested writer would leave an empty one out
    protozero::pbf_writer message(bytes_of_extent);
    if (extent.start != 0) message.add_int64(1, extent.start);
    if (extent.length >= 0) message.add_int64(2, extent.length);
    writer.add_message(1, bytes_of_extent);
  }
  return bytes;
}

TensorSlice resolve(const TensorSlice& slice, const Shape& full, std::string_view who) {
  bool valid = slice.extents.size() == static_cast<std::size_t>(full.rank());
  TensorSlice resolved = slice;
  for (int axis = 0; valid && axis < full.rank(); ++axis) {
    TensorSlice::Extent& extent = resolved.extents[static_cast<std::size_t>(axis)];
    if (extent.length < 0) extent = {0, full[axis]};
    valid = extent.start >= 0 && extent.length <= full[axis] && extent.start <= full[axis] - extent.length;
  }
  if (!valid) fail(ErrorCode::kInvalidModel, "{}: a slice does not lie in a tensor of shape {}", who, full.to_string());
  return resolved;
}

Shape slice_shape(const TensorSlice& resolved) {
  Shape shape;
  for (const TensorSlice::Extent& extent : resolved.extents) shape.push_back(extent.length);
  return shape;
}

SliceSpec parse_slice_spec(std::string_view spec) {
  SliceSpec result;
  const std::vector<std::string_view> words = split(spec, ' ');
  for (std::size_t i = 0; i + 1 < words.size(); ++i) result.full.push_back(parse_size(words[i], spec));
  if (!words.back().empty()) {
    for (std::string_view extent : split(words.back(), ':')) result.slice.extents.push_back(parse_extent(extent, spec));
  }
  result.slice = resolve(result.slice, result.full, spec);
  return result;
}

std::int64_t copy_overlap(const Tensor& from, const TensorSlice& from_box, Tensor& to, const TensorSlice& to_box) {
  std::vector<Overlap> overlaps;
  for (std::size_t axis = 0; axis < to_box.extents.size(); ++axis) {
    overlaps.push_back(overlap(from_box.extents[axis], to_box.extents[axis]));
    if (overlaps.back().count == 0) return 0;
  }
  if (overlaps.empty()) {
    copy_run(from, 0, to, 0, 1);
    return 1;
  }
  return copy_dimension(from, to, overlaps, 0, 0, 0);
}

}  // namespace tenon::saved
