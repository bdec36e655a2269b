// Engines as TensorFlow's plug-in sees them: one resource per TRTEngineOp, on the caller's memory, with TF-TRT's rules of which
// shapes an engine serves, when one is built and when one is evicted (TF-TRT behaviour 3.2 to 3.7 and 4).
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tenon/error.h"
#include "tenon/profile.h"
#include "tenon/tensor.h"
#include "tenon/tensor_view.h"

namespace tenon {

// Which shapes one engine serves.
enum class ShapeMode {
  kAnyShape,       // every shape: what `tenon convert` makes
  kImplicitBatch,  // an entry built for batch N serves 1..N of the same other sizes; least recently used entries are evicted
  kProfiles,       // entries are profiles, made once from the shapes seen so far by a strategy
};

// How shapes become profiles.
enum class ProfileStrategy { kRange, kOptimal, kRangeOptimal, kImplicitBatchModeCompatible };
// "Range", "Optimal", "Range+Optimal", "ImplicitBatchModeCompatible".
std::string_view profile_strategy_name(ProfileStrategy strategy) noexcept;
// Whatever the case of its letters; throws kInvalidArgument listing the names.
ProfileStrategy profile_strategy_from_name(std::string_view name);

// A shape of which sizes, or all, may be unknown.
struct ShapeSpec {
  bool known_rank = false;
  std::vector<std::int64_t> dims;  // -1: any size
};

// The attributes of a TRTEngineOp.
struct EngineAttributes {
  std::string name;  // the node's, after its last "/"
  ShapeMode mode = ShapeMode::kAnyShape;
  ProfileStrategy strategy = ProfileStrategy::kRange;
  std::string precision = "FP32";
  int maximum_cached_engines = 1;
  std::vector<DataType> input_types, output_types;
  std::vector<ShapeSpec> input_shapes;  // empty: not known
  int threads = 0;                      // of the team that runs it; 0: the CPUs of this process. Engines of one size share a team.
};

// Inclusive bounds, one vector per input; empty for resources. Values are those of inputs that decide shapes, else empty.
struct ShapeProfile {
  std::vector<std::vector<std::int64_t>> min, opt, max;
  std::vector<std::vector<std::int64_t>> min_values, opt_values, max_values;
};

// What TF-TRT calls an engine (implicit batch) or a profile.
struct EngineEntry {
  bool unlimited = false;  // serves every shape; the profile is empty
  ShapeProfile profile;
  std::string failure;     // not empty: its engine could not be built, or must not be, and calls that it covers run natively
  std::uint64_t calls = 0;
};

// What an engine is built from: TensorFlow's own function.
struct SegmentFunction {
  std::string library;  // serialized FunctionDefLibrary: the function and every function that it calls
  std::string name;
  // One per input: the value that is built in, of a variable or a table that no call changes; invalid for others.
  std::vector<Tensor> constants;
};

// How one call went.
struct EngineCall {
  bool ran = false;            // on the engine; false: the caller runs the native segment
  bool native_refusable = true;  // false: this call runs natively even where native execution is refused (collecting shapes, shapes that
                                 // the node does not have)
  std::string reason;          // why natively; empty while shapes are collected
  bool notable = true;         // false: the log has the reason already
};

// Per call.
struct EngineCallOptions {
  bool allow_build = true;                              // the node's _allow_build_at_runtime
  const std::function<SegmentFunction()>* segment = nullptr;  // called when an engine has to be built; null: none can be built
};

// The engines of one node. Thread-safe: calls run side by side; a build makes other calls of this node wait, of no other.
class EngineResource {
 public:
  // The resource of this identity, made when nobody holds it. An identity is "<name>:<hash of content>": equal ones compute the
  // same, whatever the model they come from. The resource lives as long as somebody holds it.
  static std::shared_ptr<EngineResource> get(const std::string& identity, const EngineAttributes& attributes);
  // Null when nobody holds it.
  static std::shared_ptr<EngineResource> find(const std::string& identity);
  ~EngineResource();

  // Names the file of stored engines, read when the first call needs it; an empty file means none. Naming the same file again does
  // nothing. A file that is missing, damaged, of another version or another ISA counts as none and is told in one line.
  void set_file(const std::string& path);
  // The same from bytes, which are copied (a node's serialized_segment).
  void set_bytes(std::string bytes);
  // The same from bytes that `owner` keeps, which the engine holds as long as it lives. The same bytes again do nothing.
  void set_stored(std::string_view bytes, std::shared_ptr<const void> owner);

  // `inputs`: one view per input of the node, resources with null data. Throws Error only for what the native segment would refuse
  // too; a failed engine answers with ran = false.
  EngineCall run(std::span<const TensorView> inputs, OutputAllocator& outputs, const EngineCallOptions& options);

  // Runs the native segment on Tenon's own executor: for graphs that TensorFlow's kernels refuse. One tensor per input; resources
  // hold the constants that `segment` names. Throws Error.
  std::vector<Tensor> run_natively(std::span<const Tensor> inputs, const SegmentFunction& segment);

  // While on, calls only record their shapes and run natively. Throws kUnsupported ("Cannot collect new shapes when profiles are already
  // created.") from run() when there are profiles.
  void collect_shapes(bool on);
  // While on, each call on the engine is timed step by step and takes somewhat longer; switched on, earlier times are dropped.
  void set_profiling(bool on);
  // The steps of the last such call, in order of execution, under the native segment's names; empty when there was none.
  std::vector<ProfileEntry> profile() const;
  // Forgets all entries; what was packed stays for the next build.
  void clear();

  bool has_engine() const;  // an entry that could run
  std::vector<EngineEntry> entries() const;
  // The stored form of what is there; empty bytes when there is no engine.
  std::string serialize() const;
  // Calls by the engine and natively so far, and the seconds that builds took.
  std::uint64_t calls() const;
  std::uint64_t native_calls() const;
  double build_seconds() const;
  const std::string& identity() const;

 private:
  friend struct EngineResourceAccess;
  struct State;
  explicit EngineResource(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

// TF_TRT_ALLOW_ENGINE_NATIVE_SEGMENT_EXECUTION, read now.
bool native_segments_allowed();

// Receives one line per notable event of any engine. Null: standard error.
void set_engine_log(void (*log)(const char* line));

}  // namespace tenon
