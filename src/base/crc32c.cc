#include "base/crc32c.h"

#include <immintrin.h>

#include <array>
#include <cstring>

namespace tenon {
namespace {

constexpr std::uint32_t kPolynomial = 0x82f63b78u;  // Castagnoli, bits reversed

constexpr std::array<std::uint32_t, 256> make_table() {
  std::array<std::uint32_t, 256> table{};
  for (std::uint32_t byte = 0; byte < 256; ++byte) {
    std::uint32_t crc = byte;
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1) != 0 ? kPolynomial : 0);
    table[byte] = crc;
  }
  return table;
}
constexpr std::array<std::uint32_t, 256> kTable = make_table();

std::uint32_t update_portable(std::uint32_t crc, const unsigned char* data, std::size_t size) noexcept {
  for (std::size_t i = 0; i < size; ++i) crc = (crc >> 8) ^ kTable[(crc ^ data[i]) & 0xff];
  return crc;
}

__attribute__((target("sse4.2"))) std::uint64_t next_word(std::uint64_t crc, const unsigned char* data) noexcept {
  std::uint64_t word;
  std::memcpy(&word, data, sizeof word);
  return _mm_crc32_u64(crc, word);
}

// A matrix over GF(2) by which a checksum is carried over kLane zero bytes, as four tables of 256.
constexpr std::size_t kLane = 4096;
using Shift = std::array<std::array<std::uint32_t, 256>, 4>;

Shift make_shift() noexcept {
  std::array<std::uint32_t, 32> columns;
  constexpr std::array<unsigned char, 256> kZeros{};
  for (std::uint32_t bit = 0; bit < 32; ++bit) {
    std::uint32_t crc = 1u << bit;
    for (std::size_t done = 0; done < kLane; done += kZeros.size()) crc = update_portable(crc, kZeros.data(), kZeros.size());
    columns[bit] = crc;
  }
  Shift shift{};
  for (std::uint32_t byte = 0; byte < 4; ++byte) {
    for (std::uint32_t value = 0; value < 256; ++value) {
      for (std::uint32_t bit = 0; bit < 8; ++bit) {
        if ((value >> bit & 1) != 0) shift[byte][value] ^= columns[byte * 8 + bit];
      }
    }
  }
  return shift;
}

std::uint32_t over_lane(const Shift& shift, std::uint32_t crc) noexcept {
  return shift[0][crc & 0xff] ^ shift[1][crc >> 8 & 0xff] ^ shift[2][crc >> 16 & 0xff] ^ shift[3][crc >> 24];
}

// The instruction takes three cycles but starts every cycle: three independent lanes keep it busy.
__attribute__((target("sse4.2"))) std::uint32_t update_sse42(std::uint32_t crc, const unsigned char* data,
                                                             std::size_t size) noexcept {
  std::uint64_t a = crc;
  if (size >= 3 * kLane) {
    static const Shift shift = make_shift();
    for (; size >= 3 * kLane; size -= 3 * kLane, data += 3 * kLane) {
      std::uint64_t b = 0, c = 0;
      for (std::size_t i = 0; i < kLane; i += 8) {
        a = next_word(a, data + i);
        b = next_word(b, data + kLane + i);
        c = next_word(c, data + 2 * kLane + i);
      }
      a = over_lane(shift, over_lane(shift, static_cast<std::uint32_t>(a)) ^ static_cast<std::uint32_t>(b)) ^ c;
    }
  }
  for (; size >= 8; size -= 8, data += 8) a = next_word(a, data);
  auto tail = static_cast<std::uint32_t>(a);
  for (; size > 0; --size, ++data) tail = _mm_crc32_u8(tail, *data);
  return tail;
}

}  // namespace

std::uint32_t crc32c(std::string_view bytes, std::uint32_t crc) noexcept {
  static const bool fast = __builtin_cpu_supports("sse4.2");
  const auto* data = reinterpret_cast<const unsigned char*>(bytes.data());
  const std::uint32_t start = ~crc;
  return ~(fast ? update_sse42(start, data, bytes.size()) : update_portable(start, data, bytes.size()));
}

}  // namespace tenon
