// What a convolution or matmul does with a finished sum before it leaves the cache.
#pragma once

#include <cstdint>
#include <limits>

namespace tenon::cpu {

enum class Activation : uint8_t {
  kNone,
  kRelu,       // max(x, 0)
  kRelu6,      // min(max(x, 0), 6)
  kClip,       // min(max(x, alpha), beta)
  kLeakyRelu,  // x < 0 ? alpha * x : x
  kElu,        // x < 0 ? alpha * (exp(x) - 1) : x
  kSelu,       // ELU with the two constants of SELU
  kSigmoid,    // 1 / (1 + exp(-x))
  kTanh,
  kSwish,        // x * sigmoid(alpha * x)
  kHardSigmoid,  // min(max(alpha * x + beta, 0), 1)
  kHardSwish,    // x * min(max(alpha * x + beta, 0), 1); TensorFlow's has alpha 1/6, beta 0.5
  kGeluErf,      // x / 2 * (1 + erf(x / sqrt(2)))
  kGeluTanh,     // the tanh approximation
  kSoftplus,     // log(1 + exp(x))
  kSoftsign,     // x / (1 + |x|)
  kMish,         // x * tanh(softplus(x))
  kExp,
};

enum class ResidualPlace : uint8_t {
  kNone,
  kBeforeActivation,  // activation(sum + bias + residual)
  kAfterActivation,   // activation(sum + bias) + residual
};

// NaN passes through every activation, as in TensorFlow. Bias is given with the data: a null pointer means none.
struct Epilogue {
  Activation activation = Activation::kNone;
  float alpha = 0;
  float beta = 0;
  ResidualPlace residual = ResidualPlace::kNone;
};

// True where the activation is min(max(x, *low), *high): these cost nothing in a kernel.
// Static, because every instruction set compiles its own copy.
static inline bool as_clip(const Epilogue& epilogue, float* low, float* high) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  *low = epilogue.activation == Activation::kClip   ? epilogue.alpha
         : epilogue.activation == Activation::kNone ? -kInfinity
                                                    : 0;
  *high = epilogue.activation == Activation::kClip    ? epilogue.beta
          : epilogue.activation == Activation::kRelu6 ? 6
                                                      : kInfinity;
  return epilogue.activation <= Activation::kClip;
}

}  // namespace tenon::cpu
