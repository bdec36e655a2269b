// Bandwidth and arithmetic rates of the kernels that are neither convolutions nor matrix products, at the sizes of BERT-base
// (128 tokens) and ResNet-50. The last argument is the number of threads.
#include <benchmark/benchmark.h>

#include <memory>
#include <vector>

#include "backends/cpu/kernels/attention.h"
#include "backends/cpu/kernels/elementwise.h"
#include "backends/cpu/kernels/gather.h"
#include "backends/cpu/kernels/layer_norm.h"
#include "backends/cpu/kernels/pool.h"
#include "backends/cpu/kernels/reduce.h"
#include "backends/cpu/kernels/resize.h"
#include "backends/cpu/kernels/softmax.h"
#include "backends/cpu/kernels/strides.h"
#include "backends/cpu/kernels/transpose.h"

namespace tenon::cpu {
namespace {

std::vector<float> data(int64_t count) {
  std::vector<float> values(static_cast<size_t>(count));
  for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i % 1013) / 500.0f - 1.0f;
  return values;
}

// Rates per wall-clock second: `floats` read and written, `operations` done.
void report(benchmark::State& state, double floats, double operations = 0) {
  const auto iterations = static_cast<double>(state.iterations());
  state.counters["GB/s"] = benchmark::Counter(floats * 4e-9 * iterations, benchmark::Counter::kIsRate);
  if (operations > 0)
    state.counters["GFLOP/s"] = benchmark::Counter(operations * 1e-9 * iterations, benchmark::Counter::kIsRate);
}

void softmax_rows(benchmark::State& state) {
  const int64_t rows = state.range(0), length = state.range(1);
  ThreadTeam team(static_cast<int>(state.range(2)));
  const std::vector<float> x = data(rows * length);
  std::vector<float> y(x.size());
  for (auto _ : state) softmax(x.data(), y.data(), rows, length, team);
  report(state, 2.0 * static_cast<double>(x.size()));
}
BENCHMARK(softmax_rows)->ArgsProduct({{1536}, {128}, {1, 2}})->ArgsProduct({{32}, {1000}, {1}})->UseRealTime();

void layer_norm_rows(benchmark::State& state) {
  const LayerNorm shape{128, 768, 1e-12f};
  ThreadTeam team(static_cast<int>(state.range(0)));
  const std::vector<float> x = data(128 * 768), r = x, gamma = data(768), beta = gamma;
  std::vector<float> y(x.size());
  for (auto _ : state) {
    layer_norm(shape, {.x = x.data(), .residual = r.data(), .gamma = gamma.data(), .beta = beta.data(), .y = y.data()},
               team);
  }
  report(state, 3.0 * static_cast<double>(x.size()));
}
BENCHMARK(layer_norm_rows)->Arg(1)->Arg(2)->UseRealTime();

// An element-wise program of one operation on 128 x 3072 (or as many as given) elements.
void unary(benchmark::State& state, VectorOp op) {
  const std::vector<int64_t> dims{state.range(0)};
  ThreadTeam team(static_cast<int>(state.range(1)));
  VectorProgram program;
  program.inputs = 1;
  program.outputs = {program.append({.op = op, .a = 0})};
  const ElementwiseOperand operand{DataType::kFloat32, {1}};
  const Elementwise kernel(program, dims, {&operand, 1}, {&operand, 1});
  const std::vector<float> x = data(dims[0]);
  std::vector<float> y(x.size());
  const void* in = x.data();
  void* out = y.data();
  for (auto _ : state) kernel.run({&in, 1}, {&out, 1}, team);
  report(state, 2.0 * static_cast<double>(x.size()));
}
BENCHMARK_CAPTURE(unary, gelu_erf, VectorOp::kGeluErf)->ArgsProduct({{128 * 3072}, {1, 2}})->UseRealTime();
BENCHMARK_CAPTURE(unary, relu, VectorOp::kRelu)->ArgsProduct({{4096, 128 * 3072}, {1, 2}})->UseRealTime();
BENCHMARK_CAPTURE(unary, exp, VectorOp::kExp)->ArgsProduct({{128 * 3072}, {1}})->UseRealTime();
BENCHMARK_CAPTURE(unary, tanh, VectorOp::kTanh)->ArgsProduct({{128 * 3072}, {1}})->UseRealTime();

// x scale + shift (per channel), swish: a batch normalisation that could not be folded.
void scale_shift_swish(benchmark::State& state) {
  const int64_t channels = state.range(0);
  const std::vector<int64_t> dims{56 * 56, channels}, vector{channels};
  ThreadTeam team(static_cast<int>(state.range(1)));
  VectorProgram program;
  program.inputs = 3;
  program.outputs = {
      program.append({.op = VectorOp::kSwish, .a = program.append({.op = VectorOp::kMulAdd, .a = 0, .b = 1, .c = 2})})};
  const ElementwiseOperand dense{DataType::kFloat32, dense_strides(dims)},
      wide{DataType::kFloat32, broadcast_strides(vector, dims)};
  const std::vector<ElementwiseOperand> in{dense, wide, wide}, out{dense};
  const Elementwise kernel(program, dims, in, out);
  const std::vector<float> x = data(dims[0] * channels), scale = data(channels);
  std::vector<float> y(x.size());
  const void* ins[] = {x.data(), scale.data(), scale.data()};
  void* outs[] = {y.data()};
  for (auto _ : state) kernel.run(ins, outs, team);
  report(state, 2.0 * static_cast<double>(x.size()));
}
BENCHMARK(scale_shift_swish)->ArgsProduct({{24, 64, 320}, {1, 2}})->UseRealTime();

void bert_attention(benchmark::State& state) {
  const int64_t batch = state.range(0), heads = 12, rows = state.range(1), depth = 64;
  ThreadTeam team(static_cast<int>(state.range(2)));
  AttentionShape shape;
  shape.batch = batch, shape.heads = heads, shape.queries = shape.keys = rows, shape.depth = shape.value_depth = depth;
  shape.scale = 0.125f;
  shape.query = shape.key = shape.value = shape.output = {rows * heads * depth, depth, heads * depth};
  shape.mask = {rows, 0, 0};
  const Attention kernel(shape);
  const std::vector<float> q = data(batch * rows * heads * depth), k = q, v = q, mask(batch * rows, 0.0f);
  std::vector<float> y(q.size()), scratch(kernel.scratch_bytes(team.size()) / 4 + 16);
  float* aligned = reinterpret_cast<float*>((reinterpret_cast<uintptr_t>(scratch.data()) + 63) / 64 * 64);
  for (auto _ : state) kernel.run(q.data(), k.data(), v.data(), mask.data(), y.data(), aligned, team);
  report(state, 4.0 * static_cast<double>(q.size()), 4.0 * static_cast<double>(batch * heads * rows * rows * depth));
}
BENCHMARK(bert_attention)->ArgsProduct({{1, 8}, {128}, {1, 2}})->ArgsProduct({{1}, {512}, {1, 2}})->UseRealTime();

void resnet_pool(benchmark::State& state) {
  ThreadTeam team(static_cast<int>(state.range(0)));
  PoolShape shape;
  shape.input = {1, 112, 112}, shape.output = {1, 56, 56}, shape.window = {1, 3, 3}, shape.stride = {1, 2, 2};
  shape.padding = {0, 1, 1}, shape.channels = 64;
  const Pool kernel(shape);
  const std::vector<float> x = data(112 * 112 * 64);
  std::vector<float> y(56 * 56 * 64);
  for (auto _ : state) kernel.run(x.data(), y.data(), team);
  report(state, static_cast<double>(x.size() + y.size()));
}
BENCHMARK(resnet_pool)->Arg(1)->Arg(2)->UseRealTime();

void global_average(benchmark::State& state) {
  ThreadTeam team(static_cast<int>(state.range(1)));
  const std::vector<int64_t> dims{state.range(0), 7, 7, 2048};
  const bool reduced[] = {false, true, true, false};
  const Reduce kernel(ReduceOp::kMean, DataType::kFloat32, dims, reduced);
  const std::vector<float> x = data(dims[0] * 49 * 2048);
  std::vector<float> y(dims[0] * 2048);
  for (auto _ : state) kernel.run(x.data(), y.data(), team);
  report(state, static_cast<double>(x.size()));
}
BENCHMARK(global_average)->ArgsProduct({{1, 8}, {1, 2}})->UseRealTime();

void transpose_nhwc_to_nchw(benchmark::State& state) {
  ThreadTeam team(static_cast<int>(state.range(0)));
  const std::vector<int64_t> dims{1, 56, 56, 256};
  const int permutation[] = {0, 3, 1, 2};
  const Transpose kernel(dims, permutation, 4);
  const std::vector<float> x = data(56 * 56 * 256);
  std::vector<float> y(x.size());
  for (auto _ : state) kernel.run(x.data(), y.data(), team);
  report(state, 2.0 * static_cast<double>(x.size()));
}
BENCHMARK(transpose_nhwc_to_nchw)->Arg(1)->Arg(2)->UseRealTime();

void resize_twice(benchmark::State& state) {
  ThreadTeam team(static_cast<int>(state.range(1)));
  ResizeShape shape;
  shape.height = shape.width = 56, shape.out_height = shape.out_width = 112, shape.channels = state.range(0);
  shape.half_pixel_centers = true;
  const ResizeBilinear kernel(shape);
  const std::vector<float> x = data(56 * 56 * shape.channels);
  std::vector<float> y(4 * x.size());
  for (auto _ : state) kernel.run(x.data(), y.data(), team);
  report(state, 5.0 * static_cast<double>(x.size()));
}
BENCHMARK(resize_twice)->ArgsProduct({{3, 64}, {1}})->UseRealTime();

}  // namespace
}  // namespace tenon::cpu

BENCHMARK_MAIN();
