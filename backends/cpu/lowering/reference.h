// The last resort inside an engine: a node that a pass left without a kernel of its own runs its reference kernel.
#pragma once

#include "backends/cpu/lowering/lowering.h"

namespace tenon::cpu {

// Throws kUnsupported for ops that have no pure reference kernel.
Lowered lower_reference(const ir::Node& node);

}  // namespace tenon::cpu
