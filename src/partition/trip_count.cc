#include "partition/trip_count.h"

#include <set>
#include <unordered_map>

#include "base/error.h"
#include "ir/eval_context.h"

namespace tenon::partition {
namespace {

constexpr int kMostTrips = 100'000;
constexpr int kMostNodes = 200;             // that decide when a loop stops
constexpr std::int64_t kMostElements = 64;  // of a value that decides

struct Undecided {};

// A function's values from those of its arguments, as far as they are wanted.
class Evaluator {
 public:
  explicit Evaluator(const ir::Graph& function) : function_(function) {
    for (std::size_t i = 0; i < function.parameters.size(); ++i) index_[function.parameters[i]] = i;
  }

  // The arguments that a result depends on.
  void add_needed(std::size_t result, std::set<std::size_t>& arguments) const {
    if (result >= function_.outputs.size()) throw Undecided{};
    std::vector<const ir::Node*> work{function_.outputs[result].node};
    std::set<const ir::Node*> seen;
    while (!work.empty()) {
      const ir::Node* node = work.back();
      work.pop_back();
      if (!seen.insert(node).second) continue;
      if (seen.size() > kMostNodes) throw Undecided{};
      if (const auto it = index_.find(node); it != index_.end()) arguments.insert(it->second);
      for (const ir::Value& input : node->inputs) work.push_back(input.node);
    }
  }

  Tensor result(std::size_t index, const std::vector<Tensor>& arguments) {
    values_.clear();
    return value(function_.outputs.at(index), arguments);
  }

 private:
  Tensor value(const ir::Value& wanted, const std::vector<Tensor>& arguments) {
    if (const auto it = values_.find(wanted); it != values_.end()) return it->second;
    const ir::Node& node = *wanted.node;
    if (const auto it = index_.find(&node); it != index_.end()) {
      if (!arguments.at(it->second).valid()) throw Undecided{};
      return arguments[it->second];
    }
    if (node.is("const")) return node.attr<Tensor>("value");
    if (node.op->traits != ir::kPure || node.op->evaluate == nullptr) throw Undecided{};
    std::vector<Tensor> inputs;
    for (const ir::Value& input : node.inputs) inputs.push_back(value(input, arguments));
    std::vector<Tensor> outputs(node.outputs.size());
    ir::EvalContext ctx(node, inputs, outputs, nullptr, nullptr);
    node.op->evaluate(ctx);
    for (std::size_t i = 0; i < outputs.size(); ++i) {
      if (outputs[i].num_elements() > kMostElements) throw Undecided{};
      values_[{wanted.node, static_cast<int>(i)}] = outputs[i];
    }
    return outputs.at(static_cast<std::size_t>(wanted.index));
  }

  const ir::Graph& function_;
  std::unordered_map<const ir::Node*, std::size_t> index_;
  std::unordered_map<ir::Value, Tensor, ir::ValueHash> values_;
};

double run(const ir::Node& loop, const ir::Graph& condition, const ir::Graph& body, ir::InferFacts& facts) {
  Evaluator stops(condition);
  Evaluator next(body);
  std::set<std::size_t> deciding;
  stops.add_needed(0, deciding);
  for (std::size_t before = 0; before != deciding.size();) {
    before = deciding.size();
    for (std::size_t argument : std::set<std::size_t>(deciding)) next.add_needed(argument, deciding);
  }
  std::vector<Tensor> state(loop.inputs.size());
  for (std::size_t argument : deciding) {
    const Tensor* value = facts.constant(loop.inputs.at(argument));
    if (value == nullptr || value->num_elements() > kMostElements) throw Undecided{};
    state[argument] = *value;
  }
  for (int trips = 0; trips < kMostTrips; ++trips) {
    const Tensor goes_on = stops.result(0, state);
    if (goes_on.dtype() != DataType::kBool || goes_on.num_elements() != 1) throw Undecided{};
    if (!goes_on.flat<bool>()[0]) return trips;
    std::vector<Tensor> after(state.size());
    for (std::size_t argument : deciding) after[argument] = next.result(argument, state);
    state = std::move(after);
  }
  throw Undecided{};
}

}  // namespace

std::optional<double> count_trips(const ir::Node& loop, const ir::Graph& condition, const ir::Graph& body, ir::InferFacts& facts) {
  try {
    return run(loop, condition, body, facts);
  } catch (const Undecided&) {
    return std::nullopt;
  } catch (const Error&) {
    return std::nullopt;
  } catch (const std::out_of_range&) {
    return std::nullopt;
  }
}

}  // namespace tenon::partition
