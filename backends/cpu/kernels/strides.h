// Loops over several strided operands: merging of dimensions and walking of runs.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

namespace tenon::cpu {

inline constexpr int kMaxLoopRank = 12;

// A loop of `dims` over operands; strides[k][d] is the step of operand k along dimension d, in elements. Dimensions of size
// 1 are dropped and neighbours merged where every operand permits it; at least one dimension remains.
struct StridedLoop {
  std::vector<int64_t> dims;
  std::vector<std::vector<int64_t>> strides;

  int64_t size() const;
};

// Throws kInternal when a stride list has another length than dims, kUnsupported above kMaxLoopRank merged dimensions.
StridedLoop merge_dimensions(std::span<const int64_t> dims, std::span<const std::vector<int64_t>> strides);

// The strides of a dense tensor of this shape, row-major.
std::vector<int64_t> dense_strides(std::span<const int64_t> dims);

// Visits the positions [begin, begin + count) of a row-major loop as runs along the innermost dimension:
// f(offset, stride, done, length): `length` elements from `offset` on, `stride` apart; `done` were visited before.
template <class F>
void walk_runs(std::span<const int64_t> dims, std::span<const int64_t> strides, int64_t begin, int64_t count, F&& f) {
  const int inner = static_cast<int>(dims.size()) - 1;
  std::array<int64_t, kMaxLoopRank> at;
  int64_t offset = 0, rest = begin;
  for (int d = inner; d >= 0; --d) {
    at[d] = rest % dims[d];
    rest /= dims[d];
    offset += at[d] * strides[d];
  }
  for (int64_t done = 0; done < count;) {
    const int64_t length = dims[inner] - at[inner] < count - done ? dims[inner] - at[inner] : count - done;
    f(offset, strides[inner], done, length);
    done += length;
    offset -= at[inner] * strides[inner];
    at[inner] = 0;
    for (int d = inner - 1; d >= 0; --d) {
      offset += strides[d];
      if (++at[d] < dims[d]) break;
      offset -= dims[d] * strides[d];
      at[d] = 0;
    }
  }
}

}  // namespace tenon::cpu
