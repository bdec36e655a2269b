// Element-wise arithmetic on int32 and int64: indices and masks, so that they do not cut a model in two.
#pragma once

#include "backends/cpu/lowering/lowering.h"

namespace tenon::cpu {

// Yes for the arithmetic, comparisons and selections that have an integer kernel, on operands of one integer dtype.
Verdict supports_integer(const ir::Node& node);
Lowered lower_integer(const ir::Node& node);
// True when the node's values are integers, so that the above decide.
bool is_integer_node(const ir::Node& node);

}  // namespace tenon::cpu
