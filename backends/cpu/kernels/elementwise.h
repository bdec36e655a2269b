// Chains of element-wise operations in one pass over memory. A chain is a small program over float vectors; it runs on
// blocks that stay in the L1 cache. Inputs may be broadcast in any way and may be of other number types (cast to float on
// load, cast back on store as TensorFlow's Cast does). Truth values are floats: 0 is false, everything else true, results
// are 0 or 1.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/thread_team.h"
#include "tenon/tensor.h"

namespace tenon::cpu {

enum class VectorOp : uint8_t {
  // No operand.
  kConstant,  // p
  // One operand, a.
  kNeg,
  kAbs,
  kSquare,
  kReciprocal,
  kSqrt,
  kRsqrt,
  kExp,
  kExpm1,
  kLog,
  kLog1p,
  kSin,
  kCos,
  kTan,
  kAsin,
  kAcos,
  kAtan,
  kSinh,
  kCosh,
  kAsinh,
  kAcosh,
  kAtanh,
  kTanh,
  kSigmoid,
  kErf,
  kErfc,
  kGeluErf,
  kGeluTanh,
  kSoftplus,
  kSoftsign,
  kSwish,
  kHardSwish,
  kHardSigmoid,
  kRelu,
  kRelu6,
  kElu,
  kSelu,
  kMish,
  kFloor,
  kCeil,
  kRound,
  kTrunc,
  kSign,
  kNot,
  kIsNan,
  kIsInf,
  kIsFinite,
  kLeakyRelu,  // a > 0 ? a : p a
  kClip,       // min(max(a, p), q)
  kAffine,     // a p + q, rounded once where the CPU can
  kToBool,     // a != 0
  // Two operands, a and b.
  kAdd,
  kSub,
  kMul,
  kDiv,
  kMaximum,
  kMinimum,
  kPow,
  kSquaredDifference,
  kFloorDiv,
  kFloorMod,
  kTruncMod,
  kAtan2,
  kDivNoNan,
  kMulNoNan,
  kEqual,
  kNotEqual,
  kLess,
  kLessEqual,
  kGreater,
  kGreaterEqual,
  kAnd,
  kOr,
  kXor,
  // Three operands.
  kSelect,  // a ? b : c
  kMulAdd,  // a b + c, rounded once where the CPU can
};

// Number of value operands: 0 to 3.
int operand_count(VectorOp op) noexcept;

struct VectorInstruction {
  VectorOp op = VectorOp::kConstant;
  int a = -1, b = -1, c = -1;  // values
  float p = 0, q = 0;
};

// Values are numbered: the inputs first, then one value per instruction. An instruction uses earlier values only.
struct VectorProgram {
  int inputs = 0;
  std::vector<VectorInstruction> code;
  std::vector<int> outputs;  // the values to store

  // Appends an instruction and returns its value.
  int append(VectorInstruction instruction) {
    code.push_back(instruction);
    return inputs + static_cast<int>(code.size()) - 1;
  }
};

// Where an operand's elements lie: one stride, in elements, per dimension of the loop; 0 repeats the element (broadcast).
struct ElementwiseOperand {
  DataType dtype = DataType::kFloat32;
  std::vector<int64_t> strides;
};

// The strides of a dense tensor of shape `from`, broadcast to `to` by NumPy's rules (dimensions aligned on the right).
std::vector<int64_t> broadcast_strides(std::span<const int64_t> from, std::span<const int64_t> to);

// A program bound to one loop shape. Immutable after construction; run() may be called from several threads at once with
// different teams, allocates nothing and takes no lock.
class Elementwise {
 public:
  // Which of these dtypes operands may have: float32, float64, bfloat16, float16, bool and all integers up to 64 bits.
  static bool supports(DataType dtype) noexcept;

  // Throws kInternal when the program or the strides do not fit together, kUnsupported for more than 24 values alive at
  // once.
  Elementwise(const VectorProgram& program, std::span<const int64_t> dims, std::span<const ElementwiseOperand> inputs,
              std::span<const ElementwiseOperand> outputs);
  ~Elementwise();
  Elementwise(Elementwise&&) noexcept;
  Elementwise& operator=(Elementwise&&) noexcept;

  // One pointer per operand. An output may be the very memory of an input with the same dtype and strides.
  void run(std::span<const void* const> inputs, std::span<void* const> outputs, ThreadTeam& team) const;

 private:
  struct Plan;
  std::unique_ptr<const Plan> plan_;
};

}  // namespace tenon::cpu
