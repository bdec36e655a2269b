// Ops that run natively but by the backend's kernel: convolutions, matrix products and pools outside engines.
#pragma once

#include <memory>
#include <mutex>
#include <unordered_map>

#include "api/model_state.h"
#include "backend/backend.h"
#include "partition/partition.h"
#include "runtime/kernel.h"

namespace tenon::api {

// One kernel per node, compiled when it first runs. What the backend then refuses runs by its reference.
class LoneKernels {
 public:
  LoneKernels(const OpenModel& model, Backend& backend, std::shared_ptr<SharedTeam> team);
  // The kernel for a node of the main graph, or null.
  std::shared_ptr<runtime::Kernel> find(const ir::Node& node) const;

 private:
  std::unordered_map<const ir::Node*, std::shared_ptr<runtime::Kernel>> kernels_;
};

}  // namespace tenon::api
