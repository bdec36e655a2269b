#include "backends/cpu/kernels/conv3d.h"

#include "kernels/reference.h"

namespace tenon::cpu {
namespace {

int64_t volume(const Extent3& e) { return e[0] * e[1] * e[2]; }
int64_t dense(int64_t stride, int64_t channels) { return stride ? stride : channels; }

template <class F>
void for_each_position(const Extent3& e, F&& f) {
  for (int64_t d = 0; d < e[0]; ++d) {
    for (int64_t h = 0; h < e[1]; ++h) {
      for (int64_t w = 0; w < e[2]; ++w) f(Extent3{d, h, w});
    }
  }
}

int64_t index_in(const Extent3& e, const Extent3& at) { return (at[0] * e[1] + at[1]) * e[2] + at[2]; }

// Compares `output` with `sums` (before bias), both [pixels, channels].
template <class Params>
void expect_outputs(const Params& p, const std::vector<double>& sums, const std::vector<float>& bias,
                    const std::vector<float>& residual, const std::vector<float>& output, Isa isa) {
  const int64_t stride = dense(p.output_stride, p.output_channels),
                residual_stride = dense(p.residual_stride, p.output_channels);
  for (size_t i = 0; i < sums.size(); ++i) {
    const int64_t pixel = static_cast<int64_t>(i) / p.output_channels, oc = static_cast<int64_t>(i) % p.output_channels;
    const double wanted = reference_epilogue(p.epilogue, sums[i] + bias[static_cast<size_t>(oc)],
                                             residual[static_cast<size_t>(pixel * residual_stride + oc)]);
    ASSERT_NEAR(output[static_cast<size_t>(pixel * stride + oc)], wanted, 5e-5 * (1 + std::fabs(wanted)))
        << "pixel " << pixel << " channel " << oc << " " << describe(p.epilogue, isa);
  }
}

void expect_conv(const Conv3dParams& p, int64_t batch, const Extent3& in, Isa isa, const ConvTactic& tactic = {}) {
  const Conv3dPlan plan = Conv3dPlan::make(p, batch, in, tactic, isa);
  const Extent3& out = plan.output();
  const int64_t depth = p.input_channels / p.groups, in_stride = dense(p.input_stride, p.input_channels);
  const auto input = random_values(static_cast<size_t>(batch * volume(in) * in_stride + 1), 1);
  const auto filter = random_values(static_cast<size_t>(volume(p.kernel) * depth * p.output_channels), 2);
  const auto bias = random_values(static_cast<size_t>(p.output_channels), 3);
  const auto residual =
      random_values(static_cast<size_t>(batch * volume(out) * dense(p.residual_stride, p.output_channels) + 1), 4);
  std::vector<float> output(static_cast<size_t>(batch * volume(out) * dense(p.output_stride, p.output_channels) + 1));
  AlignedBuffer packed(conv3d_packed_size(p, isa)), scratch(plan.scratch_size(2));
  conv3d_pack(p, filter.data(), packed.data(), isa);
  ThreadTeam team(2);
  plan.run({input.data(), packed.data(), bias.data(), residual.data(), output.data(), scratch.data()}, team);
  std::vector<double> sums(static_cast<size_t>(batch * volume(out) * p.output_channels));
  for (int64_t image = 0; image < batch; ++image) {
    for_each_position(out, [&](const Extent3& o) {
      for_each_position(p.kernel, [&](const Extent3& k) {
        Extent3 at;
        for (size_t i = 0; i < 3; ++i) {
          at[i] = o[i] * p.stride[i] - p.pad_before[i] + k[i] * p.dilation[i];
          if (at[i] < 0 || at[i] >= in[i]) return;
        }
        for (int64_t oc = 0; oc < p.output_channels; ++oc) {
          const int64_t group = oc / (p.output_channels / p.groups);
          for (int64_t c = 0; c < depth; ++c) {
            sums[static_cast<size_t>((image * volume(out) + index_in(out, o)) * p.output_channels + oc)] +=
                static_cast<double>(
                    input[static_cast<size_t>((image * volume(in) + index_in(in, at)) * in_stride + group * depth + c)]) *
                filter[static_cast<size_t>((index_in(p.kernel, k) * depth + c) * p.output_channels + oc)];
          }
        }
      });
    });
  }
  expect_outputs(p, sums, bias, residual, output, isa);
}

void expect_transposed(const TransposedConvParams& p, int64_t batch, const Extent3& in, const Extent3& out, Isa isa) {
  const TransposedConvPlan plan = TransposedConvPlan::make(p, batch, in, out, isa);
  const int64_t in_stride = dense(p.input_stride, p.input_channels);
  const auto input = random_values(static_cast<size_t>(batch * volume(in) * in_stride + 1), 1);
  const auto filter = random_values(static_cast<size_t>(volume(p.kernel) * p.input_channels * p.output_channels), 2);
  const auto bias = random_values(static_cast<size_t>(p.output_channels), 3);
  const auto residual =
      random_values(static_cast<size_t>(batch * volume(out) * dense(p.residual_stride, p.output_channels) + 1), 4);
  std::vector<float> output(static_cast<size_t>(batch * volume(out) * dense(p.output_stride, p.output_channels) + 1), 77.0f);
  AlignedBuffer packed(transposed_conv_packed_size(p, isa)), scratch(plan.scratch_size(2));
  transposed_conv_pack(p, filter.data(), packed.data(), isa);
  ThreadTeam team(2);
  plan.run({input.data(), packed.data(), bias.data(), residual.data(), output.data(), scratch.data()}, team);
  // By scattering: input pixel i adds to output i * stride - pad + k * dilation.
  std::vector<double> sums(static_cast<size_t>(batch * volume(out) * p.output_channels));
  for (int64_t image = 0; image < batch; ++image) {
    for_each_position(in, [&](const Extent3& from) {
      for_each_position(p.kernel, [&](const Extent3& k) {
        Extent3 at;
        for (size_t i = 0; i < 3; ++i) {
          at[i] = from[i] * p.stride[i] - p.pad_before[i] + k[i] * p.dilation[i];
          if (at[i] < 0 || at[i] >= out[i]) return;
        }
        for (int64_t oc = 0; oc < p.output_channels; ++oc) {
          for (int64_t c = 0; c < p.input_channels; ++c) {
            sums[static_cast<size_t>((image * volume(out) + index_in(out, at)) * p.output_channels + oc)] +=
                static_cast<double>(input[static_cast<size_t>((image * volume(in) + index_in(in, from)) * in_stride + c)]) *
                filter[static_cast<size_t>((index_in(p.kernel, k) * p.output_channels + oc) * p.input_channels + c)];
          }
        }
      });
    });
  }
  expect_outputs(p, sums, bias, residual, output, isa);
}

TEST(Conv3d, MatchesLoops) {
  for (Isa isa : runnable_isas()) {
    Conv3dParams p{.input_channels = 5,
                   .output_channels = 19,
                   .kernel = {3, 2, 3},
                   .stride = {2, 1, 2},
                   .dilation = {1, 2, 1},
                   .pad_before = {1, 0, 2},
                   .pad_after = {0, 1, 1}};
    for (int8_t copy : {kCopyTiles, kCopyAll, kCopyLines}) expect_conv(p, 2, {5, 6, 7}, isa, {.pack_a = copy});
    p.dilation = {1, 1, 2};
    for (int8_t copy : {kCopyTiles, kCopyAll, kCopyLines}) expect_conv(p, 2, {5, 6, 7}, isa, {.pack_a = copy});
    expect_conv({.input_channels = 12, .output_channels = 34, .groups = 2}, 1, {2, 3, 4}, isa);
    expect_conv({.input_channels = 12, .output_channels = 34}, 1, {2, 3, 4}, isa);
    expect_conv({.input_channels = 3,
                 .output_channels = 8,
                 .kernel = {3, 3, 3},
                 .input_stride = 4,
                 .output_stride = 11,
                 .residual_stride = 9,
                 .epilogue = {.activation = Activation::kTanh, .residual = ResidualPlace::kAfterActivation}},
                1, {4, 4, 4}, isa);
  }
}

TEST(TransposedConv, MatchesLoopsForImages) {
  for (Isa isa : runnable_isas()) {
    for (int64_t kernel : {1, 2, 3, 4, 5}) {
      for (int64_t stride : {1, 2, 3}) {
        for (int64_t dilation : {1, 2}) {
          for (int64_t pad : {0, 1, 2}) {
            const TransposedConvParams p{.input_channels = 7,
                                         .output_channels = 18,
                                         .kernel = {1, kernel, kernel},
                                         .stride = {1, stride, stride},
                                         .dilation = {1, dilation, dilation},
                                         .pad_before = {0, pad, pad}};
            for (int64_t extra : {0, 1}) {
              const int64_t size = std::max<int64_t>(1, 4 * stride + (kernel - 1) * dilation + 1 - 2 * pad + extra);
              expect_transposed(p, 2, {1, 5, 5}, {1, size, size + 1}, isa);
            }
          }
        }
      }
    }
  }
}

TEST(TransposedConv, MatchesLoopsForVolumesSlotsAndEpilogues) {
  for (Isa isa : runnable_isas()) {
    TransposedConvParams p{.input_channels = 6,
                           .output_channels = 10,
                           .kernel = {3, 4, 2},
                           .stride = {2, 2, 1},
                           .pad_before = {1, 1, 0},
                           .input_stride = 8,
                           .output_stride = 13,
                           .residual_stride = 11};
    for (const Epilogue& epilogue : all_epilogues()) {
      p.epilogue = epilogue;
      expect_transposed(p, 1, {2, 3, 3}, {4, 6, 4}, isa);
    }
    expect_transposed(p, 0, {2, 3, 3}, {4, 6, 4}, isa);
  }
}

}  // namespace
}  // namespace tenon::cpu
