#include "tenon/convert.h"

#include <nlohmann/json.hpp>

#include "api/model_state.h"
#include "api/stored_weights.h"
#include "api/verify.h"
#include "backend/builtin.h"
#include "base/error.h"
#include "build/build.h"

namespace tenon {

ConvertReport convert(const std::string& input_saved_model_dir, const std::string& output_saved_model_dir,
                      const ConvertOptions& options) {
  importer::ImportOptions import_options;
  import_options.signature_keys = options.signature_keys;
  api::OpenModel model(input_saved_model_dir, options.tags, import_options);
  if (model.file().frozen_graph) {
    fail(ErrorCode::kUnsupported, "{} is a frozen graph; convert takes a SavedModel folder", input_saved_model_dir);
  }
  api::StoredWeights weights(model);
  const auto backend = make_default_backend();
  const auto index = static_cast<std::size_t>(&model.meta_graph() - model.file().meta_graphs.data());
  ConvertReport report = build::convert({model.file(), index, model.module(), weights}, *backend, output_saved_model_dir, options);
  if (options.verify) report.verification = api::verify(input_saved_model_dir, output_saved_model_dir, options);
  return report;
}

std::string ConvertReport::to_json() const {
  using Json = nlohmann::ordered_json;
  Json json{{"seconds", seconds}, {"converted_nodes", converted_nodes}, {"native_nodes", native_nodes}, {"total_flops", total_flops},
            {"engine_flops", engine_flops}, {"native_ms", native_ms}, {"converted_ms", converted_ms}, {"notes", notes},
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
                                    {"scale", error.scale}, {"first_node", error.first_node}});
  }
  return json.dump(2, ' ', false, Json::error_handler_t::replace);  // names may be any bytes
}

}  // namespace tenon
