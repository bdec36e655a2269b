#include "backends/cpu/kernels/elementwise.h"

#include <cstring>
#include <functional>
#include <limits>

#include "backends/cpu/kernels/strides.h"
#include "tests/vecops/test_data.h"

namespace tenon::cpu {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

using Dims = std::vector<int64_t>;

std::vector<float> run_unary(VectorInstruction step, const std::vector<float>& x) {
  VectorProgram program{.inputs = 1, .code = {}, .outputs = {}};
  step.a = 0;
  program.outputs = {program.append(step)};
  const Dims dims{static_cast<int64_t>(x.size())};
  const ElementwiseOperand operand{DataType::kFloat32, {1}};
  const Elementwise kernel(program, dims, {&operand, 1}, {&operand, 1});
  std::vector<float> y(x.size(), -77);
  const void* in = x.data();
  void* out = y.data();
  kernel.run({&in, 1}, {&out, 1}, single_team());
  return y;
}

std::vector<float> awkward_values() {
  std::vector<float> x = random_floats(1037, -6, 6);
  for (float v :
       {0.0f, -0.0f, kInf,  -kInf, kNan, 1e30f, -1e30f, 88.7f, 88.8f,  -87.2f,  -88.0f, -104.0f, 1e-20f, -1e-20f,   0.5f,
        1.5f, 2.5f,  -0.5f, -1.5f, 3.9f, -3.9f, 9.0f,   -9.0f, 100.0f, -100.0f, 3e4f,   1e-8f,   -1e-8f, 8388609.0f}) {
    x.push_back(v);
  }
  return x;
}

struct UnaryCase {
  VectorInstruction step;
  double (*reference)(double);
  double absolute = 1e-7;
};

TEST(Elementwise, UnaryFunctionsMatchDoublePrecision) {
  const std::vector<UnaryCase> cases = {
      {{VectorOp::kNeg}, [](double v) { return -v; }},
      {{VectorOp::kAbs}, [](double v) { return std::abs(v); }},
      {{VectorOp::kSquare}, [](double v) { return v * v; }},
      {{VectorOp::kReciprocal}, [](double v) { return 1 / v; }},
      {{VectorOp::kSqrt}, [](double v) { return std::sqrt(v); }},
      {{VectorOp::kRsqrt}, [](double v) { return 1 / std::sqrt(v); }},
      {{VectorOp::kExp}, [](double v) { return std::exp(v); }},
      {{VectorOp::kExpm1}, [](double v) { return std::expm1(v); }, 1e-20},
      {{VectorOp::kLog}, [](double v) { return std::log(v); }},
      {{VectorOp::kLog1p}, [](double v) { return std::log1p(v); }, 1e-20},
      {{VectorOp::kSin}, [](double v) { return std::sin(v); }},
      {{VectorOp::kCos}, [](double v) { return std::cos(v); }},
      {{VectorOp::kTan}, [](double v) { return std::tan(v); }},
      {{VectorOp::kAsin}, [](double v) { return std::asin(v); }},
      {{VectorOp::kAtan}, [](double v) { return std::atan(v); }},
      {{VectorOp::kAsinh}, [](double v) { return std::asinh(v); }},
      {{VectorOp::kCosh}, [](double v) { return std::cosh(v); }},
      {{VectorOp::kTanh}, [](double v) { return std::tanh(v); }, 1e-20},
      {{VectorOp::kSigmoid}, [](double v) { return 1 / (1 + std::exp(-v)); }, 1e-30},
      {{VectorOp::kErf}, [](double v) { return std::erf(v); }, 1e-20},
      {{VectorOp::kErfc}, [](double v) { return std::erfc(v); }, 1e-30},
      {{VectorOp::kSoftplus}, [](double v) { return std::max(v, 0.0) + std::log1p(std::exp(-std::abs(v))); }},
      {{VectorOp::kSoftsign}, [](double v) { return v / (1 + std::abs(v)); }},
      {{VectorOp::kRelu}, [](double v) { return v < 0 ? 0 : v; }},
      {{VectorOp::kRelu6}, [](double v) { return v < 0   ? 0
                                                 : v > 6 ? 6
                                                         : v; }},
      {{VectorOp::kElu}, [](double v) { return v < 0 ? std::expm1(v) : v; }},
      {{VectorOp::kSelu}, [](double v) { return 1.0507009873554805 * (v < 0 ? 1.6732632423543772 * std::expm1(v) : v); }},
      {{VectorOp::kFloor}, [](double v) { return std::floor(v); }},
      {{VectorOp::kCeil}, [](double v) { return std::ceil(v); }},
      {{VectorOp::kRound}, [](double v) { return std::nearbyint(v); }},
      {{VectorOp::kTrunc}, [](double v) { return std::trunc(v); }},
      {{VectorOp::kSign}, [](double v) { return v > 0   ? 1
                                                : v < 0 ? -1
                                                        : v; }},
      {{VectorOp::kNot}, [](double v) { return v == 0 ? 1.0 : 0.0; }},
      {{VectorOp::kIsNan}, [](double v) { return v != v ? 1.0 : 0.0; }},
      {{VectorOp::kIsInf}, [](double v) { return std::isinf(v) ? 1.0 : 0.0; }},
      {{VectorOp::kIsFinite}, [](double v) { return std::isfinite(v) ? 1.0 : 0.0; }},
      {{.op = VectorOp::kLeakyRelu, .p = 0.25f}, [](double v) { return v > 0 ? v : 0.25 * v; }},
      {{.op = VectorOp::kClip, .p = -1, .q = 2}, [](double v) { return v < -1  ? -1
                                                                       : v > 2 ? 2
                                                                               : v; }},
      {{.op = VectorOp::kAffine, .p = 3, .q = -1}, [](double v) { return v * 3 - 1; }},
      {{VectorOp::kToBool}, [](double v) { return v != 0 ? 1.0 : 0.0; }},
  };
  const std::vector<float> x = awkward_values();
  for (const UnaryCase& entry : cases) {
    SCOPED_TRACE(static_cast<int>(entry.step.op));
    std::vector<float> want;
    for (float v : x) want.push_back(static_cast<float>(entry.reference(v)));
    expect_near(run_unary(entry.step, x), want, 1e-5, entry.absolute);
  }
}

TEST(Elementwise, GatedFunctionsMatchDoublePrecision) {
  std::vector<float> x = random_floats(777, -12, 12);
  for (float v : {0.0f, 50.0f, -50.0f, 1e10f, -1e10f, kNan, kInf}) x.push_back(v);
  const auto check = [&](VectorOp op, std::function<double(double)> reference) {
    SCOPED_TRACE(static_cast<int>(op));
    std::vector<double> want;
    for (float v : x) want.push_back(std::isnan(v) || v == kInf ? v : reference(v));
    expect_near(run_unary({op}, x), want, 2e-6, 2e-6);
  };
  check(VectorOp::kGeluErf, [](double v) { return 0.5 * v * std::erfc(-v * std::sqrt(0.5)); });
  check(VectorOp::kGeluTanh,
        [](double v) { return 0.5 * v * (1 + std::tanh(0.7978845608028654 * (v + 0.044715 * v * v * v))); });
  check(VectorOp::kSwish, [](double v) { return v / (1 + std::exp(-v)); });
  check(VectorOp::kMish, [](double v) { return v * std::tanh(std::max(v, 0.0) + std::log1p(std::exp(-std::abs(v)))); });
  check(VectorOp::kHardSwish, [](double v) { return v * std::min(std::max(v + 3, 0.0), 6.0) / 6; });
}

// Runs one binary operation on operands of any strides and compares with a loop.
void check_binary(VectorOp op, const std::function<double(double, double)>& reference, const Dims& dims, const Dims& a_dims,
                  const Dims& b_dims, float low = -3, float high = 3) {
  VectorProgram program{.inputs = 2, .code = {}, .outputs = {}};
  program.outputs = {program.append({.op = op, .a = 0, .b = 1})};
  const std::vector<ElementwiseOperand> in = {{DataType::kFloat32, broadcast_strides(a_dims, dims)},
                                              {DataType::kFloat32, broadcast_strides(b_dims, dims)}};
  const std::vector<ElementwiseOperand> out = {{DataType::kFloat32, dense_strides(dims)}};
  const Elementwise kernel(program, dims, in, out);
  const std::vector<float> a = random_floats(product(a_dims), low, high, 3),
                           b = random_floats(product(b_dims), low, high, 4);
  std::vector<float> y(product(dims)), again(y.size());
  std::vector<double> want;
  std::vector<int64_t> index(dims.size(), 0);
  for (int64_t i = 0; i < product(dims); ++i) {
    want.push_back(reference(a[offset_of(index, in[0].strides)], b[offset_of(index, in[1].strides)]));
    next_index(index, dims);
  }
  const void* inputs[] = {a.data(), b.data()};
  void* outputs[] = {y.data()};
  kernel.run(inputs, outputs, single_team());
  expect_near(y, want);
  outputs[0] = again.data();
  kernel.run(inputs, outputs, wide_team());
  EXPECT_TRUE(y.empty() || std::memcmp(y.data(), again.data(), y.size() * 4) == 0);
}

TEST(Elementwise, BinaryFunctions) {
  const Dims d{5, 211};
  check_binary(
      VectorOp::kAdd, [](double a, double b) { return a + b; }, d, d, d);
  check_binary(
      VectorOp::kSub, [](double a, double b) { return a - b; }, d, d, d);
  check_binary(
      VectorOp::kMul, [](double a, double b) { return a * b; }, d, d, d);
  check_binary(
      VectorOp::kDiv, [](double a, double b) { return a / b; }, d, d, d);
  check_binary(
      VectorOp::kMaximum, [](double a, double b) { return std::max(a, b); }, d, d, d);
  check_binary(
      VectorOp::kMinimum, [](double a, double b) { return std::min(a, b); }, d, d, d);
  check_binary(
      VectorOp::kPow, [](double a, double b) { return std::pow(a, b); }, d, d, d);
  check_binary(
      VectorOp::kSquaredDifference, [](double a, double b) { return (a - b) * (a - b); }, d, d, d);
  check_binary(
      VectorOp::kFloorMod, [](double a, double b) { return a - std::floor(a / b) * b; }, d, d, d);
  check_binary(
      VectorOp::kAtan2, [](double a, double b) { return std::atan2(a, b); }, d, d, d);
  check_binary(
      VectorOp::kLess, [](double a, double b) { return a < b ? 1.0 : 0.0; }, d, d, d);
  check_binary(
      VectorOp::kGreaterEqual, [](double a, double b) { return a >= b ? 1.0 : 0.0; }, d, d, d);
}

TEST(Elementwise, Broadcasts) {
  const auto sub = [](double a, double b) { return a - b; };
  for (const auto& [dims, a, b] :
       std::vector<std::tuple<Dims, Dims, Dims>>{{{}, {}, {}},
                                                 {{1}, {1}, {1}},
                                                 {{0, 4}, {0, 4}, {4}},
                                                 {{7, 3072}, {7, 3072}, {3072}},
                                                 {{7, 3072}, {7, 1}, {3072}},
                                                 {{7, 3072}, {7, 3072}, {}},
                                                 {{100, 7}, {100, 7}, {7}},
                                                 {{100, 7}, {100, 1}, {1, 7}},
                                                 {{300, 64}, {300, 64}, {64}},
                                                 {{2, 9, 9, 48}, {2, 9, 9, 48}, {2, 1, 1, 48}},
                                                 {{2, 9, 9, 480}, {2, 9, 9, 480}, {2, 1, 1, 480}},
                                                 {{2, 9, 9, 480}, {2, 9, 9, 1}, {480}},
                                                 {{3, 2, 5, 3, 2, 4}, {3, 1, 5, 1, 2, 1}, {2, 1, 3, 1, 4}},
                                                 {{4, 600}, {4, 1}, {1, 1}},
           {{9, 257}, {9, 1}, {9, 257}},
           {{3, 5, 700}, {3, 1, 700}, {5, 1}},
           {{40, 30, 3}, {40, 30, 1}, {40, 1, 3}},
           {{600, 700}, {600, 1}, {700}},
                                                 {{700000}, {700000}, {1}},
                                                 {{2000, 513}, {2000, 513}, {513}}}) {
    check_binary(VectorOp::kSub, sub, dims, a, b);
  }
}

TEST(Elementwise, MaximumPropagatesNan) {
  VectorProgram program{.inputs = 2, .code = {}, .outputs = {}};
  program.outputs = {program.append({.op = VectorOp::kMaximum, .a = 0, .b = 1}),
                     program.append({.op = VectorOp::kMinimum, .a = 0, .b = 1})};
  const ElementwiseOperand dense{DataType::kFloat32, {1}};
  const std::vector<ElementwiseOperand> two{dense, dense};
  const Dims dims{2};
  const Elementwise kernel(program, dims, two, two);
  const float a[] = {kNan, 1}, b[] = {1, kNan};
  float y[2], z[2];
  const void* in[] = {a, b};
  void* out[] = {y, z};
  kernel.run(in, out, single_team());
  for (float v : {y[0], y[1], z[0], z[1]}) EXPECT_TRUE(std::isnan(v));
}

// Batch norm, swish and a residual sum; a second output; a select. The first output overwrites the first input.
TEST(Elementwise, ChainsRunInPlaceAndGiveSeveralOutputs) {
  const Dims dims{3, 50, 33};
  VectorProgram program{.inputs = 4, .code = {}, .outputs = {}};
  const int scaled = program.append({.op = VectorOp::kMulAdd, .a = 0, .b = 1, .c = 2});
  const int swish = program.append({.op = VectorOp::kSwish, .a = scaled});
  const int sum = program.append({.op = VectorOp::kAdd, .a = swish, .b = 3});
  const int zero = program.append({.op = VectorOp::kConstant, .p = 0.5f});
  const int mask = program.append({.op = VectorOp::kGreater, .a = 0, .b = zero});
  const int chosen = program.append({.op = VectorOp::kSelect, .a = mask, .b = sum, .c = zero});
  program.outputs = {sum, chosen, mask};
  const Dims channel{33};
  const std::vector<ElementwiseOperand> in = {{DataType::kFloat32, dense_strides(dims)},
                                              {DataType::kFloat32, broadcast_strides(channel, dims)},
                                              {DataType::kFloat32, broadcast_strides(channel, dims)},
                                              {DataType::kInt32, dense_strides(dims)}};
  const std::vector<ElementwiseOperand> out = {{DataType::kFloat32, dense_strides(dims)},
                                               {DataType::kFloat32, dense_strides(dims)},
                                               {DataType::kBool, dense_strides(dims)}};
  const Elementwise kernel(program, dims, in, out);
  std::vector<float> x = random_floats(product(dims));
  const std::vector<float> scale = random_floats(33, 0, 2, 5), shift = random_floats(33, -1, 1, 6);
  std::vector<int32_t> residual(x.size());
  for (size_t i = 0; i < residual.size(); ++i) residual[i] = static_cast<int32_t>(i % 17) - 8;
  std::vector<double> want_sum, want_chosen;
  std::vector<bool> want_mask;
  for (size_t i = 0; i < x.size(); ++i) {
    const double v = static_cast<double>(x[i]) * scale[i % 33] + shift[i % 33];
    want_sum.push_back(v / (1 + std::exp(-v)) + residual[i]);
    want_mask.push_back(x[i] > 0.5f);
    want_chosen.push_back(x[i] > 0.5f ? want_sum.back() : 0.5);
  }
  std::vector<float> second(x.size());
  std::vector<uint8_t> third(x.size(), 9);
  const void* ins[] = {x.data(), scale.data(), shift.data(), residual.data()};
  void* outs[] = {x.data(), second.data(), third.data()};
  kernel.run(ins, outs, wide_team());
  expect_near(x, want_sum);
  expect_near(second, want_chosen);
  for (size_t i = 0; i < third.size(); ++i) EXPECT_EQ(third[i], want_mask[i] ? 1 : 0);
}

TEST(Elementwise, StridedInputAndOutput) {
  const Dims dims{6, 40, 5};  // the input transposed, the output a slice of wider rows
  VectorProgram program{.inputs = 1, .code = {}, .outputs = {}};
  program.outputs = {program.append({.op = VectorOp::kRelu, .a = 0})};
  for (const int64_t inner : {5, 300}) {
    const Dims d{6, 40, inner};
    const ElementwiseOperand in{DataType::kFloat32, {inner, 6 * inner, 1}};
    const ElementwiseOperand out{DataType::kFloat32, {40 * (inner + 3), inner + 3, 1}};
    const Elementwise kernel(program, d, {&in, 1}, {&out, 1});
    const std::vector<float> x = random_floats(product(d));
    std::vector<float> y(6 * 40 * (inner + 3), 9);
    const void* ins[] = {x.data()};
    void* outs[] = {y.data()};
    kernel.run(ins, outs, single_team());
    std::vector<float> want(y.size(), 9);
    std::vector<int64_t> index(3, 0);
    do want[offset_of(index, out.strides)] = std::max(0.0f, x[offset_of(index, in.strides)]);
    while (next_index(index, d));
    expect_near(y, want);
  }
}

TEST(Elementwise, IdentityAndConstantOutputsAndUnusedInputs) {
  const Dims dims{70};
  VectorProgram program{.inputs = 2, .code = {}, .outputs = {}};
  const int constant = program.append({.op = VectorOp::kConstant, .p = 3});
  const int negative = program.append({.op = VectorOp::kNeg, .a = 0});
  program.outputs = {negative, 0, constant};
  const ElementwiseOperand dense{DataType::kFloat32, {1}};
  const std::vector<ElementwiseOperand> ins{dense, dense}, outs{dense, {DataType::kInt64, {1}}, dense};
  const Elementwise kernel(program, dims, ins, outs);
  std::vector<float> x = random_floats(70, -90, 90), original = x, third(70);
  std::vector<int64_t> second(70);
  const void* in[] = {x.data(), x.data()};
  void* out[] = {x.data(), second.data(), third.data()};
  kernel.run(in, out, single_team());
  for (int i = 0; i < 70; ++i) {
    EXPECT_EQ(x[i], -original[i]);
    EXPECT_EQ(second[i], static_cast<int64_t>(original[i]));
    EXPECT_EQ(third[i], 3);
  }
}

}  // namespace
}  // namespace tenon::cpu
