// Variables of a graph become constants, in functions too.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "tensorflow/core/framework/graph.pb.h"
#include "tensorflow/core/framework/tensor.h"

namespace tenon::tf {

// The value of the variable that a node makes (VarHandleOp, VariableV2, Variable). Throws Error.
using VariableValue = std::function<tensorflow::Tensor(const tensorflow::NodeDef& variable)>;

// What `outputs` (tensor names) need of the graph, with constants in place of variables. Functions that a variable is handed
// to are copied under new names, with an argument of the variable's own type; reads and gathers in them become ordinary ops.
// Other resources stay as they are. Throws Error: kNotFound for an output that the graph does not have, kUnsupported for a
// variable that is written, or that reaches an op which needs the resource itself; what `value` throws.
tensorflow::GraphDef freeze_graph(const tensorflow::GraphDef& graph, const std::vector<std::string>& outputs,
                                  const VariableValue& value);

}  // namespace tenon::tf
