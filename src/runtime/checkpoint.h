// What a session or a build knows of a model's stored variables.
#pragma once

#include <string>
#include <unordered_map>

#include "ir/module.h"

namespace tenon::runtime {

// The name under which a variable handle (VarHandleOp, VariableV2) is known to a session: its shared name, else its node name.
std::string variable_name(const ir::Node& handle);

// True for nodes that make a variable handle.
bool is_variable_handle(const ir::Node& node);

}  // namespace tenon::runtime
