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
      for (const ir::OpDef& op : family->ops) TENON_CHECK(ops.emplace(op.name, &op).second);
      for (const ImportRule& rule : family->rules) TENON_CHECK(rules.emplace(rule.tf_op, &rule).second);
    }
    for (const auto& [name, rule] : rules) TENON_CHECK(ops.contains(rule->ir_op));
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
