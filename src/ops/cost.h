// How much arithmetic a node is: the measure behind "share of FLOPs in engines" and GFLOP/s in profiles.
#pragma once

#include "ir/graph.h"

namespace tenon::ops {

// Floating-point operations of one evaluation at the node's inferred types, a multiply-add counting 2; unknown sizes count as 1.
// Convolutions, matrix products and attention are counted exactly, other arithmetic as one operation per element of the result;
// data movement and integers count 0.
double flops(const ir::Node& node);

}  // namespace tenon::ops
