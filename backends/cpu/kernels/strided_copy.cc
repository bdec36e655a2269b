#include "backends/cpu/kernels/strided_copy.h"

#include <algorithm>
#include <cstring>

#include "backends/cpu/kernels/element.h"
#include "backends/cpu/kernels/strides.h"

namespace tenon::cpu {
namespace {

template <class T>
void copy_run(const char* from, int64_t from_stride, char* to, int64_t to_stride, int64_t count) {
  const T* source = reinterpret_cast<const T*>(from);
  T* target = reinterpret_cast<T*>(to);
  if (from_stride == 0 && to_stride == 1) {
    std::fill_n(target, count, *source);
    return;
  }
  for (int64_t i = 0; i < count; ++i) target[i * to_stride] = source[i * from_stride];
}

void copy_elements(const char* from, int64_t from_stride, char* to, int64_t to_stride, int64_t count, int64_t size) {
  if (from_stride == 1 && to_stride == 1) {
    std::memcpy(to, from, static_cast<size_t>(count * size));
    return;
  }
  const bool done = visit_element(size, [&](auto tag) { copy_run<decltype(tag)>(from, from_stride, to, to_stride, count); });
  if (done) return;
  for (int64_t i = 0; i < count; ++i) {
    std::memcpy(to + i * to_stride * size, from + i * from_stride * size, static_cast<size_t>(size));
  }
}

}  // namespace

StridedCopy::StridedCopy(std::span<const int64_t> dims, std::span<const int64_t> from_strides,
                         std::span<const int64_t> to_strides, int64_t element_size)
    : element_size_(element_size) {
  const std::vector<int64_t> strides[2] = {{from_strides.begin(), from_strides.end()},
                                           {to_strides.begin(), to_strides.end()}};
  StridedLoop loop = merge_dimensions(dims, strides);
  const int64_t total = loop.size();
  // A long contiguous run is cut, so that it can be shared.
  constexpr int64_t kCut = 1 << 14;
  if (loop.strides[0].back() == 1 && loop.strides[1].back() == 1 && loop.dims.back() * element_size >= 2 * kCut &&
      loop.dims.size() < kMaxLoopRank) {
    int64_t piece = kCut / element_size;
    while (piece > 1 && loop.dims.back() % piece != 0) --piece;
    if (piece * element_size >= kCut / 8) {
      loop.dims.back() /= piece;
      loop.dims.push_back(piece);
      for (auto& list : loop.strides) {
        list.back() = piece;
        list.push_back(1);
      }
    }
  }
  dims_ = std::move(loop.dims);
  from_strides_ = std::move(loop.strides[0]);
  to_strides_ = std::move(loop.strides[1]);
  const int64_t runs = total == 0 ? 0 : total / dims_.back();
  const bool contiguous = from_strides_.back() == 1 && to_strides_.back() == 1;
  const double per_element = contiguous ? 0.05 * static_cast<double>(element_size) : 0.8;
  shares_ = split_work(runs, 4 + per_element * static_cast<double>(dims_.back()));
}

void StridedCopy::run(const void* from, void* to, ThreadTeam& team) const {
  const int64_t inner = dims_.back();
  for_shares(shares_, team, [&](int64_t begin, int64_t end) {
    std::array<int64_t, kMaxLoopRank> at;
    int64_t source = 0, target = 0, rest = begin;
    const int outer = static_cast<int>(dims_.size()) - 1;
    for (int d = outer - 1; d >= 0; --d) {
      at[d] = rest % dims_[d];
      rest /= dims_[d];
      source += at[d] * from_strides_[d];
      target += at[d] * to_strides_[d];
    }
    for (int64_t r = begin; r < end; ++r) {
      copy_elements(static_cast<const char*>(from) + source * element_size_, from_strides_[outer],
                    static_cast<char*>(to) + target * element_size_, to_strides_[outer], inner, element_size_);
      for (int d = outer - 1; d >= 0; --d) {
        source += from_strides_[d];
        target += to_strides_[d];
        if (++at[d] < dims_[d]) break;
        source -= dims_[d] * from_strides_[d];
        target -= dims_[d] * to_strides_[d];
        at[d] = 0;
      }
    }
  });
}

void fill(void* to, const void* value, int64_t element_size, int64_t count, ThreadTeam& team) {
  const Shares shares = split_work(count, 0.03 * static_cast<double>(element_size), 1024);
  for_shares(shares, team, [&](int64_t begin, int64_t end) {
    char* start = static_cast<char*>(to) + begin * element_size;
    copy_elements(static_cast<const char*>(value), 0, start, 1, end - begin, element_size);
  });
}

}  // namespace tenon::cpu
