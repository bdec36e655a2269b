#include "runtime/executor.h"

#include <algorithm>
#include <atomic>
#include <mutex>

#include "base/error.h"
#include "runtime/frame_executor.h"
#include "runtime/schedule.h"

namespace tenon::runtime {

namespace {

// Deadness travels through identities too.
bool has_frames(const ir::Graph& graph) {
  return std::any_of(graph.nodes().begin(), graph.nodes().end(), [](const auto& node) { return node->op->is(ir::kControlFlow); });
}

}  // namespace

struct Executor::Schedule {
  StepList list;
  std::unique_ptr<FrameExecutor> frames;  // when TF1 control flow is among the steps
  // Values of the fixed steps, made by the first run.
  mutable std::once_flag fixed_once;
  mutable std::vector<Tensor> fixed;
  // The slots of a run that is over, empty: a loop's body takes them for its next round.
  mutable std::atomic<std::vector<Tensor>*> spare = nullptr;

  ~Schedule() { delete spare.load(); }

  std::unique_ptr<std::vector<Tensor>> take_slots() const {
    if (std::vector<Tensor>* slots = spare.exchange(nullptr, std::memory_order_acquire)) return std::unique_ptr<std::vector<Tensor>>(slots);
    return std::make_unique<std::vector<Tensor>>(static_cast<std::size_t>(list.slots));
  }

  void give_back(std::unique_ptr<std::vector<Tensor>> slots) const {
    for (Tensor& slot : *slots) {
      if (slot.valid()) slot = Tensor();
    }
    std::vector<Tensor>* none = nullptr;
    if (spare.compare_exchange_strong(none, slots.get(), std::memory_order_release)) static_cast<void>(slots.release());
  }

  const std::vector<Tensor>& fixed_values(ir::Services& services) const {
    std::call_once(fixed_once, [&] {
      std::vector<Tensor> values(static_cast<std::size_t>(list.slots));
      for (const Step& step : list.steps) {
        if (step.fixed) run_step(step, {}, {values.data() + step.first_output, step.node->outputs.size()}, services, nullptr, nullptr);
      }
      fixed = std::move(values);
    });
    return fixed;
  }
};

Executor::Executor(const ir::Graph& graph, std::vector<ir::Value> feeds, std::vector<ir::Value> fetches,
                   std::vector<ir::Node*> targets, const KernelLookup& kernels, bool observed) {
  auto schedule = std::make_unique<Schedule>();
  schedule->list = make_steps(graph, feeds, fetches, targets, kernels, !observed && !has_frames(graph));
  if (schedule->list.has_frames) schedule->frames = std::make_unique<FrameExecutor>(schedule->list, feeds, fetches);
  schedule_ = std::move(schedule);
}

Executor::~Executor() = default;

bool Executor::stateful() const noexcept { return schedule_->list.stateful; }

std::vector<Tensor> Executor::run(std::vector<Tensor> fed, ir::Services& services, ThreadTeam* team,
                                  const NodeObserver* observer) const {
  const StepList& list = schedule_->list;
  TENON_CHECK(fed.size() == list.feed_slots.size());
  if (schedule_->frames) return schedule_->frames->run(std::move(fed), services, team, observer);
  std::unique_ptr<std::vector<Tensor>> taken = schedule_->take_slots();
  std::vector<Tensor>& slots = *taken;
  for (std::size_t i = 0; i < fed.size(); ++i) slots[static_cast<std::size_t>(list.feed_slots[i])] = std::move(fed[i]);
  std::vector<Tensor> inputs;
  const std::vector<Tensor>& fixed = schedule_->fixed_values(services);
  for (const Step& step : list.steps) {
    if (step.fixed) continue;
    inputs.clear();
    for (const Step::Operand& operand : step.operands) {
      Tensor& slot = slots[static_cast<std::size_t>(operand.slot)];
      if (const Tensor& kept = fixed[static_cast<std::size_t>(operand.slot)]; kept.valid()) {
        inputs.push_back(kept);
      } else {
        inputs.push_back(operand.last_use ? std::move(slot) : slot);
      }
    }
    const std::span<Tensor> outputs(slots.data() + step.first_output, step.node->outputs.size());
    run_step(step, inputs, outputs, services, team, observer);
    for (int dead : step.dead_outputs) slots[static_cast<std::size_t>(dead)] = Tensor();
  }
  std::vector<Tensor> results;
  results.reserve(list.fetch_slots.size());
  for (int slot : list.fetch_slots) {
    const Tensor& kept = fixed[static_cast<std::size_t>(slot)];
    results.push_back(kept.valid() ? kept : slots[static_cast<std::size_t>(slot)]);
  }
  schedule_->give_back(std::move(taken));
  return results;
}

}  // namespace tenon::runtime
