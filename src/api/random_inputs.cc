#include "tenon/random_inputs.h"

#include <fmt/format.h>

#include <random>

#include "tenon/error.h"

namespace tenon {
namespace {

template <class T, class Make>
void fill(Tensor& tensor, Make make) {
  for (T& value : tensor.flat<T>()) value = static_cast<T>(make());
}

}  // namespace

Tensor random_tensor(DataType dtype, Shape shape, std::uint64_t seed) {
  std::mt19937_64 generator(seed);
  Tensor tensor(dtype, std::move(shape));
  std::uniform_real_distribution<float> real(-1.0f, 1.0f);
  const auto floats = [&] { return real(generator); };
  const auto integers = [&] { return static_cast<int>(generator() % 100); };
  switch (dtype) {
    case DataType::kFloat32:
      fill<float>(tensor, floats);
      break;
    case DataType::kFloat64:
      fill<double>(tensor, floats);
      break;
    case DataType::kFloat16:
      fill<Half>(tensor, floats);
      break;
    case DataType::kBFloat16:
      fill<BFloat16>(tensor, floats);
      break;
    case DataType::kInt32:
      fill<std::int32_t>(tensor, integers);
      break;
    case DataType::kInt64:
      fill<std::int64_t>(tensor, integers);
      break;
    case DataType::kInt16:
      fill<std::int16_t>(tensor, integers);
      break;
    case DataType::kInt8:
      fill<std::int8_t>(tensor, integers);
      break;
    case DataType::kUInt8:
      fill<std::uint8_t>(tensor, integers);
      break;
    case DataType::kUInt16:
      fill<std::uint16_t>(tensor, integers);
      break;
    case DataType::kUInt32:
      fill<std::uint32_t>(tensor, integers);
      break;
    case DataType::kUInt64:
      fill<std::uint64_t>(tensor, integers);
      break;
    case DataType::kBool:
      fill<bool>(tensor, [&] { return (generator() & 1) != 0; });
      break;
    case DataType::kComplex64:
      fill<std::complex<float>>(tensor, [&] { return std::complex<float>(floats(), floats()); });
      break;
    case DataType::kComplex128:
      fill<std::complex<double>>(tensor, [&] { return std::complex<double>(floats(), floats()); });
      break;
    case DataType::kString:
      for (std::string& value : tensor.flat<std::string>()) value = fmt::format("text {}", integers());
      break;
    default:
      throw Error(ErrorCode::kInvalidArgument, fmt::format("no random values of dtype {}; feed the input from a file", dtype_name(dtype)));
  }
  return tensor;
}

}  // namespace tenon
