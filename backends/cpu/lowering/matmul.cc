// Matrix products: by packed weights, and of two run-time values.
#include <fmt/format.h>

#include "backends/cpu/kernels/gemm.h"
#include "backends/cpu/lowering/epilogue.h"
#include "backends/cpu/lowering/lowering.h"
#include "base/error.h"

namespace tenon::cpu {
namespace {

struct MatMulNode {
  ops::MatMulAttrs attrs;
  EpilogueOperands extra;
  const void* packed = nullptr;  // the weights, when they are constant and the same for all batches
  std::int64_t k = 0, n = 0;     // their size
};

const PartialShape& shape_of(const ir::Value& value) { return value.node->outputs[static_cast<std::size_t>(value.index)].shape; }

std::string tactic_name(const GemmTactic& t) {
  return fmt::format("own m{} n{} b{} k{} p{}", t.m_shares, t.n_shares, t.m_block, t.k_block, int{t.pack_a});
}

struct MatMulSlots {
  Slot a = -1, b = -1, bias = -1, residual = -1, c = -1;
};

MatMulSlots slots_of(const PlanContext& ctx, const EpilogueOperands& extra) {
  MatMulSlots slots{ctx.operand(0).slot, ctx.operand(1).slot, -1, -1, ctx.result().slot};
  if (extra.bias >= 0) slots.bias = ctx.operand(extra.bias).slot;
  if (extra.residual >= 0) slots.residual = ctx.operand(extra.residual).slot;
  return slots;
}

const float* optional(const Frame& frame, Slot slot) { return slot < 0 ? nullptr : frame.at<const float>(slot); }

// All rows of A in one product.
std::unique_ptr<Step> prepare_packed(PlanContext& ctx, const MatMulNode& matmul) {
  const Place& a = ctx.operand(0);
  const Place& c = ctx.result();
  check_epilogue(ctx, matmul.extra);
  if (a.last() != matmul.k || c.last() != matmul.n || c.rows() != a.rows()) {
    fail(ErrorCode::kUnsupported, "{}: operands {} do not fit weights [{},{}]", ctx.node().describe(), a.shape.to_string(), matmul.k, matmul.n);
  }
  const GemmShape shape{a.rows(), c.last(), a.last()};
  const MatMulSlots slots = slots_of(ctx, matmul.extra);
  const std::int64_t residual_pitch = matmul.extra.residual < 0 ? 0 : ctx.operand(matmul.extra.residual).pitch;
  const auto make = [&](const GemmTactic& tactic) {
    const auto plan = GemmPlan::make(shape, kernel_epilogue(matmul.attrs.epilogue), tactic);
    ctx.need_scratch(plan.scratch_size(ctx.threads()));
    return make_step([plan, slots, packed = matmul.packed, lda = a.pitch, ldc = c.pitch, residual_pitch](const Frame& frame) {
      GemmArgs args;
      args.a = frame.at<const float>(slots.a);
      args.lda = lda;
      args.packed = static_cast<const float*>(packed);
      args.bias = optional(frame, slots.bias);
      args.residual = optional(frame, slots.residual);
      args.ldr = residual_pitch;
      args.c = frame.at<float>(slots.c);
      args.ldc = ldc;
      args.scratch = frame.scratch;
      plan.run(args, *frame.team);
    });
  };
  std::vector<Candidate> candidates;
  for (const GemmTactic& tactic : gemm_tactics(shape)) {
    candidates.push_back({tactic_name(tactic), [&make, tactic] { return make(tactic); }});
  }
  return ctx.choose(fmt::format("matmul {}x{}x{} a{} c{} r{} {}", shape.m, shape.n, shape.k, a.pitch, c.pitch, residual_pitch,
                                epilogue_key(matmul.attrs.epilogue)),
                    candidates);
}

// One operand's strides, in elements, along the batch dimensions.
struct BatchStrides {
  std::vector<std::int64_t> a, b, residual, c;
};

// Strides of `place`'s matrices under the batch dimensions `batch`, 0 where they repeat.
std::vector<std::int64_t> batch_strides(const Place& place, std::span<const std::int64_t> batch) {
  std::vector<std::int64_t> strides(batch.size(), 0);
  const int rank = place.shape.rank();
  std::int64_t stride = rank >= 2 ? place.shape[rank - 2] * place.pitch : place.pitch;
  for (int i = 0; i < rank - 2; ++i) {
    const auto at = batch.size() - 1 - static_cast<std::size_t>(i);
    const std::int64_t size = place.shape[rank - 3 - i];
    strides[at] = size == 1 ? 0 : stride;
    stride *= size;
  }
  return strides;
}

// Joins neighbouring batch dimensions that every operand walks evenly.
void collapse(std::vector<std::int64_t>& batch, std::vector<std::vector<std::int64_t>*> strides) {
  for (std::size_t d = batch.size(); d-- > 1;) {
    const bool even = std::all_of(strides.begin(), strides.end(), [&](const auto* s) { return (*s)[d - 1] == (*s)[d] * batch[d]; });
    if (!even && batch[d] != 1 && batch[d - 1] != 1) continue;
    if (!even && batch[d - 1] == 1) {
      // The outer dimension has one index: its stride does not matter.
      for (auto* s : strides) s->erase(s->begin() + static_cast<std::ptrdiff_t>(d - 1));
      batch.erase(batch.begin() + static_cast<std::ptrdiff_t>(d - 1));
      continue;
    }
    if (even) {
      for (auto* s : strides) s->erase(s->begin() + static_cast<std::ptrdiff_t>(d - 1));
    } else {
      for (auto* s : strides) s->erase(s->begin() + static_cast<std::ptrdiff_t>(d));
    }
    batch[d - 1] *= batch[d];
    batch.erase(batch.begin() + static_cast<std::ptrdiff_t>(d));
  }
}

std::unique_ptr<Step> prepare_batched(PlanContext& ctx, const MatMulNode& matmul) {
  const Place& a = ctx.operand(0);
  const Place& b = ctx.operand(1);
  const Place& c = ctx.result();
  const int rank = c.shape.rank();
  check_epilogue(ctx, matmul.extra);
  std::vector<std::int64_t> batch(c.shape.begin(), c.shape.end() - 2);
  BatchStrides strides{batch_strides(a, batch), batch_strides(b, batch), std::vector<std::int64_t>(batch.size(), 0),
                       batch_strides(c, batch)};
  const Place* residual = matmul.extra.residual < 0 ? nullptr : &ctx.operand(matmul.extra.residual);
  if (residual) strides.residual = batch_strides(*residual, batch);
  collapse(batch, {&strides.a, &strides.b, &strides.residual, &strides.c});
  while (batch.size() < 2) {
    batch.insert(batch.begin(), 1);
    for (auto* s : {&strides.a, &strides.b, &strides.residual, &strides.c}) s->insert(s->begin(), 0);
  }
  const std::size_t outer_dims = batch.size() - 2;
  BatchedGemmShape shape;
  shape.batch0 = batch[outer_dims];
  shape.batch1 = batch[outer_dims + 1];
  shape.m = c.shape[rank - 2];
  shape.n = c.shape[rank - 1];
  shape.k = a.shape[a.shape.rank() - (matmul.attrs.transpose_a ? 2 : 1)];
  shape.transpose_a = matmul.attrs.transpose_a;
  shape.transpose_b = matmul.attrs.transpose_b;
  const auto plan = BatchedGemmPlan::make(shape, kernel_epilogue(matmul.attrs.epilogue));
  ctx.need_scratch(plan.scratch_size(ctx.threads()));

  BatchedGemmArgs form;
  form.lda = a.pitch;
  form.ldb = b.pitch;
  form.ldc = c.pitch;
  form.ldr = residual ? residual->pitch : 0;
  const auto set = [&](const std::vector<std::int64_t>& s, std::int64_t& batch0, std::int64_t& batch1) {
    batch0 = s[outer_dims];
    batch1 = s[outer_dims + 1];
  };
  set(strides.a, form.a_batch0, form.a_batch1);
  set(strides.b, form.b_batch0, form.b_batch1);
  set(strides.residual, form.residual_batch0, form.residual_batch1);
  set(strides.c, form.c_batch0, form.c_batch1);
  // Offsets of the products that more than two batch dimensions leave over.
  struct Offset {
    std::int64_t a, b, residual, c;
  };
  std::vector<Offset> offsets = {{0, 0, 0, 0}};
  for (std::size_t d = 0; d < outer_dims; ++d) {
    std::vector<Offset> next;
    for (const Offset& base : offsets) {
      for (std::int64_t i = 0; i < batch[d]; ++i) {
        next.push_back({base.a + i * strides.a[d], base.b + i * strides.b[d], base.residual + i * strides.residual[d],
                        base.c + i * strides.c[d]});
      }
    }
    offsets = std::move(next);
  }
  const MatMulSlots slots = slots_of(ctx, matmul.extra);
  return make_step([plan, form, slots, offsets = std::move(offsets)](const Frame& frame) {
    for (const Offset& offset : offsets) {
      BatchedGemmArgs args = form;
      args.a = frame.at<const float>(slots.a) + offset.a;
      args.b = frame.at<const float>(slots.b) + offset.b;
      args.bias = optional(frame, slots.bias);
      args.residual = slots.residual < 0 ? nullptr : frame.at<const float>(slots.residual) + offset.residual;
      args.c = frame.at<float>(slots.c) + offset.c;
      args.scratch = frame.scratch;
      plan.run(args, *frame.team);
    }
  });
}

// Weights [K, N] (or [N, K]) that all batches share.
bool can_pack(const ir::Node& node, const MatMulNode& matmul, const WeightSource& weights) {
  const PartialShape& b = shape_of(node.inputs[1]);
  return !matmul.attrs.transpose_a && weights.is_constant(node.inputs[1]) && b.fully_known() && b.rank() == 2 && b.num_elements() > 0;
}

Lowered lower_matmul(const ir::Node& node, WeightSource& weights) {
  MatMulNode matmul;
  matmul.attrs = ops::MatMulAttrs::parse(node.attrs);
  matmul.extra = epilogue_operands(matmul.attrs.epilogue, 2);
  Lowered lowered;
  lowered.kernel = fmt::format("matmul {}", epilogue_key(matmul.attrs.epilogue));
  lowered.pitched_operands = {0, 1};
  if (matmul.extra.residual >= 0) lowered.pitched_operands.add(matmul.extra.residual);
  lowered.pitched_results = {0};
  if (!can_pack(node, matmul, weights)) {
    lowered.prepare = [matmul](PlanContext& ctx) { return prepare_batched(ctx, matmul); };
    return lowered;
  }
  const Shape b = shape_of(node.inputs[1]).to_shape();
  const bool transposed = matmul.attrs.transpose_b;
  const std::int64_t k = matmul.k = b[transposed ? 1 : 0], n = matmul.n = b[transposed ? 0 : 1];
  matmul.packed = weights.packed(node.inputs[1], fmt::format("gemm {}x{}{}", k, n, transposed ? " t" : ""), gemm_packed_size(k, n),
                                 [&](const Tensor& value, void* to) {
                                   gemm_pack(value.flat<float>().data(), b[1], transposed, k, n, static_cast<float*>(to));
                                 });
  lowered.unread = lowered.packed = {1};
  lowered.prepare = [matmul](PlanContext& ctx) { return prepare_packed(ctx, matmul); };
  return lowered;
}

Verdict supports_matmul(const ir::Node& node) {
  if (auto verdict = require_float32(node, static_cast<int>(node.inputs.size())); !verdict) return verdict;
  if (node.inputs.size() < 2) return Verdict::no("has less than two operands");
  for (int i = 0; i < 2; ++i) {
    const PartialShape& shape = shape_of(node.inputs[static_cast<std::size_t>(i)]);
    if (!shape.known_rank() || shape.rank() < 2) return Verdict::no("operands need a known rank of at least 2");
  }
  return Verdict::yes();
}

constexpr Lowering kLowerings[] = {
    {"fused_matmul", supports_matmul, lower_matmul},
    {"matmul", supports_matmul, nullptr},
    {"batch_matmul", supports_matmul, nullptr},
};

}  // namespace

const LoweringFamily& matmul_lowerings() {
  static const LoweringFamily family{"matmul", kLowerings};
  return family;
}

}  // namespace tenon::cpu
