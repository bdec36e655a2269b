// The epilogue of an IR op in the kernels' terms.
#pragma once

#include <string>

#include "backends/cpu/kernels/epilogue.h"
#include "backends/cpu/lowering/lowering.h"
#include "ops/fused.h"

namespace tenon::cpu {

Epilogue kernel_epilogue(const ops::Epilogue& epilogue);
// A short name for keys of tactics: "b+r:relu".
std::string epilogue_key(const ops::Epilogue& epilogue);

// The operands behind a node's own ones; -1 where there is none.
struct EpilogueOperands {
  int bias = -1;
  int residual = -1;
};
EpilogueOperands epilogue_operands(const ops::Epilogue& epilogue, int first);
// Throws kUnsupported unless the bias has one value per channel of the result and the residual has the result's shape.
void check_epilogue(const PlanContext& ctx, const EpilogueOperands& operands);

}  // namespace tenon::cpu
