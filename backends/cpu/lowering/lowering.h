// How an IR op becomes a step: what every family of lowerings answers.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "backends/cpu/step.h"
#include "base/verdict.h"
#include "ir/graph.h"

namespace tenon::cpu {

// A set of operands or results of a node; those from number 63 on share one flag.
class Positions {
 public:
  constexpr Positions() = default;
  constexpr Positions(std::initializer_list<int> list) {
    for (int i : list) add(i);
  }
  static constexpr Positions all() {
    Positions set;
    set.bits_ = ~std::uint64_t{0};
    return set;
  }
  // Every position from `first` on.
  static constexpr Positions from(int first) {
    Positions set;
    set.bits_ = ~std::uint64_t{0} << (first < 63 ? first : 63);
    return set;
  }
  constexpr void add(int i) { bits_ |= bit(i); }
  constexpr bool has(int i) const { return (bits_ & bit(i)) != 0; }

 private:
  static constexpr std::uint64_t bit(int i) { return std::uint64_t{1} << (i < 63 ? i : 63); }
  std::uint64_t bits_ = 0;
};

// A tensor as a step meets it: sizes are concrete. `pitch` counts elements from one row of the last dimension to the next; it
// exceeds the last size only where the lowering allowed that.
struct Place {
  Slot slot = -1;
  DataType dtype = DataType::kInvalid;
  Shape shape;
  std::int64_t pitch = 0;
  const Tensor* constant = nullptr;  // the value, where it is known before running
  std::int64_t elements() const { return shape.num_elements(); }
  std::int64_t last() const { return shape.rank() == 0 ? 1 : shape[shape.rank() - 1]; }
  // Rows of the last dimension.
  std::int64_t rows() const { return last() == 0 ? 0 : elements() / last(); }
  bool dense() const { return pitch == last(); }
};

// One way to run a step; the fastest is found by timing.
struct Candidate {
  std::string name;  // written into plans and timing caches
  std::function<std::unique_ptr<Step>()> make;
};

struct InputShape;
struct Program;
struct ShapePlan;

// The concrete surroundings of a node while a shape plan is made.
class PlanContext {
 public:
  virtual ~PlanContext() = default;
  const ir::Node& node() const { return *node_; }
  int num_operands() const { return static_cast<int>(operands_.size()); }
  const Place& operand(int i) const { return operands_.at(static_cast<std::size_t>(i)); }
  int num_results() const { return static_cast<int>(results_.size()); }
  const Place& result(int i = 0) const { return results_.at(static_cast<std::size_t>(i)); }
  // The integers of an operand that is known before running. Throws kUnsupported when it is not.
  std::vector<std::int64_t> integers(int operand) const;
  // The most threads a run may have.
  int threads() const { return threads_; }
  // The step may use this much of Frame::scratch.
  void need_scratch(std::size_t bytes) { scratch_ = bytes > scratch_ ? bytes : scratch_; }
  // For reports, when better known than when lowering.
  void set_kernel(std::string name) { kernel_ = std::move(name); }
  // The fastest candidate: as the plan says, else measured, else the first. `key` names the work (sizes, strides).
  virtual std::unique_ptr<Step> choose(const std::string& key, std::span<const Candidate> candidates) = 0;
  // The plan of a program that the step runs inside.
  virtual std::unique_ptr<ShapePlan> plan_inside(Program& program, std::span<const InputShape> inputs) = 0;

 protected:
  const ir::Node* node_ = nullptr;
  std::vector<Place> operands_;
  std::vector<Place> results_;
  int threads_ = 1;
  std::size_t scratch_ = 0;
  std::string kernel_;
};

// A node made ready for any shape.
struct Lowered {
  std::string kernel;          // for reports
  Positions unread;            // operands that the step does not read while running: packed weights, sizes, axes
  Positions packed;            // those of `unread` whose values are needed no more once they were packed
  Positions pitched_operands;  // operands whose rows may lie apart
  Positions pitched_results;   // results whose rows may lie apart
  Positions in_place;          // operands that result 0 may overwrite when nobody needs them afterwards
  int alias = -1;              // result 0 is this operand under another shape: no step
  // Where a result is a contiguous piece of operand `view_operand`, its first element there, else -1: such results are no step.
  std::function<std::vector<std::int64_t>(const PlanContext&)> views;
  int view_operand = 0;
  // Concatenations have no prepare: their parts are written in place where that is possible, else copied.
  enum class Concat : std::uint8_t { kNo, kAlongAxis, kNewAxis };
  Concat concat = Concat::kNo;
  int concat_axis = 0;           // when concat_axis_operand is negative
  int concat_axis_operand = -1;  // the operand that gives the axis
  bool reference = false;      // runs the reference kernel: counts as native
  std::function<std::unique_ptr<Step>(PlanContext&)> prepare;
};

// Where lowerings find weights: packed now while compiling, in the plan when loading.
class WeightSource {
 public:
  virtual ~WeightSource() = default;
  // True for a value that is the same in every run and whose content can be packed.
  virtual bool is_constant(ir::Value value) const = 0;
  // The value of a constant that is not packed away; null otherwise.
  virtual const Tensor* constant(ir::Value value) const = 0;
  // `value` in the form that `layout` names: `size` bytes, 64-byte aligned, living as long as the executable. `pack` is only
  // called while compiling. Throws kIncompatiblePlan when a plan lacks it.
  virtual const void* packed(ir::Value value, const std::string& layout, std::size_t size,
                             const std::function<void(const Tensor&, void*)>& pack) = 0;
  // The same for a form much larger than the value: plans hold the value, which is packed whenever one is loaded.
  virtual const void* packed_when_loaded(ir::Value value, const std::string& layout, std::size_t size,
                                         const std::function<void(const Tensor&, void*)>& pack) = 0;
};

// An op's lowering.
struct Lowering {
  std::string_view op;
  // Whether the node can be in an engine; types are inferred as far as they are known.
  Verdict (*supports)(const ir::Node&);
  Lowered (*lower)(const ir::Node&, WeightSource&);
};

struct LoweringFamily {
  std::string_view name;
  std::span<const Lowering> lowerings;
};

std::span<const LoweringFamily* const> lowering_families();
// Null when the op has none.
const Lowering* find_lowering(std::string_view op);

// Attribute of the parameters of a loop's body and condition that are its states.
inline constexpr const char* kLoopState = "loop_state";

// Reasons to say no that many ops share.
Verdict require_float32(const ir::Node& node, int operands);
// Yes when the operand will be known as soon as the shapes of the inputs are: constants, shapes, and arithmetic on them.
Verdict require_known(const ir::Node& node, int operand, std::string_view what);
Verdict require_rank(const ir::Node& node, int operand, int rank);
// True for arithmetic on shapes and constants alone: known as soon as the shapes of the inputs are, so it costs nothing in a run.
bool follows_from_shapes(const ir::Node& node);

}  // namespace tenon::cpu
