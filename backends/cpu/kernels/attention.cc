#include "backends/cpu/kernels/attention.h"

#include <algorithm>

#include "backends/cpu/kernels/attention_head.h"

namespace tenon::cpu {
namespace {

constexpr int64_t kRows = 6;            // of a register tile
constexpr int64_t kFewQueries = 3;      // up to here packing costs more than it gains
constexpr int64_t kScoreFloats = 8192;  // of a block: half of a small L1 cache

int64_t round_up(int64_t n, int64_t unit) { return (n + unit - 1) / unit * unit; }

int64_t row_floats(const AttentionShape& shape) { return round_up(std::max<int64_t>(shape.keys, 1), 16); }

struct ScratchParts {
  int64_t key, value, scores;  // floats

  int64_t total() const { return key + value + scores; }
};

ScratchParts parts_of(const AttentionShape& shape, int64_t block) {
  if (shape.queries <= kFewQueries) return {0, 0, row_floats(shape)};
  return {round_up(shape.keys, kAttentionPanel) * shape.depth, round_up(shape.value_depth, kAttentionPanel) * shape.keys,
          block * row_floats(shape)};
}

}  // namespace

Attention::Attention(const AttentionShape& shape) : shape_(shape) {
  block_ = std::clamp<int64_t>(kScoreFloats / row_floats(shape) / kRows * kRows, 2 * kRows, 16 * kRows);
  const int64_t pieces = std::max<int64_t>(1, shape.queries / 192);
  chunk_ = round_up((std::max<int64_t>(shape.queries, 1) + pieces - 1) / pieces, block_);
  chunks_ = std::max<int64_t>(1, (shape.queries + chunk_ - 1) / chunk_);
  const double work = static_cast<double>(std::min(chunk_, shape.queries)) * static_cast<double>(shape.keys) *
                      (0.013 * static_cast<double>(shape.depth + shape.value_depth) + 0.3);
  const bool empty = shape.queries == 0 || shape.value_depth == 0;
  shares_ = split_work(empty ? 0 : shape.batch * shape.heads * chunks_, 100 + work);
}

int64_t Attention::scratch_bytes(int threads) const {
  return threads * round_up(parts_of(shape_, block_).total(), 16) * static_cast<int64_t>(sizeof(float));
}

void Attention::run(const float* query, const float* key, const float* value, const float* mask, float* output,
                    void* scratch, ThreadTeam& team) const {
  const AttentionSteps steps = attention_steps();
  const ScratchParts parts = parts_of(shape_, block_);
  for_shares(shares_, team, [&](int64_t begin, int64_t end) {
    float* own = static_cast<float*>(scratch) + team.slot() * round_up(parts.total(), 16);
    int64_t packed = -1;  // the head that lies in scratch
    for (int64_t item = begin; item < end; ++item) {
      const int64_t index = item / chunks_, b = index / shape_.heads, h = index % shape_.heads;
      const auto start = [&](auto* data, const HeadStrides& strides) { return data + b * strides.batch + h * strides.head; };
      const AttentionHead head{.query = start(query, shape_.query),
                               .key = start(key, shape_.key),
                               .value = start(value, shape_.value),
                               .mask = mask ? start(mask, shape_.mask) : nullptr,
                               .output = start(output, shape_.output),
                               .packed_key = own,
                               .packed_value = own + parts.key,
                               .scores = own + parts.key + parts.value,
                               .row_floats = row_floats(shape_)};
      if (shape_.keys == 0) {
        for (int64_t q = 0; q < shape_.queries; ++q)
          std::fill_n(head.output + q * shape_.output.row, shape_.value_depth, 0.0f);
        continue;
      }
      if (shape_.queries <= kFewQueries) {
        steps.few(shape_, head);
        continue;
      }
      if (packed != index) steps.pack(shape_, head);
      packed = index;
      const int64_t first = item % chunks_ * chunk_, last = std::min(first + chunk_, shape_.queries);
      for (int64_t q = first; q < last; q += block_) steps.block(shape_, head, q, std::min(q + block_, last));
    }
  });
}

}  // namespace tenon::cpu
