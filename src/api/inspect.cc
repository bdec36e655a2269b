#include "tenon/inspect.h"

#include <filesystem>
#include <map>
#include <set>

#include "backend/builtin.h"
#include "base/error.h"
#include "ops/registry.h"
#include "plan/engine.h"
#include "savedmodel/load.h"

namespace tenon {
namespace {

TensorSpec describe(const saved::TensorInfo& info) {
  TensorSpec spec{info.key, info.name, info.dtype, info.shape.known_rank, info.shape.dims};
  return spec;
}

void count_ops(const std::vector<saved::NodeDef>& nodes, MetaGraphInfo& info) {
  for (const saved::NodeDef& node : nodes) {
    ++info.ops[node.op];
    ++info.nodes;
    if (node.op == "VarHandleOp" || node.op == "VariableV2" || node.op == "Variable") ++info.variables;
    if (ops::find_rule(node.op) == nullptr) ++info.unsupported_ops[node.op];
  }
}

// Which nodes name which engine.
void list_engine_nodes(const std::vector<saved::NodeDef>& nodes, std::map<std::string, std::vector<std::string>>& by_engine) {
  for (const saved::NodeDef& node : nodes) {
    if (node.op != "TRTEngineOp") continue;
    std::string engine = node.has_attr("_tenon_engine") ? node.string_attr("_tenon_engine") : std::string();
    engine = engine.empty() ? node.name.substr(node.name.rfind('/') + 1) : engine.substr(0, engine.rfind(':'));
    by_engine[engine].push_back(node.name);
  }
}

EngineInfo describe_engine(const saved::Model& model, const saved::AssetFileDef& asset, const Capabilities& here) {
  EngineInfo info;
  info.name = std::filesystem::path(asset.filename).filename().string().substr(std::string("trt-serialized-engine.").size());
  const auto path = model.asset_path(asset);
  std::error_code error;
  info.bytes = std::filesystem::file_size(path, error);
  try {
    const plan::Engine engine = plan::read(path);
    info.precision = engine.precision;
    info.stamp = engine.stamp.to_string();
    info.problem = plan::compatible(engine, here.stamp).reason();
  } catch (const Error& failure) {
    info.problem = failure.what();
  }
  return info;
}

void list_raw_tensors(const saved::MetaGraph& graph, MetaGraphInfo& info) {
  std::set<std::string> consumed;
  for (const saved::NodeDef& node : graph.graph.nodes) {
    for (const std::string& input : node.inputs) consumed.insert(input.substr(0, input.find(':')));
  }
  for (const saved::NodeDef& node : graph.graph.nodes) {
    if (node.op == "Placeholder" || node.op == "PlaceholderWithDefault") {
      std::string text = node.name + ":0";
      if (node.has_attr("dtype")) text += " " + std::string(dtype_name(node.type_attr("dtype")));
      if (node.has_attr("shape")) text += " " + node.shape_attr("shape").to_string();
      info.placeholders.push_back(std::move(text));
    } else if (!consumed.contains(node.name) && node.op != "NoOp" && node.op != "Const" && node.op != "Assert") {
      info.unconsumed.push_back(node.name + ":0 (" + node.op + ")");
    }
  }
}

}  // namespace

ModelInfo inspect(const std::string& path) {
  const saved::Model model = saved::load(path);
  const Capabilities here = make_default_backend()->capabilities();
  ModelInfo result{path, model.frozen_graph, {}};
  for (const saved::MetaGraph& graph : model.meta_graphs) {
    MetaGraphInfo info;
    info.tags = graph.tags;
    for (const saved::SignatureDef& signature : graph.signatures) {
      SignatureInfo described{signature.key, signature.method_name, {}, {}};
      for (const saved::TensorInfo& input : signature.inputs) described.inputs.push_back(describe(input));
      for (const saved::TensorInfo& output : signature.outputs) described.outputs.push_back(describe(output));
      info.signatures.push_back(std::move(described));
    }
    count_ops(graph.graph.nodes, info);
    for (const saved::FunctionDef& function : graph.graph.functions) count_ops(function.nodes, info);
    info.functions = static_cast<int>(graph.graph.functions.size());
    std::map<std::string, std::vector<std::string>> engine_nodes;
    list_engine_nodes(graph.graph.nodes, engine_nodes);
    for (const saved::FunctionDef& function : graph.graph.functions) list_engine_nodes(function.nodes, engine_nodes);
    for (const saved::AssetFileDef& asset : graph.assets) {
      info.assets.push_back(asset.filename);
      if (std::filesystem::path(asset.filename).filename().string().starts_with("trt-serialized-engine.")) {
        info.engines.push_back(describe_engine(model, asset, here));
        info.engines.back().nodes = engine_nodes[info.engines.back().name];
      }
    }
    list_raw_tensors(graph, info);
    result.meta_graphs.push_back(std::move(info));
  }
  return result;
}

std::vector<OpInfo> supported_ops() {
  std::vector<OpInfo> result;
  const auto backend = make_default_backend();
  for (const ops::OpFamily* family : ops::families()) {
    for (const ops::ImportRule& rule : family->rules) {
      const ir::OpDef& op = ops::op(rule.ir_op);
      result.push_back({std::string(rule.tf_op), std::string(rule.ir_op), std::string(family->name), op.evaluate != nullptr,
                        backend->has_kernel(rule.ir_op) ? "yes" : "–"});
    }
  }
  return result;
}

}  // namespace tenon
