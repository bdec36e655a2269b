#include "backends/cpu/kernels/gather.h"

#include <cstring>

#include "backends/cpu/kernels/shares.h"

namespace tenon::cpu {

template <class Index>
int64_t gather_rows(const Gather& shape, const void* table, const Index* indices, void* result, ThreadTeam& team) {
  for (int64_t i = 0; i < shape.count; ++i) {
    if (indices[i] < 0 || indices[i] >= shape.table_rows) return i;
  }
  const auto bytes = static_cast<size_t>(shape.row_bytes);
  if (bytes == 0) return -1;
  const Shares shares = split_work(shape.outer * shape.count, 10 + 0.1 * static_cast<double>(bytes));
  for_shares(shares, team, [&](int64_t begin, int64_t end) {
    for (int64_t item = begin; item < end; ++item) {
      const int64_t row = item / shape.count * shape.table_rows + static_cast<int64_t>(indices[item % shape.count]);
      std::memcpy(static_cast<char*>(result) + item * shape.row_bytes,
                  static_cast<const char*>(table) + row * shape.row_bytes, bytes);
    }
  });
  return -1;
}

template int64_t gather_rows(const Gather&, const void*, const int32_t*, void*, ThreadTeam&);
template int64_t gather_rows(const Gather&, const void*, const int64_t*, void*, ThreadTeam&);

}  // namespace tenon::cpu
