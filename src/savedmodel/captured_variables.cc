#include "savedmodel/captured_variables.h"

#include <protozero/pbf_reader.hpp>
#include <unordered_map>
#include <unordered_set>

#include "base/error.h"

namespace tenon::saved {
namespace {

using BoundInputs = std::unordered_map<std::string, std::vector<std::int32_t>>;

// SavedObjectGraph.concrete_functions: function name -> object ids of what it captures.
BoundInputs read_bound_inputs(std::string_view object_graph) {
  BoundInputs result;
  protozero::pbf_reader graph(object_graph.data(), object_graph.size());
  while (graph.next(2)) {
    protozero::pbf_reader entry = graph.get_message();
    std::string name;
    std::vector<std::int32_t> ids;
    while (entry.next()) {
      if (entry.tag() == 1) {
        name = entry.get_string();
      } else if (entry.tag() == 2) {
        protozero::pbf_reader function = entry.get_message();
        while (function.next()) {
          if (function.tag() == 2 && function.wire_type() == protozero::pbf_wire_type::length_delimited) {
            for (const std::int32_t id : function.get_packed_int32()) ids.push_back(id);
          } else if (function.tag() == 2) {
            ids.push_back(function.get_int32());
          } else {
            function.skip();
          }
        }
      } else {
        entry.skip();
      }
    }
    result[std::move(name)] = std::move(ids);
  }
  return result;
}

// TrackableObjectGraph: for every object the key of its VARIABLE_VALUE, empty when it has none.
std::vector<std::string> read_value_keys(const std::string& trackable_graph) {
  std::vector<std::string> keys;
  protozero::pbf_reader graph(trackable_graph);
  while (graph.next(1)) {
    protozero::pbf_reader object = graph.get_message();
    std::string key;
    while (object.next(2)) {
      protozero::pbf_reader attribute = object.get_message();
      std::string name;
      std::string checkpoint_key;
      while (attribute.next()) {
        if (attribute.tag() == 1) {
          name = attribute.get_string();
        } else if (attribute.tag() == 3) {
          checkpoint_key = attribute.get_string();
        } else {
          attribute.skip();
        }
      }
      if (name == "VARIABLE_VALUE") key = std::move(checkpoint_key);
    }
    keys.push_back(std::move(key));
  }
  return keys;
}

void add_call(const NodeDef& call, const std::vector<std::int32_t>& ids, const std::vector<std::string>& keys,
              const std::unordered_map<std::string_view, const NodeDef*>& handles, const Bundle& bundle,
              std::unordered_set<std::string>& known, RestorePlan& plan) {
  std::vector<std::string_view> operands;
  for (const std::string& input : call.inputs) {
    if (!input.starts_with('^')) operands.push_back(std::string_view(input).substr(0, input.find(':')));
  }
  if (operands.size() < ids.size()) return;
  const std::size_t first = operands.size() - ids.size();
  for (std::size_t i = 0; i < ids.size(); ++i) {
    if (ids[i] < 0 || static_cast<std::size_t>(ids[i]) >= keys.size()) continue;
    const std::string& key = keys[static_cast<std::size_t>(ids[i])];
    const auto handle = handles.find(operands[first + i]);
    if (key.empty() || handle == handles.end() || bundle.find(key) == nullptr) continue;
    if (!known.insert(handle->second->name).second) continue;
    RestoreTarget target;
    target.node = handle->second->name;
    target.key = key;
    plan.targets.push_back(std::move(target));
  }
}

}  // namespace

void add_captured_variables(const MetaGraph& meta_graph, const Bundle& bundle, RestorePlan& plan) {
  if (meta_graph.object_graph.empty() || bundle.find("_CHECKPOINTABLE_OBJECT_GRAPH") == nullptr) return;
  BoundInputs bound;
  std::vector<std::string> keys;
  try {
    bound = read_bound_inputs(meta_graph.object_graph);
    const Tensor graph = bundle.read("_CHECKPOINTABLE_OBJECT_GRAPH");
    if (graph.dtype() != DataType::kString || graph.num_elements() != 1) return;
    keys = read_value_keys(graph.flat<std::string>()[0]);
  } catch (const protozero::exception&) {
    return;
  }
  std::unordered_set<std::string> known;
  for (const RestoreTarget& target : plan.targets) known.insert(target.node);
  std::unordered_map<std::string_view, const NodeDef*> handles;
  for (const NodeDef& node : meta_graph.graph.nodes) {
    if (node.op == "VarHandleOp") handles.emplace(node.name, &node);
  }
  for (const NodeDef& node : meta_graph.graph.nodes) {
    if (node.op != "StatefulPartitionedCall" && node.op != "PartitionedCall") continue;
    const AttrValue* attr = find_attr(node.attrs, "f");
    const auto* function = attr ? std::get_if<std::shared_ptr<const FunctionRef>>(&attr->value) : nullptr;
    if (function == nullptr) continue;
    const auto ids = bound.find((*function)->name);
    if (ids != bound.end()) add_call(node, ids->second, keys, handles, bundle, known, plan);
  }
}

}  // namespace tenon::saved
