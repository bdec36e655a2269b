// What an op's evaluate() sees: operands, results, and the services of the session that runs it.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <vector>

#include "base/thread_team.h"
#include "ir/graph.h"
#include "tenon/tensor.h"

namespace tenon::ir {

// What stateful ops need from the session; implemented by runtime/. Thread-safe.
class Services {
 public:
  virtual ~Services() = default;
  // The session's resource of that name, made by `make` at first use. Containers and names are compared as strings.
  virtual ObjectPtr resource(const std::string& container, const std::string& name, const std::function<ObjectPtr()>& make) = 0;
  // Runs a function of the module: If, While, Case, calls that could not be inlined.
  virtual std::vector<Tensor> call(const FunctionRef& function, std::vector<Tensor> arguments) = 0;
  // The value a session gives a variable that the model's checkpoint holds; an invalid tensor when it holds none.
  virtual Tensor checkpoint_value(const std::string& variable_name) = 0;
  // A 64-bit seed from the operating system, for random ops whose seeds are zero.
  virtual std::uint64_t random_seed() = 0;
};

class EvalContext {
 public:
  // `services` may be null when only pure ops are evaluated. `outputs` has the node's number of outputs.
  EvalContext(const Node& node, std::span<Tensor> inputs, std::span<Tensor> outputs, Services* services, ThreadTeam* team)
      : node_(node), inputs_(inputs), outputs_(outputs), services_(services), team_(team) {}

  const Node& node() const { return node_; }
  const Attrs& attrs() const { return node_.attrs; }
  int num_inputs() const { return static_cast<int>(inputs_.size()); }
  int num_outputs() const { return static_cast<int>(outputs_.size()); }
  const Tensor& input(int i) const;
  // Moves the operand out, so that a sole owner may overwrite it; the operand is gone afterwards.
  Tensor take_input(int i);
  Tensor& output(int i) { return outputs_[static_cast<std::size_t>(i)]; }
  void set_output(int i, Tensor tensor) { outputs_[static_cast<std::size_t>(i)] = std::move(tensor); }
  // A new output tensor, numbers uninitialised.
  Tensor& allocate(int i, DataType dtype, Shape shape);
  // Throws kInternal when there is no session (constant folding never evaluates stateful ops).
  Services& services() const;
  // Null: run serially.
  ThreadTeam* team() const { return team_; }

  // The elements of an int16, int32 or int64 operand of any shape. Throws kInvalidArgument for other dtypes.
  std::vector<std::int64_t> integers(int i) const;
  // The one element of an integer operand.
  std::int64_t integer(int i) const;

  // kInvalidArgument, prefixed with the node's description: values found while running are wrong.
  template <class... Args>
  [[noreturn]] void fail_node(fmt::format_string<Args...> format, Args&&... args) const {
    fail(ErrorCode::kInvalidArgument, "{}: {}", node_.describe(), fmt::format(format, std::forward<Args>(args)...));
  }
  // An axis in [-rank, rank) as [0, rank).
  int normalize_axis(std::int64_t axis, int rank) const;

 private:
  const Node& node_;
  std::span<Tensor> inputs_;
  std::span<Tensor> outputs_;
  Services* services_;
  ThreadTeam* team_;
};

}  // namespace tenon::ir
