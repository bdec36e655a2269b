#include "backends/cpu/kernels/conv_depthwise.h"

#include "kernels/reference.h"

namespace tenon::cpu {
namespace {

size_t floats(int64_t n) { return static_cast<size_t>(n); }

// The pair against its two parts, which have tests of their own: for every tactic, to the last bit between tactics.
void expect_pair(const ConvDepthwiseParams& p, int64_t batch, int64_t height, int64_t width, Isa isa, int threads = 1) {
  const Conv2dParams& conv = p.conv;
  const int64_t channels = conv.output_channels;
  const int64_t in_stride = conv.input_stride ? conv.input_stride : conv.input_channels;
  const Conv2dParams& projection = p.projection;
  const int64_t made = p.projected ? projection.output_channels : channels;
  const int64_t own_stride = p.projected ? projection.output_stride : p.depthwise.output_stride;
  const int64_t out_stride = own_stride ? own_stride : made;
  const auto input = random_values(floats(batch * height * width * in_stride + 1), 1);
  const auto filter = random_values(floats(conv.kernel_h * conv.kernel_w * conv.input_channels * channels), 2);
  const auto second = random_values(floats(p.depthwise.kernel_h * p.depthwise.kernel_w * channels), 3);
  const auto bias = random_values(floats(channels), 4), second_bias = random_values(floats(channels), 5);
  const auto third = random_values(floats(channels * made), 6), third_bias = random_values(floats(made), 7);
  AlignedBuffer packed(conv2d_packed_size(conv, isa)), second_packed(depthwise_packed_size(p.depthwise, isa));
  conv2d_pack(conv, filter.data(), packed.data(), isa);
  depthwise_pack(p.depthwise, second.data(), second_packed.data(), isa);
  AlignedBuffer third_packed(p.projected ? conv2d_packed_size(projection, isa) : 64);
  if (p.projected) conv2d_pack(projection, third.data(), third_packed.data(), isa);
  ThreadTeam team(threads);

  const auto conv_plan = Conv2dPlan::make(conv, batch, height, width, {}, isa);
  const auto second_plan = DepthwisePlan::make(p.depthwise, batch, conv_plan.output_height(), conv_plan.output_width(), isa);
  std::vector<float> middle(floats(batch * conv_plan.output_height() * conv_plan.output_width() * channels + 1));
  const size_t outputs = floats(batch * second_plan.output_height() * second_plan.output_width() * out_stride + 1);
  std::vector<float> wanted(outputs, 77.0f);
  AlignedBuffer scratch(std::max(conv_plan.scratch_size(threads), second_plan.scratch_size(threads)));
  conv_plan.run({input.data(), packed.data(), bias.data(), nullptr, middle.data(), scratch.data()}, team);
  const int64_t pixels = batch * second_plan.output_height() * second_plan.output_width();
  const auto residual = random_values(floats(pixels * (projection.residual_stride ? projection.residual_stride : made) + 1), 8);
  if (p.projected) {
    std::vector<float> wide(floats(pixels * channels + 1));
    second_plan.run({middle.data(), second_packed.data(), second_bias.data(), nullptr, wide.data(), scratch.data()}, team);
    const auto third_plan = Conv2dPlan::make(projection, batch, second_plan.output_height(), second_plan.output_width(), {}, isa);
    AlignedBuffer own(third_plan.scratch_size(threads));
    third_plan.run({wide.data(), third_packed.data(), third_bias.data(), residual.data(), wanted.data(), own.data()}, team);
  } else {
    second_plan.run({middle.data(), second_packed.data(), second_bias.data(), nullptr, wanted.data(), scratch.data()}, team);
  }

  std::vector<float> first_found;
  for (const ConvDepthwiseTactic& tactic : conv_depthwise_tactics(p, batch, height, width, isa)) {
    const auto plan = ConvDepthwisePlan::make(p, batch, height, width, tactic, isa);
    ASSERT_EQ(plan.tactic(), tactic);
    ASSERT_EQ(plan.output_height(), second_plan.output_height());
    ASSERT_EQ(plan.output_width(), second_plan.output_width());
    std::vector<float> found(outputs, 77.0f);
    AlignedBuffer own(plan.scratch_size(threads));
    plan.run({input.data(), packed.data(), bias.data(), second_packed.data(), second_bias.data(), third_packed.data(), third_bias.data(),
              residual.data(), found.data(), own.data()},
             team);
    for (size_t i = 0; i < outputs; ++i) {
      ASSERT_NEAR(found[i], wanted[i], 2e-5f * (1 + std::fabs(wanted[i])))
          << "element " << i << ", panels " << tactic.panels << ", shares " << tactic.line_shares << " " << isa_name(isa);
    }
    if (first_found.empty()) first_found = found;
    ASSERT_EQ(found, first_found);
  }
}

ConvDepthwiseParams pair(int64_t in, int64_t channels, int64_t kernel, int64_t stride, int64_t second_kernel, int64_t second_stride) {
  ConvDepthwiseParams p;
  p.conv.input_channels = in;
  p.conv.output_channels = p.depthwise.channels = channels;
  p.conv.kernel_h = p.conv.kernel_w = kernel;
  p.conv.stride_h = p.conv.stride_w = stride;
  p.conv.pad_top = p.conv.pad_left = (kernel - 1) / 2;
  p.conv.pad_bottom = p.conv.pad_right = kernel / 2;
  p.conv.epilogue.activation = Activation::kRelu6;
  p.depthwise.kernel_h = p.depthwise.kernel_w = second_kernel;
  p.depthwise.stride_h = p.depthwise.stride_w = second_stride;
  p.depthwise.pad_top = p.depthwise.pad_left = p.depthwise.pad_bottom = p.depthwise.pad_right = second_kernel / 2;
  p.depthwise.epilogue.activation = Activation::kRelu;
  return p;
}

TEST(ConvDepthwise, MatchesItsParts) {
  for (Isa isa : runnable_isas()) {
    for (int64_t second : {1, 3, 5, 7}) {
      for (int64_t stride : {1, 2, 3}) {
        for (int64_t channels : {1, 24, 32, 97}) expect_pair(pair(5, channels, 1, 1, second, stride), 2, 11, 17, isa, 2);
      }
    }
    for (int64_t kernel : {2, 3, 5}) {
      for (int64_t stride : {1, 2}) expect_pair(pair(3, 40, kernel, stride, 3, 1), 2, 21, 30, isa, 2);
    }
  }
}

ConvDepthwiseParams projected(ConvDepthwiseParams p, int64_t out, Epilogue epilogue = {}) {
  p.projected = true;
  p.projection.input_channels = p.depthwise.channels;
  p.projection.output_channels = out;
  p.projection.epilogue = epilogue;
  return p;
}

TEST(ConvDepthwise, ProjectsItsLines) {
  const Epilogue residual{.activation = Activation::kRelu, .residual = ResidualPlace::kBeforeActivation};
  const Epilogue after{.activation = Activation::kSwish, .alpha = 1, .residual = ResidualPlace::kAfterActivation};
  for (Isa isa : runnable_isas()) {
    for (int64_t size : {1, 3, 7, 14, 30}) {
      for (int64_t out : {1, 16, 24, 70}) expect_pair(projected(pair(6, 33, 1, 1, 3, 1), out), 2, size, size + 1, isa, 2);
    }
    expect_pair(projected(pair(3, 32, 3, 2, 3, 1), 16), 1, 37, 41, isa, 2);
    expect_pair(projected(pair(6, 33, 1, 1, 5, 2), 20, residual), 2, 15, 16, isa, 2);
    ConvDepthwiseParams p = projected(pair(6, 33, 1, 1, 3, 1), 20, after);
    p.projection.output_stride = 25;
    p.projection.residual_stride = 23;
    expect_pair(p, 2, 15, 16, isa, 2);
    expect_pair(projected(pair(6, 33, 1, 1, 3, 1), 4), 0, 4, 4, isa);
  }
}

TEST(ConvDepthwise, MatchesItsPartsForSmallAndEmptyImages) {
  for (Isa isa : runnable_isas()) {
    for (int64_t size : {1, 2, 3, 4, 6, 7, 8, 14}) expect_pair(pair(9, 50, 1, 1, 3, 1), 1, size, size, isa);
    expect_pair(pair(9, 50, 1, 1, 3, 1), 0, 4, 4, isa);
    expect_pair(pair(9, 50, 1, 1, 3, 1), 1, 0, 4, isa);
    ConvDepthwiseParams too_large = pair(4, 8, 3, 1, 5, 1);
    too_large.depthwise.pad_top = too_large.depthwise.pad_bottom = 0;
    expect_pair(too_large, 1, 3, 9, isa);
  }
}

TEST(ConvDepthwise, MatchesItsPartsForOddWindows) {
  for (Isa isa : runnable_isas()) {
    ConvDepthwiseParams p = pair(6, 33, 1, 1, 3, 1);
    p.depthwise.dilation_h = 3;
    p.depthwise.dilation_w = 2;
    p.depthwise.pad_top = 4;
    expect_pair(p, 1, 12, 13, isa, 2);
    p = pair(6, 33, 1, 2, 3, 2);  // a first convolution that skips pixels, and pads below and right alone
    p.depthwise.pad_top = p.depthwise.pad_left = 0;
    p.conv.pad_bottom = 2;
    expect_pair(p, 2, 15, 16, isa, 2);
    p = pair(6, 33, 3, 1, 1, 3);  // lines that nobody reads
    p.conv.dilation_h = p.conv.dilation_w = 2;
    expect_pair(p, 1, 16, 40, isa, 2);
  }
}

TEST(ConvDepthwise, ReadsAndWritesSlotsOfWiderTensors) {
  for (Isa isa : runnable_isas()) {
    ConvDepthwiseParams p = pair(6, 33, 1, 1, 3, 2);
    p.conv.input_stride = 10;
    p.depthwise.output_stride = 41;
    expect_pair(p, 2, 9, 15, isa, 2);
  }
}

TEST(ConvDepthwise, AppliesEveryEpilogue) {
  for (Isa isa : runnable_isas()) {
    for (const Epilogue& epilogue : all_epilogues()) {
      if (epilogue.residual != ResidualPlace::kNone) continue;
      ConvDepthwiseParams p = pair(6, 33, 1, 1, 3, 1);
      p.conv.epilogue = p.depthwise.epilogue = epilogue;
      expect_pair(p, 1, 6, 9, isa);
    }
  }
}

}  // namespace
}  // namespace tenon::cpu
