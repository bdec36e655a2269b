#include "api/engine_resource.h"

#include <algorithm>
#include <cctype>
#include <cstdio>
#include <map>
#include <mutex>

#include "api/function_model.h"
#include "backend/builtin.h"
#include "base/environment.h"
#include "base/error.h"
#include "base/file.h"
#include "base/hash.h"
#include "plan/engine.h"

namespace tenon {
namespace {

constexpr const char* kStrategies[] = {"Range", "Optimal", "Range+Optimal", "ImplicitBatchModeCompatible"};

std::string lower(std::string_view text) {
  std::string result(text);
  std::ranges::transform(result, result.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return result;
}

std::atomic<void (*)(const char*)> engine_log{nullptr};

void write_log(const std::string& line, void*) {
  if (const auto log = engine_log.load()) {
    log(line.c_str());
  } else {
    std::fprintf(stderr, "tenon: %s\n", line.c_str());
  }
}

// Resources by identity, as long as somebody holds them.
struct Table {
  std::mutex mutex;
  std::map<std::string, std::weak_ptr<EngineResource>> resources;
};

Table& table() {
  static Table* table = new Table;  // resources may outlive static objects: sessions of TensorFlow end when they like
  return *table;
}

}  // namespace

std::string_view profile_strategy_name(ProfileStrategy strategy) noexcept { return kStrategies[static_cast<std::size_t>(strategy)]; }

ProfileStrategy profile_strategy_from_name(std::string_view name) {
  for (std::size_t i = 0; i < std::size(kStrategies); ++i) {
    if (lower(name) == lower(kStrategies[i])) return static_cast<ProfileStrategy>(i);
  }
  fail(ErrorCode::kInvalidArgument, "profile strategy \"{}\" does not exist; there are {}, {}, {} and {}", name, kStrategies[0], kStrategies[1],
       kStrategies[2], kStrategies[3]);
}

bool native_segments_allowed() { return environment_flag("TF_TRT_ALLOW_ENGINE_NATIVE_SEGMENT_EXECUTION", true); }

void set_engine_log(void (*log)(const char* line)) { engine_log.store(log); }

namespace api {

std::shared_ptr<SharedTeam> process_team(int threads) {
  static std::mutex mutex;
  static auto* teams = new std::map<int, std::weak_ptr<SharedTeam>>;
  if (threads <= 0) threads = ThreadTeam::available_cpus();
  const std::lock_guard lock(mutex);
  std::weak_ptr<SharedTeam>& slot = (*teams)[threads];
  std::shared_ptr<SharedTeam> team = slot.lock();
  if (!team) slot = team = std::make_shared<SharedTeam>(threads);
  return team;
}

}  // namespace api

struct EngineResource::State {
  std::string identity;
  std::shared_ptr<runtime::EngineCache> cache;

  // The stored engine, until the first call needs it.
  std::mutex stored_mutex;
  std::string file;
  std::string bytes;
  std::string_view held;
  std::shared_ptr<const void> holder;  // of `held`
  std::atomic<bool> unread{false};

  std::mutex function_mutex;
  std::unique_ptr<api::FunctionModel> function;  // that run_natively() used last
  std::string function_name;

  // Bytes of another content than the identity's, or damaged ones, are no engine of this resource.
  void restore(std::string_view stored, std::shared_ptr<const void> owner) {
    if (stored.empty()) return;
    const bool whole = identity.ends_with(fmt::format(":{:016x}", hash64(stored)));
    plan::Engine engine = plan::parse(stored, std::move(owner), whole ? plan::Checksums::kKnownWhole : plan::Checksums::kVerify);
    if (!whole) fail(ErrorCode::kIncompatiblePlan, "the file holds another engine (\"{}\") than the model's", engine.name);
    NoWeights weights;
    cache->restore(std::move(engine), weights);
  }

  void read_stored() {
    if (!unread.load(std::memory_order_acquire)) return;
    const std::lock_guard lock(stored_mutex);
    if (!unread.load(std::memory_order_relaxed)) return;
    try {
      if (holder) {
        restore(held, holder);
      } else if (!file.empty()) {
        const auto mapped = MappedFile::open(file);
        restore(mapped->bytes(), mapped);
      } else {
        const auto kept = std::make_shared<std::string>(std::move(bytes));
        restore(*kept, kept);
      }
    } catch (const std::exception& error) {
      cache->refuse_stored(error.what());
    }
    unread.store(false, std::memory_order_release);
  }
};

const std::shared_ptr<runtime::EngineCache>& EngineResourceAccess::cache(const EngineResource& resource) {
  resource.state_->read_stored();
  return resource.state_->cache;
}

EngineResource::EngineResource(std::unique_ptr<State> state) : state_(std::move(state)) {}

EngineResource::~EngineResource() {
  const std::lock_guard lock(table().mutex);
  const auto it = table().resources.find(state_->identity);
  if (it != table().resources.end() && it->second.expired()) table().resources.erase(it);
}

std::shared_ptr<EngineResource> EngineResource::find(const std::string& identity) {
  const std::lock_guard lock(table().mutex);
  const auto it = table().resources.find(identity);
  return it == table().resources.end() ? nullptr : it->second.lock();
}

std::shared_ptr<EngineResource> EngineResource::get(const std::string& identity, const EngineAttributes& attributes) {
  const std::lock_guard lock(table().mutex);
  std::weak_ptr<EngineResource>& slot = table().resources[identity];
  if (std::shared_ptr<EngineResource> resource = slot.lock()) return resource;
  auto state = std::make_unique<State>();
  state->identity = identity;
  state->cache = std::make_shared<runtime::EngineCache>(attributes, std::shared_ptr<Backend>(make_default_backend()),
                                                        api::process_team(attributes.threads), write_log, nullptr);
  std::shared_ptr<EngineResource> resource(new EngineResource(std::move(state)));
  slot = resource;
  return resource;
}

void EngineResource::set_file(const std::string& path) {
  const std::lock_guard lock(state_->stored_mutex);
  if (state_->file == path) return;
  state_->file = path;
  state_->unread.store(true, std::memory_order_release);
}

void EngineResource::set_stored(std::string_view bytes, std::shared_ptr<const void> owner) {
  const std::lock_guard lock(state_->stored_mutex);
  if (state_->holder == owner) return;
  state_->held = bytes;
  state_->holder = std::move(owner);
  state_->unread.store(true, std::memory_order_release);
}

void EngineResource::set_bytes(std::string bytes) {
  const std::lock_guard lock(state_->stored_mutex);
  state_->bytes = std::move(bytes);
  state_->unread.store(true, std::memory_order_release);
}

EngineCall EngineResource::run(std::span<const TensorView> inputs, OutputAllocator& outputs, const EngineCallOptions& options) {
  state_->read_stored();
  // The function is asked for, and imported, when a build needs it.
  class Source : public runtime::SegmentSource {
   public:
    Source(const std::function<SegmentFunction()>& function, const EngineAttributes& attributes)
        : function_(function), attributes_(attributes) {}
    Segment segment() override { return model().segment(); }
    WeightsProvider& weights() override { return model().weights(); }

   private:
    api::FunctionModel& model() {
      if (!model_) model_ = std::make_unique<api::FunctionModel>(function_(), attributes_);
      return *model_;
    }
    const std::function<SegmentFunction()>& function_;
    const EngineAttributes& attributes_;
    std::unique_ptr<api::FunctionModel> model_;
  };
  if (options.segment == nullptr) return state_->cache->run(inputs, outputs, options.allow_build, nullptr);
  Source source(*options.segment, state_->cache->attributes());
  return state_->cache->run(inputs, outputs, options.allow_build, &source);
}

std::vector<Tensor> EngineResource::run_natively(std::span<const Tensor> inputs, const SegmentFunction& segment) {
  const std::lock_guard lock(state_->function_mutex);
  const bool constants = std::ranges::any_of(segment.constants, [](const Tensor& tensor) { return tensor.valid(); });
  if (!state_->function || state_->function_name != segment.name || constants) {  // variables may have other values now
    state_->function = std::make_unique<api::FunctionModel>(segment, state_->cache->attributes());
    state_->function_name = segment.name;
  }
  return state_->function->run(inputs);
}

void EngineResource::collect_shapes(bool on) { state_->cache->collect_shapes(on); }

void EngineResource::set_profiling(bool on) { state_->cache->set_profiling(on); }

std::vector<ProfileEntry> EngineResource::profile() const {
  std::vector<ProfileEntry> entries;
  for (LayerTime& layer : state_->cache->layers()) {
    entries.push_back({layer.node, layer.op_type, layer.kernel, layer.shape, state_->cache->attributes().name, layer.seconds, layer.flops,
                       std::move(layer.merged)});
  }
  return entries;
}

void EngineResource::clear() {
  state_->read_stored();
  state_->cache->clear();
}

bool EngineResource::has_engine() const {
  state_->read_stored();
  return state_->cache->has_engine();
}

std::vector<EngineEntry> EngineResource::entries() const {
  state_->read_stored();
  return state_->cache->entries();
}

std::string EngineResource::serialize() const {
  state_->read_stored();
  const auto engine = state_->cache->engine();
  return engine ? plan::serialize(*engine) : std::string();
}

std::uint64_t EngineResource::calls() const { return state_->cache->calls(); }
std::uint64_t EngineResource::native_calls() const { return state_->cache->native_calls(); }
double EngineResource::build_seconds() const { return state_->cache->build_seconds(); }
const std::string& EngineResource::identity() const { return state_->identity; }

}  // namespace tenon
