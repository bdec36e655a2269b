// A loaded CPU engine: a program, shape plans made on demand, and a context of memory for each concurrent run.
#pragma once

#include <atomic>
#include <list>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "backend/backend.h"
#include "backends/cpu/arena.h"
#include "backends/cpu/program.h"
#include "backends/cpu/shape_plan.h"
#include "backends/cpu/tactics.h"

namespace tenon::cpu {

// What a plan's sections hold, alive as long as the executable.
struct LoadedPlan {
  std::string name;
  std::vector<plan::Binding> inputs;
  std::unique_ptr<WeightSource> weights;
  std::shared_ptr<const void> owner;
  std::size_t weight_bytes = 0;
  Program program;
  TacticTable tactics;
};

class CpuExecutable : public Executable {
 public:
  CpuExecutable(LoadedPlan plan, const DeviceOptions& options);
  ~CpuExecutable() override;

  void run(std::span<const TensorView> inputs, OutputAllocator& outputs, Stream* stream) override;
  std::vector<LayerTime> profile(std::span<const TensorView> inputs, OutputAllocator& outputs) override;
  std::vector<LayerTime> layers(std::span<const TensorView> inputs) override;
  ExecutableStatistics statistics() const override;
  std::vector<bool> shape_inputs() const override;

 private:
  // Memory of one run at a time.
  struct Context;
  class ContextLease;
  using Key = std::vector<std::int64_t>;

  void fill_key(std::span<const TensorView> inputs, Key& key) const;
  void check_symbols(std::span<const InputShape> shapes) const;
  std::shared_ptr<const ShapePlan> plan_for(std::span<const TensorView> inputs, const Key& key);
  void bind(const ShapePlan& plan, std::span<const TensorView> inputs, OutputAllocator& outputs, Context& context);
  const ShapePlan& prepare(std::span<const TensorView> inputs, OutputAllocator& outputs, Context& context);
  std::vector<LayerTime> describe(const ShapePlan& plan) const;
  std::unique_ptr<Context> take_context();
  void give_back(std::unique_ptr<Context> context);

  LoadedPlan plan_;
  std::shared_ptr<SharedTeam> team_;
  std::size_t max_plans_;

  std::mutex plans_mutex_;
  std::list<std::pair<Key, std::shared_ptr<const ShapePlan>>> plans_;  // the most recently used first

  std::atomic<Context*> spare_{nullptr};  // the context of a caller that comes alone, found without a lock
  std::mutex contexts_mutex_;
  std::vector<std::unique_ptr<Context>> contexts_;

  std::atomic<std::uint64_t> calls_{0};
  std::atomic<std::uint64_t> plans_built_{0};
  std::atomic<std::size_t> arena_bytes_{0};
};

}  // namespace tenon::cpu
