// The engines of one TRTEngineOp: one compiled plan, and entries that say which shapes it serves. TF-TRT's rules decide when an entry
// is found, built, refused or evicted (behaviour 3.2 to 3.4 and 4.6).
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <optional>
#include <shared_mutex>
#include <span>
#include <string>
#include <vector>

#include "backend/backend.h"
#include "runtime/profiles.h"
#include "tenon/engine.h"

namespace tenon::runtime {

// What an engine is compiled from, when it has to be.
class SegmentSource {
 public:
  virtual ~SegmentSource() = default;
  virtual Segment segment() = 0;
  virtual WeightsProvider& weights() = 0;
};

// Thread-safe: calls run side by side, a build makes other calls of the same node wait.
class EngineCache {
 public:
  using Log = void (*)(const std::string& line, void* context);

  EngineCache(EngineAttributes attributes, std::shared_ptr<Backend> backend, std::shared_ptr<SharedTeam> team, Log log, void* log_context);
  ~EngineCache();

  // A stored engine to start from; its entries are the cache's. It does not throw: what does not fit is told in one line and left out, and
  // its entries are built again when a call needs them. `weights` serves the plan's variables.
  void restore(plan::Engine engine, WeightsProvider& weights);
  // Tells that there is a stored engine, but none to restore.
  void refuse_stored(const std::string& reason);

  // As EngineResource::run; `source` may be null: then nothing can be built.
  // With `layers`, the run is profiled.
  EngineCall run(std::span<const TensorView> inputs, OutputAllocator& outputs, bool allow_build, SegmentSource* source,
                 std::vector<LayerTime>* layers = nullptr);

  void collect_shapes(bool on);
  // While on, every call is profiled; layers() are those of the last profiled one.
  void set_profiling(bool on);
  std::vector<LayerTime> layers() const;
  void clear();
  bool has_engine() const;
  std::vector<EngineEntry> entries() const;
  // The plan with its entries; nothing when no entry could run.
  std::optional<plan::Engine> engine() const;
  Executable* executable() const;

  const EngineAttributes& attributes() const noexcept { return attributes_; }
  std::uint64_t calls() const noexcept { return calls_.load(std::memory_order_relaxed); }
  std::uint64_t native_calls() const noexcept { return native_calls_.load(std::memory_order_relaxed); }
  double build_seconds() const;

 private:
  // Addresses are stable while the entry is in the list and a lock is held.
  struct Entry {
    ShapeProfile profile;
    bool unlimited = false;
    std::string failure;
    std::atomic<std::uint64_t> used{0};   // the call that used it last
    std::atomic<std::uint64_t> calls{0};
  };
  using Entries = std::vector<std::unique_ptr<Entry>>;

  std::string why_not_this_node(std::span<const TensorView> inputs) const;
  bool collect(std::span<const TensorView> inputs);
  void profile(Executable& executable, std::span<const TensorView> inputs, OutputAllocator& outputs, std::vector<LayerTime>* layers);
  Entry* find(std::span<const TensorView> inputs) const;
  bool serves(const Entry& entry, std::span<const TensorView> inputs) const;
  Entry* best_batch(std::span<const TensorView> inputs) const;
  std::shared_ptr<Executable> take(Entry& entry, EngineCall& call);
  std::shared_ptr<Executable> build_for(std::span<const TensorView> inputs, bool allow_build, SegmentSource* source, EngineCall& call);
  Entries wanted_entries(std::span<const TensorView> inputs);
  void make_room();
  std::string compile(const Entries& fresh, SegmentSource& source);
  std::string compile_measured(const Entries& fresh, SegmentSource& source);
  void note(const std::string& line) const;

  const EngineAttributes attributes_;
  const std::shared_ptr<Backend> backend_;
  const std::shared_ptr<SharedTeam> team_;
  const Log log_;
  void* const log_context_;

  mutable std::shared_mutex mutex_;  // shared by calls; alone when entries change
  Entries entries_;
  std::optional<plan::Engine> engine_;  // its `entries` are not kept up to date: entries_ are
  std::shared_ptr<Executable> executable_;
  std::vector<plan::Entry> tuned_;      // what the engine's tactics were measured for
  std::vector<ShapeProfile> stored_profiles_;  // of a stored engine that does not fit here: built again when a call comes
  bool stored_refused_ = false;
  bool collecting_ = false;
  std::vector<ShapeSample> samples_;
  ShapeInputs shape_inputs_;
  double build_seconds_ = 0;

  std::atomic<bool> profiling_{false};
  mutable std::mutex layers_mutex_;
  std::vector<LayerTime> layers_;

  std::atomic<std::uint64_t> clock_{0};
  std::atomic<std::uint64_t> calls_{0};
  std::atomic<std::uint64_t> native_calls_{0};
};

}  // namespace tenon::runtime
