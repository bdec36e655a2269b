// Partition + engines -> SavedModel: each segment becomes one TRTEngineOp node, its nodes a function of the library.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "ir/module.h"
#include "partition/partition.h"
#include "tenon/engine.h"
#include "savedmodel/model.h"
#include "savedmodel/write.h"

namespace tenon::exporter {

// A segment with the engine that was built for it or for an equal segment.
struct BuiltSegment {
  const partition::SegmentPlan* plan = nullptr;
  std::string engine;                  // the engine's name: the segment's, or that of an equal one
  std::string identity;                // "<engine>:<hash of what it is>": tells two models' engines of one name apart
  const std::string* bytes = nullptr;  // the stored engine, or nothing in it: an engine that is built when it is needed; null: no file
};

// What an engine is known by when its stored form is `bytes`.
std::string identity_of(const std::string& engine, const std::string& bytes);

struct ExportOptions {
  std::size_t meta_graph = 0;               // index of the meta graph that `module` was imported from
  std::string precision = "FP32";
  // Which shapes engines serve.
  ShapeMode mode = ShapeMode::kAnyShape;
  ProfileStrategy strategy = ProfileStrategy::kRange;
  bool allow_build_at_runtime = true;
  bool use_calibration = false;
  bool remove_native_segments = false;      // engines then have nothing to fall back to
  int maximum_cached_engines = 1;
  std::int64_t max_workspace_size_bytes = std::int64_t{1} << 30;
  std::vector<std::string> signature_keys;  // kept; empty: all
  bool replace = false;                     // an existing output folder is replaced
  // Frozen models: what no kept signature and not the initializer needs is left out, and with it the checkpoint, its saver and the
  // collections that name variables.
  bool self_contained = false;
  bool only_this_meta_graph = false;        // others are left out
};

// Writes the converted model. Node names, signatures and the variables' restore graph stay to the letter; source NodeDefs are
// copied, with new names where a call was inlined. Engines are assets "trt-serialized-engine.<engine's name>", loaded by
// initializer ops (TF-TRT behaviour 3.7), each once however many nodes it serves; variables stay in the bundle and reach the native
// segments as resource inputs. Functions that engines are in are written under new names, which the nodes of `partition.callers`
// name; whatever else names them keeps the original. The object graph is
// dropped, and with it fingerprint and Keras metadata. Throws as saved::write does.
saved::WriteReport export_model(const saved::Model& model, const ir::Module& module, const partition::Partition& partition,
                                const std::vector<BuiltSegment>& segments, const std::filesystem::path& output, const ExportOptions& options);

// The same as a GraphDef, functions in its library: the stored engines stand in the nodes' "serialized_segment".
std::string export_graph(const saved::Model& model, const ir::Module& module, const partition::Partition& partition,
                         const std::vector<BuiltSegment>& segments, const ExportOptions& options);

}  // namespace tenon::exporter
