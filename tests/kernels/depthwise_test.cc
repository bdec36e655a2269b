#include "backends/cpu/kernels/depthwise.h"

#include "kernels/reference.h"

namespace tenon::cpu {
namespace {

void expect_depthwise(const DepthwiseParams& p, int64_t batch, int64_t height, int64_t width, Isa isa, int threads = 1) {
  const int64_t outputs = p.channels * p.multiplier;
  const int64_t in_stride = p.input_stride ? p.input_stride : p.channels,
                out_stride = p.output_stride ? p.output_stride : outputs;
  const int64_t residual_stride = p.residual_stride ? p.residual_stride : outputs;
  const auto input = random_values(static_cast<size_t>(batch * height * width * in_stride + 1), 1);
  const auto filter = random_values(static_cast<size_t>(p.kernel_h * p.kernel_w * outputs + 1), 2);
  const auto bias = random_values(static_cast<size_t>(outputs + 1), 3);
  const DepthwisePlan plan = DepthwisePlan::make(p, batch, height, width, isa);
  const int64_t pixels = batch * plan.output_height() * plan.output_width();
  const auto residual = random_values(static_cast<size_t>(pixels * residual_stride + 1), 4);
  std::vector<float> output(static_cast<size_t>(pixels * out_stride + 1), 77.0f);
  AlignedBuffer packed(depthwise_packed_size(p, isa)), scratch(plan.scratch_size(threads));
  depthwise_pack(p, filter.data(), packed.data(), isa);
  ThreadTeam team(threads);
  plan.run({input.data(), packed.data(), bias.data(), residual.data(), output.data(), scratch.data()}, team);
  for (int64_t pixel = 0; pixel < pixels; ++pixel) {
    const int64_t ow = pixel % plan.output_width(), oh = pixel / plan.output_width() % plan.output_height();
    const int64_t image = pixel / plan.output_width() / plan.output_height();
    for (int64_t oc = 0; oc < out_stride; ++oc) {
      const float found = output[static_cast<size_t>(pixel * out_stride + oc)];
      if (oc >= outputs) {
        ASSERT_EQ(found, 77.0f);
        continue;
      }
      double sum = bias[static_cast<size_t>(oc)];
      for (int64_t kh = 0; kh < p.kernel_h; ++kh) {
        for (int64_t kw = 0; kw < p.kernel_w; ++kw) {
          const int64_t y = oh * p.stride_h - p.pad_top + kh * p.dilation_h,
                        x = ow * p.stride_w - p.pad_left + kw * p.dilation_w;
          if (y < 0 || y >= height || x < 0 || x >= width) continue;
          sum += static_cast<double>(
                     input[static_cast<size_t>(((image * height + y) * width + x) * in_stride + oc / p.multiplier)]) *
                 filter[static_cast<size_t>((kh * p.kernel_w + kw) * outputs + oc)];
        }
      }
      const double wanted = reference_epilogue(p.epilogue, sum, residual[static_cast<size_t>(pixel * residual_stride + oc)]);
      ASSERT_NEAR(found, wanted, 2e-5 * (1 + std::fabs(wanted)))
          << "at " << oh << "," << ow << "," << oc << " " << describe(p.epilogue, isa);
    }
  }
}

DepthwiseParams square(int64_t channels, int64_t kernel, int64_t stride, int64_t pad, int64_t dilation = 1,
                       int64_t multiplier = 1) {
  DepthwiseParams p;
  p.channels = channels;
  p.multiplier = multiplier;
  p.kernel_h = p.kernel_w = kernel;
  p.stride_h = p.stride_w = stride;
  p.dilation_h = p.dilation_w = dilation;
  p.pad_top = p.pad_left = p.pad_bottom = p.pad_right = pad;
  return p;
}

TEST(Depthwise, MatchesLoops) {
  for (Isa isa : runnable_isas()) {
    for (int64_t kernel : {1, 2, 3, 4, 5, 7}) {
      for (int64_t stride : {1, 2, 3}) {
        for (int64_t pad : {0, 1, 3}) {
          for (int64_t channels : {1, 16, 37}) expect_depthwise(square(channels, kernel, stride, pad), 2, 9, 13, isa);
        }
      }
    }
  }
}

TEST(Depthwise, MatchesLoopsForSmallImages) {
  for (Isa isa : runnable_isas()) {
    for (int64_t size : {1, 2, 3, 4, 5, 6, 7, 8}) {
      for (int64_t kernel : {3, 5}) {
        for (int64_t stride : {1, 2}) expect_depthwise(square(20, kernel, stride, kernel / 2), 1, size, size, isa, 2);
      }
    }
    expect_depthwise(square(20, 5, 1, 0), 1, 3, 3, isa);
    expect_depthwise(square(20, 3, 1, 1), 0, 3, 3, isa);
  }
}

TEST(Depthwise, MatchesLoopsForDilationAndMultiplier) {
  for (Isa isa : runnable_isas()) {
    for (int64_t dilation : {1, 2}) {
      for (int64_t multiplier : {1, 2, 3}) expect_depthwise(square(11, 3, 1, 2, dilation, multiplier), 2, 8, 9, isa, 2);
    }
  }
}

TEST(Depthwise, ReadsAndWritesSlotsOfWiderTensors) {
  for (Isa isa : runnable_isas()) {
    DepthwiseParams p = square(18, 3, 2, 1);
    p.input_stride = 21;
    p.output_stride = 30;
    p.residual_stride = 19;
    p.pad_top = 0;
    p.pad_right = 2;
    p.epilogue = {.activation = Activation::kRelu6, .residual = ResidualPlace::kAfterActivation};
    expect_depthwise(p, 1, 10, 10, isa);
  }
}

TEST(Depthwise, AppliesEveryEpilogue) {
  for (Isa isa : runnable_isas()) {
    for (const Epilogue& epilogue : all_epilogues()) {
      DepthwiseParams p = square(19, 3, 1, 1);
      p.epilogue = epilogue;
      expect_depthwise(p, 1, 5, 6, isa);
    }
  }
}

}  // namespace
}  // namespace tenon::cpu
