// Philox4x32-10 (Salmon, Moraes, Dror, Shaw: "Parallel random numbers: as easy as 1, 2, 3", 2011), seeded as TensorFlow does.
#pragma once

#include <array>
#include <cstdint>

namespace tenon::ops {

class Philox {
 public:
  using Block = std::array<std::uint32_t, 4>;
  using Key = std::array<std::uint32_t, 2>;

  Philox(Block counter, Key key) : counter_(counter), key_(key) {}
  // From TensorFlow's two seeds of a stateful op.
  static Philox from_seeds(std::uint64_t seed, std::uint64_t seed2) {
    return Philox({0, 0, low(seed2), high(seed2)}, {low(seed), high(seed)});
  }
  // From the seed operand of a stateless op: the seeds are scrambled, so that every bit of them counts.
  static Philox from_stateless_seed(std::uint64_t seed0, std::uint64_t seed1) {
    Philox scrambler({low(seed0), high(seed0), low(seed1), high(seed1)}, {0x3ec8f720u, 0x02461e29u});
    const Block mix = scrambler();
    return Philox({0, 0, mix[2], mix[3]}, {mix[0], mix[1]});
  }
  // From the key and counter operands of version 2 of the stateless ops.
  static Philox from_key_counter(std::uint64_t key, std::uint64_t counter0, std::uint64_t counter1) {
    return Philox({low(counter0), high(counter0), low(counter1), high(counter1)}, {low(key), high(key)});
  }

  std::uint64_t key() const { return join(key_[0], key_[1]); }
  std::uint64_t counter(int half) const {
    const auto i = static_cast<std::size_t>(2 * half);
    return join(counter_[i], counter_[i + 1]);
  }

  // The next 128 bits.
  Block operator()() {
    Block block = counter_;
    Key key = key_;
    for (int round = 0; round < 10; ++round) {
      const std::uint64_t a = std::uint64_t{0xd2511f53u} * block[0];
      const std::uint64_t b = std::uint64_t{0xcd9e8d57u} * block[2];
      block = {high(b) ^ block[1] ^ key[0], low(b), high(a) ^ block[3] ^ key[1], low(a)};
      key[0] += 0x9e3779b9u;
      key[1] += 0xbb67ae85u;
    }
    skip(1);
    return block;
  }

  // Passes over `blocks` results.
  void skip(std::uint64_t blocks) {
    const std::uint64_t first = counter(0) + blocks;
    const std::uint64_t second = counter(1) + (first < blocks ? 1 : 0);
    counter_ = {low(first), high(first), low(second), high(second)};
  }

 private:
  static std::uint32_t low(std::uint64_t x) { return static_cast<std::uint32_t>(x); }
  static std::uint32_t high(std::uint64_t x) { return static_cast<std::uint32_t>(x >> 32); }
  static std::uint64_t join(std::uint32_t low, std::uint32_t high) { return low | std::uint64_t{high} << 32; }

  Block counter_;
  Key key_;
};

// 32 bits at a time.
class PhiloxWords {
 public:
  explicit PhiloxWords(Philox generator) : generator_(generator) {}
  std::uint32_t operator()() {
    if (used_ == 4) {
      block_ = generator_();
      used_ = 0;
    }
    return block_[used_++];
  }

 private:
  Philox generator_;
  Philox::Block block_{};
  std::size_t used_ = 4;
};

}  // namespace tenon::ops
