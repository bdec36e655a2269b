// A program for concrete input shapes: steps with kernels chosen, and where every tensor lies. Made on demand, then immutable.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "backends/cpu/program.h"
#include "backends/cpu/step.h"
#include "backends/cpu/tactics.h"
#include "tenon/tensor_view.h"

namespace tenon::cpu {

// Where a tensor lies in a run: `offset` bytes into the arena, an input, an output, or at a fixed address.
struct Address {
  enum class Base : std::uint8_t { kArena, kInput, kOutput, kFixed };
  Base base = Base::kArena;
  int index = 0;  // which input or output
  std::size_t offset = 0;
  const std::byte* fixed = nullptr;
};

struct PlannedStep {
  std::unique_ptr<Step> step;
  const ProgramNode* origin = nullptr;  // null for a copy to an output
  std::string kernel;
  std::string shape;
  double flops = 0;
};

struct PlannedOutput {
  DataType dtype = DataType::kInvalid;
  Shape shape;
};

struct ShapePlan {
  std::vector<PlannedStep> steps;
  std::vector<Address> addresses;  // by slot
  std::vector<PlannedOutput> outputs;
  std::vector<Tensor> constants;  // what fixed addresses point into
  std::size_t arena_bytes = 0;
  std::size_t scratch_bytes = 0;
};

// What the planner knows of an input: its shape, and its value where that decides shapes.
struct InputShape {
  Shape shape;
  Tensor value;  // invalid unless the parameter is one of Program::shape_parameters
};

// Infers all shapes, chooses kernels and lays out memory. Changes types in the program's graph, so calls must not overlap.
// `team` times candidates; results do not depend on it. Throws kUnsupported when a shape cannot be known before running.
std::unique_ptr<ShapePlan> make_shape_plan(Program& program, std::span<const InputShape> inputs, TacticChooser& tactics, ThreadTeam& team,
                                           int threads);

}  // namespace tenon::cpu
