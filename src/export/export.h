// Partition + engines -> SavedModel: each segment becomes one TRTEngineOp node, its nodes a function of the library.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "ir/module.h"
#include "partition/partition.h"
#include "plan/engine.h"
#include "savedmodel/model.h"
#include "savedmodel/write.h"

namespace tenon::exporter {

// A segment with the engine that was built for it or for an equal segment; that one's name is the engine's then.
struct BuiltSegment {
  const partition::SegmentPlan* plan = nullptr;
  const plan::Engine* engine = nullptr;
};

struct ExportOptions {
  std::size_t meta_graph = 0;               // index of the meta graph that `module` was imported from
  std::string precision = "FP32";
  int maximum_cached_engines = 1;
  std::int64_t max_workspace_size_bytes = std::int64_t{1} << 30;
  std::vector<std::string> signature_keys;  // kept; empty: all
  bool replace = false;                     // an existing output folder is replaced
};

// Writes the converted model. Node names, signatures and the variables' restore graph stay to the letter; source NodeDefs are
// copied, with new names where a call was inlined. Engines are assets "trt-serialized-engine.<engine's name>", loaded by
// initializer ops (TF-TRT behaviour 3.7), each once however many nodes it serves; variables stay in the bundle and reach the native
// segments as resource inputs. Functions that engines are in are written under new names, which the nodes of `partition.callers`
// name; whatever else names them keeps the original. The object graph is
// dropped, and with it fingerprint and Keras metadata. Throws as saved::write does.
saved::WriteReport export_model(const saved::Model& model, const ir::Module& module, const partition::Partition& partition,
                                const std::vector<BuiltSegment>& segments, const std::filesystem::path& output, const ExportOptions& options);

}  // namespace tenon::exporter
