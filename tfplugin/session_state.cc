#include "tfplugin/session_state.h"

#include <functional>
#include <string>
#include <vector>

#include "tenon/error.h"
#include "tensorflow/core/common_runtime/device_mgr.h"
#include "tensorflow/core/framework/lookup_interface.h"
#include "tensorflow/core/framework/resource_mgr.h"
#include "tensorflow/core/framework/resource_var.h"
#include "tensorflow/core/framework/tensor_util.h"
#include "tfplugin/status_error.h"

namespace tenon::tf {
namespace {

using tensorflow::NodeDef;

// The name under which the session's devices know what a node makes.
std::string shared_name(const NodeDef& node) {
  const auto it = node.attr().find("shared_name");
  return it == node.attr().end() || it->second.s().empty() ? node.name() : it->second.s();
}

std::string container_of(const NodeDef& node, const tensorflow::ResourceMgr& resources) {
  const auto it = node.attr().find("container");
  return it == node.attr().end() || it->second.s().empty() ? resources.default_container() : it->second.s();
}

const tensorflow::DeviceMgr& devices_of(tensorflow::Session& session) {
  const tensorflow::DeviceMgr* devices = nullptr;
  check(session.LocalDeviceManager(&devices));
  return *devices;
}

tensorflow::Tensor resource_value(tensorflow::Session& session, const NodeDef& node) {
  for (tensorflow::Device* device : devices_of(session).ListDevices()) {
    tensorflow::ResourceMgr* resources = device->resource_manager();
    tensorflow::Var* found = nullptr;
    if (!resources->Lookup<tensorflow::Var>(container_of(node, *resources), shared_name(node), &found).ok()) continue;
    const tensorflow::core::RefCountPtr<tensorflow::Var> variable(found);
    if (device->device_type() != tensorflow::DEVICE_CPU) {
      throw Error(ErrorCode::kUnsupported,
                  "variable \"" + node.name() + "\" lies on " + device->name() + "; load the model on CPUs");
    }
    tensorflow::tf_shared_lock lock(*variable->mu());
    if (variable->is_initialized) return tensorflow::tensor::DeepCopy(*variable->tensor());
  }
  throw Error(ErrorCode::kNotFound,
              "variable \"" + node.name() +
                  "\" has no value in the bundle's session: neither the checkpoint nor an initializer gave it one");
}

bool is_constant_table(const NodeDef& node) { return node.op() == "HashTable" || node.op() == "HashTableV2"; }

bool makes_table(const NodeDef& node) {
  return is_constant_table(node) || node.op().starts_with("MutableHashTable") ||
         node.op().starts_with("MutableDenseHashTable");
}

std::vector<const NodeDef*> tables_of(const tensorflow::GraphDef& graph) {
  std::vector<const NodeDef*> tables;
  const auto look = [&](const auto& nodes) {
    for (const NodeDef& node : nodes) {
      if (makes_table(node)) tables.push_back(&node);
    }
  };
  look(graph.node());
  for (const tensorflow::FunctionDef& function : graph.library().function()) look(function.node_def());
  return tables;
}

}  // namespace

tensorflow::Tensor variable_value(tensorflow::Session& session, const NodeDef& node) {
  if (node.op() == "VarHandleOp") return resource_value(session, node);
  std::vector<tensorflow::Tensor> values;
  check(session.Run({}, {node.name() + ":0"}, {}, &values));
  return values.front();
}

bool has_tables(const tensorflow::GraphDef& graph) { return !tables_of(graph).empty(); }

void share_tables(const tensorflow::GraphDef& graph, tensorflow::Session& from, tensorflow::Session& to) {
  using tensorflow::lookup::LookupInterface;
  tensorflow::ResourceMgr* target = devices_of(to).HostCPU()->resource_manager();
  for (const NodeDef* node : tables_of(graph)) {
    if (!is_constant_table(*node)) continue;
    const std::string name = shared_name(*node);
    for (tensorflow::Device* device : devices_of(from).ListDevices()) {
      tensorflow::ResourceMgr* resources = device->resource_manager();
      LookupInterface* table = nullptr;
      if (!resources->Lookup<LookupInterface, true>(container_of(*node, *resources), name, &table).ok()) continue;
      // Takes the reference. Two nodes may make one table: the second finds it there.
      const absl::Status status = target->Create<LookupInterface>(container_of(*node, *target), name, table);
      if (!absl::IsAlreadyExists(status)) check(status);
      break;
    }
  }
}

}  // namespace tenon::tf
