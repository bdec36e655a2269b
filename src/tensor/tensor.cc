#include "tenon/tensor.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <new>

#include "base/error.h"

namespace tenon {
namespace {

constexpr std::size_t kAlignment = 64;
// Rank above which TensorFlow itself refuses a tensor.
constexpr int kMaxRank = 254;

std::int64_t checked_element_count(DataType dtype, const Shape& shape) {
  if (shape.rank() > kMaxRank) {
    fail(ErrorCode::kInvalidArgument, "a tensor of rank {} was asked for, at most {} is possible", shape.rank(), kMaxRank);
  }
  std::int64_t count = 1;
  bool empty = false;
  const auto element = static_cast<std::int64_t>(dtype_size(dtype));
  for (std::int64_t dim : shape) {
    if (dim < 0) fail(ErrorCode::kInvalidArgument, "shape {} has a negative size", shape.to_string());
    if (dim == 0) {
      empty = true;
    } else if (__builtin_mul_overflow(count, dim, &count)) {
      fail(ErrorCode::kInvalidArgument, "shape {} has more elements than can be counted", shape.to_string());
    }
  }
  if (empty) return 0;
  std::int64_t bytes = 0;
  if (__builtin_mul_overflow(count, element, &bytes) || bytes > (std::int64_t{1} << 46)) {
    fail(ErrorCode::kInvalidArgument, "a tensor {}{} does not fit in memory", dtype_name(dtype), shape.to_string());
  }
  return count;
}

template <class T>
std::shared_ptr<const void> make_objects(std::int64_t count, void** data) {
  auto objects = std::make_shared<std::vector<T>>(static_cast<std::size_t>(count));
  *data = objects->data();
  return objects;
}

std::shared_ptr<const void> allocate(DataType dtype, std::int64_t count, void** data) {
  if (dtype == DataType::kString) return make_objects<std::string>(count, data);
  if (dtype == DataType::kResource || dtype == DataType::kVariant) return make_objects<ObjectPtr>(count, data);
  const std::size_t bytes = static_cast<std::size_t>(count) * dtype_size(dtype);
  const std::size_t rounded = (bytes + kAlignment - 1) / kAlignment * kAlignment;
  void* memory = std::aligned_alloc(kAlignment, rounded ? rounded : kAlignment);
  if (memory == nullptr) throw std::bad_alloc();
  *data = memory;
  return {memory, [](const void* p) { std::free(const_cast<void*>(p)); }};
}

}  // namespace

std::int64_t Shape::num_elements() const noexcept {
  if (std::find(dims_.begin(), dims_.end(), 0) != dims_.end()) return 0;  // whatever the other sizes are
  std::int64_t count = 1;
  for (std::int64_t dim : dims_) {
    if (__builtin_mul_overflow(count, dim, &count)) return std::numeric_limits<std::int64_t>::max();
  }
  return count;
}

std::string Shape::to_string() const { return fmt::format("[{}]", fmt::join(dims_, ",")); }

Tensor::Tensor(DataType dtype, Shape shape) : dtype_(dtype), owned_(true), shape_(std::move(shape)) {
  if (dtype_size(dtype) == 0) {
    fail(ErrorCode::kInvalidArgument, "a tensor of dtype number {} cannot be made", static_cast<int>(dtype));
  }
  num_elements_ = checked_element_count(dtype, shape_);
  try {
    buffer_ = allocate(dtype, num_elements_, &data_);
  } catch (const std::bad_alloc&) {
    fail(ErrorCode::kOutOfMemory, "no memory for a tensor {} of {} bytes", describe(), byte_size());
  }
}

Tensor Tensor::borrow(DataType dtype, Shape shape, void* data, std::shared_ptr<const void> owner) {
  Tensor result;
  result.dtype_ = dtype;
  result.num_elements_ = checked_element_count(dtype, shape);
  result.shape_ = std::move(shape);
  result.buffer_ = std::move(owner);
  result.data_ = data;
  return result;
}

Tensor Tensor::reshaped(Shape shape) const {
  if (checked_element_count(dtype_, shape) != num_elements_) {
    fail(ErrorCode::kInvalidArgument, "{} cannot be reshaped to {}", describe(), shape.to_string());
  }
  Tensor result = *this;
  result.shape_ = std::move(shape);
  return result;
}

Tensor Tensor::rows(std::int64_t start, std::int64_t count) const {
  TENON_CHECK(rank() > 0 && start >= 0 && count >= 0 && start + count <= dim(0));
  Tensor result = *this;
  const std::int64_t row_elements = dim(0) == 0 ? 0 : num_elements_ / dim(0);
  result.shape_[0] = count;
  result.num_elements_ = count * row_elements;
  result.data_ = static_cast<char*>(data_) + static_cast<std::size_t>(start * row_elements) * dtype_size(dtype_);
  return result;
}

Tensor Tensor::clone() const {
  if (!valid()) return {};
  Tensor result(dtype_, shape_);
  if (dtype_ == DataType::kString) {
    std::copy_n(static_cast<const std::string*>(data_), num_elements_, static_cast<std::string*>(result.data_));
  } else if (dtype_ == DataType::kResource || dtype_ == DataType::kVariant) {
    std::copy_n(static_cast<const ObjectPtr*>(data_), num_elements_, static_cast<ObjectPtr*>(result.data_));
  } else if (byte_size() != 0) {
    std::memcpy(result.data_, data_, byte_size());
  }
  return result;
}

std::string Tensor::describe() const {
  return valid() ? fmt::format("{}{}", dtype_name(dtype_), shape_.to_string()) : "no tensor";
}

void Tensor::check_type(bool matches, const char* wanted) const {
  if (!matches) fail(ErrorCode::kInternal, "elements of {} were read as {}; please report it", describe(), wanted);
}

}  // namespace tenon
