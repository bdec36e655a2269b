#include "api/engines.h"

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <optional>

#include "api/stored_weights.h"
#include "backend/builtin.h"
#include "base/error.h"
#include "base/file.h"
#include "base/hash.h"
#include "partition/partition.h"
#include "plan/engine.h"
#include "runtime/checkpoint.h"

namespace tenon::api {
namespace {

constexpr const char* kAssetPrefix = "trt-serialized-engine.";

// The part of a node's name after the last "/": what TF-TRT keys engines by.
std::string canonical_name(const std::string& node_name) {
  const std::size_t slash = node_name.rfind('/');
  return slash == std::string::npos ? node_name : node_name.substr(slash + 1);
}

void print_line(const std::string& line, void*) { std::fprintf(stderr, "tenon: %s\n", line.c_str()); }

std::optional<std::filesystem::path> engine_file(const OpenModel& model, const std::string& engine) {
  for (const saved::AssetFileDef& asset : model.meta_graph().assets) {
    if (std::filesystem::path(asset.filename).filename() == kAssetPrefix + engine) return model.file().asset_path(asset);
  }
  return std::nullopt;
}

// Whether the plan is the one that the node was written for.
bool belongs_to(const plan::Engine& engine, const ir::Node& node) {
  const auto results = node.attr_or<std::vector<DataType>>("OutT", {});
  if (engine.inputs.size() != node.inputs.size() || engine.outputs.size() != results.size()) return false;
  if (node.outputs.size() != results.size()) return false;
  for (std::size_t i = 0; i < results.size(); ++i) {
    if (engine.outputs[i].dtype != results[i]) return false;
  }
  const auto arguments = node.attr_or<std::vector<DataType>>("InT", {});
  for (std::size_t i = 0; i < engine.inputs.size() && i < arguments.size(); ++i) {
    if (engine.inputs[i].dtype != arguments[i]) return false;
  }
  return true;
}

// A converted model's node carries the hash of its engine's file: one of the same name and types from another conversion would
// compute with other weights.
bool is_the_one_written_for(const ir::Node& node, const std::string& name, const std::filesystem::path& file) {
  const auto identity = node.attr_or<std::string>("_tenon_engine", {});
  return identity.empty() || identity == fmt::format("{}:{:016x}", name, hash64(MappedFile::open(file)->bytes()));
}

// Why the stored plan is not used; empty after a success.
std::string load_stored(const OpenModel& model, const ir::Node& node, const std::string& name, Backend& backend, WeightsProvider& weights,
                        const DeviceOptions& device, std::unique_ptr<Executable>& executable) {
  try {
    const auto file = engine_file(model, name);
    if (!file) return "the model holds no engine of that name";
    const plan::Engine engine = plan::read(*file);
    if (engine.name != name || !belongs_to(engine, node) || !is_the_one_written_for(node, name, *file)) {
      return "the stored engine is another one's";
    }
    if (const Verdict fits = plan::compatible(engine, backend.capabilities().stamp); !fits) return fits.reason();
    executable = backend.load(engine, weights, device);
    return {};
  } catch (const std::exception& error) {
    executable.reset();
    return error.what();
  }
}

// The native segment as something to compile: parameters that are variable handles know their variable.
Segment native_segment(const OpenModel& model, const ir::Node& node, const std::string& name) {
  const auto function = node.attr<ir::FunctionRef>("segment_func");
  const auto body = model.module().functions.find(function.name);
  if (body == model.module().functions.end()) {
    fail(ErrorCode::kNotFound, "its native segment \"{}\" is not in the model", function.name);
  }
  Segment segment{name, ir::clone(*body->second)};
  const auto frozen = partition::frozen_variables(model.module());
  for (std::size_t i = 0; i < segment.graph->parameters.size() && i < node.inputs.size(); ++i) {
    ir::Value source = node.inputs[i];
    while (source.node->is("identity") && source.index < static_cast<int>(source.node->inputs.size())) {
      source = source.node->inputs[static_cast<std::size_t>(source.index)];
    }
    const bool changes = source.node->is("ref_variable") && !frozen.contains(source.node);
    if (runtime::is_variable_handle(*source.node) && !changes) {
      segment.graph->parameters[i]->attrs.set("variable", runtime::variable_name(*source.node));
    }
  }
  return segment;
}

}  // namespace

Engines::Engines(OpenModel& model, std::shared_ptr<SharedTeam> team, const SessionOptions& options)
    : model_(model), team_(std::move(team)), options_(options), backend_(make_default_backend()) {
  if (options_.log == nullptr) options_.log = print_line;
  lone_ = std::make_unique<LoneKernels>(model, *backend_, team_);
  for (const auto& node : model.module().main->nodes()) {
    if (node->is("trt_engine_op")) load(*node);
  }
  for (const auto& [name, function] : model.module().functions) {
    for (const auto& node : function->nodes()) {
      if (node->is("trt_engine_op")) load(*node);
    }
  }
}

Engines::~Engines() = default;

void Engines::load(const ir::Node& node) {
  const std::string name = canonical_name(node.name);
  const auto function = node.attr_or<ir::FunctionRef>("segment_func", {});
  EngineStatus status{name, false, false, {}, 0, 0};
  std::unique_ptr<Executable> executable;
  if (options_.native) {
    status.reason = "native execution was asked for";
  } else {
    StoredWeights weights(model_);
    const DeviceOptions device{0, team_, 16};
    status.reason = load_stored(model_, node, name, *backend_, weights, device, executable);
    if (!executable && options_.allow_build) {
      try {
        CompileOptions compile;
        compile.weights = &weights;
        compile.threads = team_->size();
        compile.measure = false;
        executable = backend_->load(backend_->compile(native_segment(model_, node, name), compile), weights, device);
        status.rebuilt = true;
        options_.log(name + ": engine built again at open: " + status.reason, options_.log_context);
      } catch (const Error& error) {
        status.reason += "; it cannot be built here: " + std::string(error.what());
      }
    }
    if (!executable) options_.log(name + ": runs natively: " + status.reason, options_.log_context);
  }
  status.loaded = executable != nullptr;
  kernels_[&node] = std::make_shared<runtime::EngineKernel>(name, function, std::move(executable));
  status_[&node] = std::move(status);
}

runtime::KernelLookup Engines::lookup() {
  return [this](const ir::Node& node) -> std::shared_ptr<runtime::Kernel> {
    const auto it = kernels_.find(&node);
    if (it != kernels_.end()) return it->second;
    return lone_->find(node);
  };
}

std::vector<std::string> Engines::source_names(const ir::Node& node) const {
  std::vector<std::string> names;
  if (!node.is("trt_engine_op")) return names;
  const auto body = model_.module().functions.find(node.attr_or<ir::FunctionRef>("segment_func", {}).name);
  if (body == model_.module().functions.end()) return names;
  for (const ir::Value& output : body->second->outputs) {
    names.push_back(output.index == 0 ? output.node->name : output.node->name + ":" + std::to_string(output.index));
  }
  return names;
}

std::vector<EngineStatus> Engines::status() const {
  std::vector<EngineStatus> result;
  for (const auto& [node, status] : status_) {
    result.push_back(status);
    result.back().calls = kernels_.at(node)->calls();
    result.back().native_calls = kernels_.at(node)->native_calls();
    if (result.back().reason.empty()) result.back().reason = kernels_.at(node)->native_reason();
  }
  std::sort(result.begin(), result.end(), [](const EngineStatus& a, const EngineStatus& b) { return a.name < b.name; });
  return result;
}

std::vector<ProfileEntry> Engines::profile(const std::function<void(const runtime::NodeObserver&)>& run) {
  std::vector<ProfileEntry> entries;
  for (const auto& [node, kernel] : kernels_) kernel->set_profiling(true);
  const runtime::NodeObserver observer = [&](const ir::Node& node, std::span<const Tensor> outputs, double seconds) {
    const auto engine = kernels_.find(&node);
    if (engine != kernels_.end()) {
      std::vector<LayerTime> layers = engine->second->take_layers();
      for (LayerTime& layer : layers) {
        entries.push_back({layer.node, layer.op_type, layer.kernel, layer.shape, engine->second->name(), layer.seconds, layer.flops,
                           std::move(layer.merged)});
      }
      if (!layers.empty()) return;
    }
    const std::string shape = outputs.empty() || !outputs[0].valid() ? "" : outputs[0].describe();
    entries.push_back({node.name, node.origin.op_type, lone_->find(node) ? "lone" : "reference", shape, "", seconds, 0, {}});
  };
  run(observer);
  for (const auto& [node, kernel] : kernels_) kernel->set_profiling(false);
  return entries;
}

}  // namespace tenon::api
