// Fused ops that passes make and backends run. Attributes are typed here; all of them compute in float32.
//
//   fused_conv2d            x [N,H,W,C], filter [kh,kw,C/groups,O], (bias [O]), (residual)
//   fused_depthwise_conv2d  x [N,H,W,C], filter [kh,kw,C,multiplier], (bias [C*multiplier]), (residual)
//   fused_conv2d_depthwise  x [N,H,W,C], filter [kh,kw,C,O], depthwise filter [kh,kw,O,1], (bias [O]), (depthwise bias [O]),
//                           (projection's filter [1,1,O,P], its bias [P], its residual): a convolution, then a depthwise one,
//                           then perhaps a 1x1 one; see ConvDepthwiseAttrs
//   fused_conv3d            x [N,D,H,W,C], filter [kd,kh,kw,C/groups,O], (bias), (residual)
//   fused_conv2d_transpose  input_sizes (int32/int64: [N,H,W,O] or [H,W] of the result), filter [kh,kw,O,C], x [N,h,w,C], (bias), (residual)
//   fused_matmul            a [...,M,K], b [...,K,N] or [K,N] for all batches, (bias [N]), (residual)
//   layer_norm              x, gamma, beta, (residual, added to x first)
//   attention               q, k, v, (mask, added to the scores)
//   channel_affine          x [...,C], scale [C], shift [C]
//   elementwise             operands that broadcast; see ops/elementwise_program.h
//   gelu (approximate: bool), swish, hard_swish, hard_sigmoid (alpha, beta), clip (alpha, beta): one operand
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "ir/attributes.h"

namespace tenon::ops {

enum class Activation {
  kNone,
  kRelu,
  kRelu6,
  kClip,       // min(max(x, alpha), beta)
  kLeakyRelu,  // x < 0 ? alpha * x : x
  kElu,
  kSelu,
  kSigmoid,
  kTanh,
  kSwish,        // x * sigmoid(x)
  kHardSwish,    // x * min(max(x + 3, 0), 6) / 6
  kHardSigmoid,  // min(max(alpha * x + beta, 0), 1)
  kGeluErf,
  kGeluTanh,
  kSoftplus,
  kSoftsign,
  kExp,
};

// "relu6"; the empty string for kNone.
std::string_view activation_name(Activation activation) noexcept;
// Throws kInvalidModel for a name that is not an activation's.
Activation activation_from_name(std::string_view name);
// alpha and beta an activation has when its attributes do not say so.
float default_alpha(Activation activation) noexcept;
float default_beta(Activation activation) noexcept;
// The activation's value; alpha and beta as the enum says.
float activate(Activation activation, float x, float alpha, float beta) noexcept;

enum class Residual { kNone, kBefore, kAfter };

// What happens to a convolution's or a matmul's result x: y = act(x + bias + residual) or act(x + bias) + residual.
// Attributes has_bias, residual ("", "before", "after"), activation, alpha, beta. Operands follow the op's own: bias, residual.
struct Epilogue {
  bool has_bias = false;
  Residual residual = Residual::kNone;
  Activation activation = Activation::kNone;
  float alpha = 0;
  float beta = 0;

  // Throws kInvalidModel for values that are not those above.
  static Epilogue parse(const ir::Attrs& attrs);
  // Writes what differs from the defaults and erases the rest.
  void store(ir::Attrs& attrs) const;
  int num_operands() const noexcept { return (has_bias ? 1 : 0) + (residual != Residual::kNone ? 1 : 0); }
  void set_activation(Activation kind) noexcept;
  float apply(float x, float bias, float residual_value) const noexcept;
};

enum class Padding { kSame, kValid, kExplicit };

// Window of a fused convolution with n spatial dims. Attributes strides, dilations (n each), padding (SAME, VALID, EXPLICIT),
// pads (for EXPLICIT, 2n: before and after of each spatial dim), and the epilogue.
struct ConvAttrs {
  std::vector<std::int64_t> strides;
  std::vector<std::int64_t> dilations;
  Padding padding = Padding::kValid;
  std::vector<std::int64_t> pads;  // empty unless padding is kExplicit
  Epilogue epilogue;

  // Throws kInvalidModel for missing, wrong-sized or non-positive values.
  static ConvAttrs parse(const ir::Attrs& attrs, int spatial);
  void store(ir::Attrs& attrs) const;
  // Padding before and after along spatial dim i, for this input size and filter size.
  std::pair<std::int64_t, std::int64_t> pads_of(int i, std::int64_t input, std::int64_t filter) const;
  // Size of the result along spatial dim i; negative or zero when the window does not fit.
  std::int64_t output_size(int i, std::int64_t input, std::int64_t filter) const;
};

// A convolution of one group and the depthwise convolution after it, neither with a residual, and perhaps the 1x1 convolution
// after that (its projection). The first has the attributes of ConvAttrs, the others the same with "depthwise_" and
// "projection_" before their names.
struct ConvDepthwiseAttrs {
  ConvAttrs conv;
  ConvAttrs depthwise;
  std::optional<ConvAttrs> projection;

  // Throws kInvalidModel like ConvAttrs, and for residuals or windows that are not possible.
  static ConvDepthwiseAttrs parse(const ir::Attrs& attrs);
  void store(ir::Attrs& attrs) const;
  // The operand that is the projection's filter, when there is one.
  int projection_filter() const noexcept { return 3 + conv.epilogue.num_operands() + depthwise.epilogue.num_operands(); }
  int num_operands() const noexcept { return projection_filter() + (projection ? 1 + projection->epilogue.num_operands() : 0); }
};

struct MatMulAttrs {
  bool transpose_a = false;
  bool transpose_b = false;
  Epilogue epilogue;
  static MatMulAttrs parse(const ir::Attrs& attrs);
  void store(ir::Attrs& attrs) const;
};

// y = (x - mean) / sqrt(variance + epsilon) * gamma + beta over the last axes_count dims; x is x + residual when there is one.
struct LayerNormAttrs {
  int axes_count = 1;
  float epsilon = 0;
  bool has_residual = false;
  static LayerNormAttrs parse(const ir::Attrs& attrs);
  void store(ir::Attrs& attrs) const;
};

// y = softmax(scale * q k^T + mask) v. bshd: the dims of q, k and v are [B,S,H,D], else [B,H,S,D]; the result likewise.
struct AttentionAttrs {
  bool bshd = false;
  bool output_bshd = false;
  bool has_mask = false;
  float scale = 1;
  static AttentionAttrs parse(const ir::Attrs& attrs);
  void store(ir::Attrs& attrs) const;
};

}  // namespace tenon::ops
