// TF1 control flow (frames and dead values, run by the executor alone) and functional control flow (If, While, Case, calls).
#include <algorithm>

#include "ir/eval_context.h"
#include "ir/infer_context.h"
#include "ops/registry.h"

namespace tenon::ops {
namespace {

using ir::EvalContext;
using ir::InferContext;

void infer_switch(InferContext& ctx) {
  ctx.expect_inputs(2);
  ctx.set_num_outputs(2);
  for (int i = 0; i < 2; ++i) ctx.set_output(i, ctx.input_dtype(0), ctx.input_shape(0));
}

// One output per branch; the operands are data and an int32 index.
void infer_switch_n(InferContext& ctx) {
  ctx.expect_inputs(2);
  const auto branches = ctx.attrs().get<std::int64_t>("num_outs");
  if (branches < 1 || branches > 1 << 16) ctx.fail_node("num_outs is {}", branches);
  for (int i = 0; i < branches; ++i) ctx.set_output(i, ctx.input_dtype(0), ctx.input_shape(0));
}

void infer_merge(InferContext& ctx) {
  if (ctx.num_inputs() == 0) ctx.fail_node("has no inputs");
  DataType dtype = DataType::kInvalid;
  bool back_edge = false;
  for (int i = 0; i < ctx.num_inputs(); ++i) {
    back_edge |= ctx.node().inputs[static_cast<std::size_t>(i)].node->is("next_iteration");
    if (dtype == DataType::kInvalid) dtype = ctx.input_dtype(i);
  }
  PartialShape shape;
  if (!back_edge) {  // what all branches agree on
    shape = ctx.input_shape(0);
    for (int i = 1; i < ctx.num_inputs() && shape.known_rank(); ++i) {
      const PartialShape& other = ctx.input_shape(i);
      if (!other.known_rank() || other.rank() != shape.rank()) {
        shape = {};
      } else {
        for (int d = 0; d < shape.rank(); ++d) {
          if (shape[d] != other[d]) shape[d] = ctx.fresh();
        }
      }
    }
  }
  ctx.set_output(0, dtype, shape);
  ctx.set_output(1, DataType::kInt32, Shape{});
}

// The value may change its shape from iteration to iteration, so enter passes on only the dtype unless it is loop-invariant.
void infer_enter(InferContext& ctx) {
  ctx.expect_inputs(1);
  const bool invariant = ctx.attrs().get_or<bool>("is_constant", false);
  ctx.set_output(0, ctx.input_dtype(0), invariant ? ctx.input_shape(0) : PartialShape{});
}

void infer_pass_dtype(InferContext& ctx) {
  ctx.expect_inputs(1);
  ctx.set_output(0, ctx.input_dtype(0), {});
}

void infer_loop_cond(InferContext& ctx) {
  ctx.expect_inputs(1);
  ctx.set_output(0, DataType::kBool, Shape{});
}

void set_declared_outputs(InferContext& ctx, std::string_view types_attr, const char* shapes_attr) {
  const auto types = ctx.attrs().get<std::vector<DataType>>(types_attr);
  const auto shapes = ctx.attrs().get_or<std::vector<PartialShape>>(shapes_attr, {});
  ctx.set_num_outputs(static_cast<int>(types.size()));
  for (std::size_t i = 0; i < types.size(); ++i) {
    ctx.set_output(static_cast<int>(i), types[i], i < shapes.size() ? shapes[i] : PartialShape{});
  }
}

void infer_call(InferContext& ctx) {
  set_declared_outputs(ctx, "Tout", "output_shapes");
  const auto found = ctx.function_types(ctx.attrs().get<ir::FunctionRef>("f"));
  for (int i = 0; i < std::min<int>(ctx.num_outputs(), static_cast<int>(found.size())); ++i) {
    ctx.set_output(i, ctx.node().outputs[static_cast<std::size_t>(i)].dtype, found[static_cast<std::size_t>(i)].shape);
  }
}

void infer_if(InferContext& ctx) { set_declared_outputs(ctx, "Tout", "output_shapes"); }
void infer_while(InferContext& ctx) { set_declared_outputs(ctx, "T", "output_shapes"); }

// TensorFlow's truth of a condition: a scalar by its value (a string by being non-empty), anything else by having elements.
bool truth(EvalContext& ctx, const Tensor& condition) {
  if (condition.rank() != 0) return condition.num_elements() != 0;
  switch (condition.dtype()) {
    case DataType::kBool:
      return condition.flat<bool>()[0];
    case DataType::kInt32:
      return condition.flat<std::int32_t>()[0] != 0;
    case DataType::kInt64:
      return condition.flat<std::int64_t>()[0] != 0;
    case DataType::kFloat32:
      return condition.flat<float>()[0] != 0;
    case DataType::kFloat64:
      return condition.flat<double>()[0] != 0;
    case DataType::kUInt8:
      return condition.flat<std::uint8_t>()[0] != 0;
    case DataType::kInt16:
      return condition.flat<std::int16_t>()[0] != 0;
    case DataType::kInt8:
      return condition.flat<std::int8_t>()[0] != 0;
    case DataType::kString:
      return !condition.flat<std::string>()[0].empty();
    default:
      ctx.fail_node("a condition of dtype {} has no truth", dtype_name(condition.dtype()));
  }
}

std::vector<Tensor> arguments(EvalContext& ctx, int first) {
  std::vector<Tensor> result;
  for (int i = first; i < ctx.num_inputs(); ++i) result.push_back(ctx.input(i));
  return result;
}

void deliver(EvalContext& ctx, std::vector<Tensor> results) {
  if (static_cast<int>(results.size()) != ctx.num_outputs()) {
    ctx.fail_node("the function gave {} results, {} are declared", results.size(), ctx.num_outputs());
  }
  for (int i = 0; i < ctx.num_outputs(); ++i) ctx.set_output(i, std::move(results[static_cast<std::size_t>(i)]));
}

void evaluate_call(EvalContext& ctx) {
  deliver(ctx, ctx.services().call(ctx.attrs().get<ir::FunctionRef>("f"), arguments(ctx, 0)));
}

void evaluate_if(EvalContext& ctx) {
  const bool taken = truth(ctx, ctx.input(0));
  deliver(ctx, ctx.services().call(ctx.attrs().get<ir::FunctionRef>(taken ? "then_branch" : "else_branch"), arguments(ctx, 1)));
}

void evaluate_case(EvalContext& ctx) {
  const auto branches = ctx.attrs().get<std::vector<ir::FunctionRef>>("branches");
  if (branches.empty()) ctx.fail_node("has no branches");
  const std::int64_t wanted = ctx.integer(0);
  const auto last = static_cast<std::int64_t>(branches.size()) - 1;
  const std::int64_t index = wanted < 0 || wanted > last ? last : wanted;  // TensorFlow: out of range means the last branch
  deliver(ctx, ctx.services().call(branches[static_cast<std::size_t>(index)], arguments(ctx, 1)));
}

void evaluate_while(EvalContext& ctx) {
  const auto condition = ctx.attrs().get<ir::FunctionRef>("cond");
  const auto body = ctx.attrs().get<ir::FunctionRef>("body");
  std::vector<Tensor> state = arguments(ctx, 0);
  for (int i = 0; i < ctx.num_inputs(); ++i) ctx.take_input(i);  // so that the body may overwrite what it alone holds
  for (;;) {
    std::vector<Tensor> verdict = ctx.services().call(condition, state);
    if (verdict.size() != 1) ctx.fail_node("the loop condition gave {} results, 1 is needed", verdict.size());
    if (!truth(ctx, verdict[0])) break;
    state = ctx.services().call(body, std::move(state));
  }
  deliver(ctx, std::move(state));
}

constexpr ir::OpDef kOps[] = {
    {"switch", infer_switch, nullptr, ir::kControlFlow},
    {"switch_n", infer_switch_n, nullptr, ir::kControlFlow},
    {"merge", infer_merge, nullptr, ir::kControlFlow},
    {"enter", infer_enter, nullptr, ir::kControlFlow},
    {"exit", infer_pass_dtype, nullptr, ir::kControlFlow},
    {"next_iteration", infer_pass_dtype, nullptr, ir::kControlFlow},
    {"loop_cond", infer_loop_cond, nullptr, ir::kControlFlow},
    {"call", infer_call, evaluate_call, ir::kStateful},
    {"if", infer_if, evaluate_if, ir::kStateful},
    {"case", infer_if, evaluate_case, ir::kStateful},
    {"while", infer_while, evaluate_while, ir::kStateful},
};

constexpr ImportRule kRules[] = {
    {"Switch", "switch"},
    {"RefSwitch", "switch"},
    {"_SwitchN", "switch_n"},
    {"Merge", "merge"},
    {"RefMerge", "merge"},
    {"Enter", "enter"},
    {"RefEnter", "enter"},
    {"Exit", "exit"},
    {"RefExit", "exit"},
    {"NextIteration", "next_iteration"},
    {"RefNextIteration", "next_iteration"},
    {"LoopCond", "loop_cond"},
    {"PartitionedCall", "call"},
    {"StatefulPartitionedCall", "call"},
    {"If", "if"},
    {"StatelessIf", "if"},
    {"Case", "case"},
    {"StatelessCase", "case"},
    {"While", "while"},
    {"StatelessWhile", "while"},
};

}  // namespace

const OpFamily& control_flow_family() {
  static const OpFamily family{"control_flow", kOps, kRules};
  return family;
}

}  // namespace tenon::ops
