#include "ops/element_text.h"

#include <algorithm>
#include <charconv>
#include <limits>

#include "base/visit_dtype.h"

namespace tenon::ops {
namespace {

// Floats with the digits that every decimal survives (6, 15), or those that every float survives (9, 17) where these differ.
template <class T>
std::string number_text(T value) {
  if constexpr (std::is_floating_point_v<T>) {
    const std::string text = fmt::format("{:.{}g}", value, std::numeric_limits<T>::digits10);
    T read{};
    std::from_chars(text.data(), text.data() + text.size(), read);
    return read == value || value != value ? text : fmt::format("{:.{}g}", value, std::numeric_limits<T>::max_digits10);
  } else {
    return fmt::format("{}", value);
  }
}

}  // namespace

std::string element_text(const Tensor& tensor, std::int64_t i) {
  const auto at = static_cast<std::size_t>(i);
  if (tensor.dtype() == DataType::kString) return tensor.flat<std::string>()[at];
  if (tensor.dtype() == DataType::kResource || tensor.dtype() == DataType::kVariant) return "<object>";
  return visit_dtype(PlainTypes{}, tensor.dtype(), "text of an element", [&](auto tag) -> std::string {
    using T = typename decltype(tag)::type;
    const T value = tensor.flat<T>()[at];
    if constexpr (kIsComplex<T>) {
      return "(" + number_text(value.real()) + "," + number_text(value.imag()) + ")";
    } else if constexpr (std::is_same_v<T, bool>) {
      return value ? "1" : "0";
    } else {
      return number_text(static_cast<ComputeType<T>>(value));
    }
  });
}

std::string summarize(const Tensor& tensor, std::int64_t count) {
  if (!tensor.valid()) return {};
  const std::int64_t shown = count < 0 ? tensor.num_elements() : std::min(count, tensor.num_elements());
  std::string text;
  for (std::int64_t i = 0; i < shown; ++i) text += (i == 0 ? "" : " ") + element_text(tensor, i);
  return shown < tensor.num_elements() ? text + "..." : text;
}

}  // namespace tenon::ops
