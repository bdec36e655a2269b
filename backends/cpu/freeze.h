// Gives a segment the values of its frozen variables.
#pragma once

#include "backend/backend.h"

namespace tenon::cpu {

// read_variable(handle) -> const; resource_gather(handle, …) -> gather(const, …), for the handles of frozen variables. The
// handles stay parameters. Throws kNotFound for a variable without a value, kUnsupported for any other use of a handle.
void freeze_variables(ir::Graph& graph, WeightsProvider& weights);

}  // namespace tenon::cpu
