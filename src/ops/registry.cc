#include "ops/registry.h"

#include <unordered_map>

#include "base/error.h"

namespace tenon::ops {
namespace {

struct Tables {
  std::unordered_map<std::string_view, const ir::OpDef*> ops;
  std::unordered_map<std::string_view, const ImportRule*> rules;

  Tables() {
    for (const OpFamily* family : families()) {
      for (const ir::OpDef& op : family->ops) {
        if (!ops.emplace(op.name, &op).second) fail(ErrorCode::kInternal, "op \"{}\" is defined twice", op.name);
      }
      for (const ImportRule& rule : family->rules) {
        if (!rules.emplace(rule.tf_op, &rule).second) fail(ErrorCode::kInternal, "import rule \"{}\" is defined twice", rule.tf_op);
      }
    }
    for (const auto& [name, rule] : rules) {
      if (!ops.contains(rule->ir_op)) fail(ErrorCode::kInternal, "import rule \"{}\" names op \"{}\", which does not exist", name, rule->ir_op);
    }
  }
};

const Tables& tables() {
  static const Tables tables;
  return tables;
}

}  // namespace

const ir::OpDef* find_op(std::string_view ir_name) {
  const auto it = tables().ops.find(ir_name);
  return it == tables().ops.end() ? nullptr : it->second;
}

const ImportRule* find_rule(std::string_view tf_op) {
  const auto it = tables().rules.find(tf_op);
  return it == tables().rules.end() ? nullptr : it->second;
}

const ir::OpDef& op(std::string_view ir_name) {
  const ir::OpDef* found = find_op(ir_name);
  TENON_CHECK(found != nullptr);
  return *found;
}

}  // namespace tenon::ops
