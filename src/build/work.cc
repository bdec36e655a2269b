#include "build/work.h"

#include "ops/cost.h"

namespace tenon::build {

Work::Work(const ir::Module& module, const partition::Partition& partition, const MeasuredNodes& copies, const partition::TripCounts& trips)
    : module_(module), partition_(partition), copies_(copies), trips_(trips) {
  runs_[module.main.get()] = 1;
}

double Work::times(const ir::Node& node, const partition::Call& call) const {
  if (!node.is("while")) return 1;
  const auto trips = trips_.find(copies_.at(&node));
  const double rounds = trips == trips_.end() ? 1 : trips->second;
  return call.attribute == "cond" ? rounds + 1 : rounds;
}

double Work::of_node(const ir::Node& node) {
  const auto calls = partition::calls_of(node);
  if (calls.empty()) return ops::flops(*copies_.at(&node));
  double sum = 0;
  for (const partition::Call& call : calls) sum += times(node, call) * of_function(call.function.name);
  return sum;
}

double Work::of_function(const std::string& name) {
  const ir::Graph* function = partition::find_function(module_, name);
  if (function == nullptr) return 0;
  const auto [it, fresh] = of_function_.try_emplace(function, 0);  // 0 while it is being counted: recursion adds nothing
  if (!fresh) return it->second;
  double sum = 0;
  for (const auto& node : function->nodes()) sum += of_node(*node);
  return of_function_[function] = sum;
}

double Work::runs(const ir::Graph& graph) {
  const auto [it, fresh] = runs_.try_emplace(&graph, 0);
  if (!fresh) return it->second;
  double sum = 0;
  const auto add_calls_from = [&](const ir::Graph& caller) {
    for (const auto& node : caller.nodes()) {
      if (!partition_.callers.contains(node.get())) continue;
      for (const partition::Call& call : partition::calls_of(*node)) {
        if (partition::find_function(module_, call.function.name) == &graph) sum += runs(caller) * times(*node, call);
      }
    }
  };
  add_calls_from(*module_.main);
  for (const ir::Graph* function : partition_.functions) add_calls_from(*function);
  return runs_[&graph] = sum;
}

}  // namespace tenon::build
