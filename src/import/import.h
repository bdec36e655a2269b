// From a SavedModel's structs to the IR: import rules, inlined calls, resolved tensor names, inferred types.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "ir/module.h"
#include "savedmodel/model.h"

namespace tenon::importer {

struct ImportOptions {
  // Signatures to keep; empty: all callable ones.
  std::vector<std::string> signature_keys;
  // Tensor names ("node", "node:1") to keep besides, for graphs without signatures or runs by raw names.
  std::vector<std::string> inputs;
  std::vector<std::string> outputs;
  // Engines that TF-TRT made, not Tenon, are replaced by their native segments: to convert them.
  bool open_foreign_engines = false;
};

// Calls reachable from what is kept are inlined ("call/inner"; an `identity` of the call's name remains), so the main graph
// holds no PartitionedCall except recursive ones. Bodies of If, While and Case become module functions. Ops without a rule are
// kept as `unsupported`. A model without signatures (a frozen graph) gets one called "serving_default" made from `inputs` and
// `outputs`, by default from its placeholders and the tensors that nobody consumes.
// Throws kInvalidModel (dangling names, cycles), kNotFound (a signature or tensor that is not there).
std::unique_ptr<ir::Module> import_module(const saved::Model& model, const saved::MetaGraph& meta_graph,
                                          const ImportOptions& options = {});

// "node", "node:1" or "^node" -> node and output; throws kNotFound when the module's main graph has no such tensor.
ir::Value find_tensor(const ir::Module& module, std::string_view tensor_name);

}  // namespace tenon::importer
