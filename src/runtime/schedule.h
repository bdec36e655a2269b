// What an executor precomputes: needed nodes, where operands lie, which operand use is the last.
#pragma once

#include <memory>
#include <unordered_map>
#include <vector>

#include "ir/graph.h"
#include "runtime/kernel.h"

namespace tenon::runtime {

struct Step {
  struct Operand {
    int slot;
    bool last_use;  // the value may be moved out
  };
  const ir::Node* node;
  std::shared_ptr<Kernel> kernel;  // null: reference
  std::vector<Operand> operands;
  int first_output;                // slots first_output .. + outputs
  std::vector<int> dead_outputs;   // slots that nobody reads
  bool fixed = false;              // gives the same values in every run of a session: constants, handles of resources
};

// Nodes needed for the fetches, in a topological order, with a slot for every value.
struct StepList {
  std::vector<Step> steps;
  int slots = 0;
  std::vector<int> feed_slots;
  std::vector<int> fetch_slots;
  bool has_frames = false;  // TF1 control flow: the frame executor runs it
  bool stateful = false;
};

// `skip_identities`: they make no steps, so no observer sees them.
StepList make_steps(const ir::Graph& graph, const std::vector<ir::Value>& feeds, const std::vector<ir::Value>& fetches,
                    const std::vector<ir::Node*>& targets, const KernelLookup& kernels, bool skip_identities);

// Evaluates one node; errors are prefixed with its description.
void run_step(const Step& step, std::span<Tensor> inputs, std::span<Tensor> outputs, ir::Services& services, ThreadTeam* team,
              const NodeObserver* observer);

}  // namespace tenon::runtime
