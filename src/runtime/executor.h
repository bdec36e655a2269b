// Runs a graph: the nodes that the wanted values need, producers first.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "ir/graph.h"
#include "runtime/kernel.h"

namespace tenon::runtime {

// A schedule for one set of fed and wanted values of one graph; the graph must outlive it and stay unchanged. run() may be
// called from many threads.
class Executor {
 public:
  // Throws kUnsupported or kInvalidModel when a needed node cannot run: an unknown op, a needed input that is not fed.
  // `observed`: false lets runs go without steps that only an observer would see.
  Executor(const ir::Graph& graph, std::vector<ir::Value> feeds, std::vector<ir::Value> fetches,
           std::vector<ir::Node*> targets, const KernelLookup& kernels, bool observed = true);
  ~Executor();

  // `fed` matches `feeds`. Returns the fetched values. Errors name the node.
  std::vector<Tensor> run(std::vector<Tensor> fed, ir::Services& services, ThreadTeam* team, const NodeObserver* observer) const;
  // Fetches and targets can change state, so two runs with the same feeds may differ.
  bool stateful() const noexcept;

 private:
  struct Schedule;
  std::unique_ptr<const Schedule> schedule_;
};

}  // namespace tenon::runtime
