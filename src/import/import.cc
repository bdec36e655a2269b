#include "import/import.h"

#include <algorithm>
#include <charconv>
#include <set>

#include "base/error.h"
#include "import/attributes.h"
#include "import/graph_builder.h"
#include "ops/inference.h"
#include "ops/registry.h"
#include "ops/tensorflow_ops.h"
#include "ops/variables.h"

namespace tenon::importer {
namespace {

constexpr int kMaxUnknownOutputs = 1 << 10;

ir::Binding bind(const ir::Module& module, const saved::TensorInfo& info, SymbolSource& symbols) {
  ir::Binding binding{info.key, info.name, {saved::remove_ref(info.dtype), convert_shape(info.shape, symbols)}, {}};
  if (info.kind == saved::TensorInfo::Kind::kDense && !info.name.empty()) {
    try {
      binding.value = find_tensor(module, info.name);
    } catch (const Error& error) {
      if (error.code() != ErrorCode::kNotFound) throw;  // a signature that names a missing tensor fails when it is called
    }
  }
  return binding;
}

ir::Binding bind_raw(const ir::Module& module, const std::string& name) {
  const ir::Value value = find_tensor(module, name);
  return {name, name, value.node->outputs.at(static_cast<std::size_t>(value.index)), value};
}

void add_signature(ir::Module& module, const saved::SignatureDef& def) {
  ir::Signature signature{def.key, def.method_name, {}, {}, {}};
  for (const saved::TensorInfo& info : def.inputs) signature.inputs.push_back(bind(module, info, module.symbols));
  for (const saved::TensorInfo& info : def.outputs) signature.outputs.push_back(bind(module, info, module.symbols));
  for (const saved::SignatureDefault& value : def.defaults) signature.defaults.emplace(value.key, value.value.decode());
  module.signatures.push_back(std::move(signature));
}

bool is_placeholder(const ir::Node& node) { return node.is("placeholder") || node.is("placeholder_with_default"); }

// Tensors of nodes that no other node reads: what a frozen graph is taken to compute.
std::vector<std::string> unconsumed_tensors(const ir::Graph& graph) {
  std::set<const ir::Node*> consumed;
  for (const auto& node : graph.nodes()) {
    for (const ir::Value& input : node->inputs) consumed.insert(input.node);
  }
  std::vector<std::string> names;
  for (const auto& node : graph.nodes()) {
    if (consumed.contains(node.get()) || node->outputs.empty() || is_placeholder(*node) || node->is("const")) continue;
    for (std::size_t i = 0; i < node->outputs.size(); ++i) {
      names.push_back(i == 0 ? node->name : node->name + ":" + std::to_string(i));
    }
  }
  return names;
}

void add_raw_signature(ir::Module& module, const ImportOptions& options) {
  ir::Signature signature{"serving_default", "", {}, {}, {}};
  std::vector<std::string> inputs = options.inputs;
  std::vector<std::string> outputs = options.outputs;
  if (inputs.empty()) {
    for (const auto& node : module.main->nodes()) {
      if (is_placeholder(*node)) inputs.push_back(node->name);
    }
  }
  if (outputs.empty()) outputs = unconsumed_tensors(*module.main);
  for (const std::string& name : inputs) signature.inputs.push_back(bind_raw(module, name));
  for (const std::string& name : outputs) signature.outputs.push_back(bind_raw(module, name));
  module.signatures.push_back(std::move(signature));
}

void add_signatures(ir::Module& module, const saved::Model& model, const saved::MetaGraph& meta_graph,
                    const ImportOptions& options) {
  for (const std::string& key : options.signature_keys) {
    if (meta_graph.find_signature(key) == nullptr && !(model.frozen_graph && key == "serving_default")) {
      std::string known;
      for (const saved::SignatureDef& def : meta_graph.signatures) {
        if (!saved::is_internal_signature(def.key)) known += (known.empty() ? "" : ", ") + def.key;
      }
      fail(ErrorCode::kNotFound, "the model has no signature \"{}\"; it has: {}", key, known.empty() ? "none" : known);
    }
  }
  if (!options.inputs.empty() || !options.outputs.empty() || model.frozen_graph) {
    add_raw_signature(module, options);
    return;
  }
  for (const saved::SignatureDef& def : meta_graph.signatures) {
    if (saved::is_internal_signature(def.key)) continue;
    const auto& keys = options.signature_keys;
    if (keys.empty() || std::find(keys.begin(), keys.end(), def.key) != keys.end()) add_signature(module, def);
  }
}

std::vector<ir::Node*> kept_nodes(const ir::Module& module) {
  std::vector<ir::Node*> roots;
  for (const ir::Signature& signature : module.signatures) {
    for (const ir::Binding& output : signature.outputs) {
      if (output.value) roots.push_back(output.value.node);
    }
  }
  if (module.init != nullptr) roots.push_back(module.init);
  return roots;
}

// A signature may know more of a placeholder's shape than the placeholder; TensorFlow checks feeds against both.
void refine_placeholders(ir::Module& module) {
  for (const ir::Signature& signature : module.signatures) {
    for (const ir::Binding& input : signature.inputs) {
      if (!input.value || !input.value.node->is("placeholder")) continue;
      ir::Node& node = *input.value.node;
      if (!node.attr_or<PartialShape>("shape", {}).known_rank() && input.type.shape.known_rank() && module.signatures.size() == 1) {
        node.attrs.set("shape", input.type.shape);
      }
    }
  }
}

void infer_types(ir::Module& module) {
  ops::InferenceOptions options;
  options.tolerate_errors = true;  // what no wanted output needs may be as broken as it likes
  for (auto& [name, function] : module.functions) {
    ops::Facts facts(module.symbols, options);
    ops::infer(*function, facts, options);
  }
  ops::Facts facts(module.symbols, options);
  ops::infer(*module.main, facts, options);
}

}  // namespace

ir::Value find_tensor(const ir::Module& module, std::string_view tensor_name) {
  const std::size_t colon = tensor_name.rfind(':');
  int index = 0;
  ir::Node* node = nullptr;
  if (colon != std::string_view::npos) {
    const std::string_view digits = tensor_name.substr(colon + 1);
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), index);
    if (error == std::errc() && end == digits.data() + digits.size()) node = module.main->find(tensor_name.substr(0, colon));
  } else {
    node = module.main->find(tensor_name);
  }
  // How many results an op has that TensorFlow's table does not know, only those who name them can tell.
  if (node != nullptr && node->is("unsupported") && ops::TensorflowOp::find(node->origin.op_type) == nullptr && index >= 0 &&
      index < kMaxUnknownOutputs && index >= static_cast<int>(node->outputs.size())) {
    node->outputs.resize(static_cast<std::size_t>(index) + 1);
  }
  if (node == nullptr || index < 0 || index >= static_cast<int>(node->outputs.size())) {
    fail(ErrorCode::kNotFound, "the model has no tensor \"{}\"; names are \"node\" or \"node:output\"", tensor_name);
  }
  return {node, index};
}

std::unique_ptr<ir::Module> import_module(const saved::Model& model, const saved::MetaGraph& meta_graph,
                                          const ImportOptions& options) {
  auto module = std::make_unique<ir::Module>();
  GraphBuilder builder(meta_graph, model.storage, *module, options.open_foreign_engines);
  module->main = builder.build_main();
  add_signatures(*module, model, meta_graph, options);
  refine_placeholders(*module);
  if (const std::string init = meta_graph.init_op(); !init.empty()) {
    module->init = module->main->find(init);
    if (module->init == nullptr) fail(ErrorCode::kInvalidModel, "the initializer \"{}\" is not in the graph", init);
  }
  for (const saved::AssetFileDef& asset : meta_graph.assets) {
    if (!asset.tensor_name.empty()) {
      module->assets.push_back({find_tensor(*module, asset.tensor_name), model.asset_path(asset).string()});
    }
  }
  module->main->topological_order();  // refuses cycles before anything walks the graph
  builder.inline_calls(*module->main, kept_nodes(*module));
  builder.import_referenced(*module->main, kept_nodes(*module));
  ops::bind_ref_variables(*module->main, kept_nodes(*module));
  for (auto& [name, function] : module->functions) ops::bind_ref_variables(*function);
  infer_types(*module);
  return module;
}

}  // namespace tenon::importer
