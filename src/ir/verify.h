// Checks what every graph must keep to.
#pragma once

#include "ir/graph.h"

namespace tenon::ir {

// Throws kInvalidModel naming the node when an operand or control input is not in the graph or has no such output, a name is
// empty or taken twice, a parameter is not listed (or is not of op "parameter"), an output does not exist, or there is a cycle.
void verify(const Graph& graph);

}  // namespace tenon::ir
