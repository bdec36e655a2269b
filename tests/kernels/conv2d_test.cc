#include "backends/cpu/kernels/conv2d.h"

#include "kernels/reference.h"

namespace tenon::cpu {
namespace {

struct Image {
  int64_t batch, height, width;
};

// One value of the convolution, before bias.
double reference_sum(const Conv2dParams& p, const Image& in, const std::vector<float>& input,
                     const std::vector<float>& filter, int64_t image, int64_t oh, int64_t ow, int64_t oc) {
  const int64_t depth = p.input_channels / p.groups, group = oc / (p.output_channels / p.groups);
  const int64_t stride = p.input_stride ? p.input_stride : p.input_channels;
  double sum = 0;
  for (int64_t kh = 0; kh < p.kernel_h; ++kh) {
    for (int64_t kw = 0; kw < p.kernel_w; ++kw) {
      const int64_t y = oh * p.stride_h - p.pad_top + kh * p.dilation_h,
                    x = ow * p.stride_w - p.pad_left + kw * p.dilation_w;
      if (y < 0 || y >= in.height || x < 0 || x >= in.width) continue;
      for (int64_t c = 0; c < depth; ++c) {
        sum += static_cast<double>(
                   input[static_cast<size_t>(((image * in.height + y) * in.width + x) * stride + group * depth + c)]) *
               filter[static_cast<size_t>(((kh * p.kernel_w + kw) * depth + c) * p.output_channels + oc)];
      }
    }
  }
  return sum;
}

void expect_conv(const Conv2dParams& p, const Image& in, Isa isa, int threads = 1, const ConvTactic& tactic = {}) {
  const int64_t in_stride = p.input_stride ? p.input_stride : p.input_channels;
  const int64_t out_stride = p.output_stride ? p.output_stride : p.output_channels;
  const int64_t residual_stride = p.residual_stride ? p.residual_stride : p.output_channels;
  const int64_t taps = p.kernel_h * p.kernel_w * p.input_channels / p.groups;
  const auto input = random_values(static_cast<size_t>(in.batch * in.height * in.width * in_stride + 1), 1);
  const auto filter = random_values(static_cast<size_t>(taps * p.output_channels + 1), 2);
  const auto bias = random_values(static_cast<size_t>(p.output_channels + 1), 3);
  const Conv2dPlan plan = Conv2dPlan::make(p, in.batch, in.height, in.width, tactic, isa);
  const int64_t pixels = in.batch * plan.output_height() * plan.output_width();
  const auto residual = random_values(static_cast<size_t>(pixels * residual_stride + 1), 4);
  std::vector<float> output(static_cast<size_t>(pixels * out_stride + 1), 77.0f);
  AlignedBuffer packed(conv2d_packed_size(p, isa)), scratch(plan.scratch_size(threads));
  conv2d_pack(p, filter.data(), packed.data(), isa);
  ThreadTeam team(threads);
  plan.run({input.data(), packed.data(), bias.data(), residual.data(), output.data(), scratch.data()}, team);
  for (int64_t pixel = 0; pixel < pixels; ++pixel) {
    const int64_t ow = pixel % plan.output_width(), oh = pixel / plan.output_width() % plan.output_height();
    const int64_t image = pixel / plan.output_width() / plan.output_height();
    for (int64_t oc = 0; oc < out_stride; ++oc) {
      const float found = output[static_cast<size_t>(pixel * out_stride + oc)];
      if (oc >= p.output_channels) {
        ASSERT_EQ(found, 77.0f);
        continue;
      }
      const double sum = bias[static_cast<size_t>(oc)] + reference_sum(p, in, input, filter, image, oh, ow, oc);
      const double wanted = reference_epilogue(p.epilogue, sum, residual[static_cast<size_t>(pixel * residual_stride + oc)]);
      ASSERT_NEAR(found, wanted, 3e-6 * (1 + std::fabs(wanted)) * (4 + std::sqrt(static_cast<double>(taps))))
          << "at " << oh << "," << ow << "," << oc << " " << describe(p.epilogue, isa);
    }
  }
}

Conv2dParams square(int64_t in, int64_t out, int64_t kernel, int64_t stride = 1, int64_t pad = 0, int64_t dilation = 1,
                    int64_t groups = 1) {
  Conv2dParams p;
  p.input_channels = in;
  p.output_channels = out;
  p.groups = groups;
  p.kernel_h = p.kernel_w = kernel;
  p.stride_h = p.stride_w = stride;
  p.dilation_h = p.dilation_w = dilation;
  p.pad_top = p.pad_left = p.pad_bottom = p.pad_right = pad;
  return p;
}

TEST(Conv2d, MatchesLoops) {
  for (Isa isa : runnable_isas()) {
    for (int64_t kernel : {1, 2, 3, 5, 7}) {
      for (int64_t stride : {1, 2, 3}) {
        for (int64_t pad : {0, 1, 3}) {
          for (int64_t channels : {1, 3, 16, 19}) {
            for (int8_t copy : {kCopyTiles, kCopyAll, kCopyLines}) {
              expect_conv(square(channels, 21, kernel, stride, pad), {2, 9, 11}, isa, 1, {.pack_a = copy});
            }
          }
        }
      }
    }
  }
}

TEST(Conv2d, MatchesLoopsForDilationAndGroups) {
  for (Isa isa : runnable_isas()) {
    for (int64_t dilation : {1, 2, 3}) {
      for (int64_t groups : {1, 2, 6}) {
        for (int8_t copy : {kCopyTiles, kCopyAll, kCopyLines}) {
          expect_conv(square(12, 18, 3, 1, 2, dilation, groups), {1, 10, 9}, isa, 2, {.pack_a = copy});
        }
      }
    }
  }
}

TEST(Conv2d, MatchesLoopsForUnevenGeometry) {
  Conv2dParams p = square(5, 35, 3);
  p.kernel_w = 4;
  p.stride_h = 2;
  p.dilation_w = 2;
  p.pad_top = 2;
  p.pad_bottom = 0;
  p.pad_left = 1;
  p.pad_right = 4;
  for (Isa isa : runnable_isas()) {
    for (int8_t copy : {kCopyTiles, kCopyAll, kCopyLines}) expect_conv(p, {2, 7, 8}, isa, 1, {.pack_a = copy});
  }
}

TEST(Conv2d, ReadsAndWritesSlotsOfWiderTensors) {
  for (Isa isa : runnable_isas()) {
    for (int64_t kernel : {1, 3}) {
      Conv2dParams p = square(8, 20, kernel, 1, kernel / 2);
      p.input_stride = 13;
      p.output_stride = 27;
      p.residual_stride = 22;
      p.epilogue = {.activation = Activation::kRelu, .residual = ResidualPlace::kBeforeActivation};
      expect_conv(p, {1, 6, 7}, isa);
      expect_conv(p, {1, 6, 7}, isa, 2, {.pack_a = kCopyLines});
      p.groups = 2;
      expect_conv(p, {1, 6, 7}, isa);
    }
  }
}

TEST(Conv2d, KernelMayExceedImage) {
  for (Isa isa : runnable_isas()) {
    expect_conv(square(4, 4, 5, 1, 2), {1, 1, 1}, isa);
    expect_conv(square(4, 4, 3, 1, 3), {1, 1, 2}, isa);  // windows wholly in the padding
    expect_conv(square(4, 4, 5), {1, 3, 3}, isa);        // no output
    expect_conv(square(4, 4, 3, 1, 1), {0, 3, 3}, isa);
  }
}

TEST(Conv2d, AppliesEveryEpilogue) {
  for (Isa isa : runnable_isas()) {
    for (const Epilogue& epilogue : all_epilogues()) {
      Conv2dParams p = square(6, 34, 3, 1, 1);
      p.epilogue = epilogue;
      expect_conv(p, {1, 5, 5}, isa, 1, {.k_block = 32});
    }
  }
}

TEST(Conv2d, WinogradMatchesLoops) {
  for (Isa isa : runnable_isas()) {
    for (int64_t size : {1, 3, 4, 5, 9, 14}) {
      for (int64_t pad : {0, 1, 2}) {
        Conv2dParams p = square(19, 35, 3, 1, pad);
        p.winograd = true;
        expect_conv(p, {2, size, size + 1}, isa, 2);
      }
    }
    Conv2dParams p = square(64, 64, 3, 1, 1);
    p.winograd = true;
    expect_conv(p, {1, 33, 34}, isa, 2);  // many tiles
    p.input_channels = 6;
    p.output_channels = 34;
    p.input_stride = 9;
    p.output_stride = 40;
    p.residual_stride = 36;
    p.pad_top = 2;
    p.pad_right = 0;
    for (const Epilogue& epilogue : all_epilogues()) {
      p.epilogue = epilogue;
      expect_conv(p, {1, 5, 6}, isa);
    }
    expect_conv(p, {0, 5, 6}, isa);
  }
}

TEST(Conv2d, WinogradIsOnlyForPlain3x3) {
  EXPECT_TRUE(conv2d_winograd_possible(square(8, 8, 3, 1, 1)));
  EXPECT_FALSE(conv2d_winograd_possible(square(8, 8, 3, 2, 1)));
  EXPECT_FALSE(conv2d_winograd_possible(square(8, 8, 3, 1, 1, 2)));
  EXPECT_FALSE(conv2d_winograd_possible(square(8, 8, 3, 1, 1, 1, 2)));
  EXPECT_FALSE(conv2d_winograd_possible(square(8, 8, 5, 1, 2)));
  EXPECT_TRUE(conv2d_winograd_pays(square(64, 64, 3, 1, 1), 1, 56, 56));
  EXPECT_FALSE(conv2d_winograd_pays(square(512, 512, 3, 1, 1), 1, 7, 7));
  EXPECT_FALSE(conv2d_winograd_pays(square(3, 64, 3, 1, 1), 1, 224, 224));
}

TEST(Conv2d, EveryTacticIsCorrect) {
  for (Isa isa : runnable_isas()) {
    for (const Conv2dParams& p : {square(70, 96, 3, 1, 1), square(80, 96, 1)}) {
      for (const ConvTactic& tactic : conv2d_tactics(p, 1, 9, 9, isa)) expect_conv(p, {1, 9, 9}, isa, 2, tactic);
      expect_conv(p, {1, 9, 9}, isa, 2, {.m_shares = 3, .n_shares = 2});
    }
  }
}

}  // namespace
}  // namespace tenon::cpu
