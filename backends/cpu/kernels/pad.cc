#include "backends/cpu/kernels/pad.h"

#include <algorithm>
#include <cstring>

#include "backends/cpu/kernels/element.h"
#include "backends/cpu/kernels/strides.h"
#include "base/error.h"

namespace tenon::cpu {
namespace {

int64_t mirrored(int64_t i, int64_t size, bool reflect) {
  if (i < 0) return reflect ? -i : -i - 1;
  return i < size ? i : reflect ? 2 * size - 2 - i : 2 * size - 1 - i;
}

void repeat(char* to, const void* value, int64_t size, int64_t count) {
  const bool done = visit_element(size, [&](auto tag) {
    using T = decltype(tag);
    T element;
    std::memcpy(&element, value, sizeof(T));
    std::fill_n(reinterpret_cast<T*>(to), count, element);
  });
  for (int64_t i = 0; i < count && !done; ++i) std::memcpy(to + i * size, value, static_cast<size_t>(size));
}

}  // namespace

Pad::Pad(PadMode mode, std::span<const int64_t> dims, std::span<const int64_t> before, std::span<const int64_t> after,
         int64_t element_size)
    : unit_(element_size), element_size_(element_size), mode_(mode) {
  TENON_CHECK(dims.size() == before.size() && dims.size() == after.size());
  // Trailing dimensions without padding are one run of bytes.
  size_t rank = dims.size();
  while (rank > 0 && before[rank - 1] == 0 && after[rank - 1] == 0) element_size_ *= dims[--rank];
  strides_ = dense_strides(dims.first(rank));
  int64_t rows = 1;
  for (size_t d = 0; d < rank; ++d) {
    const int64_t limit = mode == PadMode::kReflect ? dims[d] - 1 : dims[d];
    TENON_CHECK(before[d] >= 0 && after[d] >= 0);
    TENON_CHECK(mode == PadMode::kConstant ||
                (before[d] <= std::max<int64_t>(limit, 0) && after[d] <= std::max<int64_t>(limit, 0)));
    std::vector<int64_t> source;
    for (int64_t i = -before[d]; i < dims[d] + after[d]; ++i) {
      const bool inside = i >= 0 && i < dims[d];
      source.push_back(inside ? i : mode == PadMode::kConstant ? -1 : mirrored(i, dims[d], mode == PadMode::kReflect));
    }
    source_.push_back(std::move(source));
    if (d + 1 < rank) rows *= static_cast<int64_t>(source_.back().size());
  }
  if (rank == 0) {
    source_.push_back({0});
    strides_.push_back(1);
  }
  before_ = rank == 0 ? 0 : before[rank - 1];
  length_ = rank == 0 ? 1 : dims[rank - 1];
  columns_ = static_cast<int64_t>(source_.back().size());
  shares_ = split_work(element_size_ == 0 ? 0 : rows, 10 + 0.06 * static_cast<double>(columns_ * element_size_));
}

void Pad::run_row(const char* from, bool inside, const void* value, char* to) const {
  const int64_t size = element_size_, units = size / unit_;
  if (!inside) return repeat(to, value, unit_, columns_ * units);
  const int64_t after = columns_ - before_ - length_;
  char* middle = to + before_ * size;
  if (length_ > 0) std::memcpy(middle, from, static_cast<size_t>(length_ * size));
  if (mode_ == PadMode::kConstant) {
    repeat(to, value, unit_, before_ * units);
    repeat(middle + length_ * size, value, unit_, after * units);
    return;
  }
  const std::vector<int64_t>& source = source_.back();
  for (int64_t i = 0; i < before_; ++i) std::memcpy(to + i * size, from + source[i] * size, static_cast<size_t>(size));
  for (int64_t i = before_ + length_; i < columns_; ++i) {
    std::memcpy(to + i * size, from + source[i] * size, static_cast<size_t>(size));
  }
}

void Pad::run(const void* from, const void* value, void* to, ThreadTeam& team) const {
  for_shares(shares_, team, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      int64_t rest = row, offset = 0;
      bool inside = true;
      for (size_t d = source_.size() - 1; d-- > 0;) {
        const auto size = static_cast<int64_t>(source_[d].size());
        const int64_t at = source_[d][static_cast<size_t>(rest % size)];
        rest /= size;
        inside = inside && at >= 0;
        offset += at * strides_[d];
      }
      run_row(static_cast<const char*>(from) + (inside ? offset : 0) * element_size_, inside, value,
              static_cast<char*>(to) + row * columns_ * element_size_);
    }
  });
}

}  // namespace tenon::cpu
