// What a TensorFlow session of this process holds besides its graph: values of variables, and tables.
#pragma once

#include "tensorflow/core/framework/graph.pb.h"
#include "tensorflow/core/framework/tensor.h"
#include "tensorflow/core/public/session.h"

namespace tenon::tf {

// A copy of the value of the variable that a node makes (VarHandleOp, VariableV2, Variable). Throws Error: kNotFound when it
// has none, kUnsupported when it is not on a CPU; StatusError for what the session says.
tensorflow::Tensor variable_value(tensorflow::Session& session, const tensorflow::NodeDef& node);

// Whether the graph or its functions make tables.
bool has_tables(const tensorflow::GraphDef& graph);

// Lets `to` use the tables of `graph` that `from` has, under the same names, but for those that a call may write to. Throws
// StatusError.
void share_tables(const tensorflow::GraphDef& graph, tensorflow::Session& from, tensorflow::Session& to);

}  // namespace tenon::tf
