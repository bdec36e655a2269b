#include "api/lone_kernels.h"

#include <algorithm>
#include <array>
#include <atomic>

#include "api/stored_weights.h"
#include "base/error.h"

namespace tenon::api {
namespace {

bool is_heavy(const ir::Node& node) {
  constexpr std::array kHeavy = {"conv2d", "conv3d", "depthwise_conv2d", "conv2d_transpose", "conv3d_transpose", "matmul",
                                 "max_pool", "avg_pool", "max_pool3d", "avg_pool3d", "softmax"};
  for (const char* name : kHeavy) {
    if (node.is(name)) return true;
  }
  return false;
}

class LoneKernel : public runtime::Kernel {
 public:
  LoneKernel(partition::SegmentPlan plan, const OpenModel& model, Backend& backend, std::shared_ptr<SharedTeam> team)
      : plan_(std::move(plan)), model_(model), backend_(backend), team_(std::move(team)) {
    const std::vector<ir::Value>& operands = plan_.nodes[0]->inputs;
    for (const ir::Value& input : plan_.inputs) {
      int operand = -1;
      for (std::size_t i = 0; i < operands.size(); ++i) {
        if (operands[i] == input) operand = static_cast<int>(i);
      }
      operands_.push_back(operand);  // -1: a variable's handle or value, which the kernel knows already
      const ir::ValueType& type = input.node->outputs[static_cast<std::size_t>(input.index)];
      known_.push_back({type.dtype, type.shape.fully_known() ? type.shape.to_shape() : Shape{}});
    }
  }

  void run(ir::EvalContext& ctx) override {
    std::call_once(once_, [this] { compile(); });
    if (executable_ && run_compiled(ctx)) return;
    ctx.node().op->evaluate(ctx);
  }

 private:
  void compile() {
    try {
      StoredWeights weights(model_);
      CompileOptions options;
      options.measure = false;
      options.weights = &weights;
      options.threads = team_->size();
      executable_ = backend_.load(backend_.compile(partition::extract(plan_), options), weights, DeviceOptions{0, team_, 4});
    } catch (const Error&) {
      executable_ = nullptr;  // the reference runs
    }
  }

  bool run_compiled(ir::EvalContext& ctx) {
    std::vector<TensorView> views;
    for (std::size_t i = 0; i < operands_.size(); ++i) {
      const auto& [dtype, shape] = known_[i];
      views.push_back(operands_[i] < 0 ? TensorView{dtype, shape.dims(), nullptr, {}} : TensorView::of(ctx.input(operands_[i])));
    }
    try {
      TensorAllocator outputs({&ctx.output(0), static_cast<std::size_t>(ctx.num_outputs())});
      executable_->run(views, outputs, nullptr);
      return true;
    } catch (const Error& error) {
      if (error.code() != ErrorCode::kUnsupported) throw;
      return false;
    }
  }

  const partition::SegmentPlan plan_;
  const OpenModel& model_;
  Backend& backend_;
  const std::shared_ptr<SharedTeam> team_;
  std::vector<int> operands_;
  std::vector<std::pair<DataType, Shape>> known_;  // of the engine's inputs
  std::once_flag once_;
  std::unique_ptr<Executable> executable_;
};

}  // namespace

LoneKernels::LoneKernels(const OpenModel& model, Backend& backend, std::shared_ptr<SharedTeam> team) {
  for (partition::SegmentPlan& plan : partition::lone_nodes(model.module(), backend, is_heavy)) {
    const ir::Node* node = plan.nodes[0];
    const bool usable = std::all_of(plan.inputs.begin(), plan.inputs.end(), [](const ir::Value& input) {
      return !input.node->is("ref_variable") || input.node->outputs[0].shape.fully_known();
    });
    if (!usable) continue;
    kernels_[node] = std::make_shared<LoneKernel>(std::move(plan), model, backend, team);
  }
}

std::shared_ptr<runtime::Kernel> LoneKernels::find(const ir::Node& node) const {
  const auto it = kernels_.find(&node);
  return it == kernels_.end() ? nullptr : it->second;
}

}  // namespace tenon::api
