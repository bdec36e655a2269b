// Softmax, its logarithm, and the cross-entropy losses on it. Sums are taken in float64.
#include <algorithm>
#include <cmath>
#include <limits>

#include "ops/elementwise.h"
#include "ops/operands.h"
#include "ops/registry.h"
#include "ops/walk.h"

namespace tenon::ops {
namespace {

using ir::EvalContext;
using ir::InferContext;

// softmax, log_softmax: over the last axis.
void infer_softmax(InferContext& ctx) {
  ctx.expect_inputs(1);
  if (ctx.input_shape(0).known_rank() && ctx.input_shape(0).rank() == 0) ctx.fail_node("a scalar has no last axis");
  ctx.set_output(0, ctx.input_dtype(0), ctx.input_shape(0));
}

template <class T>
double largest(const T* x, std::int64_t count) {
  double most = -std::numeric_limits<double>::infinity();
  for (std::int64_t i = 0; i < count; ++i) most = std::max(most, static_cast<double>(static_cast<ComputeType<T>>(x[i])));
  return most;
}

// Writes x - max to `shifted` and returns the sum of their exponentials.
template <class T>
double shift_row(const T* x, std::int64_t count, double* shifted) {
  const double most = largest(x, count);
  double sum = 0;
  for (std::int64_t i = 0; i < count; ++i) {
    shifted[i] = static_cast<double>(static_cast<ComputeType<T>>(x[i])) - most;
    sum += std::exp(shifted[i]);
  }
  return sum;
}

template <bool kLog>
void evaluate_softmax(EvalContext& ctx) {
  const Tensor input = ctx.input(0);
  if (input.rank() == 0) ctx.fail_node("a scalar has no last axis");
  const std::int64_t length = input.dim(input.rank() - 1);
  Tensor& output = ctx.allocate(0, input.dtype(), input.shape());
  if (output.num_elements() == 0) return;
  visit_dtype(Floats{}, input.dtype(), ctx.node().describe(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    const T* x = input.flat<T>().data();
    T* y = output.flat<T>().data();
    const std::int64_t rows = input.num_elements() / length;
    for_shares(ctx.team(), rows, 1 + 4096 / length, [&](std::int64_t first, std::int64_t last) {
      std::vector<double> row(static_cast<std::size_t>(length));
      for (std::int64_t r = first; r < last; ++r) {
        const double sum = shift_row(x + r * length, length, row.data());
        const double log_sum = std::log(sum);
        for (std::int64_t i = 0; i < length; ++i) {
          const double shifted = row[static_cast<std::size_t>(i)];
          y[r * length + i] =
              static_cast<T>(static_cast<ComputeType<T>>(kLog ? shifted - log_sum : std::exp(shifted) / sum));
        }
      }
    });
  });
}

// softmax_cross_entropy: features and labels that broadcast to [batch, classes]; loss [batch] and its gradient.
void infer_cross_entropy(InferContext& ctx) {
  ctx.expect_inputs(2);
  PartialShape shape = ir::broadcast_shapes(ctx, ctx.input_shape(0), ctx.input_shape(1));
  if (!shape.known_rank()) shape = ctx.fresh_shape(2);
  if (shape.rank() != 2) ctx.fail_node("features and labels must have rank 2, they broadcast to {}", shape.to_string());
  ctx.set_output(0, ctx.input_dtype(0), PartialShape{shape[0]});
  ctx.set_output(1, ctx.input_dtype(0), shape);
}

template <class T>
double as_double(T value) {
  return static_cast<double>(static_cast<ComputeType<T>>(value));
}
template <class T>
T from_double(double value) {
  return static_cast<T>(static_cast<ComputeType<T>>(value));
}

Tensor broadcast_matrix(const Tensor& tensor, const Shape& shape) {
  Tensor result(tensor.dtype(), shape);
  Walk from{0, std::vector<std::int64_t>(2, 0)};
  const std::vector<std::int64_t> strides = row_major_strides(tensor.shape());
  for (int i = 0; i < tensor.rank(); ++i) {
    if (tensor.dim(i) != 1)
      from.strides[static_cast<std::size_t>(i + 2 - tensor.rank())] = strides[static_cast<std::size_t>(i)];
  }
  copy_walk(shape, result, {0, row_major_strides(shape)}, tensor, from);
  return result;
}

void evaluate_cross_entropy(EvalContext& ctx) {
  const Shape shape = broadcast_shape(ctx, ctx.input(0).shape(), ctx.input(1).shape());
  if (shape.rank() != 2) ctx.fail_node("features and labels must have rank 2, they broadcast to {}", shape.to_string());
  const Tensor features = broadcast_matrix(ctx.input(0), shape), labels = broadcast_matrix(ctx.input(1), shape);
  if (features.dtype() != labels.dtype())
    ctx.fail_node("features are {}, labels {}", features.describe(), labels.describe());
  const std::int64_t classes = shape[1];
  Tensor& loss = ctx.allocate(0, features.dtype(), Shape{shape[0]});
  Tensor& gradient = ctx.allocate(1, features.dtype(), shape);
  visit_dtype(Floats{}, features.dtype(), ctx.node().describe(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    std::vector<double> row(static_cast<std::size_t>(classes));
    for (std::int64_t r = 0; r < shape[0]; ++r) {
      const T* target = labels.flat<T>().data() + r * classes;
      const double sum = shift_row(features.flat<T>().data() + r * classes, classes, row.data());
      const double log_sum = std::log(sum);
      double total = 0;
      for (std::int64_t c = 0; c < classes; ++c) {
        const double shifted = row[static_cast<std::size_t>(c)], label = as_double(target[c]);
        if (label != 0) total += label * (log_sum - shifted);
        gradient.flat<T>()[static_cast<std::size_t>(r * classes + c)] = from_double<T>(std::exp(shifted) / sum - label);
      }
      loss.flat<T>()[static_cast<std::size_t>(r)] = from_double<T>(total);
    }
  });
}

// sparse_softmax_cross_entropy: features [batch, classes], labels [batch] as class numbers; loss [batch] and its gradient.
void infer_sparse_cross_entropy(InferContext& ctx) {
  ctx.expect_inputs(2);
  ctx.expect_rank(0, 2);
  ctx.expect_rank(1, 1);
  PartialShape shape = ctx.input_shape(0).known_rank() ? ctx.input_shape(0) : ctx.fresh_shape(2);
  if (!shape[0].known() && ctx.input_shape(1).known_rank()) shape[0] = ctx.input_shape(1)[0];
  ctx.set_output(0, ctx.input_dtype(0), PartialShape{shape[0]});
  ctx.set_output(1, ctx.input_dtype(0), shape);
}

void evaluate_sparse_cross_entropy(EvalContext& ctx) {
  expect_rank(ctx, 0, 2);
  expect_rank(ctx, 1, 1);
  const Tensor features = ctx.input(0);
  const std::vector<std::int64_t> labels = ctx.integers(1);
  const std::int64_t batch = features.dim(0), classes = features.dim(1);
  if (static_cast<std::int64_t>(labels.size()) != batch)
    ctx.fail_node("{} labels are given for {}", labels.size(), features.describe());
  if (classes == 0) ctx.fail_node("there are no classes: {}", features.describe());
  for (std::int64_t label : labels) {
    if (label < 0 || label >= classes) ctx.fail_node("label {} is outside [0, {})", label, classes);
  }
  Tensor& loss = ctx.allocate(0, features.dtype(), Shape{batch});
  Tensor& gradient = ctx.allocate(1, features.dtype(), features.shape());
  visit_dtype(Floats{}, features.dtype(), ctx.node().describe(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    std::vector<double> row(static_cast<std::size_t>(classes));
    for (std::int64_t r = 0; r < batch; ++r) {
      const std::int64_t label = labels[static_cast<std::size_t>(r)];
      const double sum = shift_row(features.flat<T>().data() + r * classes, classes, row.data());
      for (std::int64_t c = 0; c < classes; ++c) {
        const double probability = std::exp(row[static_cast<std::size_t>(c)]) / sum;
        gradient.flat<T>()[static_cast<std::size_t>(r * classes + c)] =
            from_double<T>(probability - (c == label ? 1.0 : 0.0));
      }
      loss.flat<T>()[static_cast<std::size_t>(r)] = from_double<T>(std::log(sum) - row[static_cast<std::size_t>(label)]);
    }
  });
}

constexpr ir::OpDef kOps[] = {
    {"softmax", infer_softmax, evaluate_softmax<false>},
    {"log_softmax", infer_softmax, evaluate_softmax<true>},
    {"softmax_cross_entropy", infer_cross_entropy, evaluate_cross_entropy},
    {"sparse_softmax_cross_entropy", infer_sparse_cross_entropy, evaluate_sparse_cross_entropy},
};

constexpr ImportRule kRules[] = {
    {"Softmax", "softmax"},
    {"LogSoftmax", "log_softmax"},
    {"SoftmaxCrossEntropyWithLogits", "softmax_cross_entropy"},
    {"SparseSoftmaxCrossEntropyWithLogits", "sparse_softmax_cross_entropy"},
};

}  // namespace

const OpFamily& softmax_family() {
  static const OpFamily family{"softmax", kOps, kRules};
  return family;
}

}  // namespace tenon::ops
