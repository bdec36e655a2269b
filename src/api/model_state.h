// A model that is open: file, module, stored variables. What a session, a conversion and an inspection start from.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "import/import.h"
#include "ir/module.h"
#include "savedmodel/load.h"
#include "savedmodel/variables.h"

namespace tenon::api {

class OpenModel {
 public:
  // Loads, imports, and plans what of the checkpoint goes where. Throws as saved::load and import_module do.
  OpenModel(const std::string& path, const std::vector<std::string>& tags, const importer::ImportOptions& options);

  // The same for a model in memory.
  OpenModel(saved::Model model, const std::vector<std::string>& tags, const importer::ImportOptions& options);

  const saved::Model& file() const { return model_; }
  const saved::MetaGraph& meta_graph() const { return *meta_graph_; }
  ir::Module& module() { return *module_; }
  const ir::Module& module() const { return *module_; }
  // What the checkpoint's index holds, checksums of all values among it; empty without one.
  std::string checkpoint_fingerprint() const;
  // Names the files of assets where the graph has their tensors. For running; exporters use a module without this.
  void bind_assets();
  // Reads the whole checkpoint and holds it against its checksums; throws kInvalidModel. Running reads only what it needs.
  void verify_variables() const {
    if (bundle_) bundle_->verify();
  }
  // The stored value of a variable by its shared or node name; an invalid tensor when the checkpoint has none. Thread-safe.
  Tensor stored_variable(const std::string& name) const;

 private:
  void unite_handles(const saved::RestorePlan& plan);

  saved::Model model_;
  const saved::MetaGraph* meta_graph_ = nullptr;
  std::unique_ptr<ir::Module> module_;
  std::optional<saved::Bundle> bundle_;
  std::unordered_map<std::string, saved::RestoreTarget> restore_;  // by variable name
};

}  // namespace tenon::api
