#include "runtime/checkpoint.h"

namespace tenon::runtime {

std::string variable_name(const ir::Node& handle) {
  std::string shared = handle.attr_or<std::string>("shared_name", {});
  return shared.empty() ? handle.name : shared;
}

bool is_variable_handle(const ir::Node& node) {
  return node.origin.op_type == "VarHandleOp" || node.origin.op_type == "VariableV2" || node.origin.op_type == "Variable";
}

}  // namespace tenon::runtime
