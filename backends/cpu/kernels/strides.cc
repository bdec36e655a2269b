#include "backends/cpu/kernels/strides.h"

#include <algorithm>
#include <numeric>

#include "base/error.h"

namespace tenon::cpu {

int64_t StridedLoop::size() const { return std::accumulate(dims.begin(), dims.end(), int64_t{1}, std::multiplies<>()); }

std::vector<int64_t> dense_strides(std::span<const int64_t> dims) {
  std::vector<int64_t> strides(dims.size());
  int64_t step = 1;
  for (size_t d = dims.size(); d-- > 0;) {
    strides[d] = step;
    step *= dims[d];
  }
  return strides;
}

StridedLoop merge_dimensions(std::span<const int64_t> dims, std::span<const std::vector<int64_t>> strides) {
  StridedLoop loop;
  loop.strides.resize(strides.size());
  for (const auto& list : strides) TENON_CHECK(list.size() == dims.size());
  for (size_t d = 0; d < dims.size(); ++d) {
    if (dims[d] == 1) continue;
    bool merges = !loop.dims.empty();
    for (size_t k = 0; k < strides.size() && merges; ++k) merges = loop.strides[k].back() == strides[k][d] * dims[d];
    if (!merges) loop.dims.push_back(1);
    loop.dims.back() *= dims[d];
    for (size_t k = 0; k < strides.size(); ++k) {
      if (!merges) loop.strides[k].push_back(0);
      loop.strides[k].back() = strides[k][d];
    }
  }
  if (loop.dims.empty()) {
    loop.dims.push_back(1);
    for (auto& list : loop.strides) list.push_back(1);
  }
  if (loop.dims.size() > kMaxLoopRank) {
    fail(ErrorCode::kUnsupported, "strided loop: {} dimensions that cannot be merged, at most {} are supported",
         loop.dims.size(), kMaxLoopRank);
  }
  return loop;
}

}  // namespace tenon::cpu
