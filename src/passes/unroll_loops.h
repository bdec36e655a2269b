// Loops whose number of iterations is known become straight-line code: what recurrent layers over a fixed length are.
#pragma once

#include "base/verdict.h"
#include "ir/module.h"

namespace tenon::passes {

// while(cond, body) -> copies of the body; tensor lists between and in the copies become plain values. The names of functions are
// looked up in `module`. Nodes without loops are left as they are; a no says why a loop cannot be unrolled, and the graph is then
// useless.
Verdict unroll_loops(ir::Graph& graph, const ir::Module& module, SymbolSource& symbols);

// True for the ops that make or read tensor lists and that unroll_loops understands outside of loops.
bool makes_tensor_list(const ir::Node& node);
bool reads_tensor_list(const ir::Node& node);

}  // namespace tenon::passes
