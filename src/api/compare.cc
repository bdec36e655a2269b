#include "tenon/compare.h"

#include <algorithm>
#include <cmath>

#include "base/visit_dtype.h"

namespace tenon {
namespace {

template <class T>
double magnitude(T value) {
  if constexpr (kIsComplex<T>) {
    return static_cast<double>(std::abs(value));
  } else {
    return std::abs(static_cast<double>(value));
  }
}

template <class T>
double distance(T a, T b) {
  if constexpr (kIsComplex<T>) {
    return static_cast<double>(std::abs(a - b));
  } else {
    return std::abs(static_cast<double>(a) - static_cast<double>(b));
  }
}

template <class T>
void compare_elements(const Tensor& a, const Tensor& b, Difference& result) {
  const auto x = a.flat<T>();
  const auto y = b.flat<T>();
  for (std::size_t i = 0; i < x.size(); ++i) {
    const double left = magnitude(x[i]);
    const double right = magnitude(y[i]);
    if (!std::isfinite(left) || !std::isfinite(right)) {
      const bool same = (std::isnan(left) && std::isnan(right)) || (std::isinf(left) && distance(x[i], y[i]) != distance(x[i], y[i]));
      if (!same) {
        result.problem = "element " + std::to_string(i) + " is finite in one only";
        return;
      }
      continue;
    }
    result.scale = std::max(result.scale, left);
    result.max_abs = std::max(result.max_abs, distance(x[i], y[i]));
  }
  result.comparable = true;
}

}  // namespace

Difference compare(const Tensor& a, const Tensor& b) {
  Difference result;
  if (a.dtype() != b.dtype() || a.shape() != b.shape()) {
    result.problem = a.describe() + " against " + b.describe();
    return result;
  }
  if (a.dtype() == DataType::kString) {
    const auto x = a.flat<std::string>();
    const auto y = b.flat<std::string>();
    result.comparable = std::equal(x.begin(), x.end(), y.begin());
    if (!result.comparable) result.problem = "strings differ";
    return result;
  }
  visit_dtype(PlainTypes{}, a.dtype(), "compare", [&](auto tag) { compare_elements<typename decltype(tag)::type>(a, b, result); });
  return result;
}

}  // namespace tenon
