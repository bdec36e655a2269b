#include "backends/cpu/lowering/reference.h"

#include <cstring>

#include "base/error.h"
#include "ir/eval_context.h"

namespace tenon::cpu {
namespace {

Tensor view(const Place& place, const Frame& frame) {
  return Tensor::borrow(place.dtype, place.shape, frame.at<void>(place.slot), nullptr);
}

std::unique_ptr<Step> prepare(PlanContext& ctx) {
  std::vector<Place> operands, results;
  for (int i = 0; i < ctx.num_operands(); ++i) operands.push_back(ctx.operand(i));
  for (int i = 0; i < ctx.num_results(); ++i) results.push_back(ctx.result(i));
  return make_step([node = &ctx.node(), operands = std::move(operands), results = std::move(results)](const Frame& frame) {
    std::vector<Tensor> inputs, outputs(results.size());
    for (const Place& operand : operands) inputs.push_back(operand.constant ? *operand.constant : view(operand, frame));
    ir::EvalContext eval(*node, inputs, outputs, nullptr, frame.team);
    node->op->evaluate(eval);
    for (std::size_t i = 0; i < results.size(); ++i) {
      if (results[i].slot < 0) continue;
      if (outputs[i].shape() != results[i].shape) {
        fail(ErrorCode::kUnsupported, "{}: the shape of a result depends on data", node->describe());
      }
      if (outputs[i].byte_size() > 0) std::memcpy(frame.at<void>(results[i].slot), outputs[i].data(), outputs[i].byte_size());
    }
  });
}

}  // namespace

Lowered lower_reference(const ir::Node& node) {
  if (node.op->traits != ir::kPure || node.op->evaluate == nullptr) {
    fail(ErrorCode::kUnsupported, "{}: a CPU engine cannot run this op", node.describe());
  }
  Lowered lowered;
  lowered.kernel = "reference";
  lowered.reference = true;
  lowered.prepare = prepare;
  return lowered;
}

}  // namespace tenon::cpu
