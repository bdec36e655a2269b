// Converting models: a SavedModel in, a SavedModel with engines out.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "tenon/error.h"

namespace tenon {

using NamedShapes = std::map<std::string, std::vector<std::int64_t>>;  // signature input -> sizes

struct ConvertOptions {
  std::vector<std::string> signature_keys;  // converted and kept; empty: all
  std::vector<std::string> tags;            // as SessionOptions.tags
  std::string precision = "FP32";
  int minimum_segment_size = 3;             // -1: no engines
  std::vector<std::string> op_denylist;     // TensorFlow op types that stay native
  // Shapes that tactics are measured at: `shapes`, else `max_shapes`, else `min_shapes`; unknown sizes count as 1.
  NamedShapes shapes, min_shapes, max_shapes;
  // A segment whose engine is not this many times as fast as its native run stays native; 0: every engine is kept.
  double min_gain = 1.0;
  int threads = 0;                          // 0: the CPUs of this process
  std::string timing_cache;                 // file; empty: none
  bool verify = false;                      // run both models on random inputs and compare
  std::string report;                       // file that the report is written to as JSON; empty: none
  bool force = false;                       // replace an existing output folder
  // Called with what is being done and the share that is done (0 to 1). May be empty.
  std::function<void(std::string_view, double)> progress;
  const std::atomic<bool>* cancel = nullptr;  // when it becomes true, convert throws kCancelled and leaves nothing behind
};

struct EngineReport {
  std::string name;
  int nodes = 0;                       // of the source graph, copied constants included
  std::map<std::string, int> ops;      // TensorFlow op type -> count
  double flops = 0;                    // at the measured shapes
  double native_ms = 0, engine_ms = 0; // 0: not measured
  std::uint64_t bytes = 0;             // of the plan; 0 for one that is shared
  std::string shared_with;             // the engine that serves this equal part too; empty: it has its own
};

// Nodes of one op type that stay native for one reason.
struct NativeReport {
  std::string op_type;
  std::string reason;
  std::vector<std::string> nodes;
};

// A node of the model as it was divided, for reports.
struct ConvertedNode {
  std::string name, op;
  std::string engine;  // empty: native
  std::string reason;  // why native; empty for constants and inputs
  std::vector<std::string> inputs;  // names of nodes
};

struct OutputError {
  std::string signature, output;
  double max_abs_error = 0;
  double scale = 0;          // largest absolute value of the original's output
  std::string problem;       // why the two cannot be compared (other shape, NaN at other places, …); empty when they can
  std::string first_node;    // the first node that differs by more than rounding; empty when none does
};

struct ConvertReport {
  std::vector<EngineReport> engines;
  std::vector<NativeReport> native;    // most frequent first
  int native_nodes = 0;
  int converted_nodes = 0;
  double total_flops = 0, engine_flops = 0;  // of the kept signatures at the measured shapes
  double native_ms = 0, converted_ms = 0;    // whole model, first kept signature, random inputs; 0: not measured
  double engine_time_share = 0;              // of the converted model's time, what its engines took; 0: not measured
  std::vector<std::string> notes;            // what was assumed, dropped or left out
  std::vector<OutputError> verification;
  double seconds = 0;
  std::vector<ConvertedNode> nodes;          // producers first; not in to_json
  std::string to_json() const;
};

// Throws Error; on any failure the output folder is as it was. (Only a report that cannot be written at the end comes too late for
// that, and says so.)
ConvertReport convert(const std::string& input_saved_model_dir, const std::string& output_saved_model_dir,
                      const ConvertOptions& options = {});

}  // namespace tenon
