#include "backends/cpu/kernels/reduce.h"

#include <cstring>
#include <limits>
#include <memory>

#include "backends/cpu/kernels/strides.h"
#include "tests/vecops/test_data.h"

namespace tenon::cpu {
namespace {

using Dims = std::vector<int64_t>;

double join(ReduceOp op, double a, double x) {
  switch (op) {
    case ReduceOp::kMaximum:
      return std::max(a, x);
    case ReduceOp::kMinimum:
      return std::min(a, x);
    case ReduceOp::kProduct:
      return a * x;
    case ReduceOp::kSumSquares:
      return a + x * x;
    default:
      return a + x;
  }
}

double start(ReduceOp op) {
  constexpr double kInf = std::numeric_limits<double>::infinity();
  return op == ReduceOp::kMaximum ? -kInf : op == ReduceOp::kMinimum ? kInf : op == ReduceOp::kProduct ? 1 : 0;
}

void check(ReduceOp op, const Dims& dims, unsigned axes) {
  SCOPED_TRACE(testing::Message() << "op " << static_cast<int>(op) << " axes " << axes << " rank " << dims.size());
  const auto reduced = std::make_unique<bool[]>(dims.size() + 1);
  Dims kept_strides(dims.size(), 0);
  int64_t outputs = 1;
  for (size_t d = dims.size(); d-- > 0;) {
    reduced[d] = axes >> d & 1;
    if (reduced[d]) continue;
    kept_strides[d] = outputs;
    outputs *= dims[d];
  }
  const std::vector<float> x =
      random_floats(product(dims), op == ReduceOp::kProduct ? 0.8f : -1, op == ReduceOp::kProduct ? 1.2f : 2);
  std::vector<double> want(outputs, start(op));
  Dims index(dims.size(), 0);
  for (float v : x) {
    double& target = want[offset_of(index, kept_strides)];
    target = join(op, target, v);
    next_index(index, dims);
  }
  if (op == ReduceOp::kMean) {
    const double count = outputs == 0 ? 1 : static_cast<double>(x.size()) / static_cast<double>(outputs);
    for (double& v : want) v = count == 0 ? std::nan("") : v / count;
  }
  const Reduce kernel(op, DataType::kFloat32, dims, {reduced.get(), dims.size()});
  std::vector<float> y(outputs), again(outputs);
  kernel.run(x.data(), y.data(), single_team());
  expect_near(y, want, 1e-5, 2e-5);
  kernel.run(x.data(), again.data(), wide_team());
  EXPECT_TRUE(y.empty() || std::memcmp(y.data(), again.data(), y.size() * 4) == 0);
}

TEST(Reduce, EveryOperationAndSetOfAxes) {
  for (const ReduceOp op : {ReduceOp::kSum, ReduceOp::kMean, ReduceOp::kMaximum, ReduceOp::kMinimum, ReduceOp::kProduct,
                            ReduceOp::kSumSquares}) {
    for (unsigned axes = 0; axes < 16; ++axes) check(op, {3, 4, 5, 37}, axes);
    for (unsigned axes = 0; axes < 4; ++axes) check(op, {0, 3}, axes);
    for (unsigned axes = 0; axes < 8; ++axes) check(op, {2, 0, 3}, axes);
    check(op, {700, 3}, 0b10);
    check(op, {}, 0);
    check(op, {1}, 1);
  }
}

TEST(Reduce, LargeShapes) {
  for (const ReduceOp op : {ReduceOp::kMean, ReduceOp::kMaximum}) {
    check(op, {2, 7, 7, 2048}, 0b0110);  // global average pooling
    check(op, {1, 112, 112, 35}, 0b0110);
    check(op, {500, 700}, 0b10);
    check(op, {500, 700}, 0b01);
    check(op, {700001}, 1);
    check(op, {8, 30, 8, 30, 3}, 0b01010);
  }
}

TEST(Reduce, MaximumPropagatesNan) {
  for (size_t at : {0, 3, 40, 98}) {
    std::vector<float> x = random_floats(99);
    x[at] = std::numeric_limits<float>::quiet_NaN();
    const bool both[] = {true};
    const Dims dims{99};
    for (const ReduceOp op : {ReduceOp::kMaximum, ReduceOp::kMinimum}) {
      float y = 0;
      Reduce(op, DataType::kFloat32, dims, both).run(x.data(), &y, single_team());
      EXPECT_TRUE(std::isnan(y));
    }
    const Dims columns{33, 3};
    const bool first[] = {true, false};
    float y[3];
    Reduce(ReduceOp::kMaximum, DataType::kFloat32, columns, first).run(x.data(), y, single_team());
    EXPECT_TRUE(std::isnan(y[at % 3]));
    EXPECT_FALSE(std::isnan(y[(at + 1) % 3]));
  }
}

TEST(Reduce, AnyAndAll) {
  const Dims dims{2, 3};
  const uint8_t x[] = {0, 1, 0, 1, 1, 0};
  const bool first[] = {true, false}, second[] = {false, true};
  uint8_t y[3];
  Reduce(ReduceOp::kAny, DataType::kBool, dims, first).run(x, y, single_team());
  EXPECT_TRUE(y[0] == 1 && y[1] == 1 && y[2] == 0);
  Reduce(ReduceOp::kAll, DataType::kBool, dims, first).run(x, y, single_team());
  EXPECT_TRUE(y[0] == 0 && y[1] == 1 && y[2] == 0);
  Reduce(ReduceOp::kAll, DataType::kBool, dims, second).run(x, y, single_team());
  EXPECT_TRUE(y[0] == 0 && y[1] == 0);
}

}  // namespace
}  // namespace tenon::cpu
