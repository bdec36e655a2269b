#include "backends/cpu/kernels/cast.h"

#include <immintrin.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <type_traits>

#include "backends/cpu/kernels/shares.h"
#include "base/cpu_info.h"
#include "base/error.h"
#include "base/visit_dtype.h"

namespace tenon::cpu {
namespace {

template <class From>
auto widen(From value) {
  if constexpr (std::is_same_v<From, BFloat16>) {
    return std::bit_cast<float>(static_cast<uint32_t>(value.bits) << 16);
  } else if constexpr (std::is_same_v<From, Half>) {
    return static_cast<float>(value);
  } else {
    return value;
  }
}

// x86 gives the smallest integer for what does not fit; saying so keeps the conversion defined and as fast.
template <class To, class From>
To to_integer(From value) {
  if constexpr (std::is_same_v<To, uint64_t>) {
    if (value >= static_cast<From>(0x1p63)) {
      return value < static_cast<From>(0x1p64) ? static_cast<uint64_t>(value) : uint64_t{1} << 63;
    }
    return static_cast<uint64_t>(to_integer<int64_t>(value));
  } else if constexpr (sizeof(To) == 8 || std::is_same_v<To, uint32_t>) {
    const bool fits = value >= static_cast<From>(-0x1p63) && value < static_cast<From>(0x1p63);
    return static_cast<To>(fits ? static_cast<int64_t>(value) : std::numeric_limits<int64_t>::min());
  } else {
    const bool fits = value > static_cast<From>(-2147483649.0) && value < static_cast<From>(2147483648.0);
    return static_cast<To>(fits ? static_cast<int32_t>(value) : std::numeric_limits<int32_t>::min());
  }
}

template <class To, class From>
To convert(From raw) {
  const auto value = widen(raw);
  using Value = std::remove_const_t<decltype(value)>;
  if constexpr (std::is_same_v<To, bool>) {
    return value != Value{};
  } else if constexpr (std::is_same_v<To, BFloat16>) {
    const auto bits = std::bit_cast<uint32_t>(static_cast<float>(value));
    const bool nan = (bits & 0x7fffffffu) > 0x7f800000u;
    BFloat16 result;
    result.bits =
        static_cast<uint16_t>(nan ? ((bits >> 16) & 0x8000u) | 0x7fc0u : (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
    return result;
  } else if constexpr (std::is_same_v<To, Half>) {
    return Half(static_cast<float>(value));
  } else if constexpr (std::is_floating_point_v<Value> && std::is_integral_v<To>) {
    return to_integer<To>(value);
  } else {
    return static_cast<To>(value);
  }
}

template <class From, class To>
void convert_run(const void* from, void* to, int64_t count) {
  if constexpr (std::is_same_v<From, To>) {
    if (from != to && count > 0) std::memcpy(to, from, static_cast<size_t>(count) * sizeof(From));
  } else {
    const From* source = static_cast<const From*>(from);
    To* target = static_cast<To*>(to);
    for (int64_t i = 0; i < count; ++i) target[i] = convert<To>(source[i]);
  }
}

// The CPU's own conversions.
__attribute__((target("avx,f16c"))) void half_to_float(const void* from, void* to, int64_t count) {
  const Half* source = static_cast<const Half*>(from);
  float* target = static_cast<float*>(to);
  int64_t i = 0;
  for (; i + 8 <= count; i += 8) {
    _mm256_storeu_ps(target + i, _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(source + i))));
  }
  for (; i < count; ++i) target[i] = static_cast<float>(source[i]);
}

__attribute__((target("avx,f16c"))) void float_to_half(const void* from, void* to, int64_t count) {
  const float* source = static_cast<const float*>(from);
  Half* target = static_cast<Half*>(to);
  int64_t i = 0;
  for (; i + 8 <= count; i += 8) {
    const __m128i half = _mm256_cvtps_ph(_mm256_loadu_ps(source + i), _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    _mm_storeu_si128(reinterpret_cast<__m128i*>(target + i), half);
  }
  for (; i < count; ++i) target[i] = Half(source[i]);
}

using CastTypes = Join<RealNumbers, TypeList<bool>>;

template <class... T>
bool holds(TypeList<T...>, DataType dtype) noexcept {
  return ((storage_dtype(dtype) == DataTypeOf<T>::value) || ...);
}

template <class From, class... To>
CastFunction find_target(TypeList<To...>, DataType to) noexcept {
  CastFunction found = nullptr;
  ((storage_dtype(to) == DataTypeOf<To>::value ? void(found = &convert_run<From, To>) : void()), ...);
  return found;
}

template <class... From>
CastFunction find_cast(TypeList<From...> types, DataType from, DataType to) noexcept {
  CastFunction found = nullptr;
  ((storage_dtype(from) == DataTypeOf<From>::value ? void(found = find_target<From>(types, to)) : void()), ...);
  return found;
}

}  // namespace

CastFunction cast_function(DataType from, DataType to) noexcept {
  if (!holds(CastTypes{}, from) || !holds(CastTypes{}, to)) return nullptr;
  if (cpu_info().isa >= Isa::kAvx2) {  // every CPU with AVX2 has F16C
    if (from == DataType::kFloat16 && to == DataType::kFloat32) return &half_to_float;
    if (from == DataType::kFloat32 && to == DataType::kFloat16) return &float_to_half;
  }
  return find_cast(CastTypes{}, from, to);
}

void cast(DataType from_type, const void* from, DataType to_type, void* to, int64_t count, ThreadTeam& team) {
  const CastFunction function = cast_function(from_type, to_type);
  if (function == nullptr) {
    fail(ErrorCode::kUnsupported, "cast: no conversion from {} to {}", dtype_name(from_type), dtype_name(to_type));
  }
  const auto from_size = static_cast<int64_t>(dtype_size(from_type));
  const auto to_size = static_cast<int64_t>(dtype_size(to_type));
  const double nanoseconds = 0.06 * static_cast<double>(from_size + to_size);
  for_shares(split_work(count, nanoseconds, 1024), team, [&](int64_t begin, int64_t end) {
    function(static_cast<const char*>(from) + begin * from_size, static_cast<char*>(to) + begin * to_size, end - begin);
  });
}

}  // namespace tenon::cpu
