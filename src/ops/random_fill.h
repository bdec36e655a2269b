// Filling tensors with random numbers, bit for bit as TensorFlow's CPU kernels do.
#pragma once

#include <cstdint>
#include <string_view>

#include "ops/philox.h"
#include "tenon/tensor.h"

namespace tenon::ops {

// TensorFlow sets aside this many numbers per element, so that how many an element needs does not shift the others.
inline constexpr std::uint64_t kReservedPerOutput = 256;

enum class Distribution { kUniform, kNormal, kTruncatedNormal };  // [0, 1); mean 0, deviation 1; the same, |x| < 2

// [0, 1) from 52 random bits.
double uniform_double(std::uint32_t high, std::uint32_t low);

// Fills a floating-point tensor. Throws kUnsupported for other dtypes.
void fill_random(Distribution distribution, Philox generator, Tensor& out, std::string_view who);
// Fills an integer tensor with values of [low, high), scalars of out's dtype. Throws kInvalidArgument unless low < high.
void fill_random_integers(Philox generator, const Tensor& low, const Tensor& high, Tensor& out, std::string_view who);
// Fills an integer tensor with values of its whole range.
void fill_random_bits(Philox generator, Tensor& out, std::string_view who);
// Draws out.dim(1) classes per row of `logits` [batch, classes], with probabilities softmax(logits).
void fill_categorical(Philox generator, const Tensor& logits, Tensor& out, std::string_view who);
// out has the shape [samples..., parameters...]; element [.., i] is drawn with parameter i.
void fill_gamma(Philox generator, const Tensor& alpha, Tensor& out, std::string_view who);
void fill_poisson(Philox generator, const Tensor& rate, Tensor& out, std::string_view who);

}  // namespace tenon::ops
