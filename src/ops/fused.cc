#include "ops/fused.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

#include "base/error.h"

namespace tenon::ops {
namespace {

constexpr std::array<std::string_view, 17> kActivationNames = {
    "",      "relu",       "relu6",        "clip",     "leaky_relu", "elu",      "selu",     "sigmoid", "tanh",
    "swish", "hard_swish", "hard_sigmoid", "gelu_erf", "gelu_tanh",  "softplus", "softsign", "exp"};

constexpr std::int64_t kMaxWindow = std::int64_t{1} << 24;
constexpr std::int64_t kMaxSize = std::int64_t{1} << 40;

template <class T>
void store_if(ir::Attrs& attrs, const char* name, bool condition, T value) {
  if (condition) {
    attrs.set(name, std::move(value));
  } else {
    attrs.erase(name);
  }
}

std::vector<std::int64_t> window_list(const ir::Attrs& attrs, const char* name, int count, std::int64_t least) {
  auto values = attrs.get<std::vector<std::int64_t>>(name);
  if (static_cast<int>(values.size()) != count) {
    fail(ErrorCode::kInvalidModel, "attribute \"{}\" has {} numbers, {} are needed", name, values.size(), count);
  }
  for (const std::int64_t value : values) {
    if (value < least || value > kMaxWindow) fail(ErrorCode::kInvalidModel, "attribute \"{}\" contains {}", name, value);
  }
  return values;
}

// Keeps the window arithmetic below far from overflow.
void check_sizes(std::int64_t input, std::int64_t filter) {
  if (input < 0 || input > kMaxSize || filter < 0 || filter > kMaxWindow) {
    fail(ErrorCode::kInvalidModel, "a convolution of {} elements with a filter of {} is out of bounds", input, filter);
  }
}

float sigmoid(float x) noexcept { return 1.0f / (1.0f + std::exp(-x)); }

}  // namespace

std::string_view activation_name(Activation activation) noexcept { return kActivationNames[static_cast<std::size_t>(activation)]; }

Activation activation_from_name(std::string_view name) {
  const auto it = std::find(kActivationNames.begin(), kActivationNames.end(), name);
  if (it == kActivationNames.end()) fail(ErrorCode::kInvalidModel, "\"{}\" is not an activation", name);
  return static_cast<Activation>(it - kActivationNames.begin());
}

float default_alpha(Activation activation) noexcept {
  switch (activation) {
    case Activation::kLeakyRelu:
      return 0.2f;
    case Activation::kHardSigmoid:
      return 1.0f / 6.0f;
    case Activation::kElu:
      return 1.0f;
    default:
      return 0.0f;
  }
}

float default_beta(Activation activation) noexcept { return activation == Activation::kHardSigmoid ? 0.5f : 0.0f; }

float activate(Activation activation, float x, float alpha, float beta) noexcept {
  switch (activation) {
    case Activation::kNone:
      return x;
    case Activation::kRelu:
      return x < 0.0f ? 0.0f : x;
    case Activation::kRelu6:
      return x < 0.0f ? 0.0f : x > 6.0f ? 6.0f : x;
    case Activation::kClip: {
      const float low = x < alpha ? alpha : x;
      return low > beta ? beta : low;
    }
    case Activation::kLeakyRelu:
      return x < 0.0f ? alpha * x : x;
    case Activation::kElu:
      return x < 0.0f ? alpha * std::expm1(x) : x;
    case Activation::kSelu: {
      constexpr float kScale = 1.0507009873554804934f;
      constexpr float kScaleAlpha = 1.7580993408473768600f;
      return x < 0.0f ? kScaleAlpha * std::expm1(x) : kScale * x;
    }
    case Activation::kSigmoid:
      return sigmoid(x);
    case Activation::kTanh:
      return std::tanh(x);
    case Activation::kSwish:
      return x * sigmoid(x);
    case Activation::kHardSwish: {
      const float t = x + 3.0f;
      return x * (t < 0.0f ? 0.0f : t > 6.0f ? 6.0f : t) * (1.0f / 6.0f);
    }
    case Activation::kHardSigmoid: {
      const float t = alpha * x + beta;
      return t < 0.0f ? 0.0f : t > 1.0f ? 1.0f : t;
    }
    case Activation::kGeluErf:
      return 0.5f * x * std::erfc(-x * 0.70710678118654752440f);
    case Activation::kGeluTanh:
      return 0.5f * x * (1.0f + std::tanh(0.79788456080286535588f * (x + 0.044715f * x * x * x)));
    case Activation::kSoftplus:
      return x > 0.0f ? x + std::log1p(std::exp(-x)) : std::log1p(std::exp(x));
    case Activation::kSoftsign:
      return x / (1.0f + std::fabs(x));
    case Activation::kExp:
      return std::exp(x);
  }
  return x;
}

void Epilogue::set_activation(Activation kind) noexcept {
  activation = kind;
  alpha = default_alpha(kind);
  beta = default_beta(kind);
}

Epilogue Epilogue::parse(const ir::Attrs& attrs) {
  Epilogue result;
  result.has_bias = attrs.get_or<bool>("has_bias", false);
  const auto residual = attrs.get_or<std::string>("residual", "");
  if (residual == "before") {
    result.residual = Residual::kBefore;
  } else if (residual == "after") {
    result.residual = Residual::kAfter;
  } else if (!residual.empty()) {
    fail(ErrorCode::kInvalidModel, "attribute \"residual\" is \"{}\": \"before\" or \"after\" is needed", residual);
  }
  result.set_activation(activation_from_name(attrs.get_or<std::string>("activation", "")));
  result.alpha = attrs.get_or<float>("alpha", result.alpha);
  result.beta = attrs.get_or<float>("beta", result.beta);
  return result;
}

void Epilogue::store(ir::Attrs& attrs) const {
  store_if(attrs, "has_bias", has_bias, true);
  store_if(attrs, "residual", residual != Residual::kNone, std::string(residual == Residual::kBefore ? "before" : "after"));
  store_if(attrs, "activation", activation != Activation::kNone, std::string(activation_name(activation)));
  store_if(attrs, "alpha", alpha != default_alpha(activation), alpha);
  store_if(attrs, "beta", beta != default_beta(activation), beta);
}

float Epilogue::apply(float x, float bias, float residual_value) const noexcept {
  if (has_bias) x += bias;
  if (residual == Residual::kBefore) x += residual_value;
  x = activate(activation, x, alpha, beta);
  if (residual == Residual::kAfter) x += residual_value;
  return x;
}

ConvAttrs ConvAttrs::parse(const ir::Attrs& attrs, int spatial) {
  ConvAttrs result;
  result.strides = window_list(attrs, "strides", spatial, 1);
  result.dilations = window_list(attrs, "dilations", spatial, 1);
  const auto padding = attrs.get<std::string>("padding");
  if (padding == "SAME") {
    result.padding = Padding::kSame;
  } else if (padding == "VALID") {
    result.padding = Padding::kValid;
  } else if (padding == "EXPLICIT") {
    result.padding = Padding::kExplicit;
    result.pads = window_list(attrs, "pads", 2 * spatial, 0);
  } else {
    fail(ErrorCode::kInvalidModel, "attribute \"padding\" is \"{}\": SAME, VALID or EXPLICIT is needed", padding);
  }
  result.epilogue = Epilogue::parse(attrs);
  return result;
}

void ConvAttrs::store(ir::Attrs& attrs) const {
  attrs.set("strides", strides);
  attrs.set("dilations", dilations);
  attrs.set("padding", std::string(padding == Padding::kSame ? "SAME" : padding == Padding::kValid ? "VALID" : "EXPLICIT"));
  store_if(attrs, "pads", padding == Padding::kExplicit, pads);
  epilogue.store(attrs);
}

std::pair<std::int64_t, std::int64_t> ConvAttrs::pads_of(int i, std::int64_t input, std::int64_t filter) const {
  const auto d = static_cast<std::size_t>(i);
  check_sizes(input, filter);
  if (padding == Padding::kValid) return {0, 0};
  if (padding == Padding::kExplicit) return {pads[2 * d], pads[2 * d + 1]};
  const std::int64_t output = (input + strides[d] - 1) / strides[d];
  const std::int64_t extent = (filter - 1) * dilations[d] + 1;
  const std::int64_t total = std::max<std::int64_t>(0, (output - 1) * strides[d] + extent - input);
  return {total / 2, total - total / 2};
}

std::int64_t ConvAttrs::output_size(int i, std::int64_t input, std::int64_t filter) const {
  const auto d = static_cast<std::size_t>(i);
  check_sizes(input, filter);
  if (padding == Padding::kSame) return (input + strides[d] - 1) / strides[d];
  const auto [before, after] = pads_of(i, input, filter);
  const std::int64_t room = input + before + after - ((filter - 1) * dilations[d] + 1);
  return room < 0 ? 0 : room / strides[d] + 1;
}

namespace {

constexpr std::string_view kDepthwisePrefix = "depthwise_", kProjectionPrefix = "projection_";

ir::Attrs with_prefix(const ir::Attrs& attrs, std::string_view prefix) {
  ir::Attrs found;
  for (const auto& [name, value] : attrs) {
    if (name.starts_with(prefix)) found.set(name.substr(prefix.size()), value);
  }
  return found;
}

void store_with_prefix(const ConvAttrs& window, std::string_view prefix, ir::Attrs& attrs) {
  ir::Attrs own;
  window.store(own);
  for (const auto& [name, value] : own) attrs.set(std::string(prefix) + name, value);
}

bool is_pointwise(const ConvAttrs& window) {
  return window.strides == std::vector<std::int64_t>{1, 1} && window.padding != Padding::kExplicit;
}

}  // namespace

ConvDepthwiseAttrs ConvDepthwiseAttrs::parse(const ir::Attrs& attrs) {
  ConvDepthwiseAttrs result{ConvAttrs::parse(attrs, 2), ConvAttrs::parse(with_prefix(attrs, kDepthwisePrefix), 2), {}};
  if (result.conv.epilogue.residual != Residual::kNone || result.depthwise.epilogue.residual != Residual::kNone) {
    fail(ErrorCode::kInvalidModel, "fused_conv2d_depthwise: only the projection can have a residual");
  }
  const ir::Attrs projection = with_prefix(attrs, kProjectionPrefix);
  if (projection.size() == 0) return result;
  result.projection = ConvAttrs::parse(projection, 2);
  if (!is_pointwise(*result.projection)) {
    fail(ErrorCode::kInvalidModel, "fused_conv2d_depthwise: the projection has strides or explicit padding");
  }
  return result;
}

void ConvDepthwiseAttrs::store(ir::Attrs& attrs) const {
  conv.store(attrs);
  store_with_prefix(depthwise, kDepthwisePrefix, attrs);
  if (projection) store_with_prefix(*projection, kProjectionPrefix, attrs);
}

MatMulAttrs MatMulAttrs::parse(const ir::Attrs& attrs) {
  return {attrs.get_or<bool>("transpose_a", false), attrs.get_or<bool>("transpose_b", false), Epilogue::parse(attrs)};
}

void MatMulAttrs::store(ir::Attrs& attrs) const {
  store_if(attrs, "transpose_a", transpose_a, true);
  store_if(attrs, "transpose_b", transpose_b, true);
  epilogue.store(attrs);
}

LayerNormAttrs LayerNormAttrs::parse(const ir::Attrs& attrs) {
  const auto count = attrs.get<std::int64_t>("axes_count");
  if (count < 1 || count > 64) fail(ErrorCode::kInvalidModel, "attribute \"axes_count\" is {}", count);
  return {static_cast<int>(count), attrs.get<float>("epsilon"), attrs.get_or<bool>("has_residual", false)};
}

void LayerNormAttrs::store(ir::Attrs& attrs) const {
  attrs.set("axes_count", std::int64_t{axes_count});
  attrs.set("epsilon", epsilon);
  store_if(attrs, "has_residual", has_residual, true);
}

namespace {

bool parse_layout(const ir::Attrs& attrs, const char* name) {
  const auto layout = attrs.get_or<std::string>(name, "BHSD");
  if (layout != "BHSD" && layout != "BSHD") {
    fail(ErrorCode::kInvalidModel, "attribute \"{}\" is \"{}\": BHSD or BSHD is needed", name, layout);
  }
  return layout == "BSHD";
}

}  // namespace

AttentionAttrs AttentionAttrs::parse(const ir::Attrs& attrs) {
  return {parse_layout(attrs, "layout"), parse_layout(attrs, "output_layout"), attrs.get_or<bool>("has_mask", false),
          attrs.get_or<float>("scale", 1.0f)};
}

void AttentionAttrs::store(ir::Attrs& attrs) const {
  attrs.set("layout", std::string(bshd ? "BSHD" : "BHSD"));
  attrs.set("output_layout", std::string(output_bshd ? "BSHD" : "BHSD"));
  attrs.set("scale", scale);
  store_if(attrs, "has_mask", has_mask, true);
}

}  // namespace tenon::ops
