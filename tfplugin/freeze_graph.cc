#include "tfplugin/freeze_graph.h"

#include <map>
#include <set>
#include <unordered_map>
#include <utility>

#include "tenon/error.h"
#include "tensorflow/core/framework/function.h"
#include "tensorflow/core/framework/node_def_util.h"
#include "tensorflow/core/framework/op.h"

namespace tenon::tf {
namespace {

using tensorflow::AttrValue;
using tensorflow::FunctionDef;
using tensorflow::GraphDef;
using tensorflow::NodeDef;
using Types = std::map<int, tensorflow::DataType>;  // of inputs or outputs that were variables, by number
using Nodes = google::protobuf::RepeatedPtrField<NodeDef>;

bool is_control(const std::string& input) { return input.starts_with('^'); }

// "^node", "node", "node:1", "node:output:0" -> "node".
std::string node_of(const std::string& reference) {
  const std::size_t start = is_control(reference) ? 1 : 0;
  return reference.substr(start, reference.find(':') - start);
}

// One way to write a reference: without the number of the first output or of an argument.
std::string canonical(const std::string& reference) {
  const std::size_t colon = reference.find(':');
  if (colon == std::string::npos || reference.find(':', colon + 1) != std::string::npos) return reference;
  return reference.substr(colon) == ":0" ? reference.substr(0, colon) : reference;
}

// Nodes by name; producers come before consumers, as far as loops allow.
class Order {
 public:
  explicit Order(Nodes& nodes) {
    for (NodeDef& node : nodes) nodes_.emplace(node.name(), &node);
  }

  NodeDef* find(const std::string& name) const {
    const auto it = nodes_.find(name);
    return it == nodes_.end() ? nullptr : it->second;
  }

  // The node and what it needs, without what was given before.
  void add(NodeDef* start) {
    std::vector<std::pair<NodeDef*, int>> path;
    if (seen_.insert(start).second) path.emplace_back(start, 0);
    while (!path.empty()) {
      auto& [node, next] = path.back();
      if (next == node->input_size()) {
        sorted.push_back(node);
        path.pop_back();
        continue;
      }
      NodeDef* producer = find(node_of(node->input(next++)));
      if (producer != nullptr && seen_.insert(producer).second) path.emplace_back(producer, 0);
    }
  }

  std::vector<NodeDef*> sorted;

 private:
  std::unordered_map<std::string, NodeDef*> nodes_;
  std::set<const NodeDef*> seen_;
};

// How an op calls functions.
struct CallForm {
  std::vector<const char*> functions;  // attributes that name them
  const char* inputs = nullptr;        // attribute of the arguments' types
  const char* outputs = nullptr;       // attribute of the results' types
  int first_argument = 0;
};

const CallForm* call_form(const std::string& op) {
  static const auto* forms = new std::map<std::string, CallForm>{
      {"PartitionedCall", {{"f"}, "Tin", "Tout", 0}},
      {"StatefulPartitionedCall", {{"f"}, "Tin", "Tout", 0}},
      {"If", {{"then_branch", "else_branch"}, "Tin", "Tout", 1}},
      {"StatelessIf", {{"then_branch", "else_branch"}, "Tin", "Tout", 1}},
      {"Case", {{"branches"}, "Tin", "Tout", 1}},
      {"StatelessCase", {{"branches"}, "Tin", "Tout", 1}},
      {"While", {{"cond", "body"}, "T", "T", 0}},
      {"StatelessWhile", {{"cond", "body"}, "T", "T", 0}},
  };
  const auto it = forms->find(op);
  return it == forms->end() ? nullptr : &it->second;
}

void set_types(NodeDef& node, const char* attribute, const Types& types) {
  auto* list = (*node.mutable_attr())[attribute].mutable_list();
  for (const auto& [index, type] : types) list->set_type(index, type);
}

void forget_shapes(NodeDef& node, const Types& types) {
  node.mutable_attr()->erase("_output_shapes");
  node.mutable_attr()->erase("_read_only_resource_inputs");
  const auto shapes = node.mutable_attr()->find("output_shapes");
  if (shapes == node.mutable_attr()->end()) return;
  for (const auto& [index, type] : types) {
    if (index >= shapes->second.list().shape_size()) continue;
    auto* shape = shapes->second.mutable_list()->mutable_shape(index);
    shape->Clear();
    shape->set_unknown_rank(true);
  }
}

// Makes `node` another one of the same name, with the control inputs that it had.
void become(NodeDef& node, const std::string& op, const std::vector<std::string>& inputs) {
  std::vector<std::string> all = inputs;
  for (const std::string& input : node.input()) {
    if (is_control(input)) all.push_back(input);
  }
  node.set_op(op);
  node.clear_attr();
  node.clear_experimental_type();
  node.clear_input();
  for (const std::string& input : all) node.add_input(input);
}

void become_constant(NodeDef& node, const tensorflow::Tensor& value) {
  become(node, "Const", {});
  tensorflow::AddNodeAttr("dtype", value.dtype(), &node);
  tensorflow::TensorProto proto;
  value.AsProtoTensorContent(&proto);
  tensorflow::AddNodeAttr("value", proto, &node);
}

class Freezer {
 public:
  Freezer(const GraphDef& graph, const VariableValue& value) : graph_(graph), value_(value) {
    for (const FunctionDef& function : graph.library().function())
      functions_.emplace(function.signature().name(), &function);
  }

  GraphDef freeze(const std::vector<std::string>& outputs) {
    GraphDef result;
    *result.mutable_versions() = graph_.versions();
    Nodes all = graph_.node();
    Order order(all);
    for (const std::string& output : outputs) {
      NodeDef* node = order.find(node_of(output));
      if (node == nullptr) throw Error(ErrorCode::kNotFound, "the graph has no tensor \"" + output + "\"");
      order.add(node);
    }
    Body body(*this, false);
    for (NodeDef* node : order.sorted) body.visit(*node);
    for (NodeDef* node : order.sorted) result.add_node()->Swap(node);
    for (NodeDef& node : body.added) result.add_node()->Swap(&node);
    add_library(result);
    return result;
  }

 private:
  // A function in which some arguments are no variables any more.
  struct Frozen {
    std::string name;
    Types outputs;
  };

  // The nodes of the graph or of one function.
  class Body {
   public:
    Body(Freezer& freezer, bool in_function) : freezer_(freezer), in_function_(in_function) {}

    void add_argument(const std::string& name, tensorflow::DataType type) { variables_[name] = type; }

    // A reference as it must be written now.
    std::string renamed(const std::string& reference) const {
      const auto it = renamed_.find(canonical(reference));
      return it == renamed_.end() ? reference : it->second;
    }

    // DT_INVALID when it was no variable.
    tensorflow::DataType type_of(const std::string& reference) const {
      const auto it = variables_.find(canonical(reference));
      return it == variables_.end() ? tensorflow::DT_INVALID : it->second;
    }

    void visit(NodeDef& node) {
      for (std::string& input : *node.mutable_input()) input = renamed(input);
      if (node.op() == "VarHandleOp" || node.op() == "VariableV2" || node.op() == "Variable") return make_constant(node);
      take_values(node);
      Types variables;
      for (int i = 0; i < node.input_size(); ++i) {
        if (const auto type = type_of(node.input(i)); type != tensorflow::DT_INVALID) variables[i] = type;
      }
      if (const CallForm* form = call_form(node.op())) return visit_call(node, *form, variables);
      if (freezer_.functions_.contains(node.op())) return visit_direct_call(node, variables);
      if (!variables.empty()) replace(node, variables);
    }

    std::vector<NodeDef> added;

   private:
    void make_constant(NodeDef& node) {
      const bool reference = node.op() != "VarHandleOp";
      const tensorflow::Tensor value = freezer_.value_(node);
      become_constant(node, value);
      if (reference) {
        references_.insert(node.name());
        return;
      }
      set_output(node, "resource", "output", 0);
      variables_[output(node, "output", 0)] = value.dtype();
    }

    // Variables of the old kind are values to every op that does not write.
    void take_values(NodeDef& node) {
      const tensorflow::OpDef* op = nullptr;
      for (int i = 0; i < node.input_size(); ++i) {
        if (is_control(node.input(i)) || !references_.contains(node_of(node.input(i)))) continue;
        if (op == nullptr && !tensorflow::OpRegistry::Global()->LookUpOpDef(node.op(), &op).ok()) return;
        if (i >= op->input_arg_size() || !op->input_arg(i).is_ref()) continue;
        if (node.op() != "RefEnter" && node.op() != "RefSwitch" && node.op() != "RefIdentity") refuse(node);
        node.set_op(node.op().substr(3));
        references_.insert(node.name());
        return;
      }
    }

    [[noreturn]] static void refuse(const NodeDef& node) {
      throw Error(ErrorCode::kUnsupported, "the variable that node \"" + node.name() + "\" (" + node.op() +
                                               ") uses cannot become a constant: it is written, or needed as a resource");
    }

    std::string output(const NodeDef& node, const std::string& name, int index) const {
      if (in_function_) return node.name() + ":" + name + ":" + std::to_string(index);
      return index == 0 ? node.name() : node.name() + ":" + std::to_string(index);
    }

    // The node's output has another name in functions now.
    void set_output(const NodeDef& node, const std::string& old_name, const std::string& new_name, int index) {
      if (in_function_) renamed_[output(node, old_name, index)] = output(node, new_name, index);
    }

    void replace(NodeDef& node, const Types& variables) {
      const std::string op = node.op();
      const tensorflow::DataType type = variables.begin()->second;
      const std::vector<std::string> inputs(node.input().begin(), node.input().end());
      const auto attributes = node.attr();
      const auto keep = [&](const char* from, const char* to) {
        if (const auto it = attributes.find(from); it != attributes.end()) (*node.mutable_attr())[to] = it->second;
      };
      if (op == "ReadVariableOp") {
        become(node, "Identity", {inputs[0]});
        tensorflow::AddNodeAttr("T", type, &node);
        set_output(node, "value", "output", 0);
      } else if (op == "VariableShape") {
        become(node, "Shape", {inputs[0]});
        tensorflow::AddNodeAttr("T", type, &node);
        keep("out_type", "out_type");
      } else if (op == "VarIsInitializedOp") {
        become_constant(node, tensorflow::Tensor(true));
        set_output(node, "is_initialized", "output", 0);
      } else if (op == "ResourceGatherNd" && variables.contains(0)) {
        become(node, "GatherNd", {inputs[0], inputs[1]});
        tensorflow::AddNodeAttr("Tparams", type, &node);
        keep("Tindices", "Tindices");
      } else if (op == "ResourceGather" && variables.contains(0)) {
        const auto batch = attributes.find("batch_dims");
        const int axis = batch == attributes.end() ? 0 : static_cast<int>(batch->second.i());
        become(node, "GatherV2", {inputs[0], inputs[1], add_axis(node, axis)});
        tensorflow::AddNodeAttr("Tparams", type, &node);
        tensorflow::AddNodeAttr("Taxis", tensorflow::DT_INT32, &node);
        keep("Tindices", "Tindices");
        keep("batch_dims", "batch_dims");
      } else if (op == "Identity" || op == "Enter" || op == "Switch") {
        hand_on(node, type);
      } else if (op == "IdentityN") {
        set_types(node, "T", variables);
        for (const auto& [index, one] : variables) variables_[output(node, "output", index)] = one;
      } else {
        refuse(node);
      }
    }

    std::string add_axis(const NodeDef& node, int axis) {
      NodeDef constant;
      constant.set_name(node.name() + "/axis");
      become_constant(constant, tensorflow::Tensor(axis));
      added.push_back(constant);
      return output(constant, "output", 0);
    }

    // An op that gives what it gets.
    void hand_on(NodeDef& node, tensorflow::DataType type) {
      (*node.mutable_attr())["T"].set_type(type);
      node.mutable_attr()->erase("_output_shapes");
      if (node.op() == "Switch") {
        variables_[output(node, "output_false", 0)] = type;
        variables_[in_function_ ? output(node, "output_true", 0) : output(node, "", 1)] = type;
      } else {
        variables_[output(node, "output", 0)] = type;
      }
    }

    void visit_call(NodeDef& node, const CallForm& form, const Types& variables) {
      Types arguments;
      for (const auto& [index, type] : variables) arguments[index - form.first_argument] = type;
      if (arguments.contains(-1)) throw Error(ErrorCode::kUnsupported, "node \"" + node.name() + "\" chooses by a variable");
      Types results;
      bool has_results = false;
      const auto freeze_one = [&](std::string_view attribute, tensorflow::NameAttrList& function) {
        const Frozen& frozen = freezer_.freeze_function(function.name(), arguments);
        function.set_name(frozen.name);
        if (attribute == "cond") return;
        if (has_results && results != frozen.outputs) {
          throw Error(ErrorCode::kUnsupported,
                      "the branches of node \"" + node.name() + "\" give a variable and another resource");
        }
        results = frozen.outputs;
        has_results = true;
      };
      for (const char* attribute : form.functions) {
        AttrValue& value = (*node.mutable_attr())[attribute];
        if (value.has_func()) freeze_one(attribute, *value.mutable_func());
        if (!value.has_list()) continue;
        for (tensorflow::NameAttrList& function : *value.mutable_list()->mutable_func()) freeze_one(attribute, function);
      }
      if (arguments.empty() && results.empty()) return;
      if (form.inputs == std::string_view("T") && results != arguments) {
        throw Error(ErrorCode::kUnsupported, "the loop \"" + node.name() + "\" changes which variable it uses");
      }
      set_types(node, form.inputs, arguments);
      set_types(node, form.outputs, results);
      forget_shapes(node, results);
      for (const auto& [index, type] : results) variables_[output(node, "output", index)] = type;
    }

    // The op is the function's name.
    void visit_direct_call(NodeDef& node, const Types& variables) {
      const FunctionDef& function = *freezer_.functions_.at(node.op());
      const Frozen& frozen = freezer_.freeze_function(node.op(), variables);
      node.set_op(frozen.name);
      if (!variables.empty()) forget_shapes(node, {});
      for (const auto& [index, type] : frozen.outputs) {
        const std::string& name = function.signature().output_arg(index).name();
        variables_[in_function_ ? output(node, name, 0) : output(node, "", index)] = type;
      }
    }

    Freezer& freezer_;
    const bool in_function_;
    std::unordered_map<std::string, tensorflow::DataType> variables_;  // tensors that were variables, by reference
    std::unordered_map<std::string, std::string> renamed_;
    std::set<std::string> references_;  // nodes that gave variables of the old kind
  };

  const Frozen& freeze_function(const std::string& name, const Types& arguments) {
    const auto [it, is_new] = frozen_.try_emplace({name, arguments});
    Frozen& frozen = it->second;
    if (!is_new) return frozen;
    frozen.name = name;
    const auto source = functions_.find(name);
    if (source == functions_.end()) {
      if (arguments.empty()) return frozen;
      throw Error(ErrorCode::kNotFound, "the graph has no function \"" + name + "\"");
    }
    FunctionDef function = *source->second;
    if (!arguments.empty()) frozen.name = new_name(name);
    function.mutable_signature()->set_name(frozen.name);
    Body body(*this, true);
    set_arguments(function, arguments, body);
    Order order(*function.mutable_node_def());
    for (NodeDef& node : *function.mutable_node_def()) order.add(&node);
    for (NodeDef* node : order.sorted) body.visit(*node);
    for (NodeDef& node : body.added) function.add_node_def()->Swap(&node);
    for (int i = 0; i < function.signature().output_arg_size(); ++i) {
      auto* result = function.mutable_signature()->mutable_output_arg(i);
      std::string& reference = (*function.mutable_ret())[result->name()];
      reference = body.renamed(reference);
      const tensorflow::DataType type = body.type_of(reference);
      if (type == tensorflow::DT_INVALID || result->type() != tensorflow::DT_RESOURCE) continue;
      result->set_type(type);
      result->clear_handle_data();
      frozen.outputs[i] = type;
    }
    made_.push_back(std::move(function));
    return frozen;
  }

  static void set_arguments(FunctionDef& function, const Types& arguments, Body& body) {
    for (const auto& [index, type] : arguments) {
      if (index >= function.signature().input_arg_size()) {
        throw Error(ErrorCode::kInvalidModel,
                    "function \"" + function.signature().name() + "\" has fewer arguments than its call");
      }
      auto* argument = function.mutable_signature()->mutable_input_arg(index);
      argument->set_type(type);
      argument->clear_handle_data();
      function.mutable_arg_attr()->erase(static_cast<unsigned>(index));
      function.mutable_resource_arg_unique_id()->erase(static_cast<unsigned>(index));
      body.add_argument(argument->name(), type);
    }
    if (!arguments.empty()) function.mutable_attr()->erase("_input_shapes");
  }

  std::string new_name(const std::string& name) {
    std::string result = name + "_frozen";
    for (int i = 1; functions_.contains(result) || !new_names_.insert(result).second; ++i)
      result = name + "_frozen_" + std::to_string(i);
    return result;
  }

  // The functions that the result uses.
  void add_library(GraphDef& result) const {
    tensorflow::FunctionDefLibrary all;
    std::set<std::string> names;
    for (const FunctionDef& function : made_) {
      names.insert(function.signature().name());
      *all.add_function() = function;
    }
    for (const FunctionDef& function : graph_.library().function()) {
      if (!names.contains(function.signature().name())) *all.add_function() = function;
    }
    *all.mutable_gradient() = graph_.library().gradient();
    const tensorflow::FunctionLibraryDefinition library(tensorflow::OpRegistry::Global(), all);
    *result.mutable_library() = library.ReachableDefinitions(result).ToProto();
  }

  const GraphDef& graph_;
  const VariableValue& value_;
  std::unordered_map<std::string, const FunctionDef*> functions_;
  std::map<std::pair<std::string, Types>, Frozen> frozen_;
  std::set<std::string> new_names_;
  std::vector<FunctionDef> made_;
};

}  // namespace

GraphDef freeze_graph(const GraphDef& graph, const std::vector<std::string>& outputs, const VariableValue& value) {
  return Freezer(graph, value).freeze(outputs);
}

}  // namespace tenon::tf
