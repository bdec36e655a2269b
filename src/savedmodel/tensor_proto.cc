#include "savedmodel/tensor_proto.h"

#include <algorithm>
#include <cstring>
#include <protozero/pbf_writer.hpp>

#include "base/error.h"
#include "savedmodel/decode.h"
#include "savedmodel/node_view.h"
#include "savedmodel/wire.h"

namespace tenon::saved {
namespace {

constexpr std::string_view kWho = "TensorProto";
// The highest that TensorFlow takes.
constexpr int kMaxRank = 254;
// Below this a copy is cheaper than keeping the file's page warm.
constexpr std::size_t kBorrowBytes = 1024;
// A tensor may be written as a few values of which the last one repeats. Such a tensor may become this large, in bytes.
constexpr std::int64_t kMaxSplatBytes = std::int64_t{1} << 31;

struct Header {
  DataType dtype = DataType::kInvalid;
  Shape shape;
  std::string_view content;
};

Header read_header(std::string_view proto) {
  Header header;
  PartialShape shape{.known_rank = true, .dims = {}};
  for (Fields fields(proto, "TensorProto"); fields.next();) {
    switch (fields.number()) {
      case 1:
        header.dtype = fields.dtype();
        break;
      case 2:
        shape = decode_shape(fields.bytes());
        break;
      case 4:
        header.content = fields.bytes();
        break;
      default:
        fields.skip();
    }
  }
  const bool complete = std::all_of(shape.dims.begin(), shape.dims.end(), [](std::int64_t dim) { return dim >= 0; });
  if (!shape.known_rank || !complete) {
    fail(ErrorCode::kInvalidModel, "{}: its shape {} is not complete", kWho, shape.to_string());
  }
  header.shape = Shape(std::move(shape.dims));
  return header;
}

// The number of the repeated field that holds values of a dtype; 0 when there is none.
std::uint32_t value_field(DataType dtype) noexcept {
  switch (dtype) {
    case DataType::kFloat32:
      return 5;
    case DataType::kFloat64:
      return 6;
    case DataType::kString:
      return 8;
    case DataType::kComplex64:
      return 9;
    case DataType::kInt64:
      return 10;
    case DataType::kBool:
      return 11;
    case DataType::kComplex128:
      return 12;
    case DataType::kFloat16:
    case DataType::kBFloat16:
      return 13;
    case DataType::kUInt32:
      return 16;
    case DataType::kUInt64:
      return 17;
    case DataType::kFloat8E5M2:
    case DataType::kFloat8E4M3FN:
      return 18;
    default:
      return 7;  // every smaller integer
  }
}

// Writes values one after the other, ignoring more than there is room for; then repeats the last one.
template <class T>
class Filler {
 public:
  explicit Filler(std::span<T> target) : target_(target) {}
  void put(T value) {
    if (count_ < target_.size()) target_[count_++] = std::move(value);
  }
  void finish() {
    const T last = count_ == 0 ? T{} : target_[count_ - 1];
    std::fill(target_.begin() + static_cast<std::ptrdiff_t>(count_), target_.end(), last);
  }

 private:
  std::span<T> target_;
  std::size_t count_ = 0;
};

template <class T>
T from_bits(std::uint64_t bits) {
  if constexpr (std::is_same_v<T, Half> || std::is_same_v<T, BFloat16>) {
    T value;
    value.bits = static_cast<std::uint16_t>(bits);
    return value;
  } else {
    return static_cast<T>(bits);
  }
}

template <class T>
void fill_integers(std::string_view proto, Tensor& result) {
  Filler<T> filler({static_cast<T*>(result.data()), static_cast<std::size_t>(result.num_elements())});
  const std::uint32_t wanted = value_field(result.dtype());
  for (Fields fields(proto, "TensorProto"); fields.next();) {
    if (fields.number() == wanted) {
      fields.each_varint([&](std::uint64_t bits) { filler.put(from_bits<T>(bits)); });
    } else {
      fields.skip();
    }
  }
  filler.finish();
}

void fill_bytes(std::string_view proto, Tensor& result) {
  Filler<std::uint8_t> filler(result.flat<std::uint8_t>());
  for (Fields fields(proto, "TensorProto"); fields.next();) {
    if (fields.number() == value_field(result.dtype())) {
      for (char byte : fields.bytes()) filler.put(static_cast<std::uint8_t>(byte));
    } else {
      fields.skip();
    }
  }
  filler.finish();
}

void fill_strings(std::string_view proto, Tensor& result) {
  Filler<std::string> filler(result.flat<std::string>());
  for (Fields fields(proto, "TensorProto"); fields.next();) {
    if (fields.number() == value_field(DataType::kString)) {
      filler.put(fields.string());
    } else {
      fields.skip();
    }
  }
  filler.finish();
}

// float, double and, with pairs of them, the complex types.
template <class Real, class T>
void fill_reals(std::string_view proto, Tensor& result) {
  Filler<T> filler(result.flat<T>());
  Real real{};
  bool have_real = false;
  const auto take = [&](Real value) {
    if constexpr (std::is_same_v<Real, T>) {
      filler.put(value);
    } else {
      if (have_real) filler.put(T(real, value));
      real = value;
      have_real = !have_real;
    }
  };
  for (Fields fields(proto, "TensorProto"); fields.next();) {
    if (fields.number() != value_field(result.dtype())) {
      fields.skip();
    } else if constexpr (std::is_same_v<Real, float>) {
      fields.each_float(take);
    } else {
      fields.each_double(take);
    }
  }
  filler.finish();
}

void fill_values(std::string_view proto, Tensor& result) {
  switch (storage_dtype(result.dtype())) {
    case DataType::kFloat32:
      return fill_reals<float, float>(proto, result);
    case DataType::kFloat64:
      return fill_reals<double, double>(proto, result);
    case DataType::kComplex64:
      return fill_reals<float, std::complex<float>>(proto, result);
    case DataType::kComplex128:
      return fill_reals<double, std::complex<double>>(proto, result);
    case DataType::kString:
      return fill_strings(proto, result);
    case DataType::kFloat16:
      return fill_integers<Half>(proto, result);
    case DataType::kBFloat16:
      return fill_integers<BFloat16>(proto, result);
    case DataType::kBool:
      return fill_integers<bool>(proto, result);
    case DataType::kInt8:
      return fill_integers<std::int8_t>(proto, result);
    case DataType::kUInt8:
      return value_field(result.dtype()) == 18 ? fill_bytes(proto, result) : fill_integers<std::uint8_t>(proto, result);
    case DataType::kInt16:
      return fill_integers<std::int16_t>(proto, result);
    case DataType::kUInt16:
      return fill_integers<std::uint16_t>(proto, result);
    case DataType::kInt32:
      return fill_integers<std::int32_t>(proto, result);
    case DataType::kUInt32:
      return fill_integers<std::uint32_t>(proto, result);
    case DataType::kInt64:
      return fill_integers<std::int64_t>(proto, result);
    case DataType::kUInt64:
      return fill_integers<std::uint64_t>(proto, result);
    default:
      fail(ErrorCode::kUnsupported, "{}: tensors of dtype {} cannot be read from a file", kWho, dtype_name(result.dtype()));
  }
}

// In tensor_content strings stand as all their lengths (varints), then all their bytes.
Tensor decode_string_content(const Shape& shape, std::string_view content) {
  const std::int64_t count = checked_elements(shape, kWho);
  if (count > static_cast<std::int64_t>(content.size())) {
    fail(ErrorCode::kInvalidModel, "{}: {} strings are said to be in {} bytes", kWho, count, content.size());
  }
  Tensor result(DataType::kString, shape);
  const char* position = content.data();
  const char* end = position + content.size();
  std::vector<std::uint64_t> lengths;
  try {
    for (std::int64_t i = 0; i < count; ++i) lengths.push_back(protozero::decode_varint(&position, end));
  } catch (const protozero::exception&) {
    fail(ErrorCode::kInvalidModel, "{}: the lengths of its strings are cut short", kWho);
  }
  std::string* strings = result.flat<std::string>().data();
  for (std::uint64_t length : lengths) {
    if (length > static_cast<std::uint64_t>(end - position)) {
      fail(ErrorCode::kInvalidModel, "{}: a string of {} bytes reaches past the end", kWho, length);
    }
    (strings++)->assign(position, length);
    position += length;
  }
  return result;
}

Tensor decode_content(const Header& header, std::int64_t elements, const std::shared_ptr<const void>& owner) {
  if (header.dtype == DataType::kString) return decode_string_content(header.shape, header.content);
  const std::size_t wanted = static_cast<std::size_t>(elements) * dtype_size(header.dtype);
  if (header.content.size() != wanted) {
    fail(ErrorCode::kInvalidModel, "{}: {}{} takes {} bytes, tensor_content has {}", kWho, dtype_name(header.dtype),
         header.shape.to_string(), wanted, header.content.size());
  }
  return view_or_copy(header.dtype, header.shape, header.content, owner);
}

void check_readable(DataType dtype) {
  if (dtype == DataType::kString || is_plain(dtype)) return;
  fail(ErrorCode::kUnsupported, "{}: tensors of dtype {} ({}) cannot be read from a file", kWho, dtype_name(dtype),
       static_cast<int>(dtype));
}

VariantValue decode_variant(std::string_view bytes, const Storage& storage) {
  VariantValue value;
  for (Fields fields(bytes, "VariantTensorDataProto"); fields.next();) {
    switch (fields.number()) {
      case 1:
        value.type_name = fields.string();
        break;
      case 2:
        value.metadata = fields.string();
        break;
      case 3:
        value.tensors.emplace_back(fields.bytes(), storage);
        break;
      default:
        fields.skip();
    }
  }
  return value;
}

}  // namespace

std::int64_t checked_elements(const Shape& shape, std::string_view who) {
  if (shape.rank() > kMaxRank)
    fail(ErrorCode::kInvalidModel, "{}: its rank {} is more than {}", who, shape.rank(), kMaxRank);
  std::int64_t count = 1;
  bool overflow = false;
  bool empty = false;
  for (std::int64_t dim : shape) {
    if (dim < 0) fail(ErrorCode::kInvalidModel, "{}: shape {} has a negative size", who, shape.to_string());
    if (dim == 0) empty = true;
    overflow = overflow || (dim != 0 && __builtin_mul_overflow(count, dim, &count));
  }
  if (overflow || count > (std::int64_t{1} << 46)) {
    fail(ErrorCode::kInvalidModel, "{}: shape {} has more elements than can be stored", who, shape.to_string());
  }
  return empty ? 0 : count;
}

bool is_plain(DataType dtype) noexcept {
  return dtype_size(dtype) != 0 && dtype != DataType::kString && dtype != DataType::kResource && dtype != DataType::kVariant;
}

Tensor view_or_copy(DataType dtype, const Shape& shape, std::string_view bytes, const std::shared_ptr<const void>& owner) {
  const std::size_t size = dtype_size(dtype);
  const std::size_t alignment = dtype == DataType::kComplex64 || dtype == DataType::kComplex128 ? size / 2 : size;
  const bool aligned = reinterpret_cast<std::uintptr_t>(bytes.data()) % alignment == 0;
  if (aligned && owner != nullptr && bytes.size() >= kBorrowBytes && dtype != DataType::kBool) {
    return Tensor::borrow(dtype, shape, const_cast<char*>(bytes.data()), owner);
  }
  Tensor result(dtype, shape);
  if (dtype == DataType::kBool) {  // a byte that is neither 0 nor 1 must not become a bool
    std::transform(bytes.begin(), bytes.end(), static_cast<char*>(result.data()), [](char byte) { return byte != 0; });
  } else if (!bytes.empty()) {
    std::memcpy(result.data(), bytes.data(), bytes.size());
  }
  return result;
}

std::string encode_shape(const std::vector<std::int64_t>& dims, bool known_rank) {
  std::string bytes;
  protozero::pbf_writer shape(bytes);
  if (!known_rank) shape.add_bool(3, true);
  for (std::int64_t dim : dims) {
    std::string message;  // a nested writer would leave an empty one out
    if (dim != 0) protozero::pbf_writer(message).add_int64(1, dim);
    shape.add_message(2, message);
  }
  return bytes;
}

DataType TensorValue::dtype() const { return read_header(proto_).dtype; }

Shape TensorValue::shape() const { return read_header(proto_).shape; }

Tensor TensorValue::decode() const {
  const Header header = read_header(proto_);
  check_readable(header.dtype);
  const std::int64_t elements = checked_elements(header.shape, kWho);
  if (!header.content.empty()) return decode_content(header, elements, owner_);
  if (elements > kMaxSplatBytes / static_cast<std::int64_t>(dtype_size(header.dtype)) &&
      elements > static_cast<std::int64_t>(proto_.size())) {
    fail(ErrorCode::kInvalidModel, "{}: {}{} is written in only {} bytes", kWho, dtype_name(header.dtype),
         header.shape.to_string(), proto_.size());
  }
  Tensor result(header.dtype, header.shape);
  fill_values(proto_, result);
  return result;
}

std::vector<VariantValue> TensorValue::decode_variants() const {
  std::vector<VariantValue> values;
  for (Fields fields(proto_, "TensorProto"); fields.next();) {
    if (fields.number() == 15) {
      values.push_back(decode_variant(fields.bytes(), owner_));
    } else {
      fields.skip();
    }
  }
  return values;
}

TensorValue TensorValue::encode(const Tensor& tensor) {
  check_readable(tensor.dtype());
  auto bytes = std::make_shared<std::string>();
  protozero::pbf_writer proto(*bytes);
  proto.add_enum(1, static_cast<int>(tensor.dtype()));
  proto.add_message(2, encode_shape(tensor.shape().dims()));
  if (tensor.dtype() == DataType::kString) {
    for (const std::string& value : tensor.flat<std::string>()) proto.add_bytes(8, value);
  } else if (tensor.byte_size() > 0) {
    proto.add_bytes(4, static_cast<const char*>(tensor.data()), tensor.byte_size());
  }
  return {*bytes, bytes};
}

}  // namespace tenon::saved
