#include "import/graph_builder.h"

#include <algorithm>
#include <charconv>
#include <set>

#include "base/error.h"
#include "import/attributes.h"
#include "ir/print.h"
#include "ops/registry.h"
#include "ops/tensorflow_ops.h"

namespace tenon::importer {
namespace {

// Deeper nesting of calls than any real model has, and more nodes: bounds what a hostile file can ask for.
constexpr std::size_t kMaxCallDepth = 200;
constexpr std::size_t kMaxInlinedNodes = 4'000'000;
// Before this graph version a placeholder's scalar shape meant "unknown".
constexpr int kPlaceholderShapeVersion = 24;
constexpr int kMaxOutputIndex = 1 << 16;
// Of ops that TensorFlow's table does not know.
constexpr int kMaxUnknownOutputs = 1 << 10;
// Of one polymorphic function: a recursive one could ask for more and more.
constexpr std::size_t kMaxInstances = 1000;

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
    if (ops::TensorflowOp::find(node.origin.op_type) != nullptr || !node.is("unsupported") || index >= kMaxUnknownOutputs) {
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

std::unordered_set<const ir::Node*> reachable(const std::vector<ir::Node*>& roots) {
  std::unordered_set<const ir::Node*> reached;
  std::vector<const ir::Node*> work(roots.begin(), roots.end());
  while (!work.empty()) {
    const ir::Node* node = work.back();
    work.pop_back();
    if (!reached.insert(node).second) continue;
    for (const ir::Value& input : node->inputs) work.push_back(input.node);
    work.insert(work.end(), node->control_inputs.begin(), node->control_inputs.end());
  }
  return reached;
}

ir::FunctionRef called_function(const ir::Node& call) {
  try {
    return call.attr<ir::FunctionRef>("f");
  } catch (const Error& error) {
    fail(error.code(), "{}: {}", call.describe(), error.what());
  }
}

void collect_placeholders(const saved::AttrMap& attrs, std::set<std::string>& names) {
  for (const auto& [key, value] : attrs) {
    if (const auto* placeholder = value.get_if<saved::Placeholder>()) names.insert(placeholder->name);
    if (const auto* one = value.get_if<std::shared_ptr<const saved::FunctionRef>>()) collect_placeholders((*one)->attrs, names);
    if (const auto* list = value.get_if<std::shared_ptr<const saved::AttrList>>()) {
      for (const saved::FunctionRef& ref : (*list)->functions) collect_placeholders(ref.attrs, names);
    }
  }
}

// Names of the attributes that a polymorphic function takes from who names it.
std::set<std::string> attributes_taken(const saved::FunctionDef& function) {
  std::set<std::string> names;
  for (const saved::ArgDef& arg : function.input_args) {
    if (!arg.type_attr.empty()) names.insert(arg.type_attr);
  }
  for (const saved::NodeDef& node : function.nodes) collect_placeholders(node.attrs, names);
  return names;
}

// Values that are the same whenever they are made: no order can matter to them.
bool is_timeless(const ir::Node& node) { return node.is("const") || node.is("var_handle"); }

}  // namespace

GraphBuilder::GraphBuilder(const saved::MetaGraph& meta_graph, std::shared_ptr<const void> keep_alive, ir::Module& module,
                           bool open_foreign_engines)
    : meta_graph_(meta_graph), keep_alive_(std::move(keep_alive)), module_(module), open_foreign_engines_(open_foreign_engines) {
  for (const saved::FunctionDef& function : meta_graph.graph.functions) functions_.emplace(function.name, &function);
}

const saved::FunctionDef* GraphBuilder::find_function(std::string_view name) const {
  const auto it = functions_.find(name);
  return it == functions_.end() ? nullptr : it->second;
}

// TF1 graphs call a function by a node whose op is the function's name. It becomes what PartitionedCall is.
const saved::FunctionDef* GraphBuilder::function_called_as_op(const saved::NodeDef& def) const {
  return ops::find_rule(def.op) == nullptr && ops::TensorflowOp::find(def.op) == nullptr ? find_function(def.op) : nullptr;
}

ir::Node* GraphBuilder::add_call_as_op(ir::Graph& graph, const saved::NodeDef& def, const saved::FunctionDef& function, ir::Attrs attrs) {
  ir::Attrs call;
  call.set("f", ir::FunctionRef{function.name, std::make_shared<const ir::Attrs>(attrs)});
  ir::Node* node = graph.add(ops::op("call"), def.name, {}, std::move(call), static_cast<int>(function.output_args.size()));
  node->origin = {def.op, def.device, def.raw, keep_alive_, {}};
  for (std::size_t i = 0; i < function.output_args.size(); ++i) {
    const saved::ArgDef& output = function.output_args[i];
    const DataType dtype = saved::remove_ref(output.dtype);
    node->outputs[i].dtype = dtype != DataType::kInvalid ? dtype : attrs.get_or<DataType>(output.type_attr, DataType::kInvalid);
  }
  return node;
}

// An engine of TF-TRT's with a native segment becomes a call of that.
bool GraphBuilder::is_opened(const ir::Node& engine) const {
  if (!open_foreign_engines_ || !engine.is("trt_engine_op") || !engine.attr_or<std::string>("_tenon_engine", {}).empty()) return false;
  return find_function(engine.attr_or<ir::FunctionRef>("segment_func", {}).name) != nullptr;
}

ir::Node* GraphBuilder::add_node(ir::Graph& graph, const saved::NodeDef& def, const ir::Attrs& caller) {
  const ops::ImportRule* rule = ops::find_rule(def.op);
  ir::Attrs attrs;
  try {
    attrs = convert_attrs(def.attrs, caller, module_.symbols);
  } catch (const Error& error) {
    fail(error.code(), "{} \"{}\": {}", def.op, def.name, error.what());
  }
  if (const saved::FunctionDef* called = function_called_as_op(def)) return add_call_as_op(graph, def, *called, std::move(attrs));
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
  if (is_opened(*node)) {
    ir::Attrs call;
    call.set("f", node->attr<ir::FunctionRef>("segment_func"));
    node->op = &ops::op("call");
    node->attrs = std::move(call);
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
  if (const saved::FunctionDef* called = producer.is("call") ? find_function(producer.origin.op_type) : nullptr) {
    const std::string_view wanted = rest.substr(0, second);
    const auto& outputs = called->output_args;
    const auto at = std::find_if(outputs.begin(), outputs.end(), [&](const saved::ArgDef& output) { return output.name == wanted; });
    if (at == outputs.end() || index != 0) {
      fail(ErrorCode::kInvalidModel, "function \"{}\": {} reads \"{}\", which {} does not have", graph.name(), who, name,
           producer.describe());
    }
    return output_of(producer, static_cast<int>(at - outputs.begin()), who);
  }
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
  const std::unordered_set<const ir::Node*> needed = reachable(roots);
  std::vector<ir::Node*> calls;
  bool control_flow = false;
  for (const auto& node : graph.nodes()) {
    control_flow |= node->op->is(ir::kControlFlow);
    if (is_call(*node) && needed.contains(node.get())) calls.push_back(node.get());
  }
  for (ir::Node* call : calls) {
    const ir::FunctionRef ref = called_function(*call);
    const saved::FunctionDef* function = find_function(ref.name);
    if (function == nullptr) continue;  // running it is refused by name
    if (std::find(stack_.begin(), stack_.end(), ref.name) != stack_.end()) continue;  // recursive: stays a call
    if (stack_.size() >= kMaxCallDepth) fail(ErrorCode::kInvalidModel, "functions call each other more than {} deep", kMaxCallDepth);
    if (graph.size() + inlined_size(*function, 0) > kMaxInlinedNodes) {
      fail(ErrorCode::kInvalidModel, "inlining \"{}\" makes more than {} nodes", ref.name, kMaxInlinedNodes);
    }
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
    inline_call(graph, *call, *body, control_flow ? tie_to_frame(graph, *call) : nullptr);
  }
}

// Nodes of a body with every call in it inlined; what is too many or too deep counts as more than is allowed.
std::size_t GraphBuilder::inlined_size(const saved::FunctionDef& function, std::size_t depth) {
  if (depth > kMaxCallDepth) return kMaxInlinedNodes;
  const auto [it, fresh] = inlined_sizes_.try_emplace(&function, 0);  // a recursive call stays one
  if (!fresh) return it->second;
  std::size_t size = function.nodes.size();
  for (const saved::NodeDef& def : function.nodes) {
    const saved::FunctionDef* callee = function_called_as_op(def);
    const ops::ImportRule* rule = ops::find_rule(def.op);
    if (rule != nullptr && rule->ir_op == std::string_view("call")) {
      const saved::AttrValue* attr = saved::find_attr(def.attrs, "f");
      const auto* ref = attr ? attr->get_if<std::shared_ptr<const saved::FunctionRef>>() : nullptr;
      callee = ref ? find_function((*ref)->name) : nullptr;
    }
    if (callee != nullptr) size = std::min(size + inlined_size(*callee, depth + 1), kMaxInlinedNodes);
  }
  inlined_sizes_[&function] = size;
  return size;
}

// Where TF1 control flow is around, what a body makes from nothing must be made in the caller's frame and iteration, and only if
// the call is alive: it waits for an identity of the call's first operand.
ir::Node* GraphBuilder::tie_to_frame(ir::Graph& graph, const ir::Node& call) {
  if (call.inputs.empty()) return nullptr;
  const ir::Value operand = call.inputs[0];
  const ir::ValueType type = operand.node->outputs[static_cast<std::size_t>(operand.index)];
  ir::Attrs attrs;
  attrs.set("T", std::vector<DataType>{type.dtype});
  ir::Node* tie = graph.add(ops::op("identity"), call.name + "/operand", {operand}, std::move(attrs));
  tie->outputs[0] = type;
  tie->origin = {"IdentityN", call.origin.device, {}, nullptr, {}};
  return tie;
}

// The call node itself becomes the identity of its name, so consumers and control edges stay as they are.
void GraphBuilder::inline_call(ir::Graph& graph, ir::Node& call, const ir::Graph& body, ir::Node* tie) {
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
    if (copy->is("enter")) {  // two calls of one function open two frames
      copy->attrs.set("frame_name", call.name + "/" + copy->attr_or<std::string>("frame_name", {}));
    }
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
    // State is looked at only after what the call waited for, also by nodes that read arguments.
    const bool stateful = node->op->is(ir::kStateful) || node->is("call") || node->is("unsupported");
    const bool from_nothing = node->inputs.empty() && node->control_inputs.empty();
    if ((stateful || from_nothing) && !is_timeless(*node)) {
      copy->control_inputs.insert(copy->control_inputs.end(), call.control_inputs.begin(), call.control_inputs.end());
    }
    if (from_nothing && tie != nullptr) copy->control_inputs.push_back(tie);
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

std::unique_ptr<ir::Graph> GraphBuilder::instantiate(const saved::FunctionDef& function, const ir::Attrs& attrs) {
  auto body = build_function(function, attrs);
  std::vector<ir::Node*> roots = body->control_outputs;
  for (const ir::Value& output : body->outputs) roots.push_back(output.node);
  stack_.push_back(function.name);
  inline_calls(*body, roots);
  stack_.pop_back();
  return body;
}

// A function whose body takes attributes from its caller is another one for other attributes.
std::string GraphBuilder::instance_name(const saved::FunctionDef& function, const ir::Attrs& attrs) {
  std::string key;
  for (const std::string& name : attributes_taken(function)) {
    if (const ir::AttrValue* value = attrs.find(name)) key += name + "=" + ir::print(*value) + ";";
  }
  std::map<std::string, std::string>& known = instances_[&function];
  const auto it = known.find(key);
  if (it != known.end()) return it->second;
  if (known.size() >= kMaxInstances) {
    fail(ErrorCode::kInvalidModel, "function \"{}\" is named with more than {} sets of attributes", function.name, kMaxInstances);
  }
  std::string name = function.name;
  for (std::size_t i = known.size(); module_.functions.contains(name) || (i > 0 && find_function(name) != nullptr); ++i) {
    name = function.name + "#" + std::to_string(i);
  }
  known.emplace(std::move(key), name);
  return name;
}

void GraphBuilder::import_referenced(ir::Graph& graph, const std::vector<ir::Node*>& roots) {
  const std::unordered_set<const ir::Node*> needed = reachable(roots);
  std::vector<ir::Graph*> work{&graph};
  const auto require = [&](ir::FunctionRef& ref) {
    const saved::FunctionDef* function = find_function(ref.name);
    if (function == nullptr) return;  // running it is refused by name
    static const ir::Attrs kNone;
    const ir::Attrs& attrs = ref.attrs ? *ref.attrs : kNone;
    ref.name = instance_name(*function, attrs);
    if (module_.functions.contains(ref.name)) return;
    const auto [it, fresh] = module_.functions.emplace(ref.name, instantiate(*function, attrs));
    work.push_back(it->second.get());
  };
  while (!work.empty()) {
    const ir::Graph* next = work.back();
    work.pop_back();
    for (const auto& node : next->nodes()) {
      if (node->is("unsupported")) continue;
      // A needed call that is left is recursive; those that nothing kept depends on are not followed.
      if (is_call(*node) && next == &graph && !needed.contains(node.get())) continue;
      std::vector<std::pair<std::string, ir::AttrValue>> renamed;
      for (const auto& [name, value] : node->attrs) {
        if (!std::holds_alternative<ir::FunctionRef>(value) && !std::holds_alternative<std::vector<ir::FunctionRef>>(value)) continue;
        auto& [key, copy] = renamed.emplace_back(name, value);
        if (auto* one = std::get_if<ir::FunctionRef>(&copy)) require(*one);
        if (auto* many = std::get_if<std::vector<ir::FunctionRef>>(&copy)) std::for_each(many->begin(), many->end(), require);
      }
      for (auto& [name, value] : renamed) node->attrs.set(std::move(name), std::move(value));
    }
  }
}

}  // namespace tenon::importer
