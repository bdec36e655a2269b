#include "ops/fft.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstdint>
#include <numbers>

namespace tenon::ops {
namespace {

constexpr std::size_t kLargestFactor = 13;

std::complex<double> root(double numerator, double denominator) { return std::polar(1.0, -2 * std::numbers::pi * numerator / denominator); }

// The product without the checks for infinities that operator* makes.
std::complex<double> times(std::complex<double> a, std::complex<double> b) {
  return {a.real() * b.real() - a.imag() * b.imag(), a.real() * b.imag() + a.imag() * b.real()};
}

}  // namespace

Fft::Fft(std::size_t length) : length_(length) {
  std::size_t rest = length;
  for (std::size_t factor = 2; factor <= kLargestFactor && rest > 1;) {
    if (factor == 2 && rest % 4 == 0) {
      factors_.push_back(4);
      rest /= 4;
    } else if (rest % factor == 0) {
      factors_.push_back(factor);
      rest /= factor;
    } else {
      ++factor;
    }
  }
  if (rest <= 1) {
    for (std::size_t k = 0; k < length; ++k) roots_.push_back(root(static_cast<double>(k), static_cast<double>(length)));
    return;
  }
  factors_.clear();
  const std::size_t padded = std::bit_ceil(2 * length);
  for (std::size_t k = 0; k < length; ++k) {
    const std::size_t square = static_cast<std::size_t>(static_cast<unsigned __int128>(k) * k % (2 * length));
    chirp_.push_back(root(static_cast<double>(square), 2.0 * static_cast<double>(length)));
  }
  power_of_two_.emplace_back(padded);
  filter_.resize(padded);
  for (std::size_t k = 0; k < length; ++k) filter_[k] = filter_[(padded - k) % padded] = std::conj(chirp_[k]);
  power_of_two_[0].forward(filter_);
}

// One level of the mixed-radix transform: `length` inputs that lie `stride` apart, results contiguous.
void Fft::step(const Complex* in, Complex* out, std::size_t length, std::size_t stride, std::size_t factor) const {
  if (length == 1) {
    out[0] = in[0];
    return;
  }
  const std::size_t radix = factors_[factor];
  const std::size_t part = length / radix;
  for (std::size_t r = 0; r < radix; ++r) step(in + r * stride, out + r * part, part, stride * radix, factor + 1);
  if (radix == 4) return combine4(out, part, stride);
  std::array<Complex, kLargestFactor> terms, powers;  // powers[k] = exp(-2 pi i k / radix)
  for (std::size_t r = 0; r < radix; ++r) powers[r] = roots_[r * part * stride];
  for (std::size_t k = 0; k < part; ++k) {
    for (std::size_t r = 0; r < radix; ++r) terms[r] = times(out[r * part + k], roots_[r * k * stride]);
    for (std::size_t q = 0; q < radix; ++q) {
      Complex sum = terms[0];
      for (std::size_t r = 1, power = q; r < radix; ++r, power = power + q < radix ? power + q : power + q - radix) {
        sum += times(terms[r], powers[power]);
      }
      out[q * part + k] = sum;
    }
  }
}

void Fft::combine4(Complex* out, std::size_t part, std::size_t stride) const {
  for (std::size_t k = 0; k < part; ++k) {
    const Complex a = out[k], b = times(out[part + k], roots_[k * stride]);
    const Complex c = times(out[2 * part + k], roots_[2 * k * stride]), d = times(out[3 * part + k], roots_[3 * k * stride]);
    const Complex even_sum = a + c, even_difference = a - c, odd_sum = b + d, odd_difference = b - d;
    const Complex turned(odd_difference.imag(), -odd_difference.real());  // times -i
    out[k] = even_sum + odd_sum;
    out[part + k] = even_difference + turned;
    out[2 * part + k] = even_sum - odd_sum;
    out[3 * part + k] = even_difference - turned;
  }
}

void Fft::bluestein(std::span<Complex> data) const {
  std::vector<Complex> work(filter_.size());
  for (std::size_t k = 0; k < length_; ++k) work[k] = times(data[k], chirp_[k]);
  power_of_two_[0].forward(work);
  for (std::size_t k = 0; k < work.size(); ++k) work[k] = times(work[k], filter_[k]);
  power_of_two_[0].inverse(work);
  const double scale = 1.0 / static_cast<double>(work.size());
  for (std::size_t k = 0; k < length_; ++k) data[k] = times(work[k], chirp_[k]) * scale;
}

void Fft::forward(std::span<Complex> data) const {
  if (length_ <= 1) return;
  if (!power_of_two_.empty()) return bluestein(data);
  const std::vector<Complex> in(data.begin(), data.end());
  step(in.data(), data.data(), length_, 1, 0);
}

void Fft::inverse(std::span<Complex> data) const {
  for (Complex& v : data) v = std::conj(v);
  forward(data);
  for (Complex& v : data) v = std::conj(v);
}

}  // namespace tenon::ops
