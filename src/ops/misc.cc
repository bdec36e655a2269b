// Assertions, printing, files, the clock, and ops that only other parts of Tenon can carry out.
#include <atomic>
#include <chrono>
#include <cstdio>

#include "base/file.h"
#include "ir/eval_context.h"
#include "ir/infer_context.h"
#include "ops/element_text.h"
#include "ops/registry.h"

namespace tenon::ops {
namespace {

using ir::EvalContext;
using ir::InferContext;

void infer_no_result(InferContext& ctx) { ctx.set_num_outputs(0); }
void infer_first_operand(InferContext& ctx) { ctx.set_output(0, ctx.input_dtype(0), ctx.input_shape(0)); }
void infer_string_scalar(InferContext& ctx) { ctx.set_output(0, DataType::kString, Shape{}); }
void infer_timestamp(InferContext& ctx) { ctx.set_output(0, DataType::kFloat64, Shape{}); }

std::string operands_text(const EvalContext& ctx, int first) {
  const auto count = ctx.attrs().get_or<std::int64_t>("summarize", 3);
  std::string text;
  for (int i = first; i < ctx.num_inputs(); ++i) text += fmt::format("{}[{}]", i == first ? "" : " ", summarize(ctx.input(i), count));
  return text;
}

void evaluate_assert(EvalContext& ctx) {
  const Tensor& condition = ctx.input(0);
  if (condition.dtype() != DataType::kBool || condition.num_elements() != 1) ctx.fail_node("the condition is {}", condition.describe());
  if (!condition.flat<bool>()[0]) ctx.fail_node("assertion failed: {}", operands_text(ctx, 1));
}

struct CallCount : Object {
  std::atomic<std::int64_t> calls{0};
};

// False once the session has run the node `first_n` times; a negative first_n means always.
bool may_print(EvalContext& ctx) {
  const auto first_n = ctx.attrs().get_or<std::int64_t>("first_n", -1);
  if (first_n < 0) return true;
  const ObjectPtr object =
      ctx.services().resource("_print_calls", ctx.node().name, [] { return std::make_shared<CallCount>(); });
  const auto count = std::dynamic_pointer_cast<CallCount>(object);
  return count != nullptr && count->calls.fetch_add(1) < first_n;
}

// Passes operand 0 on.
void evaluate_print(EvalContext& ctx) {
  ctx.set_output(0, ctx.input(0));
  if (!may_print(ctx)) return;
  const std::string text = ctx.attrs().get_or<std::string>("message", "") + operands_text(ctx, 1) + "\n";
  std::fputs(text.c_str(), stderr);
}

void evaluate_print_v2(EvalContext& ctx) {
  const Tensor& text = ctx.input(0);
  if (text.dtype() != DataType::kString || text.num_elements() != 1) ctx.fail_node("the text is {}", text.describe());
  const auto stream = ctx.attrs().get_or<std::string>("output_stream", "stderr");
  const std::string line = text.flat<std::string>()[0] + ctx.attrs().get_or<std::string>("end", "\n");
  if (stream.starts_with("file://")) {
    fail(ErrorCode::kUnsupported, "{}: prints to a file, which Tenon does not do for a model", ctx.node().describe());
  }
  std::fputs(line.c_str(), stream == "stdout" ? stdout : stderr);
}

std::string string_operand(const EvalContext& ctx, int i) {
  const Tensor& text = ctx.input(i);
  if (text.dtype() != DataType::kString || text.num_elements() != 1) ctx.fail_node("input {} must be one string, it is {}", i, text.describe());
  return text.flat<std::string>()[0];
}

void evaluate_read_file(EvalContext& ctx) { ctx.set_output(0, Tensor::scalar(read_file(string_operand(ctx, 0)))); }

void evaluate_timestamp(EvalContext& ctx) {
  const std::chrono::duration<double> now = std::chrono::system_clock::now().time_since_epoch();
  ctx.set_output(0, Tensor::scalar(now.count()));
}

void evaluate_sharded_filename(EvalContext& ctx) {
  ctx.set_output(0, Tensor::scalar(fmt::format("{}-{:05}-of-{:05}", string_operand(ctx, 0), ctx.integer(1), ctx.integer(2))));
}

void evaluate_sharded_filespec(EvalContext& ctx) {
  ctx.set_output(0, Tensor::scalar(fmt::format("{}-\?\?\?\?\?-of-{:05}", string_operand(ctx, 0), ctx.integer(1))));
}

void infer_as_imported(InferContext&) {}

void evaluate_checkpoint(EvalContext& ctx) {
  fail(ErrorCode::kUnsupported,
       "{}: Tenon reads the model's checkpoint itself when the model is opened and does not run its save and restore nodes",
       ctx.node().describe());
}

// An engine; the runtime runs it. OutT and, where recorded, output_shapes say what it gives.
void infer_engine(InferContext& ctx) {
  const auto types = ctx.attrs().get_or<std::vector<DataType>>("OutT", {});
  const auto shapes = ctx.attrs().get_or<std::vector<PartialShape>>("output_shapes", {});
  ctx.set_num_outputs(static_cast<int>(types.size()));
  for (std::size_t i = 0; i < types.size(); ++i) {
    ctx.set_output(static_cast<int>(i), types[i], i < shapes.size() ? shapes[i] : PartialShape{});
  }
}

// TF-TRT's initializer ops: a session finds engines by their asset files, so these only have to run without doing anything.
void infer_engine_handle(InferContext& ctx) { ctx.set_output(0, DataType::kResource, Shape{}); }
void evaluate_engine_handle(EvalContext& ctx) { ctx.allocate(0, DataType::kResource, Shape{}); }
void infer_load_engine(InferContext& ctx) { ctx.set_num_outputs(0); }
void evaluate_load_engine(EvalContext&) {}

constexpr ir::OpDef kOps[] = {
    {"assert", infer_no_result, evaluate_assert, ir::kStateful},
    {"print", infer_first_operand, evaluate_print, ir::kStateful},
    {"print_v2", infer_no_result, evaluate_print_v2, ir::kStateful},
    {"read_file", infer_string_scalar, evaluate_read_file, ir::kStateful},
    {"timestamp", infer_timestamp, evaluate_timestamp, ir::kStateful},
    {"sharded_filename", infer_string_scalar, evaluate_sharded_filename},
    {"sharded_filespec", infer_string_scalar, evaluate_sharded_filespec},
    {"checkpoint", infer_as_imported, evaluate_checkpoint, ir::kStateful},
    {"trt_engine_op", infer_engine, nullptr, ir::kStateful},
    {"trt_engine_handle", infer_engine_handle, evaluate_engine_handle, ir::kStateful},
    {"trt_engine_load", infer_load_engine, evaluate_load_engine, ir::kStateful},
};

constexpr ImportRule kRules[] = {
    {"Assert", "assert"},
    {"Print", "print"},
    {"PrintV2", "print_v2"},
    {"ReadFile", "read_file"},
    {"Timestamp", "timestamp"},
    {"ShardedFilename", "sharded_filename"},
    {"ShardedFilespec", "sharded_filespec"},
    {"SaveV2", "checkpoint"},
    {"SaveSlices", "checkpoint"},
    {"Save", "checkpoint"},
    {"RestoreV2", "checkpoint"},
    {"Restore", "checkpoint"},
    {"RestoreSlice", "checkpoint"},
    {"MergeV2Checkpoints", "checkpoint"},
    {"TRTEngineOp", "trt_engine_op"},
    {"CreateTRTResourceHandle", "trt_engine_handle"},
    {"InitializeTRTResource", "trt_engine_load"},
};

}  // namespace

const OpFamily& misc_family() {
  static const OpFamily family{"misc", kOps, kRules};
  return family;
}

}  // namespace tenon::ops
