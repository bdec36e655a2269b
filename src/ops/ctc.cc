// Decoding of connectionist temporal classification.
#include <algorithm>

#include "base/visit_dtype.h"
#include "ir/eval_context.h"
#include "ir/infer_context.h"
#include "ops/registry.h"

namespace tenon::ops {
namespace {

using ir::EvalContext;
using ir::InferContext;

// logits [time, batch, classes], lengths [batch] -> classes as a sparse matrix of one row per sequence, minus sum of the logits
void infer_greedy(InferContext& ctx) {
  ctx.expect_inputs(2);
  ctx.expect_rank(0, 3);
  ctx.expect_rank(1, 1);
  const PartialShape& logits = ctx.input_shape(0);
  const Dim count = ctx.fresh();
  ctx.set_output(0, DataType::kInt64, PartialShape{count, 2});
  ctx.set_output(1, DataType::kInt64, PartialShape{count});
  ctx.set_output(2, DataType::kInt64, Shape{2});
  ctx.set_output(3, ctx.input_dtype(0), PartialShape{logits.known_rank() ? logits[1] : ctx.fresh(), 1});
}

void evaluate_greedy(EvalContext& ctx) {
  const Tensor& logits = ctx.input(0);
  const std::vector<std::int64_t> lengths = ctx.integers(1);
  if (logits.rank() != 3 || static_cast<std::int64_t>(lengths.size()) != logits.dim(1)) {
    ctx.fail_node("logits {} and {} lengths", logits.describe(), lengths.size());
  }
  const std::int64_t steps = logits.dim(0), batch = logits.dim(1), classes = logits.dim(2);
  const bool merge = ctx.attrs().get_or<bool>("merge_repeated", false);
  std::int64_t blank = ctx.attrs().get_or<std::int64_t>("blank_index", -1);
  if (blank < 0) blank += classes;
  if (classes == 0 || blank < 0 || blank >= classes) ctx.fail_node("blank_index {} is outside {} classes", blank, classes);
  Tensor& scores = ctx.allocate(3, logits.dtype(), {batch, 1});
  std::vector<std::int64_t> indices, values;
  std::int64_t longest = 0;
  visit_dtype(FullFloats{}, logits.dtype(), ctx.node().describe(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    for (std::int64_t b = 0; b < batch; ++b) {
      if (lengths[static_cast<std::size_t>(b)] < 0 || lengths[static_cast<std::size_t>(b)] > steps) {
        ctx.fail_node("length {} of sequence {} is outside {} steps", lengths[static_cast<std::size_t>(b)], b, steps);
      }
      T score = 0;
      std::int64_t before = -1, found = 0;
      for (std::int64_t t = 0; t < lengths[static_cast<std::size_t>(b)]; ++t) {
        const T* row = logits.flat<T>().data() + (t * batch + b) * classes;
        const std::int64_t best = std::max_element(row, row + classes) - row;
        score -= row[best];
        if (best != blank && !(merge && best == before)) {
          indices.insert(indices.end(), {b, found++});
          values.push_back(best);
        }
        before = best;
      }
      scores.flat<T>()[static_cast<std::size_t>(b)] = score;
      longest = std::max(longest, found);
    }
  });
  const auto count = static_cast<std::int64_t>(values.size());
  ctx.set_output(0, Tensor::vector<std::int64_t>(indices).reshaped({count, 2}));
  ctx.set_output(1, Tensor::vector<std::int64_t>(values));
  ctx.set_output(2, Tensor::vector<std::int64_t>(std::vector<std::int64_t>{batch, longest}));
}

constexpr ir::OpDef kOps[] = {
    {"ctc_greedy_decoder", infer_greedy, evaluate_greedy},
};

constexpr ImportRule kRules[] = {
    {"CTCGreedyDecoder", "ctc_greedy_decoder"},
};

}  // namespace

const OpFamily& ctc_family() {
  static const OpFamily family{"ctc", kOps, kRules};
  return family;
}

}  // namespace tenon::ops
