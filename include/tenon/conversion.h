// Conversion in steps, as TF-TRT's converters work: partition first, engines when inputs are there, then writing.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "tenon/convert.h"
#include "tenon/engine.h"

namespace tenon {

struct ConversionOptions {
  std::vector<std::string> tags;                   // as SessionOptions.tags
  std::string signature_key = "serving_default";   // the only one converted and written
  std::string precision = "FP32";                  // a permission; see Conversion::notes
  int minimum_segment_size = 3;                    // -1: no engines
  std::vector<std::string> op_denylist;            // op types that stay native
  std::vector<std::string> node_denylist;          // nodes that stay native
  ShapeMode mode = ShapeMode::kImplicitBatch;
  ProfileStrategy strategy = ProfileStrategy::kRange;
  int maximum_cached_engines = 1;
  std::int64_t max_workspace_size_bytes = std::int64_t{1} << 30;
  bool use_calibration = false;
  // Variables that are only read become constants: what is written then has no checkpoint, and the GraphDef needs none. Variables that
  // are assigned, or that loops and branches read natively, stay; all stay when those to freeze have more than `freeze_limit` bytes
  // (TensorFlow holds a dozen copies of a graph's constants while it loads; a graph cannot be larger than 2 GB). false: all stay
  // variables, which nodes and native segments read as they are when they run.
  bool freeze = true;
  std::int64_t freeze_limit = std::int64_t{256} << 20;
  int maximum_engines = 0;                         // the largest are kept; 0: all
  int graph_number = 0;                            // the first number of names
  int threads = 0;                                 // as EngineAttributes.threads
  std::function<void(std::string_view, double)> progress;
};

// One engine node of the converted model.
struct ConvertedEngine {
  std::string name;      // of the node, scope included
  std::string identity;  // EngineResource's, while the conversion lives
  int nodes = 0;         // of its native segment
  std::map<std::string, int> ops;
  EngineAttributes attributes;
  std::vector<ShapeSpec> output_shapes;
  bool in_main_graph = true;
};

struct WriteModelOptions {
  bool allow_build_at_runtime = true;
  bool remove_native_segments = false;
  // Engines by node name, as EngineResource::serialize gives them. A node that is not there gets no file.
  std::map<std::string, std::string> engines;
  bool save_engines = true;  // false: files are empty
  bool in_process = false;   // nodes name the resources of this conversion, not the stored content: for models that this process runs
  bool replace = false;
};

// A converted model that is not written yet. Not thread-safe.
class Conversion {
 public:
  // Loads, imports and partitions; nothing is built. Throws as convert() does.
  static Conversion open(const std::string& saved_model_dir, const ConversionOptions& options);
  // The same for a frozen GraphDef; `outputs` are tensor names that must be kept.
  static Conversion open_graph(const std::string& graph_def, const std::vector<std::string>& outputs, const ConversionOptions& options);
  Conversion(Conversion&&) noexcept;
  Conversion& operator=(Conversion&&) noexcept;
  ~Conversion();

  const std::vector<ConvertedEngine>& engines() const;
  std::vector<ConvertedNode> nodes() const;
  int main_graph_nodes() const;  // of the converted main graph that are no engines, constants and placeholders included
  ConvertReport report() const;  // reasons and notes; no times
  // Holds the resource of an engine, so that it lives between calls.
  std::shared_ptr<EngineResource> resource(const std::string& engine_name) const;

  // Writes a SavedModel with exactly the chosen signature. Throws as convert() does.
  void write(const std::string& saved_model_dir, const WriteModelOptions& options) const;
  // The converted GraphDef, functions in its library; engines of the options go into serialized_segment.
  std::string graph_def(const WriteModelOptions& options) const;

 private:
  struct State;
  explicit Conversion(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace tenon
