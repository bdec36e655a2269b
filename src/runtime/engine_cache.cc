#include "runtime/engine_cache.h"

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <limits>

#include "base/environment.h"
#include "base/error.h"
#include "plan/timing_cache.h"

namespace tenon::runtime {
namespace {

// One build at a time in a process: they measure, and would measure each other.
std::mutex& build_mutex() {
  static std::mutex mutex;
  return mutex;
}

// What was measured in this process. A build for one more shape measures that shape only.
plan::TimingCache& timing_cache() {
  static plan::TimingCache cache;
  return cache;
}

bool is_data(const TensorView& input) { return input.dtype != DataType::kResource; }

std::string shapes_text(std::span<const TensorView> inputs) {
  std::string text;
  for (const TensorView& input : inputs) {
    if (!is_data(input)) continue;
    text += text.empty() ? "" : ", ";
    text += Shape(std::vector<std::int64_t>(input.dims.begin(), input.dims.end())).to_string();
  }
  return text;
}

std::int64_t batch_of(const ShapeProfile& profile) {
  for (const std::vector<std::int64_t>& dims : profile.max) {
    if (!dims.empty()) return dims[0];
  }
  return 0;
}

}  // namespace

EngineCache::EngineCache(EngineAttributes attributes, std::shared_ptr<Backend> backend, std::shared_ptr<SharedTeam> team, Log log,
                         void* log_context)
    : attributes_(std::move(attributes)), backend_(std::move(backend)), team_(std::move(team)), log_(log), log_context_(log_context) {}

EngineCache::~EngineCache() = default;

void EngineCache::note(const std::string& line) const {
  if (log_ != nullptr) log_(attributes_.name + ": " + line, log_context_);
}

void EngineCache::restore(plan::Engine engine, WeightsProvider& weights) {
  const std::unique_lock lock(mutex_);
  if (executable_) return;
  Entries restored;
  for (const plan::Entry& entry : engine.entries) {
    auto made = std::make_unique<Entry>();
    made->profile = entry;
    made->unlimited = entry.min.empty();
    restored.push_back(std::move(made));
  }
  try {
    if (const Verdict fits = plan::compatible(engine, backend_->capabilities().stamp); !fits) {
      fail(ErrorCode::kIncompatiblePlan, "{}", fits.reason());
    }
    executable_ = backend_->load(engine, weights, DeviceOptions{0, team_, 16});
    shape_inputs_.set(executable_->shape_inputs());
    tuned_ = engine.entries;
    engine_ = std::move(engine);
    entries_ = std::move(restored);
  } catch (const std::exception& error) {
    if (attributes_.mode == ShapeMode::kProfiles) stored_profiles_ = std::move(engine.entries);
    stored_refused_ = true;
    note(std::string("the stored engine is not used: ") + error.what());
  }
}

void EngineCache::refuse_stored(const std::string& reason) {
  const std::unique_lock lock(mutex_);
  stored_refused_ = true;
  note("the stored engine is not used: " + reason);
}

// Behaviour 3.2, step 2: shapes that the node does not have are no business of its engine.
std::string EngineCache::why_not_this_node(std::span<const TensorView> inputs) const {
  const auto& known = attributes_.input_shapes;
  if (!known.empty() && known.size() != inputs.size()) return "the number of inputs is not the node's";
  std::int64_t batch = -1;
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    const TensorView& input = inputs[i];
    if (!is_data(input)) continue;
    if (i < known.size() && known[i].known_rank) {
      const std::vector<std::int64_t>& dims = known[i].dims;
      const bool fits = std::ranges::equal(dims, input.dims, [](std::int64_t wanted, std::int64_t found) { return wanted < 0 || wanted == found; });
      if (!fits) return fmt::format("input {} has shape {}, which is not the node's", i, shapes_text(inputs.subspan(i, 1)));
    }
    if (attributes_.mode != ShapeMode::kImplicitBatch) continue;
    if (input.dims.empty()) return fmt::format("input {} has no batch dimension", i);
    if (input.dims[0] < 1) return "the batch is empty";
    if (batch != -1 && input.dims[0] != batch) return fmt::format("input {} has batch {}, another input has {}", i, input.dims[0], batch);
    batch = input.dims[0];
  }
  return {};
}

// Records the shapes when that is what calls are for; false otherwise.
bool EngineCache::collect(std::span<const TensorView> inputs) {
  if (attributes_.mode != ShapeMode::kProfiles) return false;
  {
    const std::shared_lock lock(mutex_);
    if (!collecting_) return false;
  }
  const std::unique_lock lock(mutex_);
  if (!entries_.empty()) fail(ErrorCode::kUnsupported, "Cannot collect new shapes when profiles are already created.");
  shape_inputs_.see(inputs);
  samples_.push_back(sample_of(inputs, shape_inputs_));
  return true;
}

bool EngineCache::serves(const Entry& entry, std::span<const TensorView> inputs) const {
  return entry.unlimited || contains(entry.profile, inputs, shape_inputs_);
}

// Implicit batch: the smallest batch that is large enough, of entries with the same other sizes.
EngineCache::Entry* EngineCache::best_batch(std::span<const TensorView> inputs) const {
  Entry* best = nullptr;
  for (const auto& entry : entries_) {
    if (!serves(*entry, inputs)) continue;
    if (best == nullptr || batch_of(entry->profile) < batch_of(best->profile)) best = entry.get();
  }
  return best;
}

EngineCache::Entry* EngineCache::find(std::span<const TensorView> inputs) const {
  if (attributes_.mode == ShapeMode::kImplicitBatch) return best_batch(inputs);
  for (const auto& entry : entries_) {
    if (serves(*entry, inputs)) return entry.get();
  }
  return nullptr;
}

// What runs the call when its entry was found; null: the call is native, for a reason that `call` names.
std::shared_ptr<Executable> EngineCache::take(Entry& entry, EngineCall& call) {
  entry.used.store(clock_.fetch_add(1, std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  if (!entry.failure.empty()) {
    call.reason = entry.failure;
    call.notable = false;  // told when the entry was made
    return nullptr;
  }
  entry.calls.fetch_add(1, std::memory_order_relaxed);
  return executable_;
}

EngineCall EngineCache::run(std::span<const TensorView> inputs, OutputAllocator& outputs, bool allow_build, SegmentSource* source,
                            std::vector<LayerTime>* layers) {
  EngineCall call;
  std::shared_ptr<Executable> executable;
  call.reason = why_not_this_node(inputs);
  if (!call.reason.empty()) {
    call.native_refusable = false;
  } else if (collect(inputs)) {
    call.native_refusable = false;
  } else {
    bool found = false;
    {
      const std::shared_lock lock(mutex_);
      if (Entry* entry = find(inputs)) {
        found = true;
        executable = take(*entry, call);
      }
    }
    if (!found) executable = build_for(inputs, allow_build, source, call);
  }
  if (executable) {
    try {
      if (layers != nullptr || profiling_.load(std::memory_order_relaxed)) {
        profile(*executable, inputs, outputs, layers);
      } else {
        executable->run(inputs, outputs, nullptr);
      }
      call.ran = true;
      calls_.fetch_add(1, std::memory_order_relaxed);
      return call;
    } catch (const std::exception& error) {  // the native segment says what is wrong with a call, if anything is
      call.reason = error.what();
    }
  }
  native_calls_.fetch_add(1, std::memory_order_relaxed);
  return call;
}

void EngineCache::profile(Executable& executable, std::span<const TensorView> inputs, OutputAllocator& outputs,
                          std::vector<LayerTime>* layers) {
  std::vector<LayerTime> times = executable.profile(inputs, outputs);
  {
    const std::lock_guard lock(layers_mutex_);
    layers_ = times;
  }
  if (layers != nullptr) *layers = std::move(times);
}

void EngineCache::set_profiling(bool on) {
  const std::lock_guard lock(layers_mutex_);
  if (on) layers_.clear();
  profiling_.store(on, std::memory_order_relaxed);
}

std::vector<LayerTime> EngineCache::layers() const {
  const std::lock_guard lock(layers_mutex_);
  return layers_;
}

// The entries that a miss asks for. An implicit batch gets one of its size; profiles are made once, of all shapes seen.
EngineCache::Entries EngineCache::wanted_entries(std::span<const TensorView> inputs) {
  Entries wanted;
  const auto add = [&](ShapeProfile profile, bool unlimited) {
    wanted.push_back(std::make_unique<Entry>());
    wanted.back()->profile = std::move(profile);
    wanted.back()->unlimited = unlimited;
  };
  if (attributes_.mode == ShapeMode::kAnyShape) {
    add({}, true);
  } else if (attributes_.mode == ShapeMode::kImplicitBatch) {
    const ShapeSample sample = sample_of(inputs, {});
    ShapeProfile profile{sample.shapes, sample.shapes, sample.shapes, {}, {}, {}};
    for (std::size_t i = 0; i < inputs.size(); ++i) {
      if (is_data(inputs[i])) profile.min[i][0] = 1;
    }
    add(std::move(profile), false);
  } else if (!stored_profiles_.empty() && samples_.empty()) {
    for (ShapeProfile& profile : stored_profiles_) add(std::move(profile), false);
    stored_profiles_.clear();
  } else {
    if (samples_.empty()) {
      shape_inputs_.see(inputs);
      samples_.push_back(sample_of(inputs, shape_inputs_));
    }
    for (ShapeSample& sample : samples_) {
      for (std::size_t i = 0; i < sample.values.size(); ++i) {
        if (!shape_inputs_.contains(i)) sample.values[i].reset();  // demoted since
      }
    }
    for (ShapeProfile& profile : make_profiles(std::move(samples_), attributes_.strategy, attributes_.input_shapes)) add(std::move(profile), false);
    samples_.clear();
  }
  return wanted;
}

// Implicit batch keeps at most so many entries: the one that was used longest ago goes.
void EngineCache::make_room() {
  if (attributes_.mode != ShapeMode::kImplicitBatch) return;
  const auto capacity = static_cast<std::size_t>(std::max(1, attributes_.maximum_cached_engines));
  while (entries_.size() >= capacity) {
    const auto oldest = std::ranges::min_element(entries_, {}, [](const auto& entry) { return entry->used.load(); });
    entries_.erase(oldest);
  }
}

std::shared_ptr<Executable> EngineCache::build_for(std::span<const TensorView> inputs, bool allow_build, SegmentSource* source,
                                                   EngineCall& call) {
  const std::unique_lock lock(mutex_);
  if (Entry* entry = find(inputs)) return take(*entry, call);  // another call built it meanwhile
  if (attributes_.mode != ShapeMode::kImplicitBatch && !entries_.empty()) {
    call.reason = fmt::format("no profile holds the shapes {}", shapes_text(inputs));
    return nullptr;
  }
  Entries wanted = wanted_entries(inputs);
  std::string failure;
  if (!allow_build) {
    failure = fmt::format("no engine serves the shapes {}, and building at run time is not allowed", shapes_text(inputs));
  } else if (environment_flag("TF_TRT_ABORT_CUDA_ENGINE_BUILD", false)) {
    call.reason = "the build was aborted: TF_TRT_ABORT_CUDA_ENGINE_BUILD is set";
    return nullptr;  // a fault that was asked for is not remembered: the next call tries again
  } else if (source == nullptr) {
    failure = "there is nothing to build an engine from";
  } else {
    failure = compile(wanted, *source);
  }
  for (const auto& entry : wanted) entry->failure = failure;
  make_room();
  std::ranges::move(wanted, std::back_inserter(entries_));
  if (!failure.empty() && (allow_build || !stored_refused_)) note(failure);  // why nothing is stored was told
  Entry* entry = find(inputs);
  if (entry == nullptr) {
    call.reason = fmt::format("no profile holds the shapes {}", shapes_text(inputs));
    return nullptr;
  }
  return take(*entry, call);
}

// Makes an executable that serves the fresh entries and those that stay; the reason when it cannot.
std::string EngineCache::compile(const Entries& fresh, SegmentSource& source) {
  const bool tuned = executable_ && std::ranges::all_of(fresh, [&](const auto& entry) {
                       return std::ranges::any_of(tuned_, [&](const plan::Entry& known) { return known.opt == entry->profile.opt; });
                     });
  if (tuned) return {};  // evicted before, or forgotten: its kernels are chosen still
  const auto start = std::chrono::steady_clock::now();
  const std::lock_guard one_at_a_time(build_mutex());
  std::string failure;
  try {
    failure = compile_measured(fresh, source);
  } catch (const std::exception& error) {
    failure = std::string("its engine cannot be built: ") + error.what();
  }
  build_seconds_ += std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return failure;
}

std::string EngineCache::compile_measured(const Entries& fresh, SegmentSource& source) {
  const Segment segment = source.segment();
  CompileOptions options;
  options.weights = &source.weights();
  options.threads = team_->size();
  options.timing_cache = &timing_cache();
  for (const auto& entry : entries_) {
    if (entry->failure.empty()) options.entries.push_back(entry->profile);
  }
  for (const auto& entry : fresh) options.entries.push_back(entry->profile);
  plan::Engine engine = backend_->compile(segment, options);
  engine.name = attributes_.name;
  executable_ = backend_->load(engine, source.weights(), DeviceOptions{0, team_, 16});
  shape_inputs_.set(executable_->shape_inputs());
  tuned_ = engine.entries;
  engine_ = std::move(engine);
  return {};
}

void EngineCache::collect_shapes(bool on) {
  const std::unique_lock lock(mutex_);
  collecting_ = on;
}

void EngineCache::clear() {
  const std::unique_lock lock(mutex_);
  entries_.clear();
  samples_.clear();
  stored_profiles_.clear();
}

bool EngineCache::has_engine() const {
  const std::shared_lock lock(mutex_);
  return executable_ && std::ranges::any_of(entries_, [](const auto& entry) { return entry->failure.empty(); });
}

std::vector<EngineEntry> EngineCache::entries() const {
  const std::shared_lock lock(mutex_);
  std::vector<EngineEntry> result;
  for (const auto& entry : entries_) result.push_back({entry->unlimited, entry->profile, entry->failure, entry->calls.load()});
  return result;
}

std::optional<plan::Engine> EngineCache::engine() const {
  const std::shared_lock lock(mutex_);
  if (!engine_) return std::nullopt;
  plan::Engine engine = *engine_;
  engine.entries.clear();
  for (const auto& entry : entries_) {
    if (entry->failure.empty()) engine.entries.push_back(entry->profile);
  }
  if (engine.entries.empty()) return std::nullopt;
  return engine;
}

Executable* EngineCache::executable() const {
  const std::shared_lock lock(mutex_);
  return executable_.get();
}

double EngineCache::build_seconds() const {
  const std::shared_lock lock(mutex_);
  return build_seconds_;
}

}  // namespace tenon::runtime
