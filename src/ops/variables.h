// Variables: mutable tensors behind resource handles, and TF1's reference variables.
#pragma once

#include <functional>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "ir/eval_context.h"
#include "ir/graph.h"
#include "tenon/tensor.h"

namespace tenon::ops {

// A named tensor that may be replaced or changed. Thread-safe; readers keep the value they read.
class Variable : public Object {
 public:
  // `value` may be an invalid tensor: not initialised.
  Variable(std::string name, Tensor value) : name_(std::move(name)), value_(std::move(value)) {}
  // The value is what `load` gives (which may be invalid), asked for when it is first needed: a checkpoint's tensors are read and
  // checked only then. What `load` throws is thrown by whoever needs the value, every time.
  Variable(std::string name, std::function<Tensor()> load) : name_(std::move(name)), load_(std::move(load)) {}

  const std::string& name() const noexcept { return name_; }
  bool initialized() const;
  // Throws kInvalidArgument when the variable has no value.
  Tensor read() const;
  void assign(Tensor value);
  // Forgets the value.
  void reset();
  // Calls f(Tensor&) on a value that nobody else sees, and returns what the variable holds then.
  template <class F>
  Tensor update(F&& f) {
    const std::lock_guard lock(mutex_);
    load();
    check_initialized();
    if (!value_.sole_owner()) value_ = value_.clone();
    f(value_);
    return value_;
  }

 private:
  void load() const;
  void check_initialized() const;

  mutable std::mutex mutex_;
  std::string name_;
  mutable Tensor value_;
  mutable std::function<Tensor()> load_;  // until the value was loaded or replaced
};

// The session's variable of that name, with the checkpoint's value until it is assigned another. `dtype` is what the node declares.
std::shared_ptr<Variable> find_variable(ir::Services& services, const std::string& container, const std::string& name,
                                        DataType dtype);
// The variable behind the resource operand `i`. Throws via ctx when it is something else.
std::shared_ptr<Variable> variable_operand(const ir::EvalContext& ctx, int i);

// The reference variable that bind_ref_variables() found for a node.
std::shared_ptr<Variable> bound_variable(ir::EvalContext& ctx);

// In TF1 the result of a variable node is the variable itself: ops change it through that edge, and whoever took its value
// before sees the change, because both share the memory. Here the result is a value, and ops that change it carry its name.
// Sets "_variable" and "_container" on every node of the graph that changes, counts or tests a reference variable, found by
// walking operand 0 up to the variable. Identities that read a variable which the graph changes read it when they run; nodes
// that run after a change but take a value from before it get a new read (outside of TF1 loops). Only changes that `roots` need
// count (all when there are none): a model's initial assignments and its restore ops are in the graph but never run.
// Throws kInvalidModel for a node whose operand 0 leads to no variable.
void bind_ref_variables(ir::Graph& graph, const std::vector<ir::Node*>& roots = {});

}  // namespace tenon::ops
