// Ops that every graph has: arguments, constants, identities, and nodes of ops that Tenon does not know.
#include <algorithm>

#include "ir/eval_context.h"
#include "ir/infer_context.h"
#include "ops/registry.h"

namespace tenon::ops {
namespace {

using ir::EvalContext;
using ir::InferContext;

// parameter: argument `index` of a function. placeholder: a value that the caller feeds. dtype and shape are attributes.
void infer_source(InferContext& ctx) {
  ctx.set_output(0, ctx.attrs().get<DataType>("dtype"), ctx.attrs().get_or<PartialShape>("shape", {}));
}

void evaluate_placeholder(EvalContext& ctx) {
  ctx.fail_node("needs a value: feed \"{}\" or ask for outputs that do not depend on it", ctx.node().name);
}

void infer_const(InferContext& ctx) {
  const auto value = ctx.attrs().get<Tensor>("value");
  ctx.set_output(0, value.dtype(), value.shape());
}

void evaluate_const(EvalContext& ctx) { ctx.set_output(0, ctx.attrs().get<Tensor>("value")); }

// Passes its operands on, one output each. The result of placeholder_with_default when nothing is fed.
void infer_identity(InferContext& ctx) {
  for (int i = 0; i < ctx.num_inputs(); ++i) {
    ctx.set_output(i, ctx.input_dtype(i), ctx.input_shape(i));
    if (auto dims = ctx.dims(i)) ctx.set_dims(i, *std::move(dims));
  }
}

void evaluate_identity(EvalContext& ctx) {
  if (ctx.num_inputs() < ctx.num_outputs()) ctx.fail_node("has {} inputs for {} outputs", ctx.num_inputs(), ctx.num_outputs());
  for (int i = 0; i < ctx.num_outputs(); ++i) ctx.set_output(i, ctx.take_input(i));
}

void infer_placeholder_with_default(InferContext& ctx) {
  ctx.expect_inputs(1);
  ctx.set_output(0, ctx.input_dtype(0), ctx.attrs().get_or<PartialShape>("shape", {}));
}

void infer_no_op(InferContext& ctx) { ctx.set_num_outputs(0); }
void evaluate_no_op(EvalContext&) {}

// A node of an op that Tenon does not implement: it is kept, listed and written back; running it is refused.
void infer_unsupported(InferContext&) {}

void evaluate_unsupported(EvalContext& ctx) {
  fail(ErrorCode::kUnsupported, "{}: Tenon does not implement this op; ask for outputs that do not need it", ctx.node().describe());
}

constexpr ir::OpDef kOps[] = {
    {"parameter", infer_source, nullptr, ir::kSource},
    {"placeholder", infer_source, evaluate_placeholder, ir::kSource | ir::kStateful},
    {"placeholder_with_default", infer_placeholder_with_default, evaluate_identity, ir::kSource},
    {"const", infer_const, evaluate_const},
    {"identity", infer_identity, evaluate_identity},
    {"no_op", infer_no_op, evaluate_no_op},
    {"unsupported", infer_unsupported, evaluate_unsupported, ir::kStateful},
};

constexpr ImportRule kRules[] = {
    {"Placeholder", "placeholder"},
    {"PlaceholderV2", "placeholder"},
    {"PlaceholderWithDefault", "placeholder_with_default"},
    {"Const", "const"},
    {"Identity", "identity"},
    {"IdentityN", "identity"},
    {"StopGradient", "identity"},
    {"PreventGradient", "identity"},
    {"Snapshot", "identity"},
    {"DeepCopy", "identity"},
    {"NoOp", "no_op"},
    {"ControlTrigger", "no_op"},
};

}  // namespace

const OpFamily& core_family() {
  static const OpFamily family{"core", kOps, kRules};
  return family;
}

}  // namespace tenon::ops
