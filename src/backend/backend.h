// What a backend is to the rest of Tenon: it says what it can run, compiles segments to plans, and loads plans.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "backend/shared_team.h"
#include "base/verdict.h"
#include "ir/module.h"
#include "plan/engine.h"
#include "tenon/tensor_view.h"

namespace tenon::plan {
class TimingCache;
}

namespace tenon {

enum class PrecisionMode { kFp32, kFp16, kInt8 };

// What the user permits; the fastest permitted tactic wins.
struct Precision {
  PrecisionMode mode = PrecisionMode::kFp32;
  std::string_view name() const noexcept;  // "FP32"
};

struct Capabilities {
  plan::Stamp stamp;
  std::string description;  // one line for people
  int threads = 1;          // what the device offers to this process
  MemorySpace memory;       // where inputs and outputs are expected
};

// A part of a model to compile. The graph's parameters are the engine's inputs, in order, its outputs the engine's outputs.
// A parameter with the string attribute "variable" is a frozen variable of that name: its handle when the dtype is resource,
// its value (of a TF1 reference variable, or passed to a function) otherwise. The value comes from the WeightsProvider. One with
// the tensor attribute "constant" always has that value. At run time these inputs are ignored.
struct Segment {
  std::string name;
  std::unique_ptr<ir::Graph> graph;
  const ir::Module* module = nullptr;  // where the functions of loops are; lives as long as compile() runs
};

// Values of frozen variables. Thread-safe.
class WeightsProvider {
 public:
  virtual ~WeightsProvider() = default;
  // The value, mapped from its file where possible. Throws kNotFound.
  virtual Tensor variable(const std::string& name) = 0;
};

// For segments without variables.
class NoWeights : public WeightsProvider {
 public:
  Tensor variable(const std::string& name) override;
};

struct CompileOptions {
  Precision precision;
  // Shapes to tune for, one per parameter of the segment (unused for resources); unknown dimensions are tuned as 1. Empty: the
  // parameters' own types.
  std::vector<PartialShape> opt_shapes;
  // Recorded in the plan, and tuned for too; empty: one unlimited entry.
  std::vector<plan::Entry> entries;
  int threads = 0;                   // the team's size to tune for; 0: what this process may use
  bool measure = true;               // false: the timing cache, else the library's choice
  plan::TimingCache* timing_cache = nullptr;  // read and extended; may be null
  WeightsProvider* weights = nullptr;         // null: no variables
  // Called from the compiling thread with what is being done and how much is done (0 to 1). May be empty.
  std::function<void(std::string_view, double)> progress;
  const std::atomic<bool>* cancel = nullptr;  // when it becomes true, compile throws kCancelled soon
};

struct DeviceOptions {
  int ordinal = 0;
  std::shared_ptr<SharedTeam> team;  // null: the executable makes one of the process's CPUs
  int shape_plans = 16;              // how many shapes an executable keeps prepared
};

class Stream;  // a device's queue; host backends ignore it

// One step of an executable, as the profiler shows it.
struct LayerTime {
  std::string node;                  // the model's own name of the main node
  std::string op_type;               // its TensorFlow op
  std::vector<std::string> merged;   // names of the other source nodes that run in this step
  std::string kernel;                // what runs it, such as "conv2d 4x4x1"
  std::string shape;                 // of the first result
  double seconds = 0;
  double flops = 0;
};

struct ExecutableStatistics {
  std::uint64_t calls = 0;
  std::uint64_t shape_plans_built = 0;
  std::size_t weight_bytes = 0;  // in the plan, mapped where the plan is a file, or made at load
  std::size_t arena_bytes = 0;   // activations of all contexts
};

// A loaded engine. Thread-safe: concurrent runs share weights, nothing else.
class Executable {
 public:
  virtual ~Executable() = default;
  // Runs on `inputs` (one per parameter of the segment). Throws kInvalidArgument for wrong dtypes or shapes, kUnsupported for
  // shapes that it cannot serve (the caller then runs the native segment).
  virtual void run(std::span<const TensorView> inputs, OutputAllocator& outputs, Stream* stream) = 0;
  // As run, with the time of every step.
  virtual std::vector<LayerTime> profile(std::span<const TensorView> inputs, OutputAllocator& outputs) = 0;
  // The steps for inputs of these shapes without running them: seconds are 0.
  virtual std::vector<LayerTime> layers(std::span<const TensorView> inputs) = 0;
  virtual ExecutableStatistics statistics() const = 0;
  // For each input, whether its values decide shapes.
  virtual std::vector<bool> shape_inputs() const = 0;
};

class Backend {
 public:
  virtual ~Backend() = default;
  virtual std::string_view name() const = 0;
  virtual Capabilities capabilities() const = 0;
  // Whether the node, or the nodes together, can be part of a segment. Types are inferred. A no has a reason a user can act on.
  virtual Verdict supports(std::span<const ir::Node* const> nodes, const Precision& precision) const = 0;
  // Whether it has a kernel for the IR op at all; supports() tells for which nodes.
  virtual bool has_kernel(std::string_view ir_op) const = 0;
  // Whether a loop, with the tensor lists that it reads and makes, can be part of a segment.
  virtual Verdict supports_loop(const ir::Node& loop, const ir::Module& module, const Precision& precision) const;
  // Throws kUnsupported when a node of the segment cannot be compiled, kCancelled, kOutOfMemory.
  virtual plan::Engine compile(const Segment& segment, const CompileOptions& options) = 0;
  // Throws kIncompatiblePlan. `weights` is only used during the call.
  virtual std::unique_ptr<Executable> load(const plan::Engine& engine, WeightsProvider& weights, const DeviceOptions& options) = 0;
};

}  // namespace tenon
