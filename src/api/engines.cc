#include "api/engines.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <optional>

#include "api/engine_resource.h"
#include "api/segment_of_node.h"
#include "api/stored_weights.h"
#include "backend/builtin.h"
#include "base/error.h"
#include "base/file.h"
#include "base/hash.h"
#include "partition/equal_graphs.h"
#include "plan/engine.h"

namespace tenon::api {
namespace {

constexpr const char* kAssetPrefix = "trt-serialized-engine.";

void print_line(const std::string& line, void*) { std::fprintf(stderr, "tenon: %s\n", line.c_str()); }

std::optional<std::filesystem::path> engine_file(const OpenModel& model, const std::string& engine) {
  for (const saved::AssetFileDef& asset : model.meta_graph().assets) {
    if (std::filesystem::path(asset.filename).filename() == kAssetPrefix + engine) return model.file().asset_path(asset);
  }
  return std::nullopt;
}

struct StoredBytes {
  std::string_view bytes;
  std::shared_ptr<const void> owner;
};

// What is stored for a node: its engine's file, or what the node itself holds, as nodes of GraphDefs do. Nothing when there is neither; no
// bytes are an engine that was not built yet.
std::optional<StoredBytes> stored_bytes(const OpenModel& model, const ir::Node& node, const std::string& engine) {
  if (const auto path = engine_file(model, engine)) {
    const auto file = MappedFile::open(*path);
    return StoredBytes{file->bytes(), file};
  }
  const bool is_ours = node.attrs.has("_tenon_engine");  // else it is TensorRT's
  const auto own = std::make_shared<const std::string>(is_ours ? node.attr_or<std::string>("serialized_segment", {}) : std::string());
  if (own->empty()) return std::nullopt;
  return StoredBytes{*own, own};
}

// Whether these results and arguments are those of the node.
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

// A converted model's node carries "<name>:<hash>" of its engine's file: one of the same name and types from another conversion
// would compute with other weights.
std::string identity_of(const ir::Node& node) { return node.attr_or<std::string>("_tenon_engine", {}); }

// Starts to read all of a mapped file, in larger pieces than page faults would ask for. Only a hint: failures do not matter.
void read_ahead(std::string_view bytes) {
  const auto page = static_cast<std::uintptr_t>(sysconf(_SC_PAGESIZE));
  const auto start = reinterpret_cast<std::uintptr_t>(bytes.data()) / page * page;
  madvise(reinterpret_cast<void*>(start), reinterpret_cast<std::uintptr_t>(bytes.data()) + bytes.size() - start, MADV_WILLNEED);
}

// The engine that the node names; nodes of TF-TRT have one of their own name.
std::string engine_name(const ir::Node& node) {
  const std::string identity = identity_of(node);
  return identity.empty() ? canonical_name(node.name) : identity.substr(0, identity.rfind(':'));
}

constexpr const char* kAnotherOne = "the stored engine is another one's";

}  // namespace

// A file of the model, as far as it could be loaded.
struct Engines::Stored {
  plan::Engine engine;
  std::shared_ptr<Executable> executable;
  std::string problem;  // why there is no executable
};

// An engine that was built at open.
struct Engines::Rebuilt {
  Segment segment;
  std::shared_ptr<Executable> executable;
};

Engines::Engines(OpenModel& model, std::shared_ptr<SharedTeam> team, const SessionOptions& options)
    : model_(model), team_(std::move(team)), options_(options), backend_(make_default_backend()) {
  if (options_.log == nullptr) options_.log = print_line;
  lone_ = std::make_unique<LoneKernels>(model, *backend_, team_);
  for (const auto& node : model.module().main->nodes()) {
    if (node->is("trt_engine_op")) load(*node);
  }
  for (const auto& [name, function] : model.module().functions) {
    for (const auto& node : function->nodes()) {
      if (!node->is("trt_engine_op")) continue;
      load(*node);
      in_functions_.push_back(node.get());
    }
  }
}

Engines::~Engines() = default;

// A node of this session as what its engine is built from.
class Engines::NodeSource : public runtime::SegmentSource {
 public:
  NodeSource(const OpenModel& model, const ir::Node& node) : model_(model), node_(node), weights_(model) {}
  Segment segment() override { return native_segment(model_.module(), node_, canonical_name(node_.name)); }
  WeightsProvider& weights() override { return weights_; }

 private:
  const OpenModel& model_;
  const ir::Node& node_;
  StoredWeights weights_;
};

// A node whose engines follow TF-TRT's rules, or belong to a conversion of this process.
bool Engines::load_by_rules(const ir::Node& node) {
  const std::string identity = identity_of(node);
  if (options_.native || identity.empty()) return false;
  EngineAttributes attributes;
  try {
    attributes = engine_attributes(node);
  } catch (const Error& error) {
    options_.log(node.name + ": " + error.what(), options_.log_context);
    return false;
  }
  std::shared_ptr<runtime::EngineCache> cache;
  if (std::shared_ptr<EngineResource> resource = EngineResource::find(identity)) {
    cache = EngineResourceAccess::cache(*resource);
    held_.push_back(std::move(resource));
  } else if (attributes.mode == ShapeMode::kAnyShape) {
    return false;
  } else {
    cache = std::make_shared<runtime::EngineCache>(attributes, backend_, team_, options_.log, options_.log_context);
    restore(node, *cache);
  }
  EngineStatus status;
  status.name = attributes.name;
  status.engine = engine_name(node);
  status.loaded = cache->has_engine();
  const bool may_build = options_.allow_build && node.attr_or<bool>("_allow_build_at_runtime", true);
  kernels_[&node] = std::make_shared<runtime::EngineKernel>(attributes.name, node.attr_or<ir::FunctionRef>("segment_func", {}), std::move(cache),
                                                            may_build, std::make_unique<NodeSource>(model_, node));
  status_[&node] = std::move(status);
  return true;
}

// Hands the cache what the model's file holds, if it holds anything: an empty file, or none, is an engine that was not built yet.
void Engines::restore(const ir::Node& node, runtime::EngineCache& cache) {
  const std::string engine = engine_name(node);
  try {
    const auto found = stored_bytes(model_, node, engine);
    if (!found || found->bytes.empty()) return;
    plan::Engine stored = plan::parse(found->bytes, found->owner);
    if (stored.name != engine || identity_of(node) != fmt::format("{}:{:016x}", engine, hash64(found->bytes)) || !belongs_to(stored, node)) {
      fail(ErrorCode::kIncompatiblePlan, "{}", kAnotherOne);
    }
    StoredWeights weights(model_);
    cache.restore(std::move(stored), weights);
  } catch (const std::exception& error) {
    options_.log(engine + ": the stored engine is not used: " + error.what(), options_.log_context);
  }
}

void Engines::load(const ir::Node& node) {
  if (load_by_rules(node)) return;
  const std::string name = canonical_name(node.name);
  EngineStatus status;
  status.name = name;
  status.engine = engine_name(node);
  std::shared_ptr<Executable> executable;
  if (options_.native) {
    status.reason = "native execution was asked for";
  } else {
    StoredWeights weights(model_);
    const Stored& found = stored(node, status.engine, weights);
    status.reason = found.problem;
    if (found.problem.empty() && !belongs_to(found.engine, node)) status.reason = kAnotherOne;
    if (status.reason.empty()) executable = found.executable;
    const bool may_build = options_.allow_build && node.attr_or<bool>("_allow_build_at_runtime", true);
    if (!executable && !may_build) status.reason += "; building is forbidden";
    if (!executable && may_build) executable = rebuild(node, std::string(status.reason), weights, status);
    if (!executable) options_.log(name + ": runs natively: " + status.reason, options_.log_context);
  }
  status.loaded = executable != nullptr;
  kernels_[&node] = std::make_shared<runtime::EngineKernel>(name, node.attr_or<ir::FunctionRef>("segment_func", {}), std::move(executable));
  status_[&node] = std::move(status);
}

// Each file is loaded once, whatever the number of nodes that name it.
const Engines::Stored& Engines::stored(const ir::Node& node, const std::string& engine, WeightsProvider& weights) {
  const std::string identity = identity_of(node);
  std::unique_ptr<Stored>& entry = stored_[identity.empty() ? engine : identity];
  if (entry) return *entry;
  entry = std::make_unique<Stored>();
  try {
    const auto found = stored_bytes(model_, node, engine);
    if (!found) {
      entry->problem = "the model holds no engine of that name";
      return *entry;
    }
    read_ahead(found->bytes);
    // A large file is read once: by the node's hash, else by the checksums of its sections, which tell what is wrong with it.
    const bool whole = !identity.empty() && identity == fmt::format("{}:{:016x}", engine, hash64(found->bytes));
    entry->engine = plan::parse(found->bytes, found->owner, whole ? plan::Checksums::kKnownWhole : plan::Checksums::kVerify);
    if (entry->engine.name != engine || (!identity.empty() && !whole)) {
      entry->problem = kAnotherOne;
    } else if (const Verdict fits = plan::compatible(entry->engine, backend_->capabilities().stamp); !fits) {
      entry->problem = fits.reason();
    } else {
      entry->executable = backend_->load(entry->engine, weights, DeviceOptions{0, team_, 16});
    }
  } catch (const std::exception& error) {
    entry->executable.reset();
    entry->problem = error.what();
  }
  return *entry;
}

// Builds the node's engine from its native segment, or takes the one that was built for an equal segment.
std::shared_ptr<Executable> Engines::rebuild(const ir::Node& node, const std::string& reason, WeightsProvider& weights, EngineStatus& status) {
  try {
    Segment segment = native_segment(model_.module(), node, status.name);
    const auto [first, last] = rebuilt_.equal_range(status.engine);
    for (auto it = first; it != last; ++it) {
      if (!partition::corresponding(*it->second->segment.graph, *segment.graph, &model_.module())) continue;
      status.rebuilt = true;
      return it->second->executable;
    }
    CompileOptions compile;
    compile.weights = &weights;
    compile.threads = team_->size();
    compile.measure = false;
    std::shared_ptr<Executable> executable = backend_->load(backend_->compile(segment, compile), weights, DeviceOptions{0, team_, 16});
    status.rebuilt = true;
    options_.log(status.name + ": engine built again at open: " + reason, options_.log_context);
    rebuilt_.emplace(status.engine, std::make_unique<Rebuilt>(Rebuilt{std::move(segment), executable}));
    return executable;
  } catch (const Error& error) {
    status.reason += "; it cannot be built here: " + std::string(error.what());
    return nullptr;
  }
}

runtime::KernelLookup Engines::lookup() {
  return [this](const ir::Node& node) -> std::shared_ptr<runtime::Kernel> {
    const auto it = kernels_.find(&node);
    if (it != kernels_.end()) return it->second;
    return lone_->find(node);
  };
}

const ir::Graph* Engines::segment_function(const ir::Node& node) const {
  const auto body = model_.module().functions.find(node.attr_or<ir::FunctionRef>("segment_func", {}).name);
  return body == model_.module().functions.end() ? nullptr : body->second.get();
}

std::vector<std::string> Engines::source_names(const ir::Node& node) const {
  std::vector<std::string> names;
  const ir::Graph* body = node.is("trt_engine_op") ? segment_function(node) : nullptr;
  if (body == nullptr) return names;
  for (const ir::Value& output : body->outputs) {
    names.push_back(output.index == 0 ? output.node->name : output.node->name + ":" + std::to_string(output.index));
  }
  return names;
}

// A shared engine has the names of the segment that it was built for: those -> the names in the node's own segment.
std::map<std::string, std::string> Engines::own_names(const ir::Node& node) const {
  std::map<std::string, std::string> names;
  const EngineStatus& status = status_.at(&node);
  if (status.engine == status.name) return names;
  for (const auto& [other, of_other] : status_) {
    if (of_other.name != status.engine) continue;
    const ir::Graph* from = segment_function(*other);
    const ir::Graph* to = segment_function(node);
    if (from == nullptr || to == nullptr) continue;
    const auto match = partition::corresponding(*from, *to, &model_.module());
    if (!match) continue;
    for (const auto& [theirs, own] : match->nodes) names[theirs->name] = own->name;
    break;
  }
  return names;
}

std::vector<EngineStatus> Engines::status() const {
  std::vector<EngineStatus> result;
  for (const auto& [node, status] : status_) {
    result.push_back(status);
    if (const runtime::EngineCache* cache = kernels_.at(node)->cache()) result.back().loaded = cache->has_engine();
    result.back().calls = kernels_.at(node)->calls();
    result.back().native_calls = kernels_.at(node)->native_calls();
    if (const std::string why = kernels_.at(node)->native_reason(); !why.empty()) {
      std::string& reason = result.back().reason;
      reason += (reason.empty() ? "" : "; a call ran natively: ") + why;
    }
    if (const Executable* executable = kernels_.at(node)->executable()) {
      const ExecutableStatistics statistics = executable->statistics();
      result.back().weight_bytes = statistics.weight_bytes;
      result.back().activation_bytes = statistics.arena_bytes;
    }
  }
  std::sort(result.begin(), result.end(), [](const EngineStatus& a, const EngineStatus& b) { return a.name < b.name; });
  return result;
}

double Engines::take_layers(const ir::Node& node, std::vector<ProfileEntry>& entries) const {
  const runtime::EngineKernel& kernel = *kernels_.at(&node);
  std::vector<LayerTime> layers = kernels_.at(&node)->take_layers();
  if (layers.empty()) return 0;
  const auto own = own_names(node);
  const auto rename = [&](std::string& name) {
    if (const auto it = own.find(name); it != own.end()) name = it->second;
  };
  double seconds = 0;
  for (LayerTime& layer : layers) {
    rename(layer.node);
    std::for_each(layer.merged.begin(), layer.merged.end(), rename);
    seconds += layer.seconds;
    entries.push_back({layer.node, layer.op_type, layer.kernel, layer.shape, kernel.name(), layer.seconds, layer.flops, std::move(layer.merged)});
  }
  return seconds;
}

std::vector<ProfileEntry> Engines::profile(const std::function<void(const runtime::NodeObserver&)>& run) {
  std::vector<ProfileEntry> entries;
  for (const auto& [node, kernel] : kernels_) kernel->set_profiling(true);
  const runtime::NodeObserver observer = [&](const ir::Node& node, std::span<const Tensor> outputs, double seconds) {
    if (kernels_.contains(&node) && take_layers(node, entries) > 0) return;
    for (const ir::Node* inner : in_functions_) seconds -= take_layers(*inner, entries);  // what a loop or a branch ran just now
    const std::string shape = outputs.empty() || !outputs[0].valid() ? "" : outputs[0].describe();
    entries.push_back({node.name, node.origin.op_type, lone_->find(node) ? "lone" : "reference", shape, "", std::max(seconds, 0.0), 0, {}});
  };
  run(observer);
  for (const auto& [node, kernel] : kernels_) kernel->set_profiling(false);
  return entries;
}

}  // namespace tenon::api
