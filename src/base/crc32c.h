// CRC-32C (Castagnoli), the checksum of TensorFlow's files.
#pragma once

#include <cstdint>
#include <string_view>

namespace tenon {

// The checksum of everything that gave `crc` followed by `bytes`; start with 0. Uses the SSE4.2 instruction where there is
// one.
std::uint32_t crc32c(std::string_view bytes, std::uint32_t crc = 0) noexcept;

// TensorFlow stores checksums masked, so that a checksum of data with embedded checksums is not weak.
constexpr std::uint32_t mask_crc32c(std::uint32_t crc) noexcept { return ((crc >> 15) | (crc << 17)) + 0xa282ead8u; }
constexpr std::uint32_t unmask_crc32c(std::uint32_t masked) noexcept {
  const std::uint32_t rotated = masked - 0xa282ead8u;
  return (rotated >> 17) | (rotated << 15);
}

}  // namespace tenon
