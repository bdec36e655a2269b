// Numbers against thresholds.
#include <algorithm>

#include "ir/eval_context.h"
#include "ir/infer_context.h"
#include "ops/registry.h"

namespace tenon::ops {
namespace {

using ir::EvalContext;
using ir::InferContext;

// Per feature: values [n], later boundaries [k], ascending -> int32[n], the first boundary that is not below the value.
void infer_bucketize(InferContext& ctx) {
  if (ctx.num_inputs() % 2 != 0) ctx.fail_node("has {} inputs, needs values and boundaries of each feature", ctx.num_inputs());
  for (int i = 0; i < ctx.num_inputs() / 2; ++i) ctx.set_output(i, DataType::kInt32, ctx.input_shape(i));
}

void evaluate_bucketize(EvalContext& ctx) {
  const int features = ctx.num_inputs() / 2;
  for (int f = 0; f < features; ++f) {
    const Tensor& values = ctx.input(f);
    const Tensor& boundaries = ctx.input(features + f);
    if (values.dtype() != DataType::kFloat32 || boundaries.dtype() != DataType::kFloat32 || boundaries.rank() != 1) {
      ctx.fail_node("feature {} has values {} and boundaries {}", f, values.describe(), boundaries.describe());
    }
    const auto limits = boundaries.flat<float>();
    Tensor& out = ctx.allocate(f, DataType::kInt32, values.shape());
    std::transform(values.flat<float>().begin(), values.flat<float>().end(), out.flat<std::int32_t>().begin(), [&](float v) {
      const auto found = std::lower_bound(limits.begin(), limits.end(), v) - limits.begin();
      return static_cast<std::int32_t>(std::clamp<std::ptrdiff_t>(found, 0, std::max<std::ptrdiff_t>(std::ssize(limits) - 1, 0)));
    });
  }
}

constexpr ir::OpDef kOps[] = {
    {"boosted_trees_bucketize", infer_bucketize, evaluate_bucketize},
};

constexpr ImportRule kRules[] = {
    {"BoostedTreesBucketize", "boosted_trees_bucketize"},
};

}  // namespace

const OpFamily& buckets_family() {
  static const OpFamily family{"buckets", kOps, kRules};
  return family;
}

}  // namespace tenon::ops
