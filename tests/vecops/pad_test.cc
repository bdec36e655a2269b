#include "backends/cpu/kernels/pad.h"

#include "backends/cpu/kernels/strides.h"
#include "tests/vecops/test_data.h"

namespace tenon::cpu {
namespace {

using Dims = std::vector<int64_t>;

void check(PadMode mode, const Dims& dims, const Dims& before, const Dims& after) {
  const std::vector<float> x = random_floats(product(dims));
  Dims out;
  for (size_t d = 0; d < dims.size(); ++d) out.push_back(before[d] + dims[d] + after[d]);
  std::vector<float> want(product(out)), y(want.size());
  Dims index(out.size(), 0);
  for (float& value : want) {
    int64_t offset = 0;
    bool inside = true;
    for (size_t d = 0; d < dims.size(); ++d) {
      int64_t i = index[d] - before[d];
      if (i < 0 || i >= dims[d]) {
        inside = inside && mode != PadMode::kConstant;
        const int64_t edge = mode == PadMode::kReflect ? 0 : 1;
        i = i < 0 ? -i - edge : 2 * dims[d] - 2 + edge - i;
      }
      offset += i * dense_strides(dims)[d];
    }
    value = inside ? x[offset] : 9.5f;
    next_index(index, out);
  }
  const float constant = 9.5f;
  Pad(mode, dims, before, after, 4).run(x.data(), &constant, y.data(), wide_team());
  EXPECT_EQ(y, want);
}

TEST(Pad, EveryMode) {
  for (const PadMode mode : {PadMode::kConstant, PadMode::kReflect, PadMode::kSymmetric}) {
    check(mode, {}, {}, {});
    check(mode, {5}, {2}, {3});
    check(mode, {3, 4}, {0, 2}, {1, 0});
    check(mode, {2, 6, 7, 3}, {0, 2, 1, 0}, {0, 3, 2, 0});
    check(mode, {2, 3, 4}, {1, 0, 0}, {1, 0, 0});
    check(mode, {1, 224, 224, 3}, {0, 3, 3, 0}, {0, 3, 3, 0});
  }
  check(PadMode::kConstant, {0, 3}, {2, 1}, {0, 1});
  check(PadMode::kConstant, {3, 0}, {0, 1}, {0, 1});
  check(PadMode::kConstant, {3, 0}, {1, 0}, {1, 0});
}

TEST(Pad, RefusesMirrorsWiderThanTheTensor) {
  const Dims three{3}, two{2}, none{0};
  EXPECT_ANY_THROW(Pad(PadMode::kReflect, three, three, none, 4));
  EXPECT_ANY_THROW(Pad(PadMode::kSymmetric, two, three, none, 4));
}

}  // namespace
}  // namespace tenon::cpu
