#include "tenon/conversion.h"

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <set>

#include "api/engine_resource.h"
#include "api/freeze.h"
#include "api/model_state.h"
#include "backend/builtin.h"
#include "base/error.h"
#include "base/hash.h"
#include "build/native_report.h"
#include "export/export.h"
#include "partition/function_types.h"
#include "partition/partition.h"
#include "savedmodel/load.h"

namespace tenon {
namespace {

const ir::ValueType& type_of(const ir::Value& value) { return value.node->outputs.at(static_cast<std::size_t>(value.index)); }

ShapeSpec spec_of(const PartialShape& shape) {
  ShapeSpec spec{shape.known_rank(), {}};
  if (spec.known_rank) {
    for (const Dim& dim : shape.dims()) spec.dims.push_back(dim.known() ? dim.size() : -1);
  }
  return spec;
}

// Two conversions in one process, even of one model, have engines of their own until they are saved.
std::uint64_t next_conversion() {
  static std::atomic<std::uint64_t> count{0};
  return ++count;
}

void check(const ConversionOptions& options) {
  static constexpr const char* kPrecisions[] = {"FP32", "FP16", "INT8", "fp32", "fp16", "int8"};
  if (std::ranges::find(kPrecisions, options.precision) == std::end(kPrecisions)) {
    fail(ErrorCode::kInvalidArgument, "precision \"{}\" does not exist; there are FP32, FP16 and INT8", options.precision);
  }
  if (options.maximum_cached_engines < 1) {
    fail(ErrorCode::kInvalidArgument, "maximum_cached_engines must be positive, it is {}", options.maximum_cached_engines);
  }
}

}  // namespace

struct Conversion::State {
  ConversionOptions options;
  std::unique_ptr<api::OpenModel> model;
  std::shared_ptr<Backend> backend;
  partition::Partition partition;
  std::vector<ConvertedEngine> engines;
  std::vector<std::shared_ptr<EngineResource>> resources;  // of `engines`
  std::vector<std::string> notes;
  bool self_contained = false;  // frozen, and no variable is needed any more
  std::uint64_t number = next_conversion();

  State(std::unique_ptr<api::OpenModel> open, const ConversionOptions& conversion_options)
      : options(conversion_options), model(std::move(open)), backend(make_default_backend()) {
    if (options.freeze) freeze();
    step("partitioning", 0.3);
    ir::Module& module = model->module();
    partition::infer_functions(module, partition::known_arguments(module, partition::frozen_variables(module)));
    partition::PartitionOptions rules;
    rules.minimum_segment_size = options.minimum_segment_size;
    rules.op_denylist = options.op_denylist;
    rules.node_denylist = options.node_denylist;
    rules.implicit_batch = options.mode == ShapeMode::kImplicitBatch;
    rules.maximum_engines = options.maximum_engines;
    rules.graph_number = options.graph_number;
    partition = partition::partition(module, *backend, rules);
    for (const partition::SegmentPlan& plan : partition.segments) add_engine(plan);
    step("partitioned", 1.0);
  }

  void freeze() {
    step("freezing", 0.2);
    const api::Freezing freezing = api::freeze_variables(*model, options.freeze_limit);
    self_contained = freezing.self_contained;
    if (freezing.too_large) notes.push_back("the variables are larger than freeze_limit and stay variables");
    else if (!self_contained) notes.push_back("variables that are assigned, or read by functions of native loops and branches, stay variables");
  }

  void step(std::string_view what, double done) const {
    if (options.progress) options.progress(what, done);
  }

  void add_engine(const partition::SegmentPlan& plan) {
    ConvertedEngine engine;
    engine.name = plan.name;
    engine.identity = fmt::format("{}:{:x}.{}", plan.name, static_cast<unsigned>(getpid()), number);
    engine.nodes = static_cast<int>(plan.nodes.size() + plan.constants.size());
    for (const auto* nodes : {&plan.nodes, &plan.constants}) {
      for (const ir::Node* node : *nodes) ++engine.ops[node->origin.op_type];
    }
    EngineAttributes& attributes = engine.attributes;
    attributes.name = plan.name.substr(plan.name.rfind('/') + 1);
    attributes.mode = options.mode;
    attributes.strategy = options.strategy;
    attributes.precision = options.precision;
    attributes.maximum_cached_engines = options.maximum_cached_engines;
    attributes.threads = options.threads;
    for (const ir::Value& input : plan.inputs) {
      attributes.input_types.push_back(type_of(input).dtype);
      attributes.input_shapes.push_back(spec_of(type_of(input).shape));
    }
    for (const ir::Value& output : plan.outputs) {
      attributes.output_types.push_back(type_of(output).dtype);
      engine.output_shapes.push_back(spec_of(type_of(output).shape));
    }
    engine.in_main_graph = plan.graph == model->module().main.get();
    resources.push_back(EngineResource::get(engine.identity, attributes));
    engines.push_back(std::move(engine));
  }

  // What an engine that was not built yet is: the conversion's options, the segment and the values it reads.
  std::string unbuilt_identity(const partition::SegmentPlan& plan) const {
    std::uint64_t hash = hash64(plan.name);
    const auto mix = [&](std::string_view text) { hash = hash * 1099511628211ull ^ hash64(text); };
    mix(model->file().meta_graphs.empty() ? std::string_view() : model->meta_graph().raw);
    mix(model->meta_graph().graph.raw);
    mix(model->checkpoint_fingerprint());
    mix(fmt::format("{} {} {} {}", static_cast<int>(options.mode), static_cast<int>(options.strategy), options.minimum_segment_size,
                    options.maximum_cached_engines));
    for (const ir::Node* node : plan.nodes) mix(node->name);
    return fmt::format("{}:{:016x}", plan.name, hash);
  }

  // The segments with what `write` has for them. `empty` is what a file without engines holds.
  std::vector<exporter::BuiltSegment> built(const WriteModelOptions& write, const std::string& empty) const {
    std::vector<exporter::BuiltSegment> result;
    for (std::size_t i = 0; i < partition.segments.size(); ++i) {
      const partition::SegmentPlan& plan = partition.segments[i];
      exporter::BuiltSegment segment{&plan, plan.name, {}, nullptr};
      const auto engine = write.engines.find(plan.name);
      if (engine != write.engines.end() && !write.in_process) segment.bytes = write.save_engines ? &engine->second : &empty;
      if (write.in_process) {
        segment.identity = engines[i].identity;
      } else if (segment.bytes != nullptr && !segment.bytes->empty()) {
        segment.identity = exporter::identity_of(plan.name, *segment.bytes);
      } else {
        segment.identity = unbuilt_identity(plan);
      }
      result.push_back(std::move(segment));
    }
    return result;
  }

  exporter::ExportOptions export_options(const WriteModelOptions& write) const {
    exporter::ExportOptions result;
    result.meta_graph = static_cast<std::size_t>(&model->meta_graph() - model->file().meta_graphs.data());
    result.precision = options.precision;
    std::ranges::transform(result.precision, result.precision.begin(), [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
    result.mode = options.mode;
    result.strategy = options.strategy;
    result.allow_build_at_runtime = write.allow_build_at_runtime;
    result.use_calibration = options.use_calibration;
    result.remove_native_segments = write.remove_native_segments;
    result.maximum_cached_engines = options.maximum_cached_engines;
    result.max_workspace_size_bytes = options.max_workspace_size_bytes;
    if (!model->file().frozen_graph) result.signature_keys = {options.signature_key};
    result.replace = write.replace;
    result.self_contained = self_contained && !model->file().frozen_graph;
    result.only_this_meta_graph = true;
    return result;
  }
};

Conversion::Conversion(std::unique_ptr<State> state) : state_(std::move(state)) {}
Conversion::Conversion(Conversion&&) noexcept = default;
Conversion& Conversion::operator=(Conversion&&) noexcept = default;
Conversion::~Conversion() = default;

Conversion Conversion::open(const std::string& saved_model_dir, const ConversionOptions& options) {
  check(options);
  if (options.progress) options.progress("loading", 0.0);
  importer::ImportOptions import_options;
  import_options.open_foreign_engines = true;
  import_options.signature_keys = {options.signature_key};
  auto model = std::make_unique<api::OpenModel>(saved_model_dir, options.tags, import_options);
  if (model->file().frozen_graph) fail(ErrorCode::kUnsupported, "{} is a frozen graph; a SavedModel folder is wanted here", saved_model_dir);
  model->verify_variables();  // what is written holds all of them
  return Conversion(std::make_unique<State>(std::move(model), options));
}

Conversion Conversion::open_graph(const std::string& graph_def, const std::vector<std::string>& outputs, const ConversionOptions& options) {
  check(options);
  importer::ImportOptions import_options;
  import_options.open_foreign_engines = true;
  import_options.outputs = outputs;
  const auto bytes = std::make_shared<std::string>(graph_def);
  auto loaded = saved::load_bytes(*bytes, bytes, "the graph", saved::FileFormat::kBinary);
  if (!loaded.frozen_graph) fail(ErrorCode::kInvalidArgument, "a GraphDef is wanted, these are the bytes of a SavedModel");
  return Conversion(std::make_unique<State>(std::make_unique<api::OpenModel>(std::move(loaded), options.tags, import_options), options));
}

const std::vector<ConvertedEngine>& Conversion::engines() const { return state_->engines; }

std::vector<ConvertedNode> Conversion::nodes() const { return build::converted_nodes(state_->model->module(), state_->partition); }

int Conversion::main_graph_nodes() const {
  const partition::Partition& partition = state_->partition;
  std::set<const ir::Node*> inside;
  for (const partition::SegmentPlan& plan : partition.segments) {
    inside.insert(plan.nodes.begin(), plan.nodes.end());
    inside.insert(plan.constants.begin(), plan.constants.end());
  }
  const auto& nodes = state_->model->module().main->nodes();
  return static_cast<int>(std::ranges::count_if(nodes, [&](const auto& node) {
    return partition.needed.contains(node.get()) && !inside.contains(node.get());
  }));
}

ConvertReport Conversion::report() const {
  ConvertReport report;
  for (const ConvertedEngine& engine : state_->engines) {
    report.engines.push_back({engine.name, engine.nodes, engine.ops, 0, 0, 0, 0, {}});
    report.converted_nodes += engine.nodes;
  }
  build::add_native_nodes(state_->partition, report);
  report.notes = state_->notes;
  return report;
}

std::shared_ptr<EngineResource> Conversion::resource(const std::string& engine_name) const {
  for (std::size_t i = 0; i < state_->engines.size(); ++i) {
    if (state_->engines[i].name == engine_name) return state_->resources[i];
  }
  fail(ErrorCode::kNotFound, "the converted model has no engine \"{}\"", engine_name);
}

void Conversion::write(const std::string& saved_model_dir, const WriteModelOptions& options) const {
  if (state_->model->file().frozen_graph) fail(ErrorCode::kUnsupported, "a GraphDef was converted; it is written as one");
  const std::string empty;
  exporter::export_model(state_->model->file(), state_->model->module(), state_->partition, state_->built(options, empty), saved_model_dir,
                         state_->export_options(options));
}

std::string Conversion::graph_def(const WriteModelOptions& options) const {
  const std::string empty;
  return exporter::export_graph(state_->model->file(), state_->model->module(), state_->partition, state_->built(options, empty),
                                state_->export_options(options));
}

}  // namespace tenon
