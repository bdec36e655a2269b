// What a TRTEngineOp node says: which engine it wants, by which rules, and what it is built from.
#pragma once

#include <string>

#include "backend/backend.h"
#include "ir/module.h"
#include "tenon/engine.h"

namespace tenon::api {

// The part of a node's name after the last "/": what TF-TRT keys engines by.
std::string canonical_name(const std::string& node_name);

// Throws kInvalidModel for a strategy that does not exist.
EngineAttributes engine_attributes(const ir::Node& node);

// The native segment as something to compile: parameters that are always the same know what they are. Throws kNotFound when the module
// lacks the function.
Segment native_segment(const ir::Module& module, const ir::Node& node, const std::string& name);

}  // namespace tenon::api
