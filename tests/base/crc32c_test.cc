#include "base/crc32c.h"

#include <gtest/gtest.h>

#include <string>

#include "base/hash.h"

namespace tenon {
namespace {

// One bit at a time: the definition.
std::uint32_t slow_crc(std::string_view bytes) {
  std::uint32_t crc = ~0u;
  for (char byte : bytes) {
    crc ^= static_cast<unsigned char>(byte);
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1) != 0 ? 0x82f63b78u : 0);
  }
  return ~crc;
}

std::string noise(std::size_t size) {
  std::string bytes(size, '\0');
  std::uint32_t state = 12345;
  for (char& byte : bytes) byte = static_cast<char>((state = state * 1664525 + 1013904223) >> 24);
  return bytes;
}

TEST(Crc32c, GivesTheStandardCheckValue) { EXPECT_EQ(crc32c("123456789"), 0xe3069283u); }

TEST(Crc32c, EqualsTheDefinitionAtEveryLength) {
  for (std::size_t size : {0, 1, 7, 8, 9, 63, 4096, 12287, 12288, 12289, 24576, 30001}) {
    EXPECT_EQ(crc32c(noise(size)), slow_crc(noise(size))) << size;
  }
}

TEST(Crc32c, Continues) {
  const std::string bytes = noise(20000);
  EXPECT_EQ(crc32c(std::string_view(bytes).substr(13001), crc32c(std::string_view(bytes).substr(0, 13001))), crc32c(bytes));
}

TEST(Crc32c, MaskIsUndone) {
  for (std::uint32_t crc : {0u, 1u, 0xffffffffu, 0x12345678u}) EXPECT_EQ(unmask_crc32c(mask_crc32c(crc)), crc);
}

TEST(Hash, IsStable) {
  EXPECT_EQ(hash64(""), 0x2d06800538d394c2u);
  EXPECT_EQ(hash128("").to_string(), "99aa06d3014798d86001c324468d497f");
  EXPECT_NE(hash64("a", 1), hash64("a", 2));
}

}  // namespace
}  // namespace tenon
