#include "api/model_state.h"

#include "base/file.h"
#include "ops/registry.h"
#include "runtime/checkpoint.h"
#include "savedmodel/captured_variables.h"

namespace tenon::api {

OpenModel::OpenModel(const std::string& path, const std::vector<std::string>& tags, const importer::ImportOptions& options)
    : OpenModel(saved::load(path), tags, options) {}

OpenModel::OpenModel(saved::Model model, const std::vector<std::string>& tags, const importer::ImportOptions& options)
    : model_(std::move(model)), meta_graph_(&model_.meta_graph(tags)) {
  module_ = importer::import_module(model_, *meta_graph_, options);
  const auto prefix = model_.variables_prefix();
  if (!prefix.empty()) bundle_ = saved::Bundle::open(prefix);
  saved::RestorePlan plan = saved::plan_restore(*meta_graph_, bundle_ ? &*bundle_ : nullptr);
  if (bundle_) saved::add_captured_variables(*meta_graph_, *bundle_, plan);
  for (const saved::RestoreTarget& target : plan.targets) {
    restore_.emplace(target.node, target);
    // The saver's handle and the signature's can be two nodes with one shared name.
    const saved::NodeDef* node = meta_graph_->find_node(target.node);
    if (node == nullptr) continue;
    const std::string shared_name = node->string_attr("shared_name", "");
    if (!shared_name.empty()) restore_.emplace(shared_name, target);
  }
  unite_handles(plan);
}

// Signatures and saver can use different handles of one stored variable (Keras 3). The saver's takes over, so that a converted
// model, which has no object graph to tell the others apart, restores what its signatures read.
void OpenModel::unite_handles(const saved::RestorePlan& plan) {
  std::unordered_map<std::string, ir::Node*> first;
  for (const saved::RestoreTarget& target : plan.targets) {
    ir::Node* node = module_->main->find(target.node);
    if (node == nullptr || target.kind != saved::RestoreTarget::Kind::kVariable || !target.spec.empty()) continue;
    const auto [it, fresh] = first.try_emplace(target.key, node);
    if (!fresh && it->second != node && node->origin.op_type == "VarHandleOp" && it->second->origin.op_type == "VarHandleOp") {
      module_->main->replace_uses(node->output(), it->second->output());
    }
  }
}

void OpenModel::bind_assets() {
  for (const ir::Asset& asset : module_->assets) {
    ir::Attrs attrs;
    attrs.set("value", Tensor::scalar<std::string>(asset.path));
    ir::Node* node = module_->main->add(ops::op("const"), asset.value.node->name + "/asset", {}, std::move(attrs));
    node->origin.op_type = "Const";
    node->outputs[0] = {DataType::kString, Shape{}};
    module_->main->replace_uses(asset.value, node->output());
  }
}

std::string OpenModel::checkpoint_fingerprint() const {
  const auto prefix = model_.variables_prefix();
  return prefix.empty() ? std::string() : read_file(prefix.string() + ".index");
}

Tensor OpenModel::stored_variable(const std::string& name) const {
  const auto it = restore_.find(name);
  if (it == restore_.end() || !bundle_) return {};
  return bundle_->read(it->second.key, it->second.spec);
}

}  // namespace tenon::api
