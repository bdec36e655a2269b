// Attention: softmax(scale q k^T + mask) v without the scores ever leaving the cache.
#include "backends/cpu/kernels/attention.h"

#include "backends/cpu/lowering/layout.h"
#include "backends/cpu/lowering/lowering.h"
#include "base/error.h"
#include "ops/fused.h"

namespace tenon::cpu {
namespace {

// Strides of [batch, heads, rows, depth] or [batch, rows, heads, depth].
HeadStrides head_strides(const Place& place, bool rows_first) {
  const std::vector<std::int64_t> strides = place_strides(place);
  return {strides.at(0), strides.at(rows_first ? 2 : 1), strides.at(rows_first ? 1 : 2)};
}

HeadStrides mask_strides(const PlanContext& ctx, const Place& mask, const AttentionShape& shape) {
  const Shape scores{shape.batch, shape.heads, shape.queries, shape.keys};
  if (mask.shape.rank() > 4) fail(ErrorCode::kUnsupported, "{}: the mask has rank {}", ctx.node().describe(), mask.shape.rank());
  if (mask.last() != shape.keys) fail(ErrorCode::kUnsupported, "{}: the mask has one value for all keys", ctx.node().describe());
  const std::vector<std::int64_t> strides = broadcast_place(mask, scores);
  return {strides[0], strides[1], strides[2]};
}

std::unique_ptr<Step> prepare(PlanContext& ctx, const ops::AttentionAttrs& attrs) {
  const Place &q = ctx.operand(0), &k = ctx.operand(1), &v = ctx.operand(2);
  const int heads = attrs.bshd ? 2 : 1, rows = attrs.bshd ? 1 : 2;
  const bool fits = q.shape.rank() == 4 && k.shape.rank() == 4 && v.shape.rank() == 4 && q.shape[0] == k.shape[0] &&
                    k.shape[0] == v.shape[0] && q.shape[heads] == k.shape[heads] && k.shape[heads] == v.shape[heads] &&
                    k.shape[rows] == v.shape[rows] && q.shape[3] == k.shape[3];
  if (!fits) {
    fail(ErrorCode::kUnsupported, "{}: q {}, k {} and v {} do not fit", ctx.node().describe(), q.shape.to_string(), k.shape.to_string(),
         v.shape.to_string());
  }
  AttentionShape shape;
  shape.batch = q.shape[0];
  shape.heads = q.shape[heads];
  shape.queries = q.shape[rows];
  shape.keys = k.shape[rows];
  shape.depth = q.shape[3];
  shape.value_depth = v.shape[3];
  shape.scale = attrs.scale;
  shape.query = head_strides(q, attrs.bshd);
  shape.key = head_strides(k, attrs.bshd);
  shape.value = head_strides(v, attrs.bshd);
  shape.output = head_strides(ctx.result(), attrs.output_bshd);
  Slot mask = -1;
  if (attrs.has_mask) {
    shape.mask = mask_strides(ctx, ctx.operand(3), shape);
    mask = ctx.operand(3).slot;
  }
  const Attention kernel(shape);
  ctx.need_scratch(static_cast<std::size_t>(kernel.scratch_bytes(ctx.threads())));
  return make_step([kernel, mask, q = q.slot, k = k.slot, v = v.slot, to = ctx.result().slot](const Frame& frame) {
    kernel.run(frame.at<const float>(q), frame.at<const float>(k), frame.at<const float>(v),
               mask < 0 ? nullptr : frame.at<const float>(mask), frame.at<float>(to), frame.scratch, *frame.team);
  });
}

Verdict supports_attention(const ir::Node& node) { return require_float32(node, static_cast<int>(node.inputs.size())); }

Lowered lower_attention(const ir::Node& node, WeightSource&) {
  const auto attrs = ops::AttentionAttrs::parse(node.attrs);
  Lowered lowered;
  lowered.kernel = "attention";
  lowered.pitched_operands = Positions::all();
  lowered.pitched_results = {0};
  lowered.prepare = [attrs](PlanContext& ctx) { return prepare(ctx, attrs); };
  return lowered;
}

constexpr Lowering kLowerings[] = {{"attention", supports_attention, lower_attention}};

}  // namespace

const LoweringFamily& attention_lowerings() {
  static const LoweringFamily family{"attention", kLowerings};
  return family;
}

}  // namespace tenon::cpu
