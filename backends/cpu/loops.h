// Loops in CPU engines: those that can be unrolled into ops that the backend runs.
#pragma once

#include "base/verdict.h"
#include "ir/module.h"

namespace tenon::cpu {

// Whether the loop, with the tensor lists that it reads and makes, can be part of a segment.
Verdict supports_loop(const ir::Node& loop, const ir::Module& module);

}  // namespace tenon::cpu
