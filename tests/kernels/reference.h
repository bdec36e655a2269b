// Plain loops that the kernels are compared with, and helpers of their tests.
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <limits>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "backends/cpu/kernels/epilogue.h"
#include "base/cpu_info.h"

namespace tenon::cpu {

// The sets that this CPU can run.
inline std::vector<Isa> runnable_isas() {
  std::vector<Isa> isas;
  for (Isa isa : {Isa::kGeneric, Isa::kAvx2, Isa::kAvx512}) {
    if (isa <= cpu_info().isa) isas.push_back(isa);
  }
  return isas;
}

inline std::vector<float> random_values(size_t n, unsigned seed, float scale = 1) {
  std::mt19937 random(seed);
  std::uniform_real_distribution<float> uniform(-scale, scale);
  std::vector<float> values(n);
  for (float& v : values) v = uniform(random);
  return values;
}

// 64-byte aligned, filled with NaN: a kernel that reads what it did not write is found out.
class AlignedBuffer {
 public:
  explicit AlignedBuffer(size_t bytes) : size_(bytes / sizeof(float)) {
    data_.reset(static_cast<float*>(std::aligned_alloc(64, (bytes + 64) / 64 * 64)));
    std::fill(data_.get(), data_.get() + size_, std::numeric_limits<float>::quiet_NaN());
  }
  float* data() { return data_.get(); }

 private:
  struct Free {
    void operator()(float* p) const { std::free(p); }
  };
  std::unique_ptr<float, Free> data_;
  size_t size_;
};

inline double reference_activation(const Epilogue& e, double x) {
  const double alpha = e.alpha, beta = e.beta;
  const auto clamp = [](double v, double low, double high) { return v < low ? low : v > high ? high : v; };
  switch (e.activation) {
    case Activation::kNone:
      return x;
    case Activation::kRelu:
      return x < 0 ? 0 : x;
    case Activation::kRelu6:
      return clamp(x, 0, 6);
    case Activation::kClip:
      return clamp(x, alpha, beta);
    case Activation::kLeakyRelu:
      return x < 0 ? alpha * x : x;
    case Activation::kElu:
      return x < 0 ? alpha * std::expm1(x) : x;
    case Activation::kSelu:
      return 1.0507009873554804934 * (x < 0 ? 1.6732632423543772848 * std::expm1(x) : x);
    case Activation::kSigmoid:
      return 1 / (1 + std::exp(-x));
    case Activation::kTanh:
      return std::tanh(x);
    case Activation::kSwish:
      return x / (1 + std::exp(-alpha * x));
    case Activation::kHardSigmoid:
      return clamp(alpha * x + beta, 0, 1);
    case Activation::kHardSwish:
      return x * clamp(alpha * x + beta, 0, 1);
    case Activation::kGeluErf:
      return 0.5 * x * std::erfc(-x / std::sqrt(2.0));
    case Activation::kGeluTanh:
      return 0.5 * x * (1 + std::tanh(std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
    case Activation::kSoftplus:
      return std::fmax(x, 0) + std::log1p(std::exp(-std::fabs(x)));
    case Activation::kSoftsign:
      return x / (1 + std::fabs(x));
    case Activation::kMish:
      return x * std::tanh(std::fmax(x, 0) + std::log1p(std::exp(-std::fabs(x))));
    case Activation::kExp:
      return std::exp(x);
  }
  return x;
}

inline double reference_epilogue(const Epilogue& e, double sum, double residual) {
  if (e.residual == ResidualPlace::kBeforeActivation) sum += residual;
  sum = reference_activation(e, sum);
  return e.residual == ResidualPlace::kAfterActivation ? sum + residual : sum;
}

inline std::vector<Epilogue> all_epilogues() {
  std::vector<Epilogue> all;
  for (int a = 0; a <= static_cast<int>(Activation::kExp); ++a) {
    Epilogue e;
    e.activation = static_cast<Activation>(a);
    e.alpha = 0.25f;
    e.beta = 0.5f;
    for (auto place : {ResidualPlace::kNone, ResidualPlace::kBeforeActivation, ResidualPlace::kAfterActivation}) {
      e.residual = place;
      all.push_back(e);
    }
  }
  return all;
}

inline std::string describe(const Epilogue& e, Isa isa) {
  return std::string(isa_name(isa)) + " activation " + std::to_string(static_cast<int>(e.activation)) + " residual " +
         std::to_string(static_cast<int>(e.residual));
}

}  // namespace tenon::cpu
