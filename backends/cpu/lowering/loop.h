// A loop as one step: its body and its condition are programs of their own, planned with the step.
#pragma once

#include "ir/op_def.h"

namespace tenon::cpu {

// loop(states…, lengths…, others…) -> (last states…, lists…). Attributes: "states" and "lists" count them; "body" and "cond" are
// graphs as text (ir/print.h) with the states and the others as parameters. The body's results are the next states, then for each
// list the number of a row and its content; rows that are never written are zeros. The condition, whose parameters are the first
// of the body's, says whether there is another round. The shapes of states stay; lengths follow from shapes.
const ir::OpDef& loop_op();

}  // namespace tenon::cpu
