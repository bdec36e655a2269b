#include "backends/cpu/memory_plan.h"

#include <algorithm>
#include <numeric>

namespace tenon::cpu {
namespace {

constexpr std::size_t kAlignment = 64;

std::size_t aligned(std::size_t bytes) { return (bytes + kAlignment - 1) / kAlignment * kAlignment; }

bool together(const BufferNeed& a, const BufferNeed& b) { return a.first <= b.last && b.first <= a.last; }

}  // namespace

std::size_t plan_memory(std::vector<BufferNeed>& buffers) {
  // The largest first, each at the lowest place that is free while it is needed.
  std::vector<std::size_t> order(buffers.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return buffers[a].bytes > buffers[b].bytes; });
  std::vector<const BufferNeed*> placed;  // by offset
  std::size_t total = 0;
  for (const std::size_t index : order) {
    BufferNeed& buffer = buffers[index];
    std::size_t offset = 0;
    for (const BufferNeed* other : placed) {
      if (!together(buffer, *other)) continue;
      if (offset + aligned(buffer.bytes) <= other->offset) break;
      offset = std::max(offset, other->offset + aligned(other->bytes));
    }
    buffer.offset = offset;
    total = std::max(total, offset + aligned(buffer.bytes));
    placed.insert(std::upper_bound(placed.begin(), placed.end(), &buffer,
                                   [](const BufferNeed* a, const BufferNeed* b) { return a->offset < b->offset; }),
                  &buffer);
  }
  return total;
}

}  // namespace tenon::cpu
