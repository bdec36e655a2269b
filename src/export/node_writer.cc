#include "export/node_writer.h"

#include <map>
#include <variant>

#include "base/error.h"
#include "ops/tensorflow_ops.h"
#include "savedmodel/decode.h"

namespace tenon::exporter {
namespace {

using saved::AttrList;
using saved::AttrValue;

saved::PartialShape shape_value(const PartialShape& shape) {
  saved::PartialShape result;
  result.known_rank = shape.known_rank();
  for (int i = 0; result.known_rank && i < shape.rank(); ++i) result.dims.push_back(shape[i].known() ? shape[i].size() : -1);
  return result;
}

AttrValue attr_value(const ir::AttrValue& value);

saved::FunctionRef function_value(const ir::FunctionRef& function) {
  saved::FunctionRef result{function.name, {}};
  if (function.attrs) {
    for (const auto& [name, value] : *function.attrs) saved::set_attr(result.attrs, name, attr_value(value));
  }
  return result;
}

// The IR's value as a NodeDef has it.
struct ToSaved {
  template <class T>
  AttrValue operator()(const T& value) const { return AttrValue::of(value); }
  AttrValue operator()(const ir::EmptyList&) const { return AttrValue::of(AttrList()); }
  AttrValue operator()(const PartialShape& value) const { return AttrValue::of(shape_value(value)); }
  AttrValue operator()(const ir::FunctionRef& value) const { return AttrValue::of(function_value(value)); }
  template <class T>
  AttrValue operator()(const std::vector<T>& values) const {
    AttrList list;
    for (const T& value : values) add(list, value);
    return AttrValue::of(std::move(list));
  }
  static void add(AttrList& list, std::int64_t value) { list.ints.push_back(value); }
  static void add(AttrList& list, float value) { list.floats.push_back(value); }
  static void add(AttrList& list, bool value) { list.bools.push_back(value); }
  static void add(AttrList& list, const std::string& value) { list.strings.push_back(value); }
  static void add(AttrList& list, DataType value) { list.types.push_back(value); }
  static void add(AttrList& list, const PartialShape& value) { list.shapes.push_back(shape_value(value)); }
  static void add(AttrList& list, const Tensor& value) { list.tensors.push_back(saved::TensorValue::encode(value)); }
  static void add(AttrList& list, const ir::FunctionRef& value) { list.functions.push_back(function_value(value)); }
};

AttrValue attr_value(const ir::AttrValue& value) { return std::visit(ToSaved{}, value); }

void bind_placeholders(saved::AttrMap& written, const ir::Attrs& attrs, const ir::Node& node);

void bind_in_function(saved::FunctionRef& function, const ir::FunctionRef& bound, const ir::Node& node) {
  static const ir::Attrs kNone;
  bind_placeholders(function.attrs, bound.attrs ? *bound.attrs : kNone, node);
}

// Attributes that a polymorphic function took from its caller, also those that it hands on to functions it names; the IR has
// their values.
void bind_placeholders(saved::AttrMap& written, const ir::Attrs& attrs, const ir::Node& node) {
  for (auto& [name, value] : written) {
    const ir::AttrValue* bound = attrs.find(name);
    if (value.get_if<saved::Placeholder>() != nullptr) {
      if (bound == nullptr) {
        fail(ErrorCode::kUnsupported, "{}: attribute \"{}\" comes from the caller of a polymorphic function, which does not give it",
             node.describe(), name);
      }
      value = attr_value(*bound);
    } else if (const auto* one = value.get_if<std::shared_ptr<const saved::FunctionRef>>()) {
      const auto* ref = bound ? std::get_if<ir::FunctionRef>(bound) : nullptr;
      if (ref == nullptr) continue;
      saved::FunctionRef function = **one;
      bind_in_function(function, *ref, node);
      value = AttrValue::of(std::move(function));
    } else if (const auto* many = value.get_if<std::shared_ptr<const AttrList>>()) {
      const auto* refs = bound ? std::get_if<std::vector<ir::FunctionRef>>(bound) : nullptr;
      if (refs == nullptr || refs->size() != (*many)->functions.size()) continue;
      AttrList list = **many;
      for (std::size_t i = 0; i < refs->size(); ++i) bind_in_function(list.functions[i], (*refs)[i], node);
      value = AttrValue::of(std::move(list));
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
  bind_placeholders(edited.attrs, node.attrs, node);
  if (node.is("enter")) {  // inlining gives each call's frame a name of its own
    saved::set_attr(edited.attrs, "frame_name", saved::AttrValue::of(node.attr_or<std::string>("frame_name", {})));
  }
  return edited;
}

}  // namespace tenon::exporter
