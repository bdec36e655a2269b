// The functions that While, If and Case nodes run, and which of their arguments never change.
#pragma once

#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "ir/module.h"

namespace tenon::partition {

// One function that a node runs.
struct Call {
  ir::FunctionRef function;
  std::string_view attribute;  // of the node, naming the function: "body"
  int first_operand = 0;       // of the node, passed as the function's first argument
};

// Of a While: body and condition; of an If or a Case: its branches; of a call that was not inlined: what it calls.
std::vector<Call> calls_of(const ir::Node& node);

// The function's graph, or null when the module has none of that name.
ir::Graph* find_function(const ir::Module& module, const std::string& name);

// The value behind identities.
ir::Value behind_identities(ir::Value value);

// Whether a loop's body returns its argument `index` as it got it.
bool is_invariant(const ir::Graph& body, std::size_t index);

// A value that stays the same for as long as the model is only called.
struct Known {
  std::string variable;  // of a frozen variable: its handle where the value's dtype is resource, else what it holds
  Tensor constant;       // any other value that is known
  explicit operator bool() const noexcept { return !variable.empty() || constant.valid(); }
};

// By parameter of a function.
using KnownArguments = std::unordered_map<const ir::Node*, Known>;

// What is known of a value, through identities, reads of frozen variables and `arguments`.
Known known_value(const ir::Value& value, const std::unordered_set<const ir::Node*>& frozen, const KnownArguments& arguments);

// Arguments that are the same known value wherever the model runs their function; for a loop's body that means that the loop does
// not change them either.
KnownArguments known_arguments(const ir::Module& module, const std::unordered_set<const ir::Node*>& frozen);

}  // namespace tenon::partition
