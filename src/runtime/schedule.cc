#include "runtime/schedule.h"

#include <algorithm>
#include <chrono>
#include <unordered_set>

#include "base/error.h"

namespace tenon::runtime {
namespace {

using Needed = std::unordered_set<const ir::Node*>;

// Instead of the number of the step that reads a slot last.
constexpr int kNobody = -1;
constexpr int kTaken = -2;

// A read whose value nobody wants does nothing. Functions of TensorFlow 2 let their results wait for all their reads, those that
// an engine has made superfluous among them.
bool is_idle_read(const ir::Node& node) {
  if (!node.is("read_variable") || node.inputs.empty()) return false;
  return node.inputs[0].node->is("var_handle") || node.inputs[0].node->is("parameter");
}

Needed needed_nodes(const ir::Graph& graph, const std::vector<ir::Value>& feeds, const std::vector<ir::Value>& fetches,
                    const std::vector<ir::Node*>& targets) {
  // In frames every control edge carries deadness.
  const bool has_frames = std::any_of(graph.nodes().begin(), graph.nodes().end(), [](const auto& node) { return node->op->is(ir::kControlFlow); });
  std::unordered_set<ir::Value, ir::ValueHash> fed(feeds.begin(), feeds.end());
  Needed fed_nodes;
  for (const ir::Value& feed : feeds) fed_nodes.insert(feed.node);
  Needed needed;
  Needed idle;
  std::vector<const ir::Node*> work;
  const auto want = [&](const ir::Value& value) {
    if (!fed.contains(value) && needed.insert(value.node).second) work.push_back(value.node);
  };
  for (const ir::Value& fetch : fetches) want(fetch);
  for (const ir::Node* target : targets) {
    if (is_idle_read(*target)) {
      if (idle.insert(target).second) work.push_back(target);
    } else if (needed.insert(target).second) {
      work.push_back(target);
    }
  }
  while (!work.empty()) {
    const ir::Node* node = work.back();
    work.pop_back();
    if (needed.contains(node)) {
      for (const ir::Value& input : node->inputs) want(input);
    }
    for (const ir::Node* control : node->control_inputs) {
      if (!has_frames && is_idle_read(*control)) {  // if its value is wanted, want() finds it; what it waits for still runs
        if (idle.insert(control).second) work.push_back(control);
        continue;
      }
      // A control edge from a fed node is satisfied by feeding it.
      if (!fed_nodes.contains(control) && needed.insert(control).second) work.push_back(control);
    }
  }
  return needed;
}

void refuse_what_cannot_run(const ir::Node& node, bool has_kernel) {
  if (node.is("unsupported")) {
    fail(ErrorCode::kUnsupported, "{}: Tenon does not implement this op; outputs that do not need it still run", node.describe());
  }
  if (node.is("placeholder")) {
    fail(ErrorCode::kInvalidArgument, "input \"{}\" is needed but was not fed", node.name);
  }
  if (node.op->evaluate == nullptr && !node.op->is(ir::kControlFlow) && !has_kernel) {
    fail(ErrorCode::kUnsupported, "{}: no kernel can run this op", node.describe());
  }
}

// One of a TF1 variable reads it, at its turn.
bool is_plain_identity(const ir::Node& node) {
  return node.is("identity") && node.inputs.size() == node.outputs.size() &&
         std::none_of(node.inputs.begin(), node.inputs.end(), [](const ir::Value& input) { return input.node->is("ref_variable"); });
}

bool is_fixed(const ir::Node& node) {
  if (!node.inputs.empty() || !node.control_inputs.empty()) return false;
  return node.is("const") || node.origin.op_type == "VarHandleOp" || node.origin.op_type == "HashTableV2";
}

}  // namespace

StepList make_steps(const ir::Graph& graph, const std::vector<ir::Value>& feeds, const std::vector<ir::Value>& fetches,
                    const std::vector<ir::Node*>& targets, const KernelLookup& kernels, bool skip_identities) {
  StepList list;
  const Needed needed = needed_nodes(graph, feeds, fetches, targets);
  std::unordered_map<ir::Value, int, ir::ValueHash> slots;
  for (const ir::Value& feed : feeds) {
    list.feed_slots.push_back(list.slots);
    slots.insert_or_assign(feed, list.slots++);
  }
  for (ir::Node* node : graph.topological_order()) {
    if (!needed.contains(node)) continue;
    if (skip_identities && is_plain_identity(*node)) {
      for (std::size_t i = 0; i < node->outputs.size(); ++i) slots.try_emplace(node->output(static_cast<int>(i)), slots.at(node->inputs[i]));
      continue;
    }
    Step step{node, kernels ? kernels(*node) : nullptr, {}, list.slots, {}, is_fixed(*node)};
    refuse_what_cannot_run(*node, step.kernel != nullptr);
    list.has_frames |= node->op->is(ir::kControlFlow);
    list.stateful |= node->op->is(ir::kStateful);
    for (int i = 0; i < static_cast<int>(node->outputs.size()); ++i) {
      slots.try_emplace(node->output(i), list.slots + i);  // a fed output keeps the fed slot
    }
    list.slots += static_cast<int>(node->outputs.size());
    list.steps.push_back(std::move(step));
  }
  std::vector<int> last_reader(static_cast<std::size_t>(list.slots), kNobody);
  for (std::size_t s = 0; s < list.steps.size(); ++s) {
    for (const ir::Value& input : list.steps[s].node->inputs) {
      const int slot = slots.at(input);
      list.steps[s].operands.push_back({slot, false});
      last_reader[static_cast<std::size_t>(slot)] = static_cast<int>(s);
    }
  }
  for (const ir::Value& fetch : fetches) {
    list.fetch_slots.push_back(slots.at(fetch));
    last_reader[static_cast<std::size_t>(slots.at(fetch))] = static_cast<int>(list.steps.size());
  }
  std::vector<char> fixed_slot(static_cast<std::size_t>(list.slots), 0);
  for (const Step& step : list.steps) {
    for (std::size_t i = 0; step.fixed && i < step.node->outputs.size(); ++i) {
      fixed_slot[static_cast<std::size_t>(step.first_output) + i] = 1;
    }
  }
  for (std::size_t s = 0; s < list.steps.size(); ++s) {
    Step& step = list.steps[s];
    // A node may read one value several times: the last of these reads takes it.
    for (auto operand = step.operands.rbegin(); operand != step.operands.rend(); ++operand) {
      int& reader = last_reader[static_cast<std::size_t>(operand->slot)];
      operand->last_use = reader == static_cast<int>(s) && !fixed_slot[static_cast<std::size_t>(operand->slot)];
      if (operand->last_use) reader = kTaken;
    }
    for (int i = 0; i < static_cast<int>(step.node->outputs.size()); ++i) {
      if (last_reader[static_cast<std::size_t>(step.first_output + i)] == kNobody) step.dead_outputs.push_back(step.first_output + i);
    }
  }
  return list;
}

void run_step(const Step& step, std::span<Tensor> inputs, std::span<Tensor> outputs, ir::Services& services, ThreadTeam* team,
              const NodeObserver* observer) {
  const auto start = observer ? std::chrono::steady_clock::now() : std::chrono::steady_clock::time_point{};
  ir::EvalContext ctx(*step.node, inputs, outputs, &services, team);
  try {
    if (step.kernel) {
      step.kernel->run(ctx);
    } else {
      step.node->op->evaluate(ctx);
    }
  } catch (const Error& error) {
    const std::string text = error.what();
    if (text.find('"' + step.node->name + '"') != std::string::npos) throw;
    throw Error(error.code(), step.node->describe() + ": " + text);
  } catch (const std::bad_alloc&) {
    fail(ErrorCode::kOutOfMemory, "{}: out of memory", step.node->describe());
  }
  if (observer) {
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
    (*observer)(*step.node, outputs, took.count());
  }
}

}  // namespace tenon::runtime
