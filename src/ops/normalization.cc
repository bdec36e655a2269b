// Batch normalisation and local response normalisation. Statistics are taken in float64.
#include <algorithm>
#include <cmath>
#include <limits>

#include "ops/conv.h"
#include "ops/operands.h"
#include "ops/registry.h"
#include "ops/walk.h"

namespace tenon::ops {
namespace {

using ir::EvalContext;
using ir::InferContext;

// fused_batch_norm: x, scale, offset, mean, variance [C]. Outputs y; the batch's (or the given) mean and variance, reserves
// with the mean and variance that y was made with, and (V3: attribute has_reserve_space_3) one more without meaning.
// data_format may be of 2 or 3 spatial axes.
bool batch_norm_channels_first(const ir::Attrs& attrs) {
  const auto format = attrs.get_or<std::string>("data_format", "NHWC");
  return channels_first(attrs, format.size() == 5 ? 3 : 2);
}

void infer_fused_batch_norm(InferContext& ctx) {
  ctx.expect_inputs(5);
  const bool first = batch_norm_channels_first(ctx.attrs());
  const PartialShape& x = ctx.input_shape(0);
  if (x.known_rank() && x.rank() != 4 && x.rank() != 5)
    ctx.fail_node("x must have rank 4 or 5, its shape is {}", x.to_string());
  Dim channels = x.known_rank() ? x[first ? 1 : x.rank() - 1] : ctx.fresh();
  for (int i = 1; i < 5; ++i) {
    ctx.expect_rank(i, 1);
    if (ctx.input_shape(i).known_rank() && !channels.known()) channels = ctx.input_shape(i)[0];
  }
  ctx.set_output(0, ctx.input_dtype(0), x);
  for (int i = 1; i < 5; ++i) ctx.set_output(i, ctx.input_dtype(1), PartialShape{channels});
  if (ctx.attrs().get_or<bool>("has_reserve_space_3", false)) ctx.set_output(5, ctx.input_dtype(1), {});
}

struct Moments {
  std::vector<double> mean, variance;
};

template <class T>
Moments batch_moments(const T* x, std::int64_t rows, std::int64_t channels) {
  const auto count = static_cast<std::size_t>(channels);
  Moments moments{std::vector<double>(count, 0), std::vector<double>(count, 0)};
  const auto n = static_cast<double>(rows);
  for (std::int64_t r = 0; r < rows; ++r) {
    for (std::size_t c = 0; c < count; ++c)
      moments.mean[c] += static_cast<ComputeType<T>>(x[static_cast<std::size_t>(r) * count + c]);
  }
  for (double& mean : moments.mean) mean /= n;
  for (std::int64_t r = 0; r < rows; ++r) {
    for (std::size_t c = 0; c < count; ++c) {
      const double distance = static_cast<ComputeType<T>>(x[static_cast<std::size_t>(r) * count + c]) - moments.mean[c];
      moments.variance[c] += distance * distance;
    }
  }
  for (double& variance : moments.variance) variance /= n;
  return moments;
}

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

// The statistics are float32 whatever x is (float64 is not registered).
Tensor statistics(DataType dtype, const std::vector<double>& values) {
  Tensor tensor(dtype, Shape{static_cast<std::int64_t>(values.size())});
  visit_dtype(FullFloats{}, dtype, "fused_batch_norm", [&](auto tag) {
    using T = typename decltype(tag)::type;
    std::ranges::transform(values, tensor.flat<T>().begin(), [](double value) { return static_cast<T>(value); });
  });
  return tensor;
}

std::vector<double> doubles(const Tensor& tensor) {
  std::vector<double> values;
  visit_dtype(FullFloats{}, tensor.dtype(), "fused_batch_norm", [&](auto tag) {
    using T = typename decltype(tag)::type;
    const auto from = tensor.flat<T>();
    values.assign(from.begin(), from.end());
  });
  return values;
}

template <class T>
void normalize(const Tensor& input, const Moments& moments, const std::vector<double>& scale,
               const std::vector<double>& offset, double epsilon, Tensor& output) {
  const std::size_t channels = scale.size();
  std::vector<double> factor(channels);
  for (std::size_t c = 0; c < channels; ++c) factor[c] = scale[c] / std::sqrt(moments.variance[c] + epsilon);
  const auto x = input.flat<T>();
  auto y = output.flat<T>();
  for (std::size_t row = 0; row + channels <= x.size() && channels > 0; row += channels) {
    for (std::size_t c = 0; c < channels; ++c) {
      const double centered = static_cast<double>(static_cast<ComputeType<T>>(x[row + c])) - moments.mean[c];
      y[row + c] = static_cast<T>(static_cast<ComputeType<T>>(centered * factor[c] + offset[c]));
    }
  }
}

// How the batch's statistics mix with the given ones in training: exponential_avg_factor of the batch's.
std::vector<double> blended(const std::vector<double>& given, const std::vector<double>& batch, double factor) {
  if (factor == 1.0) return batch;
  std::vector<double> result(batch.size());
  for (std::size_t c = 0; c < batch.size(); ++c) result[c] = (1 - factor) * given[c] + factor * batch[c];
  return result;
}

void evaluate_fused_batch_norm(EvalContext& ctx) {
  const bool first = batch_norm_channels_first(ctx.attrs());
  const bool training = ctx.attrs().get_or<bool>("is_training", true);
  const double epsilon = ctx.attrs().get_or<float>("epsilon", 0.0001f);
  const double factor = ctx.attrs().get_or<float>("exponential_avg_factor", 1.0f);
  if (ctx.input(0).rank() != 4 && ctx.input(0).rank() != 5)
    ctx.fail_node("x must have rank 4 or 5, it is {}", ctx.input(0).describe());
  const Tensor x = first ? to_channels_last(ctx.input(0)) : ctx.input(0);
  const std::int64_t channels = x.dim(x.rank() - 1), rows = product(x.shape(), 0, x.rank() - 1);
  std::vector<std::vector<double>> given;  // scale, offset, mean, variance
  for (int i = 1; i < 5; ++i) {
    expect_rank(ctx, i, 1);
    const bool may_be_empty = training && factor == 1.0 && i >= 3;
    if (ctx.input(i).dim(0) != channels && !(may_be_empty && ctx.input(i).dim(0) == 0)) {
      ctx.fail_node("input {} is {} for {} channels", i, ctx.input(i).describe(), channels);
    }
    given.push_back(doubles(ctx.input(i)));
  }
  Tensor y(x.dtype(), x.shape());
  const DataType dtype = ctx.input(1).dtype();
  Moments moments{given[2], given[3]};
  visit_dtype(Floats{}, x.dtype(), ctx.node().describe(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    if (training) moments = batch_moments(x.flat<T>().data(), rows, channels);
    normalize<T>(x, moments, given[0], given[1], epsilon, y);
  });
  std::vector<double> unbiased = moments.variance;
  if (training && rows > 1) {
    for (double& variance : unbiased) variance *= static_cast<double>(rows) / static_cast<double>(rows - 1);
  }
  if (rows == 0) {  // as TensorFlow: nothing was seen
    for (auto* values : {&given[2], &given[3], &unbiased}) values->assign(static_cast<std::size_t>(channels), kNaN);
    moments = {std::vector<double>(static_cast<std::size_t>(channels), 0.0),
               std::vector<double>(static_cast<std::size_t>(channels), 0.0)};
  }
  ctx.set_output(0, first ? to_channels_first(y) : std::move(y));
  ctx.set_output(1, statistics(dtype, training && rows != 0 ? blended(given[2], moments.mean, factor) : given[2]));
  ctx.set_output(2, statistics(dtype, training && rows != 0 ? blended(given[3], unbiased, factor) : given[3]));
  ctx.set_output(3, statistics(dtype, moments.mean));
  ctx.set_output(4, statistics(dtype, moments.variance));
  if (ctx.num_outputs() < 6) return;
  // TensorFlow's oneDNN kernels give an empty vector, the others a scalar.
  const bool vector = x.rank() == 4 && x.dtype() != DataType::kFloat16;
  ctx.set_output(5, vector ? statistics(dtype, {}) : statistics(dtype, {0.0}).reshaped(Shape{}));
}

// lrn: x / (bias + alpha * sum of squares over 2 * depth_radius + 1 channels) ^ beta.
void infer_lrn(InferContext& ctx) {
  ctx.expect_inputs(1);
  ctx.expect_rank(0, 4);
  ctx.set_output(0, ctx.input_dtype(0), ctx.input_shape(0));
}

void evaluate_lrn(EvalContext& ctx) {
  expect_rank(ctx, 0, 4);
  const Tensor input = ctx.input(0);
  const std::int64_t depth = input.dim(3);
  const std::int64_t radius = std::clamp<std::int64_t>(ctx.attrs().get_or<std::int64_t>("depth_radius", 5), 0, depth);
  const double bias = ctx.attrs().get_or<float>("bias", 1.0f), alpha = ctx.attrs().get_or<float>("alpha", 1.0f);
  const double beta = ctx.attrs().get_or<float>("beta", 0.5f);
  Tensor& output = ctx.allocate(0, input.dtype(), input.shape());
  visit_dtype(TypeList<float, Half, BFloat16>{}, input.dtype(), ctx.node().describe(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    const T* x = input.flat<T>().data();
    T* y = output.flat<T>().data();
    for (std::int64_t row = 0; row < input.num_elements(); row += depth) {
      for (std::int64_t c = 0; c < depth; ++c) {
        double squares = 0;
        for (std::int64_t k = std::max<std::int64_t>(0, c - radius); k <= std::min(depth - 1, c + radius); ++k) {
          const double value = static_cast<float>(x[row + k]);
          squares += value * value;
        }
        y[row + c] =
            static_cast<T>(static_cast<float>(static_cast<float>(x[row + c]) / std::pow(bias + alpha * squares, beta)));
      }
    }
  });
}

void with_reserve_space_3(ir::Attrs& attrs) { attrs.set("has_reserve_space_3", true); }

constexpr ir::OpDef kOps[] = {
    {"fused_batch_norm", infer_fused_batch_norm, evaluate_fused_batch_norm},
    {"lrn", infer_lrn, evaluate_lrn},
};

constexpr ImportRule kRules[] = {
    {"FusedBatchNorm", "fused_batch_norm"},
    {"FusedBatchNormV2", "fused_batch_norm"},
    {"FusedBatchNormV3", "fused_batch_norm", with_reserve_space_3},
    {"LRN", "lrn"},
};

}  // namespace

const OpFamily& normalization_family() {
  static const OpFamily family{"normalization", kOps, kRules};
  return family;
}

}  // namespace tenon::ops
