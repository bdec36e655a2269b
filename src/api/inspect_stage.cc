// The IR of a model at a stage of the conversion, as text.
#include "api/model_state.h"
#include "api/stored_weights.h"
#include "backend/builtin.h"
#include "base/error.h"
#include "ir/print.h"
#include "ops/registry.h"
#include "partition/function_types.h"
#include "partition/partition.h"
#include "plan/graph_codec.h"
#include "tenon/inspect.h"

namespace tenon {
namespace {

std::string print_import(const ir::Module& module) {
  std::string text = ir::print(*module.main);
  for (const auto& [name, function] : module.functions) text += "\n" + ir::print(*function);
  return text;
}

std::string print_partition(const ir::Module& module, const partition::Partition& partition) {
  std::string text;
  for (const partition::SegmentPlan& plan : partition.segments) text += ir::print(*partition::extract(plan).graph) + "\n";
  std::vector<const ir::Graph*> graphs{module.main.get()};
  graphs.insert(graphs.end(), partition.functions.begin(), partition.functions.end());
  for (const ir::Graph* graph : graphs) {
    for (const ir::Node* node : graph->topological_order()) {
      const auto reason = partition.native_reasons.find(node);
      if (reason != partition.native_reasons.end() && !node->is("parameter")) text += "native " + node->describe() + ": " + reason->second + "\n";
    }
  }
  return text;
}

// A backend has ops of its own, which are only printed here.
const ir::OpDef* find_op_or_private(std::string_view name) {
  const ir::OpDef* op = ops::find_op(name);
  return op ? op : ops::find_op("unsupported");
}

std::string print_optimized(const ir::Module& module, const partition::Partition& partition, Backend& backend, WeightsProvider& weights) {
  CompileOptions options;
  options.measure = false;
  options.weights = &weights;
  std::string text;
  for (const partition::SegmentPlan& plan : partition.segments) {
    Segment segment = partition::extract(plan);
    segment.module = &module;
    const plan::Engine engine = backend.compile(segment, options);
    const plan::Section& blob = engine.section("weights");
    const auto graph = plan::decode_graph(engine.section("graph").bytes, blob.bytes, blob.owner, find_op_or_private);
    text += "# " + plan.name + "\n" + ir::print(*graph) + "\n";
  }
  return text;
}

}  // namespace

std::string inspect_stage(const std::string& path, const std::string& stage, const std::vector<std::string>& tags) {
  if (stage != "import" && stage != "partition" && stage != "optimized") {
    fail(ErrorCode::kInvalidArgument, "there is no stage \"{}\"; there are: import, partition, optimized", stage);
  }
  api::OpenModel model(path, tags, {});
  if (stage == "import") return print_import(model.module());
  const auto backend = make_default_backend();
  partition::infer_functions(model.module(), partition::known_arguments(model.module(), partition::frozen_variables(model.module())));
  const partition::Partition partition = partition::partition(model.module(), *backend, {});
  if (stage == "partition") return print_partition(model.module(), partition);
  api::StoredWeights weights(model);
  return print_optimized(model.module(), partition, *backend, weights);
}

}  // namespace tenon
