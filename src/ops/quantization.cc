// Quantization: simulated in floating point, and to and from quantized integers.
#include <algorithm>
#include <cmath>
#include <limits>

#include "ops/operands.h"
#include "ops/registry.h"
#include "ops/walk.h"

namespace tenon::ops {
namespace {

using ir::EvalContext;
using ir::InferContext;
using QuantizedTypes = TypeList<std::int8_t, std::uint8_t, std::int16_t, std::uint16_t, std::int32_t>;

void infer_same(InferContext& ctx) { ctx.set_output(0, ctx.input_dtype(0), ctx.input_shape(0)); }

// fake_quant: x, perhaps min and max (scalars, or one per element of the last axis); else attributes min and max. Attributes
// num_bits and narrow_range.
struct FakeQuant {
  float low, high, scale;

  // The range moved so that zero is one of the steps.
  FakeQuant(float min, float max, int bits, bool narrow) {
    const float first = narrow ? 1.0f : 0.0f, last = static_cast<float>((std::int64_t{1} << bits) - 1);
    scale = (max - min) / (last - first);
    const float zero = first - min / scale;
    const float nudged = zero < first ? first : zero > last ? last : std::round(zero);
    low = (first - nudged) * scale;
    high = (last - nudged) * scale;
  }
  float operator()(float x) const {
    const float inverse = 1.0f / scale;
    const float zero = std::floor(-low * inverse + 0.5f);
    const float clamped = std::max(std::min(x, high), low);
    return std::floor((clamped - low) * inverse - zero + 0.5f) * scale;
  }
};

void evaluate_fake_quant(EvalContext& ctx) {
  const Tensor input = ctx.input(0);
  const auto bits = ctx.attrs().get_or<std::int64_t>("num_bits", 8);
  if (bits < 2 || bits > 16) ctx.fail_node("num_bits is {}, outside [2, 16]", bits);
  const bool narrow = ctx.attrs().get_or<bool>("narrow_range", false);
  std::vector<float> lows{ctx.attrs().get_or<float>("min", -6.0f)}, highs{ctx.attrs().get_or<float>("max", 6.0f)};
  const bool operands = ctx.num_inputs() == 3;
  if (operands) {
    for (int i = 1; i < 3; ++i) expect_rank(ctx, i, ctx.attrs().get_or<bool>("per_channel", false) ? 1 : 0);
    const auto min = ctx.input(1).flat<float>(), max = ctx.input(2).flat<float>();
    lows.assign(min.begin(), min.end());
    highs.assign(max.begin(), max.end());
  }
  const bool per_channel = ctx.attrs().get_or<bool>("per_channel", false);
  const std::size_t wanted = per_channel && input.rank() > 0 ? static_cast<std::size_t>(input.dim(input.rank() - 1)) : 1;
  if (lows.size() != wanted || highs.size() != wanted || (per_channel && input.rank() == 0)) {
    ctx.fail_node("{} minima and {} maxima are given for {}", lows.size(), highs.size(), input.describe());
  }
  const auto x = input.flat<float>();
  Tensor& output = ctx.allocate(0, input.dtype(), input.shape());
  const auto y = output.flat<float>();
  for (std::size_t c = 0; c < wanted; ++c) {
    if (!operands && !(lows[c] < highs[c])) ctx.fail_node("min {} must be below max {}", lows[c], highs[c]);
    const FakeQuant quant(lows[c], highs[c], static_cast<int>(bits), narrow);
    const bool zero = lows[c] == 0 && highs[c] == 0;
    for (std::size_t i = c; i < x.size(); i += wanted) y[i] = zero ? 0.0f : quant(x[i]);
  }
}

// Rounds as attribute round_mode says.
double round_as(const std::string& mode, double x) {
  if (mode == "HALF_UP") return std::floor(x + 0.5);
  if (mode == "HALF_AWAY_FROM_ZERO") return std::round(x);
  return std::nearbyint(x);  // HALF_TO_EVEN, in the default rounding direction
}

void check_round_mode(const EvalContext& ctx, const std::string& mode, std::initializer_list<const char*> known) {
  if (std::ranges::find(known, mode) == known.end()) ctx.fail_node("round_mode \"{}\" is unknown here", mode);
}

// A tensor as [outer, slices, inner] with one range per slice; one slice without an axis.
struct Slicing {
  std::int64_t outer = 1, slices = 1, inner = 1;
};

Slicing slicing(const EvalContext& ctx, const Shape& shape) {
  const auto axis = ctx.attrs().get_or<std::int64_t>("axis", -1);
  if (axis == -1) return {1, 1, shape.num_elements()};
  if (axis < 0 || axis >= shape.rank()) ctx.fail_node("axis {} is outside [0, {})", axis, shape.rank());
  const int at = static_cast<int>(axis);
  return {product(shape, 0, at), shape[at], product(shape, at + 1, shape.rank())};
}

// Calls f(slice, element) for every element.
template <class F>
void for_elements(const Slicing& slicing, F&& f) {
  std::size_t at = 0;
  for (std::int64_t o = 0; o < slicing.outer; ++o) {
    for (std::int64_t s = 0; s < slicing.slices; ++s) {
      for (std::int64_t i = 0; i < slicing.inner; ++i, ++at) f(static_cast<std::size_t>(s), at);
    }
  }
}

template <class T>
std::vector<T> range_operand(const EvalContext& ctx, int i, const Slicing& slicing) {
  const auto values = ctx.input(i).flat<T>();
  if (static_cast<std::int64_t>(values.size()) != slicing.slices) {
    ctx.fail_node("input {} has {} numbers, {} are needed", i, values.size(), slicing.slices);
  }
  return {values.begin(), values.end()};
}

// quantize_and_dequantize: x, min, max, perhaps the number of bits; attributes signed_input, num_bits, range_given,
// narrow_range, round_mode, axis.
template <class T>
struct Range {
  T low, high, scale, inverse;

  // The largest scale that keeps [min, max] inside the integers and zero at zero.
  Range(T min, T max, bool is_signed, int bits, bool narrow) : low(min), high(max) {
    const T last = static_cast<T>(is_signed ? (std::int64_t{1} << (bits - 1)) - 1
                                            : static_cast<std::int64_t>((std::uint64_t{1} << bits) - 1));
    const T first = is_signed ? -static_cast<T>((std::uint64_t{1} << (bits - 1)) - (narrow ? 1 : 0)) : T(0);
    const T from_low = first * min > 0 ? first / min : std::numeric_limits<T>::max();
    const T from_high = last * max > 0 ? last / max : std::numeric_limits<T>::max();
    if (from_low < from_high) {
      scale = from_low;
      inverse = min / first;
      high = last * inverse;
    } else {
      scale = from_high;
      inverse = max / last;
      low = first * inverse;
    }
  }
};

void infer_quantize_and_dequantize(InferContext& ctx) {
  ctx.expect_inputs(3, 4);
  ctx.set_output(0, ctx.input_dtype(0), ctx.input_shape(0));
}

void evaluate_quantize_and_dequantize(EvalContext& ctx) {
  const Tensor input = ctx.input(0);
  const bool is_signed = ctx.attrs().get_or<bool>("signed_input", true),
             given = ctx.attrs().get_or<bool>("range_given", false);
  const bool narrow = ctx.attrs().get_or<bool>("narrow_range", false);
  const auto mode = ctx.attrs().get_or<std::string>("round_mode", "HALF_TO_EVEN");
  check_round_mode(ctx, mode, {"HALF_TO_EVEN", "HALF_UP"});
  const std::int64_t bits = ctx.num_inputs() == 4 ? ctx.integer(3) : ctx.attrs().get_or<std::int64_t>("num_bits", 8);
  if (bits < 1 || bits > (is_signed ? 62 : 63) || (is_signed && bits < 2)) ctx.fail_node("num_bits is {}", bits);
  const Slicing parts = slicing(ctx, input.shape());
  Tensor& output = ctx.allocate(0, input.dtype(), input.shape());
  visit_dtype(Floats{}, input.dtype(), ctx.node().describe(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    using C = ComputeType<T>;
    const auto x = input.flat<T>();
    const auto y = output.flat<T>();
    const auto slices = static_cast<std::size_t>(parts.slices);
    std::vector<C> lows(slices, std::numeric_limits<C>::max()), highs(slices, std::numeric_limits<C>::lowest());
    if (given) {
      const auto min = range_operand<T>(ctx, 1, parts), max = range_operand<T>(ctx, 2, parts);
      lows.assign(min.begin(), min.end());
      highs.assign(max.begin(), max.end());
    } else {
      for_elements(parts, [&](std::size_t s, std::size_t i) {
        lows[s] = std::min(lows[s], static_cast<C>(x[i]));
        highs[s] = std::max(highs[s], static_cast<C>(x[i]));
      });
    }
    std::vector<Range<C>> ranges;
    for (std::size_t s = 0; s < slices; ++s) {
      if (given && !(lows[s] <= highs[s])) ctx.fail_node("input_min {} exceeds input_max {}", lows[s], highs[s]);
      ranges.emplace_back(lows[s], highs[s], is_signed, static_cast<int>(bits), narrow);
    }
    for_elements(parts, [&](std::size_t s, std::size_t i) {
      const Range<C>& range = ranges[s];
      const C value = given ? std::max(std::min(static_cast<C>(x[i]), range.high), range.low) : static_cast<C>(x[i]);
      y[i] = static_cast<T>(static_cast<C>(static_cast<C>(round_as(mode, value * range.scale)) * range.inverse));
    });
  });
}

enum class Mode { kMinCombined, kMinFirst, kScaled };

Mode mode_of(const ir::Attrs& attrs) {
  const auto name = attrs.get_or<std::string>("mode", "MIN_COMBINED");
  if (name == "MIN_COMBINED") return Mode::kMinCombined;
  if (name == "MIN_FIRST") return Mode::kMinFirst;
  if (name == "SCALED") return Mode::kScaled;
  fail(ErrorCode::kInvalidModel, "mode \"{}\" is unknown", name);
}

// quantize: x (float32), min and max of the range -> integers, and the range they stand for. Attributes T, mode, round_mode,
// narrow_range, axis, ensure_minimum_range.
void infer_quantize(InferContext& ctx) {
  ctx.expect_inputs(3);
  ctx.set_output(0, ctx.attrs().get<DataType>("T"), ctx.input_shape(0));
  const auto axis = ctx.attrs().get_or<std::int64_t>("axis", -1);
  for (int i = 1; i < 3; ++i) {
    PartialShape shape{};
    if (axis == -1) {
      shape = Shape{};
    } else if (ctx.input_shape(0).known_rank()) {
      shape = PartialShape{ctx.input_shape(0)[ir::normalize_axis(ctx, axis, ctx.input_shape(0).rank())]};
    }
    ctx.set_output(i, DataType::kFloat32, std::move(shape));
  }
}

// How one slice is quantized to T.
template <class T>
struct Quantizer {
  Mode mode;
  bool half_to_even;
  // To quint8 in mode MIN_FIRST TensorFlow runs oneDNN's kernel, which does not round the offset by itself.
  bool exact_offset;
  float low, high;
  double scale = 1, offset = 0;

  static constexpr double kLeast = std::numeric_limits<T>::min(), kMost = std::numeric_limits<T>::max();

  Quantizer(Mode m, const std::string& round_mode, bool narrow, float min, float max)
      : mode(m),
        half_to_even(round_mode == "HALF_TO_EVEN"),
        exact_offset(std::is_same_v<T, std::uint8_t> && !narrow),
        low(min),
        high(max) {
    if (mode == Mode::kMinCombined) {
      scale = static_cast<float>((kMost - kLeast) / (static_cast<double>(high) - low));
      offset = std::is_signed_v<T> ? (kMost - kLeast + 1) / 2 : 0;
    } else if (mode == Mode::kMinFirst) {
      const double steps = kMost - kLeast + 1;
      const auto range = static_cast<float>((high - low) * (steps / (steps - 1)));  // in float32, as TensorFlow rounds
      scale = static_cast<float>(steps / range);
      offset = exact_offset ? low * scale : std::round(low * static_cast<float>(scale)) - kLeast;
    } else {
      const auto least = static_cast<float>(kLeast + (narrow ? 1 : 0)), most = static_cast<float>(kMost);
      const float from_low = least * low > 0 ? least / low : std::numeric_limits<float>::max();
      const float from_high = most * high > 0 ? most / high : std::numeric_limits<float>::max();
      const float factor = std::min(from_low, from_high);
      scale = factor;
      low = least / factor;
      high = most / factor;
    }
  }
  T operator()(float x) const {
    if (mode == Mode::kMinFirst && exact_offset) return clamped(std::nearbyint(x * scale - offset));
    if (mode == Mode::kMinFirst) return clamped(std::round(x * static_cast<float>(scale)) - offset);
    const float inside = std::max(std::min(x, high), low), factor = static_cast<float>(scale);
    if (mode == Mode::kScaled) return clamped(half_to_even ? std::nearbyint(inside * factor) : std::round(inside * factor));
    const float shifted = (inside - low) * factor;
    if constexpr (std::is_signed_v<T>) return clamped(std::round(shifted - static_cast<float>(offset)));
    return clamped(std::floor(shifted + 0.5f));
  }
  static T clamped(double x) { return std::isnan(x) ? T(0) : static_cast<T>(std::clamp(x, kLeast, kMost)); }
};

void store_floats(EvalContext& ctx, int output, const std::vector<float>& values) {
  const bool scalar = ctx.attrs().get_or<std::int64_t>("axis", -1) == -1;
  Tensor& tensor =
      ctx.allocate(output, DataType::kFloat32, scalar ? Shape{} : Shape{static_cast<std::int64_t>(values.size())});
  std::ranges::copy(values, tensor.flat<float>().begin());
}

void evaluate_quantize(EvalContext& ctx) {
  const Tensor input = ctx.input(0);
  const Mode mode = mode_of(ctx.attrs());
  const auto round_mode = ctx.attrs().get_or<std::string>("round_mode", "HALF_AWAY_FROM_ZERO");
  check_round_mode(ctx, round_mode, {"HALF_AWAY_FROM_ZERO", "HALF_TO_EVEN"});
  if (round_mode == "HALF_TO_EVEN" && mode != Mode::kScaled) ctx.fail_node("round_mode HALF_TO_EVEN needs mode SCALED");
  const float least_width = ctx.attrs().get_or<float>("ensure_minimum_range", 0.01f);
  const bool narrow = ctx.attrs().get_or<bool>("narrow_range", false);
  const Slicing parts = slicing(ctx, input.shape());
  std::vector<float> lows = range_operand<float>(ctx, 1, parts), highs = range_operand<float>(ctx, 2, parts);
  Tensor& output = ctx.allocate(0, ctx.attrs().get<DataType>("T"), input.shape());
  visit_dtype(QuantizedTypes{}, output.dtype(), ctx.node().describe(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    std::vector<Quantizer<T>> quantizers;
    for (std::size_t s = 0; s < lows.size(); ++s) {
      if (!(lows[s] <= highs[s])) ctx.fail_node("min_range {} exceeds max_range {}", lows[s], highs[s]);
      const float apart = std::max({1.0f, std::abs(lows[s]), std::abs(highs[s])}) * least_width;
      const float low = std::min(0.0f, lows[s]);
      quantizers.emplace_back(mode, round_mode, narrow, low, std::max({0.0f, highs[s], low + apart}));
      lows[s] = quantizers.back().low;
      highs[s] = quantizers.back().high;
    }
    const auto x = input.flat<float>();
    const auto y = output.flat<T>();
    for_elements(parts, [&](std::size_t s, std::size_t i) { y[i] = quantizers[s](x[i]); });
  });
  store_floats(ctx, 1, lows);
  store_floats(ctx, 2, highs);
}

// dequantize: integers, min and max of the range they stand for -> attribute dtype. Attributes mode, narrow_range, axis.
void infer_dequantize(InferContext& ctx) {
  ctx.expect_inputs(3);
  ctx.set_output(0, ctx.attrs().get_or<DataType>("dtype", DataType::kFloat32), ctx.input_shape(0));
}

// value = integer * scale + offset.
struct Line {
  double scale, offset;
};

template <class T>
Line dequantizing_line(Mode mode, bool narrow, float low, float high) {
  constexpr double kLeast = std::numeric_limits<T>::min(), kMost = std::numeric_limits<T>::max();
  if (mode == Mode::kScaled) {
    const float least = static_cast<float>(kLeast + (narrow ? 1 : 0));
    const float from_high = high / static_cast<float>(kMost);
    return {kLeast == 0 ? from_high : std::max(low / least, from_high), 0};
  }
  const double scale = (static_cast<double>(high) - low) / (kMost - kLeast);
  if (mode == Mode::kMinFirst) {
    const double rounded = low == high ? low : std::round(low / scale) * scale;
    return {scale, rounded - kLeast * scale};
  }
  const double half = std::is_signed_v<T> ? (kMost - kLeast + 1) / 2 : 0;
  return {scale, half * scale + low};
}

void evaluate_dequantize(EvalContext& ctx) {
  const Tensor input = ctx.input(0);
  const Mode mode = mode_of(ctx.attrs());
  const bool narrow = ctx.attrs().get_or<bool>("narrow_range", false);
  const Slicing parts = slicing(ctx, input.shape());
  const std::vector<float> lows = range_operand<float>(ctx, 1, parts), highs = range_operand<float>(ctx, 2, parts);
  Tensor& output = ctx.allocate(0, ctx.attrs().get_or<DataType>("dtype", DataType::kFloat32), input.shape());
  visit_dtype(QuantizedTypes{}, input.dtype(), ctx.node().describe(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    std::vector<Line> lines;
    for (std::size_t s = 0; s < lows.size(); ++s) lines.push_back(dequantizing_line<T>(mode, narrow, lows[s], highs[s]));
    const auto x = input.flat<T>();
    visit_dtype(TypeList<float, BFloat16>{}, output.dtype(), ctx.node().describe(), [&](auto result) {
      using R = typename decltype(result)::type;
      const auto y = output.flat<R>();
      for_elements(parts, [&](std::size_t s, std::size_t i) {
        y[i] = static_cast<R>(static_cast<float>(x[i] * lines[s].scale + lines[s].offset));
      });
    });
  });
}

void per_channel(ir::Attrs& attrs) { attrs.set("per_channel", true); }

constexpr ir::OpDef kOps[] = {
    {"fake_quant", infer_same, evaluate_fake_quant},
    {"quantize_and_dequantize", infer_quantize_and_dequantize, evaluate_quantize_and_dequantize},
    {"quantize", infer_quantize, evaluate_quantize},
    {"dequantize", infer_dequantize, evaluate_dequantize},
};

constexpr ImportRule kRules[] = {
    {"FakeQuantWithMinMaxArgs", "fake_quant"},
    {"FakeQuantWithMinMaxVars", "fake_quant"},
    {"FakeQuantWithMinMaxVarsPerChannel", "fake_quant", per_channel},
    {"QuantizeAndDequantizeV2", "quantize_and_dequantize"},
    {"QuantizeAndDequantizeV3", "quantize_and_dequantize"},
    {"QuantizeAndDequantizeV4", "quantize_and_dequantize"},
    {"QuantizeV2", "quantize"},
    {"Dequantize", "dequantize"},
};

}  // namespace

const OpFamily& quantization_family() {
  static const OpFamily family{"quantization", kOps, kRules};
  return family;
}

}  // namespace tenon::ops
