// The engines of an open model: found, loaded or built again, and handed to the executor as kernels.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "api/lone_kernels.h"
#include "api/model_state.h"
#include "backend/backend.h"
#include "backend/shared_team.h"
#include "runtime/engine_kernel.h"
#include "runtime/kernel.h"
#include "tenon/session.h"

namespace tenon::api {

class Engines {
 public:
  // Loads the engine of every TRTEngineOp node of the model, unless options.native. What does not fit is built again or left
  // native; each such case is told in one line.
  Engines(OpenModel& model, std::shared_ptr<SharedTeam> team, const SessionOptions& options);
  ~Engines();

  // Kernels for engine nodes and for lone ops that the backend can run.
  runtime::KernelLookup lookup();
  // Hands a line to the session's log.
  void log(const std::string& line) const { options_.log(line, options_.log_context); }
  // For an engine's node, what the original graph calls its results; empty for other nodes.
  std::vector<std::string> source_names(const ir::Node& node) const;
  std::vector<EngineStatus> status() const;
  // Times one run: `run` is called with the observer to use.
  std::vector<ProfileEntry> profile(const std::function<void(const runtime::NodeObserver&)>& run);

 private:
  struct Stored;
  struct Rebuilt;
  class NodeSource;

  void load(const ir::Node& node);
  bool load_by_rules(const ir::Node& node);
  void restore(const ir::Node& node, runtime::EngineCache& cache);
  // Appends the layers that the node's engine ran since the last call; returns their seconds.
  double take_layers(const ir::Node& node, std::vector<ProfileEntry>& entries) const;
  const Stored& stored(const ir::Node& node, const std::string& engine, WeightsProvider& weights);
  std::shared_ptr<Executable> rebuild(const ir::Node& node, const std::string& reason, WeightsProvider& weights, EngineStatus& status);
  std::map<std::string, std::string> own_names(const ir::Node& node) const;
  const ir::Graph* segment_function(const ir::Node& node) const;

  OpenModel& model_;
  std::shared_ptr<SharedTeam> team_;
  SessionOptions options_;
  std::shared_ptr<Backend> backend_;
  std::unique_ptr<LoneKernels> lone_;
  std::map<const ir::Node*, std::shared_ptr<runtime::EngineKernel>> kernels_;
  std::map<const ir::Node*, EngineStatus> status_;
  std::vector<std::shared_ptr<EngineResource>> held_;  // of conversions of this process
  std::vector<const ir::Node*> in_functions_;  // engines' nodes that are not in the main graph
  std::map<std::string, std::unique_ptr<Stored>> stored_;  // by identity
  std::multimap<std::string, std::unique_ptr<Rebuilt>> rebuilt_;  // by the engine's name
};

}  // namespace tenon::api
