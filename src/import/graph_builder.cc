#include "import/graph_builder.h"

#include <algorithm>
#include <charconv>

#include "base/error.h"
#include "import/attributes.h"
#include "ops/registry.h"
#include "ops/tensorflow_ops.h"

namespace tenon::importer {
namespace {

// Deeper nesting of calls than any real model has, and more nodes: bounds what a hostile file can ask for.
constexpr std::size_t kMaxCallDepth = 200;
constexpr std::size_t kMaxInlinedNodes = 20'000'000;
// Before this graph version a placeholder's scalar shape meant "unknown".
constexpr int kPlaceholderShapeVersion = 24;
constexpr int kMaxOutputIndex = 1 << 16;

int parse_index(std::string_view digits, std::string_view tensor, std::string_view who) {
  int index = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), index);
  if (error != std::errc() || end != digits.data() + digits.size() || index < 0 || index > kMaxOutputIndex) {
    fail(ErrorCode::kInvalidModel, "{}: \"{}\" is not the name of a tensor", who, tensor);
  }
  return index;
}

// Output `index` of a node. An op that TensorFlow's table does not know has as many outputs as its consumers name.
ir::Value output_of(ir::Node& node, int index, const std::string& who) {
  if (index >= static_cast<int>(node.outputs.size())) {
    if (ops::TensorflowOp::find(node.origin.op_type) != nullptr || !node.is("unsupported")) {
      fail(ErrorCode::kInvalidModel, "{} reads output {} of {}, which has {}", who, index, node.describe(), node.outputs.size());
    }
    node.outputs.resize(static_cast<std::size_t>(index) + 1);
  }
  return {&node, index};
}

void set_result_types(ir::Node& node) {
  std::vector<DataType> types;
  if (const ops::TensorflowOp* op = ops::TensorflowOp::find(node.origin.op_type)) {
    types = op->result_types(node.attrs);
  } else if (node.attrs.has("OutT")) {  // TRTEngineOp, which TensorFlow 2.21 does not have
    types = node.attr<std::vector<DataType>>("OutT");
  } else if (node.is("trt_engine_handle")) {
    types = {DataType::kResource};
  }
  node.outputs.resize(types.size());
  for (std::size_t i = 0; i < types.size(); ++i) node.outputs[i].dtype = saved::remove_ref(types[i]);
}

bool is_call(const ir::Node& node) { return node.is("call"); }

}  // namespace

GraphBuilder::GraphBuilder(const saved::MetaGraph& meta_graph, std::shared_ptr<const void> keep_alive, ir::Module& module)
    : meta_graph_(meta_graph), keep_alive_(std::move(keep_alive)), module_(module) {
  for (const saved::FunctionDef& function : meta_graph.graph.functions) functions_.emplace(function.name, &function);
}

const saved::FunctionDef* GraphBuilder::find_function(std::string_view name) const {
  const auto it = functions_.find(name);
  return it == functions_.end() ? nullptr : it->second;
}

ir::Node* GraphBuilder::add_node(ir::Graph& graph, const saved::NodeDef& def, const ir::Attrs& caller) {
  const ops::ImportRule* rule = ops::find_rule(def.op);
  ir::Attrs attrs;
  try {
    attrs = convert_attrs(def.attrs, caller, module_.symbols);
  } catch (const Error& error) {
    fail(error.code(), "{} \"{}\": {}", def.op, def.name, error.what());
  }
  if (const ops::TensorflowOp* op = ops::TensorflowOp::find(def.op)) op->fill_defaults(attrs);
  ir::Node* node = graph.add(ops::op(rule ? rule->ir_op : "unsupported"), def.name, {}, std::move(attrs), 0);
  node->origin = {def.op, def.device, def.raw, keep_alive_, {}};
  set_result_types(*node);
  if (rule && rule->rewrite) {
    try {
      rule->rewrite(node->attrs);
    } catch (const Error& error) {
      fail(error.code(), "{}: {}", node->describe(), error.what());
    }
  }
  return node;
}

ir::Value GraphBuilder::resolve_in_main(const ir::Graph& graph, const ir::Node& consumer, std::string_view name) const {
  const std::string who = consumer.describe();
  const std::size_t colon = name.rfind(':');
  const int index = colon == std::string_view::npos ? 0 : parse_index(name.substr(colon + 1), name, who);
  ir::Node* producer = graph.find(name.substr(0, colon));
  if (producer == nullptr) fail(ErrorCode::kInvalidModel, "{} reads \"{}\", which is not in the graph", who, name);
  return output_of(*producer, index, who);
}

std::unique_ptr<ir::Graph> GraphBuilder::build_main() {
  auto graph = std::make_unique<ir::Graph>("main");
  std::vector<Pending> pending;
  const ir::Attrs no_caller;
  const bool old_placeholders = meta_graph_.graph.producer > 0 && meta_graph_.graph.producer < kPlaceholderShapeVersion;
  for (const saved::NodeDef& def : meta_graph_.graph.nodes) {
    if (graph->find(def.name) != nullptr) fail(ErrorCode::kInvalidModel, "the graph has two nodes called \"{}\"", def.name);
    ir::Node* node = add_node(*graph, def, no_caller);
    if (old_placeholders && def.op == "Placeholder" && node->attr_or<PartialShape>("shape", {}) == PartialShape(Shape{})) {
      node->attrs.set("shape", PartialShape());
    }
    pending.push_back({node, &def});
  }
  for (const Pending& item : pending) {
    for (const std::string& input : item.def->inputs) {
      if (!input.starts_with('^')) {
        item.node->inputs.push_back(resolve_in_main(*graph, *item.node, input));
        continue;
      }
      ir::Node* control = graph->find(std::string_view(input).substr(1));
      if (control == nullptr) {
        fail(ErrorCode::kInvalidModel, "{} waits for \"{}\", which is not in the graph", item.node->describe(), input.substr(1));
      }
      item.node->control_inputs.push_back(control);
    }
  }
  return graph;
}

ir::Value GraphBuilder::resolve_in_function(const std::unordered_map<std::string_view, ir::Node*>& nodes, const ir::Graph& graph,
                                            const std::string& who, std::string_view name) const {
  const std::size_t first = name.find(':');
  const auto found = nodes.find(name.substr(0, first));
  if (found == nodes.end()) {
    fail(ErrorCode::kInvalidModel, "function \"{}\": {} reads \"{}\", which is not in its body", graph.name(), who, name);
  }
  ir::Node& producer = *found->second;
  if (first == std::string_view::npos) return output_of(producer, 0, who);  // an argument, or a lone result
  const std::string_view rest = name.substr(first + 1);
  const std::size_t second = rest.find(':');
  if (second == std::string_view::npos) {
    if (!rest.empty() && rest[0] >= '0' && rest[0] <= '9') return output_of(producer, parse_index(rest, name, who), who);
    if (const ops::TensorflowOp* op = ops::TensorflowOp::find(producer.origin.op_type)) {
      if (const auto index = op->result_index(producer.attrs, rest, 0)) return output_of(producer, *index, who);
    }
    return output_of(producer, 0, who);
  }
  const int index = parse_index(rest.substr(second + 1), name, who);
  if (const ops::TensorflowOp* op = ops::TensorflowOp::find(producer.origin.op_type)) {
    const auto flat = op->result_index(producer.attrs, rest.substr(0, second), index);
    if (!flat) {
      fail(ErrorCode::kInvalidModel, "function \"{}\": {} reads \"{}\", which {} does not have", graph.name(), who, name,
           producer.describe());
    }
    return output_of(producer, *flat, who);
  }
  return output_of(producer, index, who);
}

std::unique_ptr<ir::Graph> GraphBuilder::build_function(const saved::FunctionDef& function, const ir::Attrs& caller) {
  auto graph = std::make_unique<ir::Graph>(function.name);
  std::unordered_map<std::string_view, ir::Node*> nodes;
  for (const saved::ArgDef& arg : function.input_args) {
    if (!arg.number_attr.empty() || !arg.type_list_attr.empty()) {
      fail(ErrorCode::kUnsupported, "function \"{}\": argument \"{}\" is a list of tensors", function.name, arg.name);
    }
    DataType dtype = saved::remove_ref(arg.dtype);
    if (dtype == DataType::kInvalid) dtype = caller.get_or<DataType>(arg.type_attr, DataType::kInvalid);
    ir::Node* node = graph->add(ops::op("parameter"), arg.name);
    node->attrs.set("dtype", dtype);
    node->attrs.set("index", static_cast<std::int64_t>(graph->parameters.size()));
    node->outputs[0].dtype = dtype;
    graph->parameters.push_back(node);
    nodes.emplace(arg.name, node);
  }
  std::vector<Pending> pending;
  for (const saved::NodeDef& def : function.nodes) {
    ir::Node* node = add_node(*graph, def, caller);
    if (!nodes.emplace(def.name, node).second) {
      fail(ErrorCode::kInvalidModel, "function \"{}\" has two nodes or arguments called \"{}\"", function.name, def.name);
    }
    pending.push_back({node, &def});
  }
  const auto control_node = [&](std::string_view name, const std::string& who) {
    const auto found = nodes.find(name);
    if (found == nodes.end()) {
      fail(ErrorCode::kInvalidModel, "function \"{}\": {} waits for \"{}\", which is not in its body", function.name, who, name);
    }
    return found->second;
  };
  for (const Pending& item : pending) {
    for (const std::string& input : item.def->inputs) {
      if (input.starts_with('^')) {
        item.node->control_inputs.push_back(control_node(std::string_view(input).substr(1), item.node->describe()));
      } else {
        item.node->inputs.push_back(resolve_in_function(nodes, *graph, item.node->describe(), input));
      }
    }
  }
  for (const saved::ArgDef& output : function.output_args) {
    const std::string* tensor = function.find_ret(output.name);
    if (tensor == nullptr) {
      fail(ErrorCode::kInvalidModel, "function \"{}\" does not say which tensor its output \"{}\" is", function.name, output.name);
    }
    graph->outputs.push_back(resolve_in_function(nodes, *graph, "output \"" + output.name + "\"", *tensor));
  }
  for (const auto& [name, node] : function.control_ret) {
    graph->control_outputs.push_back(control_node(node, "control output \"" + name + "\""));
  }
  // A body's stateful nodes run whether or not a result needs them.
  for (const auto& node : graph->nodes()) {
    if (node->op->is(ir::kStateful) && !node->is("placeholder") && !node->is("unsupported") &&
        std::find(graph->control_outputs.begin(), graph->control_outputs.end(), node.get()) == graph->control_outputs.end()) {
      const ops::TensorflowOp* op = ops::TensorflowOp::find(node->origin.op_type);
      if (op != nullptr && op->stateful() && node->outputs.empty()) graph->control_outputs.push_back(node.get());
    }
  }
  return graph;
}

void GraphBuilder::inline_calls(ir::Graph& graph, const std::vector<ir::Node*>& roots) {
  std::unordered_set<const ir::Node*> needed;
  std::vector<ir::Node*> work = roots;
  std::vector<ir::Node*> calls;
  while (!work.empty()) {
    ir::Node* node = work.back();
    work.pop_back();
    if (!needed.insert(node).second) continue;
    if (is_call(*node)) calls.push_back(node);
    for (const ir::Value& input : node->inputs) work.push_back(input.node);
    for (ir::Node* control : node->control_inputs) work.push_back(control);
  }
  std::sort(calls.begin(), calls.end(), [](const ir::Node* a, const ir::Node* b) { return a->id < b->id; });
  for (ir::Node* call : calls) {
    const auto ref = call->attr<ir::FunctionRef>("f");
    const saved::FunctionDef* function = find_function(ref.name);
    if (function == nullptr) continue;  // running it is refused by name
    if (std::find(stack_.begin(), stack_.end(), ref.name) != stack_.end()) continue;  // recursive: stays a call
    if (stack_.size() >= kMaxCallDepth) fail(ErrorCode::kInvalidModel, "functions call each other more than {} deep", kMaxCallDepth);
    stack_.push_back(ref.name);
    ir::Attrs caller = call->attrs;
    if (ref.attrs) {
      for (const auto& [name, value] : *ref.attrs) caller.set(name, value);
    }
    std::unique_ptr<ir::Graph> body = build_function(*function, caller);
    std::vector<ir::Node*> body_roots = body->control_outputs;
    for (const ir::Value& output : body->outputs) body_roots.push_back(output.node);
    inline_calls(*body, body_roots);
    stack_.pop_back();
    if (graph.size() + body->size() > kMaxInlinedNodes) {
      fail(ErrorCode::kInvalidModel, "inlining \"{}\" makes more than {} nodes", ref.name, kMaxInlinedNodes);
    }
    inline_call(graph, *call, *body);
  }
}

// The call node itself becomes the identity of its name, so consumers and control edges stay as they are.
void GraphBuilder::inline_call(ir::Graph& graph, ir::Node& call, const ir::Graph& body) {
  if (body.parameters.size() != call.inputs.size() || body.outputs.size() != call.outputs.size()) {
    fail(ErrorCode::kInvalidModel, "{} passes {} and takes {} tensors, function \"{}\" has {} and {}", call.describe(),
         call.inputs.size(), call.outputs.size(), body.name(), body.parameters.size(), body.outputs.size());
  }
  std::unordered_map<const ir::Node*, ir::Node*> copies;
  std::unordered_map<const ir::Node*, ir::Value> arguments;
  for (std::size_t i = 0; i < body.parameters.size(); ++i) arguments[body.parameters[i]] = call.inputs[i];
  for (const auto& node : body.nodes()) {
    if (arguments.contains(node.get())) continue;
    ir::Node* copy = graph.add(*node->op, call.name + "/" + node->name, {}, node->attrs, static_cast<int>(node->outputs.size()));
    copy->outputs = node->outputs;
    copy->origin = node->origin;
    copies[node.get()] = copy;
  }
  const auto mapped = [&](const ir::Value& value) {
    const auto argument = arguments.find(value.node);
    return argument == arguments.end() ? ir::Value{copies.at(value.node), value.index} : argument->second;
  };
  for (const auto& node : body.nodes()) {
    if (arguments.contains(node.get())) continue;
    ir::Node* copy = copies.at(node.get());
    for (const ir::Value& input : node->inputs) copy->inputs.push_back(mapped(input));
    for (const ir::Node* control : node->control_inputs) {
      const auto argument = arguments.find(control);
      copy->control_inputs.push_back(argument == arguments.end() ? copies.at(control) : argument->second.node);
    }
    // What nothing in the body precedes waits for what the call waited for.
    if (!call.control_inputs.empty() && node->inputs.empty() && node->control_inputs.empty() && !node->is("const")) {
      copy->control_inputs = call.control_inputs;
    }
  }
  const std::vector<ir::Node*> waited = std::move(call.control_inputs);
  call.control_inputs.clear();
  call.inputs.clear();
  for (const ir::Value& output : body.outputs) call.inputs.push_back(mapped(output));
  for (const ir::Node* control : body.control_outputs) {
    const auto argument = arguments.find(control);
    if (argument == arguments.end()) call.control_inputs.push_back(copies.at(control));
  }
  for (ir::Node* control : waited) call.control_inputs.push_back(control);
  call.op = &ops::op("identity");
  call.attrs = {};
  std::vector<DataType> types;
  for (const ir::ValueType& type : call.outputs) types.push_back(type.dtype);
  if (!types.empty()) call.attrs.set("T", types);
  call.origin = {"IdentityN", call.origin.device, {}, nullptr, {}};
  if (call.outputs.empty()) {
    call.op = &ops::op("no_op");
    call.origin.op_type = "NoOp";
  }
}

void GraphBuilder::import_referenced(const ir::Graph& graph) {
  std::vector<const ir::Graph*> work{&graph};
  const auto require = [&](const ir::FunctionRef& ref) {
    if (module_.functions.contains(ref.name)) return;
    const saved::FunctionDef* function = find_function(ref.name);
    if (function == nullptr) return;  // running it is refused by name
    auto body = build_function(*function, ref.attrs ? *ref.attrs : ir::Attrs{});
    std::vector<ir::Node*> roots = body->control_outputs;
    for (const ir::Value& output : body->outputs) roots.push_back(output.node);
    stack_.push_back(ref.name);
    inline_calls(*body, roots);
    stack_.pop_back();
    work.push_back(body.get());
    module_.functions.emplace(ref.name, std::move(body));
  };
  while (!work.empty()) {
    const ir::Graph* next = work.back();
    work.pop_back();
    for (const auto& node : next->nodes()) {
      if (node->is("unsupported")) continue;
      if (is_call(*node) && next == &graph) continue;  // calls that nothing kept depends on are not inlined either
      for (const auto& [name, value] : node->attrs) {
        if (const auto* one = std::get_if<ir::FunctionRef>(&value)) require(*one);
        if (const auto* many = std::get_if<std::vector<ir::FunctionRef>>(&value)) {
          for (const ir::FunctionRef& ref : *many) require(ref);
        }
      }
    }
  }
}

}  // namespace tenon::importer
