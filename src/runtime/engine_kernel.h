// Runs one TRTEngineOp node: its engine, or its native segment when there is none or it does not serve the shapes.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "backend/backend.h"
#include "runtime/engine_cache.h"
#include "runtime/kernel.h"

namespace tenon::runtime {

class EngineKernel : public Kernel {
 public:
  // `executable` may be null: then every call is native. Nodes that compute the same may share one.
  EngineKernel(std::string name, ir::FunctionRef native_segment, std::shared_ptr<Executable> executable);
  // The same with engines by TF-TRT's rules, which are built from `source` when `allow_build`.
  EngineKernel(std::string name, ir::FunctionRef native_segment, std::shared_ptr<EngineCache> cache, bool allow_build,
               std::unique_ptr<SegmentSource> source);

  void run(ir::EvalContext& ctx) override;

  const std::string& name() const noexcept { return name_; }
  std::uint64_t calls() const noexcept { return calls_.load(std::memory_order_relaxed); }
  std::uint64_t native_calls() const noexcept { return native_calls_.load(std::memory_order_relaxed); }
  // Null when there is none (yet).
  Executable* executable() const { return cache_ ? cache_->executable() : executable_.get(); }
  const EngineCache* cache() const noexcept { return cache_.get(); }
  // While set, runs are profiled and their steps kept for take_layers(), times of several runs added up.
  void set_profiling(bool on) noexcept { profiling_.store(on, std::memory_order_relaxed); }
  std::vector<LayerTime> take_layers();
  // Why the last call that ran natively did; empty when none did.
  std::string native_reason();

 private:
  void run_by_rules(ir::EvalContext& ctx, std::span<const TensorView> views, OutputAllocator& outputs);
  void run_native(ir::EvalContext& ctx);
  void remember_reason(const char* reason);
  void add_layers(std::vector<LayerTime> layers);

  const std::string name_;
  const ir::FunctionRef native_segment_;
  const std::shared_ptr<Executable> executable_;
  const std::shared_ptr<EngineCache> cache_;
  const bool allow_build_ = false;
  const std::unique_ptr<SegmentSource> source_;
  std::atomic<std::uint64_t> calls_{0};
  std::atomic<std::uint64_t> native_calls_{0};
  std::atomic<bool> profiling_{false};
  std::mutex mutex_;
  std::vector<LayerTime> layers_;
  std::string native_reason_;
};

}  // namespace tenon::runtime
