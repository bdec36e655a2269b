// Turns a run-time dtype into a compile-time type: visit_dtype(dtype, [&](auto tag) { using T = typename decltype(tag)::type; … }).
#pragma once

#include "base/error.h"
#include "tenon/tensor.h"

namespace tenon {

template <class T>
struct TypeTag {
  using type = T;
};
template <class... T>
struct TypeList {};

template <class... A, class... B>
TypeList<A..., B...> concat(TypeList<A...>, TypeList<B...>);
template <class... Lists>
struct JoinImpl;
template <class L>
struct JoinImpl<L> {
  using type = L;
};
template <class A, class B, class... Rest>
struct JoinImpl<A, B, Rest...> {
  using type = typename JoinImpl<decltype(concat(A{}, B{})), Rest...>::type;
};
template <class... Lists>
using Join = typename JoinImpl<Lists...>::type;

using FullFloats = TypeList<float, double>;
using Floats = TypeList<float, double, Half, BFloat16>;
using SignedIntegers = TypeList<std::int8_t, std::int16_t, std::int32_t, std::int64_t>;
using UnsignedIntegers = TypeList<std::uint8_t, std::uint16_t, std::uint32_t, std::uint64_t>;
using Integers = Join<SignedIntegers, UnsignedIntegers>;
using IndexIntegers = TypeList<std::int32_t, std::int64_t>;
using Complexes = TypeList<std::complex<float>, std::complex<double>>;
using RealNumbers = Join<Floats, Integers>;
using Numbers = Join<RealNumbers, Complexes>;
// Everything that lies in a buffer as plain bytes.
using PlainTypes = Join<Numbers, TypeList<bool>>;

// Calls f(TypeTag<T>) for the T of `List` that stores `dtype`; throws kUnsupported "<who>: dtype … is not supported" otherwise.
template <class... T, class F>
decltype(auto) visit_dtype(TypeList<T...>, DataType dtype, std::string_view who, F&& f) {
  const DataType stored = storage_dtype(dtype);
  using Result = std::common_type_t<decltype(f(TypeTag<T>{}))...>;
  if constexpr (std::is_void_v<Result>) {
    const bool found = ((stored == DataTypeOf<T>::value && (f(TypeTag<T>{}), true)) || ...);
    if (!found) fail(ErrorCode::kUnsupported, "{}: dtype {} is not supported", who, dtype_name(dtype));
  } else {
    Result result{};
    const bool found = ((stored == DataTypeOf<T>::value && (result = f(TypeTag<T>{}), true)) || ...);
    if (!found) fail(ErrorCode::kUnsupported, "{}: dtype {} is not supported", who, dtype_name(dtype));
    return result;
  }
}

template <class T>
inline constexpr bool kIsComplex = false;
template <class T>
inline constexpr bool kIsComplex<std::complex<T>> = true;
template <class T>
inline constexpr bool kIsHalf = std::is_same_v<T, Half> || std::is_same_v<T, BFloat16>;
template <class T>
inline constexpr bool kIsFloat = std::is_floating_point_v<T> || kIsHalf<T>;
// The type arithmetic on T is done in: 16-bit floats compute in float, as TensorFlow does.
template <class T>
using ComputeType = std::conditional_t<kIsHalf<T>, float, T>;

}  // namespace tenon
