// What every op of the IR must answer.
#pragma once

#include <string_view>

namespace tenon::ir {

class InferContext;
class EvalContext;

enum OpTraits : unsigned {
  kPure = 0,
  kStateful = 1u << 0,     // reads or changes state, or is random: never folded, merged or moved across control edges
  kControlFlow = 1u << 1,  // Switch, Merge, Enter, Exit, NextIteration, LoopCond: only the executor can run it
  kSource = 1u << 2,       // parameter, placeholder: its value comes from the caller
};

struct OpDef {
  std::string_view name;  // IR name in snake_case; written into plans: never rename
  // Sets dtype and shape of every output; throws kInvalidModel on a malformed node. Called with partial knowledge: unknown
  // dtypes, ranks and sizes. Never null.
  void (*infer)(InferContext&);
  // Slow, obvious, accurate: the reference. Null when only the executor or a backend can run the op.
  void (*evaluate)(EvalContext&);
  unsigned traits = kPure;

  bool is(OpTraits trait) const noexcept { return (traits & trait) != 0; }
};

}  // namespace tenon::ir
