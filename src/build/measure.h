// Times of a segment, native and by its engine, on made-up values.
#pragma once

#include <string>
#include <vector>

#include "backend/backend.h"
#include "ir/module.h"
#include "runtime/kernel.h"

namespace tenon::build {

struct SegmentTimes {
  double native_seconds = 0;
  double engine_seconds = 0;
  std::string problem;  // why one could not be timed; empty when both were
};

// Runs both at the concrete shapes of `graph`'s parameters (unknown sizes as 1), each until `budget_seconds` are spent. `functions`
// has those that the graph's loops run.
SegmentTimes measure_segment(const ir::Graph& graph, Executable& executable, WeightsProvider& weights, const ir::Module& functions,
                             const runtime::KernelLookup& native_kernels, double budget_seconds);

}  // namespace tenon::build
