// The program of an `elementwise` node: straight-line float32 arithmetic over registers, run once for each element.
//
// Attributes: program (string, one instruction a line: "op dst src... [number...]"), results (list of registers, one per
// output), out_types (list of float32). Registers are written r0, r1, …: the first ones are the operands, every other one is
// written exactly once and before it is read. Every output has the shape that all operands broadcast to together.
#pragma once

#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "ops/fused.h"

namespace tenon::ops {

enum class ElementwiseOp {
  kConst,  // const r5 0x1.8p+1
  kAdd,
  kSub,
  kMul,
  kDiv,
  kMinimum,
  kMaximum,
  kSquaredDifference,
  kNeg,
  kAbs,
  kSquare,
  kSqrt,
  kRsqrt,
  kReciprocal,
  kLog,
  kErf,
  kErfc,
  kFloor,
  kCeil,
  kActivation,  // any Activation but none, by its name; alpha and beta follow where the activation has them
};

struct ElementwiseInstruction {
  ElementwiseOp op = ElementwiseOp::kConst;
  Activation activation = Activation::kNone;
  int dst = 0;
  std::array<int, 2> src{-1, -1};
  float alpha = 0;  // the number of kConst; an activation's parameters
  float beta = 0;
};

// The number of register operands an instruction reads.
int elementwise_arity(ElementwiseOp op) noexcept;
// The instruction for an IR op of this name, when there is one ("add", "rsqrt"); activations are not among them.
bool elementwise_op_from_name(std::string_view name, ElementwiseOp& op) noexcept;
// One element's value.
float elementwise_apply(const ElementwiseInstruction& instruction, float a, float b) noexcept;

struct ElementwiseProgram {
  int num_operands = 0;
  int num_registers = 0;
  std::vector<ElementwiseInstruction> instructions;
  std::vector<int> results;

  // Throws kInvalidModel for malformed text, registers read before they are written, more than 1000 instructions.
  static ElementwiseProgram parse(const ir::Attrs& attrs, int num_operands);
  void store(ir::Attrs& attrs) const;
};

}  // namespace tenon::ops
