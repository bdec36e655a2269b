#include "export/node_writer.h"

#include <map>
#include <variant>

#include "base/error.h"
#include "ops/tensorflow_ops.h"
#include "savedmodel/decode.h"

namespace tenon::exporter {
namespace {

// Attributes that a polymorphic function took from its caller; the IR has their values.
void bind_placeholders(saved::NodeDef& def, const ir::Node& node) {
  for (auto& [name, value] : def.attrs) {
    if (value.get_if<saved::Placeholder>() == nullptr) continue;
    const ir::AttrValue* bound = node.attrs.find(name);
    if (bound != nullptr && std::holds_alternative<DataType>(*bound)) {
      value = saved::AttrValue::of(std::get<DataType>(*bound));
    } else if (bound != nullptr && std::holds_alternative<std::int64_t>(*bound)) {
      value = saved::AttrValue::of(std::get<std::int64_t>(*bound));
    } else {
      fail(ErrorCode::kUnsupported, "{}: attribute \"{}\" comes from the caller of a polymorphic function", node.describe(), name);
    }
  }
}

// A node that the importer made: what is left of an inlined call.
saved::NodeDef synthesize(const ir::Node& node) {
  saved::NodeDef def;
  def.op = node.origin.op_type;
  def.device = node.origin.device;
  if (def.op == "IdentityN") {
    saved::AttrList types;
    for (const ir::ValueType& type : node.outputs) types.types.push_back(type.dtype);
    saved::set_attr(def.attrs, "T", saved::AttrValue::of(std::move(types)));
  } else if (def.op != "NoOp") {
    fail(ErrorCode::kInternal, "{} has no source NodeDef; please report it", node.describe());
  }
  return def;
}

std::string result_name(const ir::Value& value) {
  const std::string& op_type = value.node->origin.op_type;
  if (op_type == "IdentityN" && value.node->origin.node_def.empty()) return "output:" + std::to_string(value.index);
  if (value.node->is("trt_engine_op")) return "out_tensor:" + std::to_string(value.index);
  const ops::TensorflowOp* op = ops::TensorflowOp::find(op_type);
  const std::string name = op ? op->result_name(value.node->attrs, value.index) : std::string();
  if (name.empty()) {
    fail(ErrorCode::kInternal, "{}: result {} has no name in TensorFlow's op table; please report it", value.node->describe(), value.index);
  }
  return name;
}

}  // namespace

std::string function_body_name(const ir::Value& value) {
  return value.node->is("parameter") ? value.node->name : value.node->name + ":" + result_name(value);
}

std::string main_graph_name(const ir::Value& value) {
  return value.index == 0 ? value.node->name : value.node->name + ":" + std::to_string(value.index);
}

saved::NodeDef write_node(const ir::Node& node, const ValueName& value_name) {
  saved::NodeDef def = node.origin.node_def.empty() ? synthesize(node)
                                                    : saved::decode_node(node.origin.node_def, node.origin.keep_alive);
  std::vector<std::string> inputs;
  for (const ir::Value& input : node.inputs) inputs.push_back(value_name(input));
  for (const ir::Node* control : node.control_inputs) inputs.push_back("^" + control->name);
  if (def.name == node.name && def.inputs == inputs && !def.raw.empty()) return def;
  saved::NodeDef edited = def.edited();
  edited.name = node.name;
  edited.inputs = std::move(inputs);
  bind_placeholders(edited, node);
  if (node.is("enter")) {  // inlining gives each call's frame a name of its own
    saved::set_attr(edited.attrs, "frame_name", saved::AttrValue::of(node.attr_or<std::string>("frame_name", {})));
  }
  return edited;
}

}  // namespace tenon::exporter
