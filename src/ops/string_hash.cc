// Hashes of strings to buckets: FarmHash fingerprints, SipHash-2-4, MurmurHash64A.
#include <farmhash.h>

#include <bit>
#include <cstring>

#include "ir/eval_context.h"
#include "ir/infer_context.h"
#include "ops/registry.h"
#include "ops/string_elements.h"

namespace tenon::ops {
namespace {

using ir::EvalContext;

std::uint64_t load64(const char* p) {
  std::uint64_t value;
  std::memcpy(&value, p, sizeof value);
  return value;
}

// The last size % 8 bytes, little-endian.
std::uint64_t load_tail(std::string_view bytes) {
  std::uint64_t value = 0;
  const std::size_t tail = bytes.size() % 8;
  std::memcpy(&value, bytes.data() + bytes.size() - tail, tail);
  return value;
}

// Aumasson and Bernstein, "SipHash: a fast short-input PRF", with 2 compression and 4 finalization rounds.
class SipHash {
 public:
  SipHash(std::uint64_t k0, std::uint64_t k1)
      : v0_(k0 ^ 0x736f6d6570736575u), v1_(k1 ^ 0x646f72616e646f6du), v2_(k0 ^ 0x6c7967656e657261u), v3_(k1 ^ 0x7465646279746573u) {}

  std::uint64_t operator()(std::string_view bytes) {
    for (std::size_t i = 0; i + 8 <= bytes.size(); i += 8) absorb(load64(bytes.data() + i));
    absorb(load_tail(bytes) | static_cast<std::uint64_t>(bytes.size()) << 56);
    v2_ ^= 0xff;
    for (int i = 0; i < 4; ++i) round();
    return v0_ ^ v1_ ^ v2_ ^ v3_;
  }

 private:
  void absorb(std::uint64_t word) {
    v3_ ^= word;
    round();
    round();
    v0_ ^= word;
  }
  void round() {
    v0_ += v1_;
    v2_ += v3_;
    v1_ = std::rotl(v1_, 13) ^ v0_;
    v3_ = std::rotl(v3_, 16) ^ v2_;
    v0_ = std::rotl(v0_, 32);
    v2_ += v1_;
    v0_ += v3_;
    v1_ = std::rotl(v1_, 17) ^ v2_;
    v3_ = std::rotl(v3_, 21) ^ v0_;
    v2_ = std::rotl(v2_, 32);
  }
  std::uint64_t v0_, v1_, v2_, v3_;
};

// Appleby's MurmurHash64A.
std::uint64_t murmur64(std::string_view bytes, std::uint64_t seed) {
  constexpr std::uint64_t kMultiplier = 0xc6a4a7935bd1e995u;
  std::uint64_t h = seed ^ (bytes.size() * kMultiplier);
  for (std::size_t i = 0; i + 8 <= bytes.size(); i += 8) {
    std::uint64_t k = load64(bytes.data() + i) * kMultiplier;
    k ^= k >> 47;
    h = (h ^ k * kMultiplier) * kMultiplier;
  }
  if (bytes.size() % 8 != 0) h = (h ^ load_tail(bytes)) * kMultiplier;
  h = (h ^ h >> 47) * kMultiplier;
  return h ^ h >> 47;
}

template <class Hash>
void hash_to_buckets(EvalContext& ctx, Hash&& hash) {
  const auto buckets = ctx.attrs().get<std::int64_t>("num_buckets");
  if (buckets < 1) ctx.fail_node("num_buckets is {}", buckets);
  map_strings<std::int64_t>(
      ctx, [&](const std::string& s) { return static_cast<std::int64_t>(hash(s) % static_cast<std::uint64_t>(buckets)); });
}

void evaluate_fast(EvalContext& ctx) {
  hash_to_buckets(ctx, [](const std::string& s) { return util::Fingerprint64(s.data(), s.size()); });
}

void evaluate_strong(EvalContext& ctx) {
  const auto key = ctx.attrs().get<std::vector<std::int64_t>>("key");
  if (key.size() != 2) ctx.fail_node("the key has {} numbers, 2 are needed", key.size());
  hash_to_buckets(ctx, [&](const std::string& s) {
    return SipHash(static_cast<std::uint64_t>(key[0]), static_cast<std::uint64_t>(key[1]))(s);
  });
}

void evaluate_legacy(EvalContext& ctx) {
  hash_to_buckets(ctx, [](const std::string& s) { return murmur64(s, 0xdecafcaffeu); });
}

constexpr ir::OpDef kOps[] = {
    {"string_to_hash_bucket_fast", infer_like_operand<DataType::kInt64>, evaluate_fast},
    {"string_to_hash_bucket_strong", infer_like_operand<DataType::kInt64>, evaluate_strong},
    {"string_to_hash_bucket", infer_like_operand<DataType::kInt64>, evaluate_legacy},
};

constexpr ImportRule kRules[] = {
    {"StringToHashBucketFast", "string_to_hash_bucket_fast"},
    {"StringToHashBucketStrong", "string_to_hash_bucket_strong"},
    {"StringToHashBucket", "string_to_hash_bucket"},
};

}  // namespace

const OpFamily& string_hash_family() {
  static const OpFamily family{"string_hash", kOps, kRules};
  return family;
}

}  // namespace tenon::ops
