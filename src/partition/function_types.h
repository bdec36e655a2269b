// Types inside functions, from what callers pass; how often loops run.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <unordered_map>

#include "ir/module.h"
#include "ops/inference.h"
#include "partition/functions.h"

namespace tenon::partition {

// Gives the module's functions types that hold for every call and every iteration.
void infer_functions(ir::Module& module, const KnownArguments& known);

// How often each While runs its body, by node; loops for which that depends on data are left out.
using TripCounts = std::unordered_map<const ir::Node*, double>;

// Gives `main` the types that follow from those on its inputs, and every function the types of its first call and first iteration:
// what to measure at, not what holds. `functions` are copies, and `known` speaks of their parameters.
TripCounts infer_first_calls(ir::Graph& main, const std::map<std::string, std::unique_ptr<ir::Graph>>& functions, const KnownArguments& known,
                             SymbolSource& symbols);

}  // namespace tenon::partition
