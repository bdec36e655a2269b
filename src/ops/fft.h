// Discrete Fourier transforms of any length.
#pragma once

#include <complex>
#include <cstddef>
#include <span>
#include <vector>

namespace tenon::ops {

// The transform of one length, computed in double. Lengths with large prime factors go through Bluestein's algorithm, so the
// cost is O(n log n) for every n. Thread-safe.
class Fft {
 public:
  using Complex = std::complex<double>;
  explicit Fft(std::size_t length);
  // In place. The inverse is not scaled.
  void forward(std::span<Complex> data) const;
  void inverse(std::span<Complex> data) const;

 private:
  void step(const Complex* in, Complex* out, std::size_t length, std::size_t stride, std::size_t factor) const;
  void combine4(Complex* out, std::size_t part, std::size_t stride) const;
  void bluestein(std::span<Complex> data) const;

  std::size_t length_;
  std::vector<std::size_t> factors_;  // of length_, when all are small
  std::vector<Complex> roots_;        // exp(-2 pi i k / length_)
  // Bluestein's: chirp_[k] = exp(-pi i k^2 / n), and the transform of its inverse over a power of two.
  std::vector<Complex> chirp_, filter_;
  std::vector<Fft> power_of_two_;  // one when Bluestein's algorithm is used
};

}  // namespace tenon::ops
