#include "ops/elements.h"

#include <cstring>

#include "base/visit_dtype.h"

namespace tenon::ops {
namespace {

template <class T>
void copy_objects(Tensor& to, std::int64_t at, const Tensor& from, std::int64_t start, std::int64_t count) {
  const auto source = from.flat<T>().subspan(static_cast<std::size_t>(start), static_cast<std::size_t>(count));
  std::copy(source.begin(), source.end(), to.flat<T>().begin() + at);
}

template <class T>
T divide(T a, T b, std::string_view who) {
  if constexpr (std::is_integral_v<T>) {
    if (b == 0) fail(ErrorCode::kInvalidArgument, "{}: integer division by zero", who);
    if constexpr (std::is_signed_v<T>) {
      if (b == -1) return static_cast<T>(0 - static_cast<std::uint64_t>(a));
    }
  }
  return static_cast<T>(a / b);
}

// Integers are computed modulo 2^64, so that no overflow is undefined.
template <class T>
using WrappingType = std::conditional_t<std::is_integral_v<T>, std::uint64_t, ComputeType<T>>;

template <class T>
T updated(Update update, T a, T b, std::string_view who) {
  using W = WrappingType<T>;
  using C = ComputeType<T>;
  switch (update) {
    case Update::kAdd:
      return static_cast<T>(static_cast<W>(a) + static_cast<W>(b));
    case Update::kSub:
      return static_cast<T>(static_cast<W>(a) - static_cast<W>(b));
    case Update::kMul:
      return static_cast<T>(static_cast<W>(a) * static_cast<W>(b));
    case Update::kDiv:
      return static_cast<T>(divide(static_cast<C>(a), static_cast<C>(b), who));
    case Update::kMin:
    case Update::kMax:
      if constexpr (kIsComplex<T>) {
        fail(ErrorCode::kUnsupported, "{}: complex numbers have no order", who);
      } else {
        const bool less = static_cast<C>(b) < static_cast<C>(a);
        return less == (update == Update::kMin) ? b : a;
      }
    case Update::kAssign:
      break;
  }
  return b;
}

}  // namespace

void copy_elements(Tensor& to, std::int64_t at, const Tensor& from, std::int64_t start, std::int64_t count) {
  if (count == 0) return;
  if (to.dtype() == DataType::kString) return copy_objects<std::string>(to, at, from, start, count);
  if (to.dtype() == DataType::kResource || to.dtype() == DataType::kVariant) {
    return copy_objects<ObjectPtr>(to, at, from, start, count);
  }
  const auto size = static_cast<std::int64_t>(dtype_size(to.dtype()));
  std::memcpy(static_cast<char*>(to.data()) + at * size, static_cast<const char*>(from.data()) + start * size,
              static_cast<std::size_t>(count * size));
}

Tensor zeros(DataType dtype, Shape shape) {
  Tensor result(dtype, std::move(shape));
  const bool plain = dtype != DataType::kString && dtype != DataType::kResource && dtype != DataType::kVariant;
  if (plain && result.byte_size() != 0) std::memset(result.data(), 0, result.byte_size());
  return result;
}

void update_elements(Update update, Tensor& to, std::int64_t at, const Tensor& from, std::int64_t start, std::int64_t step,
                     std::int64_t count, std::string_view who) {
  if (update == Update::kAssign) {
    if (step == 1) return copy_elements(to, at, from, start, count);
    for (std::int64_t i = 0; i < count; ++i) copy_elements(to, at + i, from, start, 1);
    return;
  }
  visit_dtype(Numbers{}, to.dtype(), who, [&](auto tag) {
    using T = typename decltype(tag)::type;
    T* out = to.flat<T>().data() + at;
    const T* in = from.flat<T>().data() + start;
    for (std::int64_t i = 0; i < count; ++i) out[i] = updated<T>(update, out[i], in[i * step], who);
  });
}

}  // namespace tenon::ops
