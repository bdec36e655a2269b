// The layers of networks.h ready to run: Tenon's kernels with their first choice of tactic and, where the build found it,
// oneDNN. A layer owns its operands and its team.
#pragma once

#include <functional>
#include <memory>

#include "backends/cpu/kernels/conv2d.h"
#include "backends/cpu/kernels/depthwise.h"
#include "backends/cpu/kernels/gemm.h"
#include "bench/ops/kernel_bench.h"
#include "bench/ops/networks.h"

#ifdef TENON_BENCH_ONEDNN
#include "bench/ops/onednn_peer.h"
#endif

namespace tenon::bench {

using Run = std::function<void()>;

inline Buffer buffer_of(int64_t floats) { return buffer(static_cast<size_t>(floats)); }

template <class Params>
void set_geometry(Params& p, const Layer& layer) {
  p.kernel_h = p.kernel_w = layer.kernel;
  p.stride_h = p.stride_w = layer.stride;
  p.pad_top = p.pad_left = layer.pad_before();
  p.pad_bottom = p.pad_right = layer.pad_after();
  p.epilogue = {.activation = layer.activation, .alpha = 1};
  if (layer.residual) p.epilogue.residual = cpu::ResidualPlace::kBeforeActivation;
}

struct ConvOperands {
  ConvOperands(const Layer& layer, int64_t batch, int threads)
      : input(buffer_of(batch * layer.size * layer.size * layer.in)),
        bias(buffer_of(layer.out)),
        residual(buffer_of(batch * layer.out_size() * layer.out_size() * layer.out)),
        output(buffer_of(batch * layer.out_size() * layer.out_size() * layer.out)),
        filter(buffer_of(layer.kernel * layer.kernel * (layer.depthwise ? 1 : layer.in) * layer.out)),
        team(threads) {}
  Buffer input, bias, residual, output, filter, packed, scratch;
  ThreadTeam team;
};

inline Run tenon_depthwise(const Layer& layer, int64_t batch, int threads) {
  const auto data = std::make_shared<ConvOperands>(layer, batch, threads);
  cpu::DepthwiseParams p;
  p.channels = layer.in;
  set_geometry(p, layer);
  const auto plan = cpu::DepthwisePlan::make(p, batch, layer.size, layer.size);
  data->packed = buffer(depthwise_packed_size(p) / sizeof(float));
  data->scratch = buffer(plan.scratch_size(threads) / sizeof(float));
  depthwise_pack(p, data->filter.get(), data->packed.get());
  return [data, plan] {
    plan.run({data->input.get(), data->packed.get(), data->bias.get(), data->residual.get(), data->output.get(), data->scratch.get()},
             data->team);
  };
}

inline Run tenon_conv(const Layer& layer, int64_t batch, int threads) {
  if (layer.depthwise) return tenon_depthwise(layer, batch, threads);
  const auto data = std::make_shared<ConvOperands>(layer, batch, threads);
  cpu::Conv2dParams p;
  p.input_channels = layer.in;
  p.output_channels = layer.out;
  set_geometry(p, layer);
  p.winograd = conv2d_winograd_pays(p, batch, layer.size, layer.size);
  const auto plan = cpu::Conv2dPlan::make(p, batch, layer.size, layer.size);
  data->packed = buffer(conv2d_packed_size(p) / sizeof(float));
  data->scratch = buffer(plan.scratch_size(threads) / sizeof(float));
  conv2d_pack(p, data->filter.get(), data->packed.get());
  return [data, plan] {
    plan.run({data->input.get(), data->packed.get(), data->bias.get(), data->residual.get(), data->output.get(), data->scratch.get()},
             data->team);
  };
}

struct ProductOperands {
  ProductOperands(const Product& p, int threads)
      : a(buffer_of(p.groups * p.m * p.k)), b(buffer_of(p.groups * p.k * p.n)), bias(buffer_of(p.n)), c(buffer_of(p.groups * p.m * p.n)),
        team(threads) {}
  Buffer a, b, bias, c, packed, scratch;
  ThreadTeam team;
};

inline Run tenon_attention(const Product& p, int threads) {
  const auto data = std::make_shared<ProductOperands>(p, threads);
  const auto plan = cpu::BatchedGemmPlan::make({p.groups, 1, p.m, p.n, p.k}, {});
  data->scratch = buffer(plan.scratch_size(threads) / sizeof(float));
  const cpu::BatchedGemmArgs args{.a = data->a.get(), .lda = p.k, .a_batch0 = p.m * p.k, .b = data->b.get(), .ldb = p.n,
                                  .b_batch0 = p.k * p.n, .c = data->c.get(), .ldc = p.n, .c_batch0 = p.m * p.n,
                                  .scratch = data->scratch.get()};
  return [data, plan, args] { plan.run(args, data->team); };
}

inline Run tenon_product(const Product& p, int threads) {
  if (p.groups > 1) return tenon_attention(p, threads);
  const auto data = std::make_shared<ProductOperands>(p, threads);
  const auto plan = cpu::GemmPlan::make({p.m, p.n, p.k}, {.activation = p.gelu ? Activation::kGeluErf : Activation::kNone});
  data->packed = buffer(cpu::gemm_packed_size(p.k, p.n) / sizeof(float));
  data->scratch = buffer(plan.scratch_size(threads) / sizeof(float));
  cpu::gemm_pack(data->b.get(), p.n, false, p.k, p.n, data->packed.get());
  const cpu::GemmArgs args{.a = data->a.get(), .lda = p.k, .packed = data->packed.get(), .bias = data->bias.get(), .c = data->c.get(),
                           .ldc = p.n, .scratch = data->scratch.get()};
  return [data, plan, args] { plan.run(args, data->team); };
}

#ifdef TENON_BENCH_ONEDNN
inline Run onednn_conv(const Layer& layer, int64_t batch, int threads) {
  const ConvGeometry geometry{.batch = batch,
                              .size = layer.size,
                              .in = layer.in,
                              .out = layer.out,
                              .kernel = layer.kernel,
                              .stride = layer.stride,
                              .pad_before = layer.pad_before(),
                              .pad_after = layer.pad_after(),
                              .out_size = layer.out_size(),
                              .depthwise = layer.depthwise,
                              .residual = layer.residual,
                              .relu = layer.activation == Activation::kRelu,
                              .relu6 = layer.activation == Activation::kRelu6,
                              .swish = layer.activation == Activation::kSwish};
  const auto conv = std::make_shared<OneDnnConv>(geometry, threads);
  return [conv] { conv->run(); };
}

inline Run onednn_product(const Product& p, int threads) {
  const auto product = std::make_shared<OneDnnMatmul>(p.groups, p.m, p.n, p.k, p.gelu, threads);
  return [product] { product->run(); };
}
#endif

}  // namespace tenon::bench
