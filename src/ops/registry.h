// The op families: which IR ops exist, and which TensorFlow op becomes which.
#pragma once

#include <span>
#include <string_view>
#include <vector>

#include "ir/op_def.h"
#include "ir/attributes.h"

namespace tenon::ops {

// A TensorFlow op that is imported as one IR op. Operands keep their order; attributes are copied with TensorFlow's defaults
// filled in, then `rewrite` (when given) brings them to the IR op's form.
struct ImportRule {
  std::string_view tf_op;
  std::string_view ir_op;
  void (*rewrite)(ir::Attrs&) = nullptr;
};

struct OpFamily {
  std::string_view name;  // as the file is called
  std::span<const ir::OpDef> ops;
  std::span<const ImportRule> rules;
};

// Every family, in the order of families.cc.
std::span<const OpFamily* const> families();

// Null when there is no such op.
const ir::OpDef* find_op(std::string_view ir_name);
const ImportRule* find_rule(std::string_view tf_op);
// As find_op for an op that must exist.
const ir::OpDef& op(std::string_view ir_name);

}  // namespace tenon::ops
