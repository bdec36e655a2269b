#include "tenon/convert.h"

#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <set>
#include <unordered_set>

#include "api/model_state.h"
#include "api/stored_weights.h"
#include "api/verify.h"
#include "backend/builtin.h"
#include "base/error.h"
#include "base/file.h"
#include "build/build.h"

namespace tenon {

namespace {

void check_report_file(const std::string& path) {
  std::error_code error;
  const auto folder = std::filesystem::absolute(path, error).parent_path();
  if (!std::filesystem::is_directory(folder, error) || std::filesystem::is_directory(path, error) || ::access(folder.c_str(), W_OK) != 0) {
    fail(ErrorCode::kIo, "the report cannot be written to {}; name a file in a folder that exists and can be written", path);
  }
}

// Whether how long the model runs can depend on the values that it is fed.
bool has_loops(const ir::Module& module) {
  std::vector<const ir::Node*> work;
  std::unordered_set<const ir::Node*> seen;
  std::set<std::string> functions;
  const auto visit = [&](const ir::FunctionRef& ref) {
    const auto it = module.functions.find(ref.name);
    if (it == module.functions.end() || !functions.insert(ref.name).second) return;
    for (const auto& node : it->second->nodes()) work.push_back(node.get());
  };
  for (const ir::Signature& signature : module.signatures) {
    for (const ir::Binding& output : signature.outputs) {
      if (output.value) work.push_back(output.value.node);
    }
  }
  while (!work.empty()) {
    const ir::Node* node = work.back();
    work.pop_back();
    if (!seen.insert(node).second) continue;
    if (node->is("while") || node->is("enter") || node->is("call")) return true;  // a call that was not inlined is recursive
    for (const ir::Value& input : node->inputs) work.push_back(input.node);
    work.insert(work.end(), node->control_inputs.begin(), node->control_inputs.end());
    for (const auto& [name, value] : node->attrs) {
      if (const auto* one = std::get_if<ir::FunctionRef>(&value)) visit(*one);
      if (const auto* many = std::get_if<std::vector<ir::FunctionRef>>(&value)) std::for_each(many->begin(), many->end(), visit);
    }
  }
  return false;
}

void write_report(const ConvertReport& report, const std::string& path) {
  try {
    write_whole_file(path, report.to_json() + "\n");
  } catch (const Error& error) {
    fail(error.code(), "the model was converted, but not its report written: {}", error.what());
  }
}

}  // namespace

ConvertReport convert(const std::string& input_saved_model_dir, const std::string& output_saved_model_dir,
                      const ConvertOptions& options) {
  if (!options.report.empty()) check_report_file(options.report);
  importer::ImportOptions import_options;
  import_options.signature_keys = options.signature_keys;
  import_options.open_foreign_engines = true;
  api::OpenModel model(input_saved_model_dir, options.tags, import_options);
  if (model.file().frozen_graph) {
    fail(ErrorCode::kUnsupported, "{} is a frozen graph; convert takes a SavedModel folder", input_saved_model_dir);
  }
  model.verify_variables();  // the result holds all of them
  api::StoredWeights weights(model);
  const auto backend = make_default_backend();
  const auto index = static_cast<std::size_t>(&model.meta_graph() - model.file().meta_graphs.data());
  ConvertReport report = build::convert({model.file(), index, model.module(), weights}, *backend, output_saved_model_dir, options);
  if (options.min_gain > 0 && !report.engines.empty()) {
    if (has_loops(model.module())) {
      report.notes.push_back("the whole model was not timed: it has loops, which made-up inputs could make endless");
    } else {
      api::time_models(input_saved_model_dir, output_saved_model_dir, options, report);
    }
  }
  if (options.verify) api::verify(input_saved_model_dir, output_saved_model_dir, options, report);
  if (!options.report.empty()) write_report(report, options.report);
  return report;
}

std::string ConvertReport::to_json() const {
  using Json = nlohmann::ordered_json;
  Json json{{"seconds", seconds}, {"converted_nodes", converted_nodes}, {"native_nodes", native_nodes}, {"total_flops", total_flops},
            {"engine_flops", engine_flops}, {"native_ms", native_ms}, {"converted_ms", converted_ms},
            {"engine_time_share", engine_time_share}, {"notes", notes},
            {"engines", Json::array()}, {"native", Json::array()}, {"verification", Json::array()}};
  for (const EngineReport& engine : engines) {
    json["engines"].push_back({{"name", engine.name}, {"nodes", engine.nodes}, {"ops", engine.ops}, {"flops", engine.flops},
                               {"native_ms", engine.native_ms}, {"engine_ms", engine.engine_ms}, {"bytes", engine.bytes},
                               {"shared_with", engine.shared_with}});
  }
  for (const NativeReport& native_op : native) {
    json["native"].push_back({{"op_type", native_op.op_type}, {"reason", native_op.reason}, {"nodes", native_op.nodes}});
  }
  for (const OutputError& error : verification) {
    json["verification"].push_back({{"signature", error.signature}, {"output", error.output}, {"max_abs_error", error.max_abs_error},
                                    {"scale", error.scale}, {"problem", error.problem}, {"first_node", error.first_node}});
  }
  return json.dump(2, ' ', false, Json::error_handler_t::replace);  // names may be any bytes
}

}  // namespace tenon
