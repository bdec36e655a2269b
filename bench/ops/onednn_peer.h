// oneDNN as a peer of the kernel benches: one convolution or matrix product in the layouts that it likes best.
#pragma once

#include <omp.h>

#include <dnnl.hpp>
#include <unordered_map>

namespace tenon::bench {

struct ConvGeometry {
  int64_t batch, size, in, out, kernel, stride, pad_before, pad_after, out_size;
  bool depthwise, residual, relu, relu6, swish;
};

class OneDnnConv {
 public:
  OneDnnConv(const ConvGeometry& g, int threads) : engine_(dnnl::engine::kind::cpu, 0), stream_(engine_) {
    using dnnl::memory;
    using tag = memory::format_tag;
    omp_set_num_threads(threads);
    const auto f32 = memory::data_type::f32;
    const memory::desc source({g.batch, g.in, g.size, g.size}, f32, g.in == 3 ? tag::nhwc : tag::any);
    const memory::desc target({g.batch, g.out, g.out_size, g.out_size}, f32, tag::any), bias({g.out}, f32, tag::a);
    const memory::desc filter = g.depthwise ? memory::desc({g.out, 1, 1, g.kernel, g.kernel}, f32, tag::any)
                                            : memory::desc({g.out, g.in, g.kernel, g.kernel}, f32, tag::any);
    dnnl::post_ops after;
    if (g.residual) after.append_sum(1.0f);
    if (g.relu) after.append_eltwise(dnnl::algorithm::eltwise_relu, 0, 0);
    if (g.relu6) after.append_eltwise(dnnl::algorithm::eltwise_clip, 0, 6);
    if (g.swish) after.append_eltwise(dnnl::algorithm::eltwise_swish, 1, 0);
    dnnl::primitive_attr attributes;
    attributes.set_post_ops(after);
    const dnnl::convolution_forward::primitive_desc description(
        engine_, dnnl::prop_kind::forward_inference, dnnl::algorithm::convolution_direct, source, filter, bias, target,
        {g.stride, g.stride}, {0, 0}, {g.pad_before, g.pad_before}, {g.pad_after, g.pad_after}, attributes);
    primitive_ = dnnl::convolution_forward(description);
    arguments_ = {{DNNL_ARG_SRC, memory(description.src_desc(), engine_)},
                  {DNNL_ARG_WEIGHTS, memory(description.weights_desc(), engine_)},
                  {DNNL_ARG_BIAS, memory(bias, engine_)},
                  {DNNL_ARG_DST, memory(description.dst_desc(), engine_)}};
  }

  void run() {
    primitive_.execute(stream_, arguments_);
    stream_.wait();
  }

 private:
  dnnl::engine engine_;
  dnnl::stream stream_;
  dnnl::primitive primitive_;
  std::unordered_map<int, dnnl::memory> arguments_;
};

// (groups) x (m x k) x (k x n); with bias where there is one group.
class OneDnnMatmul {
 public:
  OneDnnMatmul(int64_t groups, int64_t m, int64_t n, int64_t k, bool gelu, int threads)
      : engine_(dnnl::engine::kind::cpu, 0), stream_(engine_) {
    using dnnl::memory;
    using tag = memory::format_tag;
    omp_set_num_threads(threads);
    const bool weights = groups == 1;
    const auto described = [&](int64_t rows, int64_t columns, tag plain, tag grouped) {
      return weights ? memory::desc({rows, columns}, memory::data_type::f32, plain)
                     : memory::desc({groups, rows, columns}, memory::data_type::f32, grouped);
    };
    const memory::desc a = described(m, k, tag::ab, tag::abc), b = described(k, n, tag::any, tag::abc),
                       c = described(m, n, tag::ab, tag::abc),
                       bias = weights ? memory::desc({1, n}, memory::data_type::f32, tag::ab) : memory::desc();
    dnnl::post_ops after;
    if (gelu) after.append_eltwise(dnnl::algorithm::eltwise_gelu_erf, 0, 0);
    dnnl::primitive_attr attributes;
    attributes.set_post_ops(after);
    const dnnl::matmul::primitive_desc description =
        weights ? dnnl::matmul::primitive_desc(engine_, a, b, bias, c, attributes) : dnnl::matmul::primitive_desc(engine_, a, b, c, attributes);
    primitive_ = dnnl::matmul(description);
    arguments_ = {{DNNL_ARG_SRC, memory(a, engine_)},
                  {DNNL_ARG_WEIGHTS, memory(description.weights_desc(), engine_)},
                  {DNNL_ARG_DST, memory(c, engine_)}};
    if (weights) arguments_.emplace(DNNL_ARG_BIAS, memory(bias, engine_));
  }

  void run() {
    primitive_.execute(stream_, arguments_);
    stream_.wait();
  }

 private:
  dnnl::engine engine_;
  dnnl::stream stream_;
  dnnl::primitive primitive_;
  std::unordered_map<int, dnnl::memory> arguments_;
};

}  // namespace tenon::bench
