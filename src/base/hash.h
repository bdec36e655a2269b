// Hashes for content and look-up: XXH3. Stable across machines and versions, so they may be written into files.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace tenon {

std::uint64_t hash64(std::string_view bytes, std::uint64_t seed = 0) noexcept;

struct Hash128 {
  std::uint64_t low = 0;
  std::uint64_t high = 0;
  bool operator==(const Hash128&) const = default;
  std::string to_string() const;  // 32 lower-case hexadecimal digits, high part first
};
Hash128 hash128(std::string_view bytes, std::uint64_t seed = 0) noexcept;

}  // namespace tenon
