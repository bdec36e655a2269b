#include "npy.h"

#include <algorithm>
#include <charconv>
#include <cstring>
#include <string_view>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "tensorflow/core/framework/tensor_shape.h"
#include "tensorflow/core/platform/env.h"

namespace {

using tensorflow::DataType;
using tensorflow::Tensor;
using tensorflow::TensorShape;

constexpr std::string_view kMagic("\x93NUMPY", 6);
constexpr std::pair<DataType, const char*> kTypes[] = {
    {tensorflow::DT_FLOAT, "<f4"},     {tensorflow::DT_DOUBLE, "<f8"},      {tensorflow::DT_HALF, "<f2"},
    {tensorflow::DT_INT8, "|i1"},      {tensorflow::DT_INT16, "<i2"},       {tensorflow::DT_INT32, "<i4"},
    {tensorflow::DT_INT64, "<i8"},     {tensorflow::DT_UINT8, "|u1"},       {tensorflow::DT_UINT16, "<u2"},
    {tensorflow::DT_UINT32, "<u4"},    {tensorflow::DT_UINT64, "<u8"},      {tensorflow::DT_BOOL, "|b1"},
    {tensorflow::DT_COMPLEX64, "<c8"}, {tensorflow::DT_COMPLEX128, "<c16"}, {tensorflow::DT_BFLOAT16, "<V2"},
};

absl::Status malformed(const std::string& path, std::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat(path, ": ", what));
}

// What stands after "'key':" in the header, without spaces before it.
std::string_view field(std::string_view header, std::string_view key) {
  const std::size_t found = header.find(absl::StrCat("'", key, "':"));
  if (found == std::string_view::npos) return {};
  return absl::StripLeadingAsciiWhitespace(header.substr(found + key.size() + 3));
}

// "(2, 3)" -> shape.
bool parse_shape(std::string_view text, TensorShape& shape) {
  const std::size_t end = text.find(')');
  if (text.empty() || text.front() != '(' || end == std::string_view::npos) return false;
  for (std::string_view part : absl::StrSplit(text.substr(1, end - 1), ',', absl::SkipWhitespace())) {
    part = absl::StripAsciiWhitespace(part);
    std::int64_t size = -1;
    const auto [rest, error] = std::from_chars(part.data(), part.data() + part.size(), size);
    if (error != std::errc() || rest != part.data() + part.size()) return false;
    if (!shape.AddDimWithStatus(size).ok()) return false;
  }
  return true;
}

absl::StatusOr<Tensor> texts(const std::string& path, std::string_view bytes, std::size_t width, const TensorShape& shape) {
  Tensor tensor(tensorflow::DT_STRING, shape);
  auto flat = tensor.flat<tensorflow::tstring>();
  if (bytes.size() / std::max<std::size_t>(width, 1) < static_cast<std::size_t>(flat.size())) {
    return malformed(path, "the file ends too early");
  }
  for (Eigen::Index i = 0; i < flat.size(); ++i) {
    std::string_view text = bytes.substr(static_cast<std::size_t>(i) * width, width);
    text = text.substr(0, text.find_last_not_of('\0') + 1);
    flat(i).assign(text.data(), text.size());
  }
  return tensor;
}

absl::StatusOr<Tensor> parse(const std::string& path, std::string_view bytes) {
  if (bytes.size() < 12 || bytes.substr(0, 6) != kMagic) return malformed(path, "this is no .npy file");
  const auto byte = [&](std::size_t i) { return static_cast<std::size_t>(static_cast<unsigned char>(bytes[i])); };
  const bool wide = byte(6) > 1;
  const std::size_t start = wide ? 12 : 10;
  const std::size_t size = byte(8) + (byte(9) << 8) + (wide ? (byte(10) << 16) + (byte(11) << 24) : 0);
  if (bytes.size() < start + size) return malformed(path, "the file ends too early");
  const std::string_view header = bytes.substr(start, size);
  const std::string_view data = bytes.substr(start + size);
  TensorShape shape;
  if (!parse_shape(field(header, "shape"), shape)) return malformed(path, "its header has no good shape");
  if (shape.dims() > 1 && field(header, "fortran_order").substr(0, 4) == "True") {
    return malformed(path, "its order is Fortran's; save numpy.ascontiguousarray(array)");
  }
  std::string_view type = field(header, "descr");
  if (type.size() < 2 || type.front() != '\'') return malformed(path, "its type is not supported");
  type = type.substr(1, type.find('\'', 1) - 1);
  if (type.substr(0, 2) == "|S") {
    std::size_t width = 0;
    std::from_chars(type.data() + 2, type.data() + type.size(), width);
    return texts(path, data, width, shape);
  }
  for (const auto& [dtype, name] : kTypes) {
    if (type != name && !(dtype == tensorflow::DT_BFLOAT16 && type == "|V2")) continue;
    const std::size_t width = static_cast<std::size_t>(tensorflow::DataTypeSize(dtype));
    if (data.size() / width < static_cast<std::size_t>(shape.num_elements()))
      return malformed(path, "the file ends too early");
    Tensor tensor(dtype, shape);
    if (tensor.TotalBytes() != 0) std::memcpy(tensor.data(), data.data(), tensor.TotalBytes());
    return tensor;
  }
  return malformed(path, absl::StrCat("its type ", type, " is not supported"));
}

// The type's name, and the bytes that follow the header.
std::pair<std::string, std::string> format(const Tensor& tensor) {
  if (tensor.dtype() != tensorflow::DT_STRING) {
    for (const auto& [dtype, name] : kTypes) {
      if (dtype == tensor.dtype()) return {name, std::string(static_cast<const char*>(tensor.data()), tensor.TotalBytes())};
    }
    return {};
  }
  const auto flat = tensor.flat<tensorflow::tstring>();
  std::size_t width = 1;
  for (Eigen::Index i = 0; i < flat.size(); ++i) width = std::max(width, flat(i).size());
  std::string bytes(static_cast<std::size_t>(flat.size()) * width, '\0');
  for (Eigen::Index i = 0; i < flat.size(); ++i) {
    std::copy_n(flat(i).data(), flat(i).size(), bytes.data() + static_cast<std::size_t>(i) * width);
  }
  return {absl::StrCat("|S", width), std::move(bytes)};
}

}  // namespace

absl::StatusOr<Tensor> read_npy(const std::string& path) {
  std::string bytes;
  if (const absl::Status status = tensorflow::ReadFileToString(tensorflow::Env::Default(), path, &bytes); !status.ok())
    return status;
  return parse(path, bytes);
}

absl::Status write_npy(const std::string& path, const Tensor& tensor) {
  const auto [type, data] = format(tensor);
  if (type.empty())
    return malformed(path, absl::StrCat("NumPy has no type for ", tensorflow::DataTypeString(tensor.dtype())));
  std::string header = absl::StrCat("{'descr': '", type, "', 'fortran_order': False, 'shape': (");
  for (int axis = 0; axis < tensor.dims(); ++axis) absl::StrAppend(&header, tensor.dim_size(axis), ", ");
  header += "), }";
  header.resize((10 + header.size() + 1 + 63) / 64 * 64 - 10 - 1, ' ');  // data begins at a multiple of 64
  header += '\n';
  std::string bytes(kMagic);
  bytes += '\1';
  bytes += '\0';
  bytes += static_cast<char>(header.size() & 0xff);
  bytes += static_cast<char>(header.size() >> 8);
  return tensorflow::WriteStringToFile(tensorflow::Env::Default(), path, absl::StrCat(bytes, header, data));
}
