#include "tenon/npy.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <utf8.h>

#include <cstring>
#include <iterator>
#include <optional>

#include "base/error.h"
#include "base/file.h"

namespace tenon {
namespace {

constexpr std::string_view kMagic("\x93NUMPY", 6);

struct Header {
  std::string descr;
  bool fortran_order = false;
  std::vector<std::int64_t> shape;
};

// Reads the header, a Python dictionary literal with the keys descr, fortran_order and shape.
class HeaderParser {
 public:
  HeaderParser(std::string_view text, std::string_view file) : text_(text), file_(file) {}

  Header parse() {
    Header header;
    bool seen[3] = {};
    expect('{');
    while (!accept('}')) {
      const std::string key = quoted();
      expect(':');
      if (key == "descr") {
        if (peek() == '[') refuse("is a structured array; save plain arrays");
        header.descr = quoted();
        seen[0] = true;
      } else if (key == "fortran_order") {
        header.fortran_order = boolean();
        seen[1] = true;
      } else if (key == "shape") {
        header.shape = tuple();
        seen[2] = true;
      } else {
        refuse("has an unknown header key");
      }
      if (!accept(',') && peek() != '}') refuse("has a malformed header");
    }
    if (!seen[0] || !seen[1] || !seen[2]) refuse("lacks descr, fortran_order or shape in its header");
    return header;
  }

 private:
  [[noreturn]] void refuse(const char* what) const { fail(ErrorCode::kInvalidArgument, "{}: {}", file_, what); }

  char peek() {
    while (position_ < text_.size() && (text_[position_] == ' ' || text_[position_] == '\n')) ++position_;
    return position_ < text_.size() ? text_[position_] : '\0';
  }
  bool accept(char c) {
    if (peek() != c) return false;
    ++position_;
    return true;
  }
  void expect(char c) {
    if (!accept(c)) refuse("has a malformed header");
  }
  std::string quoted() {
    const char quote = peek();
    if (quote != '\'' && quote != '"') refuse("has a malformed header");
    const std::size_t end = text_.find(quote, ++position_);
    if (end == std::string_view::npos) refuse("has a malformed header");
    std::string value(text_.substr(position_, end - position_));
    position_ = end + 1;
    return value;
  }
  bool boolean() {
    peek();
    for (const bool value : {true, false}) {
      const std::string_view word = value ? "True" : "False";
      if (text_.substr(position_, word.size()) == word) {
        position_ += word.size();
        return value;
      }
    }
    refuse("has a malformed header");
  }
  std::vector<std::int64_t> tuple() {
    std::vector<std::int64_t> values;
    expect('(');
    while (!accept(')')) {
      values.push_back(number());
      if (!accept(',') && peek() != ')') refuse("has a malformed header");
    }
    return values;
  }
  std::int64_t number() {
    std::int64_t value = 0;
    if (peek() < '0' || peek() > '9') refuse("has a malformed shape");
    while (position_ < text_.size() && text_[position_] >= '0' && text_[position_] <= '9') {
      if (value > (std::int64_t{1} << 50)) refuse("has a shape that is too large");
      value = value * 10 + (text_[position_++] - '0');
    }
    if (position_ < text_.size() && text_[position_] == 'L') ++position_;  // Python 2
    return value;
  }

  std::string_view text_;
  std::string_view file_;
  std::size_t position_ = 0;
};

struct ElementType {
  DataType dtype = DataType::kInvalid;
  std::size_t size = 0;       // bytes of one element in the file
  std::size_t swap_unit = 0;  // bytes that are reversed as one when the order is foreign; 0: none
  bool unicode = false;
};

DataType plain_dtype(char kind, std::size_t size) {
  switch (kind) {
    case 'b':
      return size == 1 ? DataType::kBool : DataType::kInvalid;
    case 'i':
      return size == 1   ? DataType::kInt8
             : size == 2 ? DataType::kInt16
             : size == 4 ? DataType::kInt32
             : size == 8 ? DataType::kInt64
                         : DataType::kInvalid;
    case 'u':
      return size == 1   ? DataType::kUInt8
             : size == 2 ? DataType::kUInt16
             : size == 4 ? DataType::kUInt32
             : size == 8 ? DataType::kUInt64
                         : DataType::kInvalid;
    case 'f':
      return size == 2   ? DataType::kFloat16
             : size == 4 ? DataType::kFloat32
             : size == 8 ? DataType::kFloat64
                         : DataType::kInvalid;
    case 'c':
      return size == 8 ? DataType::kComplex64 : size == 16 ? DataType::kComplex128 : DataType::kInvalid;
    case 'V':
      return size == 2 ? DataType::kBFloat16 : DataType::kInvalid;
    default:
      return DataType::kInvalid;
  }
}

ElementType element_type(std::string_view descr, std::string_view file) {
  if (descr == "|O" || descr == "O") {
    fail(ErrorCode::kInvalidArgument, "{}: holds pickled Python objects, which are not read; save an array of numbers or strings",
         file);
  }
  bool swapped = false;
  std::string_view rest = descr;
  if (!rest.empty() && (rest[0] == '<' || rest[0] == '>' || rest[0] == '|' || rest[0] == '=')) {
    swapped = rest[0] == '>';
    rest.remove_prefix(1);
  }
  std::size_t size = 0;
  const bool digits = rest.size() >= 2 && rest.size() <= 10 && rest.find_first_not_of("0123456789", 1) == std::string_view::npos;
  if (digits) size = std::stoull(std::string(rest.substr(1)));
  ElementType type;
  if (digits && rest[0] == 'S') {
    type = {DataType::kString, size, 0, false};
  } else if (digits && rest[0] == 'U') {
    type = {DataType::kString, size * 4, 4, true};
  } else if (digits) {
    type = {plain_dtype(rest[0], size), size, rest[0] == 'c' ? size / 2 : size, false};
  }
  if (type.dtype == DataType::kInvalid) fail(ErrorCode::kInvalidArgument, "{}: element type \"{}\" is not supported", file, descr);
  if (!swapped || type.swap_unit < 2) type.swap_unit = 0;
  return type;
}

std::string swap_bytes(std::string_view data, std::size_t unit) {
  std::string swapped(data);
  for (std::size_t i = 0; i + unit <= swapped.size(); i += unit) std::reverse(swapped.begin() + i, swapped.begin() + i + unit);
  return swapped;
}

std::string text_element(std::string_view bytes, bool unicode, std::string_view file) {
  if (!unicode) {
    const std::size_t end = bytes.find_last_not_of('\0');
    return std::string(bytes.substr(0, end == std::string_view::npos ? 0 : end + 1));
  }
  std::u32string points(bytes.size() / 4, U'\0');
  std::memcpy(points.data(), bytes.data(), bytes.size());
  while (!points.empty() && points.back() == U'\0') points.pop_back();
  std::string text;
  try {
    for (const char32_t point : points) utf8::append(point, std::back_inserter(text));
  } catch (const utf8::exception&) {
    fail(ErrorCode::kInvalidArgument, "{}: a string holds an invalid code point", file);
  }
  return text;
}

// Calls place(i, offset): element i in row-major order lies at element `offset` of a column-major array.
template <class Place>
void walk_column_major(const std::vector<std::int64_t>& shape, std::int64_t count, Place&& place) {
  std::vector<std::int64_t> index(shape.size(), 0), stride(shape.size(), 1);
  for (std::size_t d = 1; d < shape.size(); ++d) stride[d] = stride[d - 1] * shape[d - 1];
  std::int64_t offset = 0;
  for (std::int64_t i = 0; i < count; ++i) {
    place(i, offset);
    for (std::size_t d = shape.size(); d-- > 0;) {
      offset += stride[d];
      if (++index[d] < shape[d]) break;
      offset -= stride[d] * shape[d];
      index[d] = 0;
    }
  }
}

Tensor make_tensor(const Header& header, const ElementType& type, std::string_view data, std::string_view file) {
  std::int64_t count = 1;
  bool empty = false;
  for (const std::int64_t dim : header.shape) {
    empty |= dim == 0;
    if (dim != 0 && __builtin_mul_overflow(count, dim, &count)) {
      fail(ErrorCode::kInvalidArgument, "{}: its shape is too large", file);
    }
  }
  if (empty) count = 0;
  // An element of no bytes ("S0") still takes room in memory, so its number is bounded like that of one-byte elements.
  const std::size_t least = std::max<std::size_t>(type.size, 1);
  if (static_cast<std::uint64_t>(count) > (data.size() + (type.size == 0 ? 1u << 16 : 0u)) / least) {
    fail(ErrorCode::kInvalidArgument, "{}: {} elements of {} bytes are declared, {} bytes follow; the file is cut short", file, count,
         type.size, data.size());
  }
  data = data.substr(0, static_cast<std::size_t>(count) * type.size);
  std::string swapped;
  if (type.swap_unit != 0) data = swapped = swap_bytes(data, type.swap_unit);
  Tensor tensor(type.dtype, Shape(header.shape));
  const bool text = type.dtype == DataType::kString;
  char* out = static_cast<char*>(tensor.data());
  const auto place = [&](std::int64_t i, std::int64_t offset) {
    const std::string_view element = data.substr(static_cast<std::size_t>(offset) * type.size, type.size);
    if (text) {
      tensor.flat<std::string>()[static_cast<std::size_t>(i)] = text_element(element, type.unicode, file);
    } else {
      std::memcpy(out + static_cast<std::size_t>(i) * type.size, element.data(), type.size);
    }
  };
  if (header.fortran_order && header.shape.size() > 1) {
    walk_column_major(header.shape, count, place);
  } else if (text) {
    for (std::int64_t i = 0; i < count; ++i) place(i, i);
  } else if (!data.empty()) {
    std::memcpy(out, data.data(), data.size());
  }
  if (type.dtype == DataType::kBool) {
    for (std::int64_t i = 0; i < count; ++i) out[i] = out[i] != 0;
  }
  return tensor;
}

std::string descr_of(const Tensor& tensor, std::size_t string_size) {
  switch (storage_dtype(tensor.dtype())) {
    case DataType::kBool:
      return "|b1";
    case DataType::kInt8:
      return "|i1";
    case DataType::kUInt8:
      return "|u1";
    case DataType::kInt16:
      return "<i2";
    case DataType::kUInt16:
      return "<u2";
    case DataType::kInt32:
      return "<i4";
    case DataType::kUInt32:
      return "<u4";
    case DataType::kInt64:
      return "<i8";
    case DataType::kUInt64:
      return "<u8";
    case DataType::kFloat16:
      return "<f2";
    case DataType::kBFloat16:
      return "<V2";
    case DataType::kFloat32:
      return "<f4";
    case DataType::kFloat64:
      return "<f8";
    case DataType::kComplex64:
      return "<c8";
    case DataType::kComplex128:
      return "<c16";
    case DataType::kString:
      return fmt::format("|S{}", string_size);
    default:
      fail(ErrorCode::kUnsupported, "npy: a tensor {} cannot be written", tensor.describe());
  }
}

}  // namespace

Tensor parse_npy(std::string_view bytes, std::string_view name) {
  if (bytes.size() < 10 || bytes.substr(0, kMagic.size()) != kMagic) {
    fail(ErrorCode::kInvalidArgument, "{}: is not an .npy file", name);
  }
  const int major = static_cast<unsigned char>(bytes[6]);
  if (major < 1 || major > 3) fail(ErrorCode::kInvalidArgument, "{}: has .npy version {}, known are 1 to 3", name, major);
  const std::size_t start = major == 1 ? 10 : 12;
  std::size_t length = 0;
  for (std::size_t i = 8; i < start && i < bytes.size(); ++i) {
    length |= static_cast<std::size_t>(static_cast<unsigned char>(bytes[i])) << (8 * (i - 8));
  }
  if (bytes.size() < start || length > bytes.size() - start) fail(ErrorCode::kInvalidArgument, "{}: its header is cut short", name);
  const Header header = HeaderParser(bytes.substr(start, length), name).parse();
  return make_tensor(header, element_type(header.descr, name), bytes.substr(start + length), name);
}

Tensor read_npy(const std::filesystem::path& path) { return parse_npy(MappedFile::open(path)->bytes(), path.string()); }

std::string format_npy(const Tensor& tensor) {
  std::size_t string_size = 1;
  const bool text = tensor.dtype() == DataType::kString;
  if (text) {
    for (const std::string& s : tensor.flat<std::string>()) string_size = std::max(string_size, s.size());
  }
  std::string header = fmt::format("{{'descr': '{}', 'fortran_order': False, 'shape': ({}{}), }}", descr_of(tensor, string_size),
                                   fmt::join(tensor.shape().dims(), ", "), tensor.rank() == 1 ? "," : "");
  const std::size_t prefix = 12;
  header.append(64 - (prefix + header.size() + 1) % 64, ' ');
  header += '\n';
  std::string bytes(kMagic);
  bytes += std::string("\x02\x00", 2);
  const auto length = static_cast<std::uint32_t>(header.size());
  for (int i = 0; i < 4; ++i) bytes += static_cast<char>(length >> (8 * i) & 0xff);
  bytes += header;
  if (text) {
    for (const std::string& s : tensor.flat<std::string>()) bytes.append(s).append(string_size - s.size(), '\0');
  } else {
    bytes.append(static_cast<const char*>(tensor.data()), tensor.byte_size());
  }
  return bytes;
}

void write_npy(const std::filesystem::path& path, const Tensor& tensor) { write_whole_file(path, format_npy(tensor)); }

}  // namespace tenon
