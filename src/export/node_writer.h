// IR nodes as NodeDefs: the source NodeDef with the names that the graph has now.
#pragma once

#include <functional>
#include <string>

#include "ir/graph.h"
#include "savedmodel/node_view.h"

namespace tenon::exporter {

// How a value is called where it is written: "node:1" in a main graph, "node:arg:0" or an argument's name in a function.
using ValueName = std::function<std::string(const ir::Value&)>;

// The NodeDef of an imported or inlined node under its present name. Bytes are copied unchanged when neither name nor operands
// differ from the file's.
saved::NodeDef write_node(const ir::Node& node, const ValueName& value_name);

// "node:index", index 0 left out, as main graphs have it.
std::string main_graph_name(const ir::Value& value);

// "node:result:index", or an argument's name, as function bodies have it. Throws kInternal for an op that TensorFlow's table lacks.
std::string function_body_name(const ir::Value& value);

}  // namespace tenon::exporter
