// Element types, shapes and dense host tensors.
#pragma once

#include <algorithm>
#include <complex>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace tenon {

// Numbered as TensorFlow numbers its DataType.
enum class DataType : int {
  kInvalid = 0,
  kFloat32 = 1,
  kFloat64 = 2,
  kInt32 = 3,
  kUInt8 = 4,
  kInt16 = 5,
  kInt8 = 6,
  kString = 7,
  kComplex64 = 8,
  kInt64 = 9,
  kBool = 10,
  kQInt8 = 11,
  kQUInt8 = 12,
  kQInt32 = 13,
  kBFloat16 = 14,
  kQInt16 = 15,
  kQUInt16 = 16,
  kUInt16 = 17,
  kComplex128 = 18,
  kFloat16 = 19,
  kResource = 20,
  kVariant = 21,
  kUInt32 = 22,
  kUInt64 = 23,
  kFloat8E5M2 = 24,
  kFloat8E4M3FN = 25,
  kInt4 = 29,
  kUInt4 = 30,
};

// NumPy's name where there is one ("float32", "bool"), else TensorFlow's ("qint8", "resource").
std::string_view dtype_name(DataType dtype) noexcept;
// TensorFlow's enum name, such as "DT_FLOAT".
std::string_view dtype_enum_name(DataType dtype) noexcept;
// Inverse of dtype_name and dtype_enum_name; kInvalid when unknown.
DataType dtype_from_name(std::string_view name) noexcept;
// Bytes of one element as it lies in a Tensor: sizeof(std::string) for strings, sizeof(ObjectPtr) for resources and
// variants, 1 for 4-bit integers; 0 for kInvalid and unknown numbers.
std::size_t dtype_size(DataType dtype) noexcept;

// IEEE binary16 and bfloat16: storage with conversions; arithmetic is done in float (see base/float16.h).
struct Half {
  std::uint16_t bits = 0;
  Half() = default;
  explicit Half(float value) noexcept;
  operator float() const noexcept;
};
struct BFloat16 {
  std::uint16_t bits = 0;
  BFloat16() = default;
  explicit BFloat16(float value) noexcept;
  operator float() const noexcept;
};

// What an element of a resource or variant tensor points to: a variable, a table, a tensor list.
struct Object {
  virtual ~Object() = default;
};
using ObjectPtr = std::shared_ptr<Object>;

// The sizes of a dense tensor. Rank 0 is a scalar.
class Shape {
 public:
  Shape() = default;
  Shape(std::initializer_list<std::int64_t> dims) : dims_(dims) {}
  explicit Shape(std::vector<std::int64_t> dims) : dims_(std::move(dims)) {}

  int rank() const noexcept { return static_cast<int>(dims_.size()); }
  std::int64_t operator[](int axis) const noexcept { return dims_[static_cast<std::size_t>(axis)]; }
  std::int64_t& operator[](int axis) noexcept { return dims_[static_cast<std::size_t>(axis)]; }
  const std::vector<std::int64_t>& dims() const noexcept { return dims_; }
  // Product of the sizes. Sizes are checked when a Tensor is made, so this cannot overflow for a tensor's shape.
  std::int64_t num_elements() const noexcept;
  void push_back(std::int64_t dim) { dims_.push_back(dim); }
  auto begin() const noexcept { return dims_.begin(); }
  auto end() const noexcept { return dims_.end(); }
  std::string to_string() const;  // "[1,224,224,3]"
  bool operator==(const Shape&) const = default;

 private:
  std::vector<std::int64_t> dims_;
};

// A dense host tensor in row-major order. Copies share the buffer; a buffer is not written to once the tensor was handed on,
// unless the writer is its only owner. Thread-safe to read.
class Tensor {
 public:
  // No tensor: dtype() is kInvalid.
  Tensor() = default;
  // A new buffer, 64-byte aligned, its numbers uninitialised (strings empty, objects null).
  // Throws kInvalidArgument for negative or overflowing sizes, kOutOfMemory when memory is short.
  Tensor(DataType dtype, Shape shape);
  // Borrows `data`, which lives as long as `owner` does.
  static Tensor borrow(DataType dtype, Shape shape, void* data, std::shared_ptr<const void> owner);
  template <class T>
  static Tensor scalar(T value);
  template <class T>
  static Tensor vector(std::span<const T> values);

  bool valid() const noexcept { return dtype_ != DataType::kInvalid; }
  DataType dtype() const noexcept { return dtype_; }
  const Shape& shape() const noexcept { return shape_; }
  int rank() const noexcept { return shape_.rank(); }
  std::int64_t dim(int axis) const noexcept { return shape_[axis]; }
  std::int64_t num_elements() const noexcept { return num_elements_; }
  std::size_t byte_size() const noexcept { return static_cast<std::size_t>(num_elements_) * dtype_size(dtype_); }
  void* data() noexcept { return data_; }
  const void* data() const noexcept { return data_; }

  // The elements as T; throws kInternal when T does not store dtype().
  template <class T>
  std::span<T> flat();
  template <class T>
  std::span<const T> flat() const;

  // The same elements under another shape of as many elements; throws kInvalidArgument otherwise.
  Tensor reshaped(Shape shape) const;
  // Shares `count` rows from `start` along dimension 0.
  Tensor rows(std::int64_t start, std::int64_t count) const;
  // A copy of the buffer.
  Tensor clone() const;
  // True when nobody else holds the buffer, so that it may be overwritten.
  bool sole_owner() const noexcept { return owned_ && buffer_.use_count() == 1; }
  // "float32[1,224,224,3]"
  std::string describe() const;

 private:
  void check_type(bool matches, const char* wanted) const;

  DataType dtype_ = DataType::kInvalid;
  bool owned_ = false;
  std::int64_t num_elements_ = 0;
  Shape shape_;
  std::shared_ptr<const void> buffer_;
  void* data_ = nullptr;
};

// The DataType that stores T: DataTypeOf<float>::value == kFloat32.
template <class T>
struct DataTypeOf;
#define TENON_DTYPE_OF(type, name)                         \
  template <>                                              \
  struct DataTypeOf<type> {                                \
    static constexpr DataType value = DataType::name;      \
  };
TENON_DTYPE_OF(float, kFloat32)
TENON_DTYPE_OF(double, kFloat64)
TENON_DTYPE_OF(std::int32_t, kInt32)
TENON_DTYPE_OF(std::uint8_t, kUInt8)
TENON_DTYPE_OF(std::int16_t, kInt16)
TENON_DTYPE_OF(std::int8_t, kInt8)
TENON_DTYPE_OF(std::string, kString)
TENON_DTYPE_OF(std::complex<float>, kComplex64)
TENON_DTYPE_OF(std::int64_t, kInt64)
TENON_DTYPE_OF(bool, kBool)
TENON_DTYPE_OF(BFloat16, kBFloat16)
TENON_DTYPE_OF(std::uint16_t, kUInt16)
TENON_DTYPE_OF(std::complex<double>, kComplex128)
TENON_DTYPE_OF(Half, kFloat16)
TENON_DTYPE_OF(std::uint32_t, kUInt32)
TENON_DTYPE_OF(std::uint64_t, kUInt64)
#undef TENON_DTYPE_OF

// The type whose elements a tensor of this dtype stores: quantized and 4-bit types lie in their integer carrier.
constexpr DataType storage_dtype(DataType dtype) noexcept {
  switch (dtype) {
    case DataType::kQInt8:
    case DataType::kInt4:
      return DataType::kInt8;
    case DataType::kQUInt8:
    case DataType::kUInt4:
    case DataType::kFloat8E5M2:
    case DataType::kFloat8E4M3FN:
      return DataType::kUInt8;
    case DataType::kQInt16:
      return DataType::kInt16;
    case DataType::kQUInt16:
      return DataType::kUInt16;
    case DataType::kQInt32:
      return DataType::kInt32;
    default:
      return dtype;
  }
}

template <class T>
std::span<T> Tensor::flat() {
  if constexpr (std::is_same_v<T, ObjectPtr>) {
    check_type(dtype_ == DataType::kResource || dtype_ == DataType::kVariant, "resource");
  } else {
    check_type(storage_dtype(dtype_) == DataTypeOf<T>::value, dtype_name(DataTypeOf<T>::value).data());
  }
  return {static_cast<T*>(data_), static_cast<std::size_t>(num_elements_)};
}

template <class T>
std::span<const T> Tensor::flat() const {
  return const_cast<Tensor*>(this)->flat<T>();
}

template <class T>
Tensor Tensor::scalar(T value) {
  Tensor result(DataTypeOf<T>::value, Shape{});
  *static_cast<T*>(result.data()) = std::move(value);
  return result;
}

template <class T>
Tensor Tensor::vector(std::span<const T> values) {
  Tensor result(DataTypeOf<T>::value, Shape{static_cast<std::int64_t>(values.size())});
  std::copy(values.begin(), values.end(), static_cast<T*>(result.data()));
  return result;
}

}  // namespace tenon
