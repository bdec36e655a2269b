#include "ops/random_fill.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <numbers>
#include <vector>

#include "base/visit_dtype.h"

namespace tenon::ops {
namespace {

// The low bits become the mantissa of a number in [1, 2).
float uniform_float(std::uint32_t bits) { return std::bit_cast<float>(0x3f800000u | (bits & 0x7fffffu)) - 1.0f; }

Half uniform_half(std::uint32_t bits) {
  Half value;
  value.bits = static_cast<std::uint16_t>(0x3c00u | (bits & 0x3ffu));
  return Half(static_cast<float>(value) - 1.0f);
}

BFloat16 uniform_bfloat16(std::uint32_t bits) {
  BFloat16 value;
  value.bits = static_cast<std::uint16_t>(0x3f80u | (bits & 0x7fu));
  return BFloat16(static_cast<float>(value) - 1.0f);
}

template <class T>
struct Pair {
  T first, second;
};

// Box and Muller: two uniform numbers to two normal ones.
Pair<float> normal_pair(std::uint32_t x0, std::uint32_t x1) {
  const float u = std::max(uniform_float(x0), 1.0e-7f);
  const float angle = static_cast<float>(2.0f * std::numbers::pi * uniform_float(x1));
  const float radius = std::sqrt(-2.0f * std::log(u));
  return {std::sin(angle) * radius, std::cos(angle) * radius};
}

Pair<double> normal_pair(std::uint32_t x0, std::uint32_t x1, std::uint32_t x2, std::uint32_t x3) {
  const double u = std::max(uniform_double(x0, x1), 1.0e-7);
  const double angle = 2 * std::numbers::pi * uniform_double(x2, x3);
  const double radius = std::sqrt(-2.0 * std::log(u));
  return {std::sin(angle) * radius, std::cos(angle) * radius};
}

// How many elements one block of the generator gives.
template <class T>
constexpr std::size_t kPerBlock = sizeof(T) == 8 ? 2 : 4;

template <class T>
std::array<T, kPerBlock<T>> uniform_block(const Philox::Block& b) {
  if constexpr (std::is_same_v<T, double>) return {uniform_double(b[0], b[1]), uniform_double(b[2], b[3])};
  if constexpr (std::is_same_v<T, float>) return {uniform_float(b[0]), uniform_float(b[1]), uniform_float(b[2]), uniform_float(b[3])};
  if constexpr (std::is_same_v<T, Half>) return {uniform_half(b[0]), uniform_half(b[1]), uniform_half(b[2]), uniform_half(b[3])};
  if constexpr (std::is_same_v<T, BFloat16>) {
    return {uniform_bfloat16(b[0]), uniform_bfloat16(b[1]), uniform_bfloat16(b[2]), uniform_bfloat16(b[3])};
  }
}

template <class T>
std::array<T, kPerBlock<T>> normal_block(const Philox::Block& b) {
  if constexpr (std::is_same_v<T, double>) {
    const Pair<double> p = normal_pair(b[0], b[1], b[2], b[3]);
    return {p.first, p.second};
  } else {
    const Pair<float> p = normal_pair(b[0], b[1]), q = normal_pair(b[2], b[3]);
    return {T(p.first), T(p.second), T(q.first), T(q.second)};
  }
}

// Normal numbers, those beyond two deviations drawn again.
template <class T>
std::array<T, kPerBlock<T>> truncated_block(PhiloxWords words) {
  std::array<T, kPerBlock<T>> result;
  std::size_t filled = 0;
  const auto keep = [&](auto value) {
    if (filled < result.size() && std::abs(value) < 2) result[filled++] = static_cast<T>(value);
  };
  while (filled < result.size()) {
    const std::uint32_t x0 = words(), x1 = words();
    if constexpr (std::is_same_v<T, double>) {
      const std::uint32_t x2 = words(), x3 = words();
      const Pair<double> p = normal_pair(x0, x1, x2, x3);
      keep(p.first);
      keep(p.second);
    } else {
      const Pair<float> p = normal_pair(x0, x1);
      keep(p.first);
      keep(p.second);
    }
  }
  return result;
}

// out = block(0), block(1), …, cut to size.
template <class T, class MakeBlock>
void fill_blocks(std::span<T> out, MakeBlock&& make_block) {
  for (std::size_t at = 0, index = 0; at < out.size(); ++index) {
    const auto block = make_block(index);
    for (std::size_t i = 0; i < block.size() && at < out.size(); ++i) out[at++] = block[i];
  }
}

template <class T>
std::array<T, kPerBlock<T>> bits_block(const Philox::Block& b) {
  if constexpr (sizeof(T) == 8) {
    return {static_cast<T>(b[0] | std::uint64_t{b[1]} << 32), static_cast<T>(b[2] | std::uint64_t{b[3]} << 32)};
  } else {
    return {static_cast<T>(b[0]), static_cast<T>(b[1]), static_cast<T>(b[2]), static_cast<T>(b[3])};
  }
}

// The uniform numbers that one element of a gamma or Poisson tensor uses; those of a block are taken last to first.
class ElementStream {
 public:
  ElementStream(Philox generator, std::int64_t element) : generator_(generator) {
    generator_.skip(kReservedPerOutput * static_cast<std::uint64_t>(element));
  }
  double uniform() { return next(uniforms_, uniforms_left_, uniform_block<double>); }
  double normal() { return next(normals_, normals_left_, normal_block<double>); }

 private:
  double next(std::array<double, 2>& block, std::size_t& left, std::array<double, 2> (*make)(const Philox::Block&)) {
    if (left == 0) {
      block = make(generator_());
      left = 2;
    }
    return block[--left];
  }
  Philox generator_;
  std::array<double, 2> uniforms_{}, normals_{};
  std::size_t uniforms_left_ = 0, normals_left_ = 0;
};

// Marsaglia and Tsang, "A simple method for generating gamma variables", 2000.
double draw_gamma(double alpha, ElementStream& stream) {
  if (alpha == 1.0) return -std::log1p(-stream.uniform());
  const bool small = alpha < 1;
  const double d = alpha + (small ? 2.0 / 3 : -1.0 / 3);
  const double c = 1.0 / 3 / std::sqrt(d);
  for (;;) {
    const double x = stream.normal();
    double v = 1 + c * x;
    if (v <= 0) continue;
    v = v * v * v;
    const double u = stream.uniform();
    if (!(u < 1 - 0.0331 * (x * x) * (x * x)) && !(std::log(u) < 0.5 * x * x + d * (1 - v + std::log(v)))) continue;
    return small ? d * v * std::pow(stream.uniform(), 1 / alpha) : d * v;
  }
}

// Knuth's product of uniform numbers for small rates.
double draw_small_poisson(double rate, ElementStream& stream) {
  const double limit = std::exp(-rate);
  double product = 1;
  for (double count = 0;; ++count) {
    product *= stream.uniform();
    if (product <= limit) return count;
  }
}

// Hoermann, "The transformed rejection method for generating Poisson random variables", 1993.
double draw_large_poisson(double rate, ElementStream& stream) {
  const double log_rate = std::log(rate);
  const double b = 0.931 + 2.53 * std::sqrt(rate);
  const double a = -0.059 + 0.02483 * b;
  const double inverse_alpha = 1.1239 + 1.1328 / (b - 3.4);
  for (;;) {
    const double u = stream.uniform() - 0.5;
    const double v = stream.uniform();
    const double shifted = 0.5 - std::abs(u);
    const double k = std::floor((2 * a / shifted + b) * u + rate + 0.43);
    if (k > 9.0e15) continue;
    if (shifted >= 0.07 && v <= 0.9277 - 3.6224 / (b - 2)) return k;
    if (k < 0 || (shifted < 0.013 && v > shifted)) continue;
    if (std::log(v * inverse_alpha / (a / (shifted * shifted) + b)) <= -rate + k * log_rate - std::lgamma(k + 1)) return k;
  }
}

// TensorFlow draws all samples of one parameter before the next parameter's.
template <class Draw>
void fill_per_parameter(Philox generator, const Tensor& parameters, Tensor& out, std::string_view who, Draw&& draw) {
  visit_dtype(RealNumbers{}, parameters.dtype(), who, [&](auto in_tag) {
    using P = typename decltype(in_tag)::type;
    const auto in = parameters.flat<P>();
    visit_dtype(RealNumbers{}, out.dtype(), who, [&](auto out_tag) {
      using T = typename decltype(out_tag)::type;
      const auto to = out.flat<T>();
      const std::size_t samples = in.empty() ? 0 : to.size() / in.size();
      for (std::size_t p = 0; p < in.size(); ++p) {
        for (std::size_t s = 0; s < samples; ++s) {
          ElementStream stream(generator, static_cast<std::int64_t>(p * samples + s));
          to[s * in.size() + p] = static_cast<T>(static_cast<ComputeType<T>>(draw(static_cast<double>(in[p]), stream)));
        }
      }
    });
  });
}

}  // namespace

double uniform_double(std::uint32_t high, std::uint32_t low) {
  const std::uint64_t mantissa = std::uint64_t{high & 0xfffffu} << 32 | low;
  return std::bit_cast<double>(std::uint64_t{1023} << 52 | mantissa) - 1.0;
}

void fill_random(Distribution distribution, Philox generator, Tensor& out, std::string_view who) {
  visit_dtype(Floats{}, out.dtype(), who, [&](auto tag) {
    using T = typename decltype(tag)::type;
    const auto to = out.flat<T>();
    switch (distribution) {
      case Distribution::kUniform:
        return fill_blocks<T>(to, [&](std::size_t) { return uniform_block<T>(generator()); });
      case Distribution::kNormal:
        return fill_blocks<T>(to, [&](std::size_t) { return normal_block<T>(generator()); });
      case Distribution::kTruncatedNormal:
        return fill_blocks<T>(to, [&](std::size_t block) {
          Philox own = generator;
          own.skip(block * kPerBlock<T> * kReservedPerOutput / 4);
          return truncated_block<T>(PhiloxWords(own));
        });
    }
  });
}

void fill_random_integers(Philox generator, const Tensor& low, const Tensor& high, Tensor& out, std::string_view who) {
  if (low.num_elements() != 1 || high.num_elements() != 1 || low.dtype() != out.dtype() || high.dtype() != out.dtype()) {
    fail(ErrorCode::kInvalidArgument, "{}: minval {} and maxval {} must be scalars of {}", who, low.describe(), high.describe(),
         dtype_name(out.dtype()));
  }
  visit_dtype(Join<IndexIntegers, TypeList<std::uint32_t, std::uint64_t>>{}, out.dtype(), who, [&](auto tag) {
    using T = typename decltype(tag)::type;
    using U = std::make_unsigned_t<T>;
    const T from = low.flat<T>()[0], to = high.flat<T>()[0];
    if (out.num_elements() == 0) return;
    if (from >= to) fail(ErrorCode::kInvalidArgument, "{}: minval {} must be less than maxval {}", who, from, to);
    const U range = static_cast<U>(to) - static_cast<U>(from);
    fill_blocks<T>(out.flat<T>(), [&](std::size_t) {
      auto block = bits_block<T>(generator());
      for (T& value : block) value = static_cast<T>(static_cast<U>(from) + static_cast<U>(value) % range);
      return block;
    });
  });
}

void fill_random_bits(Philox generator, Tensor& out, std::string_view who) {
  visit_dtype(Join<IndexIntegers, TypeList<std::uint32_t, std::uint64_t>>{}, out.dtype(), who, [&](auto tag) {
    using T = typename decltype(tag)::type;
    fill_blocks<T>(out.flat<T>(), [&](std::size_t) { return bits_block<T>(generator()); });
  });
}

void fill_categorical(Philox generator, const Tensor& logits, Tensor& out, std::string_view who) {
  PhiloxWords words(generator);
  const auto classes = static_cast<std::size_t>(logits.dim(1));
  const auto samples = static_cast<std::size_t>(out.dim(1));
  std::vector<double> cumulative(classes);
  visit_dtype(RealNumbers{}, logits.dtype(), who, [&](auto tag) {
    using T = typename decltype(tag)::type;
    for (std::size_t row = 0; row < static_cast<std::size_t>(logits.dim(0)); ++row) {
      const auto in = logits.flat<T>().subspan(row * classes, classes);
      double largest = std::numeric_limits<double>::lowest();
      for (const T& v : in) {
        if (std::isfinite(static_cast<double>(v))) largest = std::max(largest, static_cast<double>(v));
      }
      double total = 0;
      for (std::size_t i = 0; i < classes; ++i) {
        if (std::isfinite(static_cast<double>(in[i]))) total += std::exp(static_cast<double>(in[i]) - largest);
        cumulative[i] = total;
      }
      for (std::size_t s = 0; s < samples; ++s) {
        const std::uint32_t high = words(), low = words();
        const double wanted = uniform_double(high, low) * total;
        const auto found = std::upper_bound(cumulative.begin(), cumulative.end(), wanted) - cumulative.begin();
        if (out.dtype() == DataType::kInt32) {
          out.flat<std::int32_t>()[row * samples + s] = static_cast<std::int32_t>(found);
        } else {
          out.flat<std::int64_t>()[row * samples + s] = found;
        }
      }
    }
  });
}

void fill_gamma(Philox generator, const Tensor& alpha, Tensor& out, std::string_view who) {
  fill_per_parameter(generator, alpha, out, who, draw_gamma);
}

void fill_poisson(Philox generator, const Tensor& rate, Tensor& out, std::string_view who) {
  fill_per_parameter(generator, rate, out, who, [](double lambda, ElementStream& stream) {
    if (!std::isfinite(lambda) || lambda < 0) return std::numeric_limits<double>::quiet_NaN();
    return lambda < 10 ? draw_small_poisson(lambda, stream) : draw_large_poisson(lambda, stream);
  });
}

}  // namespace tenon::ops
