// Loops whose number of rounds is known only when they run, as one node of an engine.
#pragma once

#include "backend/backend.h"

namespace tenon::cpu {

// while(cond, body) over tensor lists -> loop over tensors (lowering/loop.h): a list made of a tensor becomes that tensor, whose
// rows the body gathers; a list that the body fills becomes a result whose rows the loop writes. Bodies and conditions are
// optimized; their frozen variables (parameters of `graph` with the attribute "variable") become constants. Types of the graph's
// values are inferred on the way. Replaces the graph; on a no it is spoilt.
Verdict lower_loops(std::unique_ptr<ir::Graph>& graph, const ir::Module& module, WeightsProvider& weights, SymbolSource& symbols);

}  // namespace tenon::cpu
