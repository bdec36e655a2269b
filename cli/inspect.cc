// tenon inspect: signatures, ops and engines of a model.
#include "tenon/inspect.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <memory>

#include "command.h"

namespace tenon::cli {
namespace {

struct InspectOptions {
  Common common;
  std::string path;
  std::string stage;
  std::string tags;
};

Json spec_json(const TensorSpec& spec) {
  Json json{{"name", spec.name}, {"tensor", spec.tensor_name}, {"dtype", dtype_name(spec.dtype)}};
  if (spec.known_rank) {
    json["shape"] = spec.shape;
  } else {
    json["shape"] = nullptr;
  }
  return json;
}

Json info_json(const ModelInfo& info) {
  Json json{{"path", info.path}, {"frozen_graph", info.frozen_graph}, {"meta_graphs", Json::array()}};
  for (const MetaGraphInfo& graph : info.meta_graphs) {
    Json g{{"tags", graph.tags},
           {"nodes", graph.nodes},
           {"functions", graph.functions},
           {"variables", graph.variables},
           {"assets", graph.assets},
           {"ops", graph.ops},
           {"unsupported_ops", graph.unsupported_ops},
           {"signatures", Json::object()},
           {"engines", Json::array()}};
    for (const SignatureInfo& signature : graph.signatures) {
      Json s{{"method_name", signature.method_name}, {"inputs", Json::array()}, {"outputs", Json::array()}};
      for (const TensorSpec& spec : signature.inputs) s["inputs"].push_back(spec_json(spec));
      for (const TensorSpec& spec : signature.outputs) s["outputs"].push_back(spec_json(spec));
      g["signatures"][signature.key] = std::move(s);
    }
    for (const EngineInfo& engine : graph.engines) {
      g["engines"].push_back({{"name", engine.name},
                              {"bytes", engine.bytes},
                              {"precision", engine.precision},
                              {"stamp", engine.stamp},
                              {"problem", engine.problem},
                              {"nodes", engine.nodes}});
    }
    if (graph.signatures.empty()) {
      g["placeholders"] = graph.placeholders;
      g["unconsumed"] = graph.unconsumed;
    }
    json["meta_graphs"].push_back(std::move(g));
  }
  return json;
}

void print_tensors(const char* direction, const std::vector<TensorSpec>& specs) {
  fmt::print("  The given SavedModel SignatureDef contains the following {}(s):\n", direction);
  for (const TensorSpec& spec : specs) {
    fmt::print("    {}s['{}'] tensor_info:\n        dtype: {}\n        shape: {}\n        name: {}\n", direction, spec.name,
               dtype_enum_name(spec.dtype),
               spec.known_rank ? fmt::format("({})", fmt::join(spec.shape, ", ")) : "unknown_rank", spec.tensor_name);
  }
}

void print_signature(const SignatureInfo& signature) {
  fmt::print("\nsignature_def['{}']:\n", signature.key);
  print_tensors("input", signature.inputs);
  print_tensors("output", signature.outputs);
  fmt::print("  Method name is: {}\n", signature.method_name);
}

void print_info(const ModelInfo& info) {
  for (const MetaGraphInfo& graph : info.meta_graphs) {
    if (info.frozen_graph) {
      fmt::print("frozen graph\n");
    } else {
      fmt::print("MetaGraphDef with tag-set: '{}'\n", fmt::join(graph.tags, ", "));
    }
    for (const SignatureInfo& signature : graph.signatures) print_signature(signature);
    if (graph.signatures.empty()) {
      fmt::print("no signatures; run it by tensor names\n  placeholders: {}\n  not consumed: {}\n",
                 fmt::join(graph.placeholders, ", "), fmt::join(graph.unconsumed, ", "));
    }
    std::vector<std::pair<int, std::string>> ops;
    for (const auto& [op, count] : graph.ops) ops.emplace_back(-count, op);
    std::sort(ops.begin(), ops.end());
    fmt::print("\n{} nodes, {} functions, {} variables, {} assets\nops:", graph.nodes, graph.functions, graph.variables,
               graph.assets.size());
    for (const auto& [count, op] : ops)
      fmt::print(" {} {}{}", op, -count, graph.unsupported_ops.contains(op) ? " (not implemented)" : "");
    fmt::print("\n");
    for (const EngineInfo& engine : graph.engines) {
      fmt::print("engine {}: {} bytes, {}, built for {}{}{}\n", engine.name, engine.bytes, engine.precision, engine.stamp,
                 engine.nodes.size() > 1 ? fmt::format("; shared by {}", fmt::join(engine.nodes, ", ")) : "",
                 engine.problem.empty() ? "" : "; does not fit here: " + engine.problem);
    }
  }
}

int run(const InspectOptions& options) {
  if (!options.stage.empty()) {
    const std::string text = inspect_stage(options.path, options.stage, split(options.tags, ','));
    if (options.common.json) {
      fmt::print("{}\n", json_text({{"path", options.path}, {"stage", options.stage}, {"ir", text}}));
    } else {
      fmt::print("{}", text);
    }
    return kDone;
  }
  const ModelInfo info = inspect(options.path);
  if (options.common.json) {
    fmt::print("{}\n", json_text(info_json(info)));
  } else {
    print_info(info);
  }
  return kDone;
}

int list_ops(const Common& common, bool markdown) {
  const std::vector<OpInfo> ops = supported_ops();
  if (common.json) {
    Json json = Json::array();
    for (const OpInfo& op : ops)
      json.push_back({{"op", op.tf_op}, {"ir", op.ir_op}, {"family", op.family}, {"engine", op.engine}});
    fmt::print("{}\n", json_text(json));
    return kDone;
  }
  if (markdown) {
    fmt::print(
        "# Ops\n\nMade by `tenon ops --markdown`; a test fails when it is stale. Every op runs natively. \"yes\": the CPU "
        "backend has a "
        "kernel for it,\nso it can be part of an engine where its types, shapes and attributes allow; the report of `tenon "
        "convert` says why "
        "a node is not.\n\n{} TensorFlow ops.\n\n| TensorFlow op | family | IR op | CPU engine, FP32 |\n|---|---|---|---|\n",
        ops.size());
  }
  for (const OpInfo& op : ops) {
    if (markdown) {
      fmt::print("| {} | {} | {} | {} |\n", op.tf_op, op.family, op.ir_op, op.engine);
    } else {
      fmt::print("{:<32} {:<16} {:<28} {}\n", op.tf_op, op.family, op.ir_op, op.engine);
    }
  }
  if (!common.quiet && !markdown) fmt::print("{} TensorFlow ops\n", ops.size());
  return kDone;
}

}  // namespace

void add_inspect(CLI::App& app, std::map<CLI::App*, Body>& bodies) {
  auto options = std::make_shared<InspectOptions>();
  CLI::App* command = app.add_subcommand("inspect", "Show signatures, ops and engines of a model");
  add_common(*command, options->common);
  command->add_option("MODEL", options->path, "SavedModel folder, converted or not, or frozen graph (.pb, .pbtxt)")
      ->required()
      ->type_name("");
  command->add_option("--stage", options->stage, "Print the IR at a stage: import, partition or optimized")->type_name("S");
  command->add_option("--tags", options->tags, "Tags of the meta graph for --stage, comma-separated")->type_name("TAGS");
  bodies[command] = [options] { return run(*options); };
}

void add_ops(CLI::App& app, std::map<CLI::App*, Body>& bodies) {
  auto common = std::make_shared<Common>();
  auto markdown = std::make_shared<bool>(false);
  CLI::App* command = app.add_subcommand("ops", "List the TensorFlow ops that Tenon implements");
  add_common(*command, *common);
  command->add_flag("--markdown", *markdown, "Print the table of docs/ops.md");
  bodies[command] = [common, markdown] { return list_ops(*common, *markdown); };
}

}  // namespace tenon::cli
