// Runs graphs with TF1 control flow: values are tagged with a frame and an iteration, and may be dead.
#pragma once

#include <memory>
#include <unordered_map>
#include <vector>

#include "runtime/schedule.h"

namespace tenon::runtime {

// The rules are TensorFlow's ("Implementation of control flow in TensorFlow", 2017): a node runs once per frame and iteration
// in which all its operands are there; it is dead when one of them is, except Merge, which takes the first live one. Enter opens
// a frame, NextIteration passes to its next iteration, Exit leaves it.
class FrameExecutor {
 public:
  FrameExecutor(const StepList& list, std::vector<ir::Value> feeds, std::vector<ir::Value> fetches);
  ~FrameExecutor();
  std::vector<Tensor> run(std::vector<Tensor> fed, ir::Services& services, ThreadTeam* team, const NodeObserver* observer) const;

 private:
  struct Plan;
  struct Frame;
  class Run;
  static void find_exits(const StepList& list, const std::unordered_map<const ir::Node*, int>& index, Plan& plan);

  std::unique_ptr<const Plan> plan_;
};

}  // namespace tenon::runtime
