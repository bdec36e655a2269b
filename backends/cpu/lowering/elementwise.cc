// Arithmetic element by element: single ops and fused chains, all as one pass over memory.
#include <algorithm>
#include <array>

#include "backends/cpu/kernels/cast.h"
#include "backends/cpu/kernels/elementwise.h"
#include "backends/cpu/lowering/integer.h"
#include "backends/cpu/lowering/layout.h"
#include "backends/cpu/lowering/lowering.h"
#include "base/error.h"
#include "ops/elementwise_program.h"

namespace tenon::cpu {
namespace {

struct VectorOpName {
  std::string_view name;
  VectorOp op;
};

constexpr VectorOpName kOps[] = {
    {"neg", VectorOp::kNeg},
    {"abs", VectorOp::kAbs},
    {"square", VectorOp::kSquare},
    {"reciprocal", VectorOp::kReciprocal},
    {"sqrt", VectorOp::kSqrt},
    {"rsqrt", VectorOp::kRsqrt},
    {"exp", VectorOp::kExp},
    {"expm1", VectorOp::kExpm1},
    {"log", VectorOp::kLog},
    {"log1p", VectorOp::kLog1p},
    {"sin", VectorOp::kSin},
    {"cos", VectorOp::kCos},
    {"tan", VectorOp::kTan},
    {"asin", VectorOp::kAsin},
    {"acos", VectorOp::kAcos},
    {"atan", VectorOp::kAtan},
    {"sinh", VectorOp::kSinh},
    {"cosh", VectorOp::kCosh},
    {"asinh", VectorOp::kAsinh},
    {"acosh", VectorOp::kAcosh},
    {"atanh", VectorOp::kAtanh},
    {"tanh", VectorOp::kTanh},
    {"sigmoid", VectorOp::kSigmoid},
    {"erf", VectorOp::kErf},
    {"erfc", VectorOp::kErfc},
    {"softplus", VectorOp::kSoftplus},
    {"softsign", VectorOp::kSoftsign},
    {"swish", VectorOp::kSwish},
    {"hard_swish", VectorOp::kHardSwish},
    {"relu", VectorOp::kRelu},
    {"relu6", VectorOp::kRelu6},
    {"elu", VectorOp::kElu},
    {"selu", VectorOp::kSelu},
    {"floor", VectorOp::kFloor},
    {"ceil", VectorOp::kCeil},
    {"round", VectorOp::kRound},
    {"sign", VectorOp::kSign},
    {"logical_not", VectorOp::kNot},
    {"is_nan", VectorOp::kIsNan},
    {"is_inf", VectorOp::kIsInf},
    {"is_finite", VectorOp::kIsFinite},
    {"add", VectorOp::kAdd},
    {"sub", VectorOp::kSub},
    {"mul", VectorOp::kMul},
    {"div", VectorOp::kDiv},
    {"maximum", VectorOp::kMaximum},
    {"minimum", VectorOp::kMinimum},
    {"pow", VectorOp::kPow},
    {"squared_difference", VectorOp::kSquaredDifference},
    {"floor_div", VectorOp::kFloorDiv},
    {"floor_mod", VectorOp::kFloorMod},
    {"truncate_mod", VectorOp::kTruncMod},
    {"atan2", VectorOp::kAtan2},
    {"div_no_nan", VectorOp::kDivNoNan},
    {"mul_no_nan", VectorOp::kMulNoNan},
    {"equal", VectorOp::kEqual},
    {"not_equal", VectorOp::kNotEqual},
    {"less", VectorOp::kLess},
    {"less_equal", VectorOp::kLessEqual},
    {"greater", VectorOp::kGreater},
    {"greater_equal", VectorOp::kGreaterEqual},
    {"logical_and", VectorOp::kAnd},
    {"logical_or", VectorOp::kOr},
    {"select", VectorOp::kSelect},
    {"select_v2", VectorOp::kSelect},
};

// One op on as many operands as the node has.
VectorProgram single(VectorInstruction instruction, int operands) {
  VectorProgram program;
  program.inputs = operands;
  instruction.a = operands > 0 ? 0 : -1;
  instruction.b = operands > 1 ? 1 : -1;
  instruction.c = operands > 2 ? 2 : -1;
  program.outputs = {program.append(instruction)};
  return program;
}

VectorInstruction activation_instruction(ops::Activation activation, int operand, float alpha, float beta) {
  VectorInstruction made;
  made.a = operand;
  switch (activation) {
    case ops::Activation::kNone:
      made.op = VectorOp::kAffine;
      made.p = 1;
      break;
    case ops::Activation::kRelu:
      made.op = VectorOp::kRelu;
      break;
    case ops::Activation::kRelu6:
      made.op = VectorOp::kRelu6;
      break;
    case ops::Activation::kClip:
      made.op = VectorOp::kClip;
      made.p = alpha;
      made.q = beta;
      break;
    case ops::Activation::kLeakyRelu:
      made.op = VectorOp::kLeakyRelu;
      made.p = alpha;
      break;
    case ops::Activation::kElu:
      made.op = VectorOp::kElu;
      break;
    case ops::Activation::kSelu:
      made.op = VectorOp::kSelu;
      break;
    case ops::Activation::kSigmoid:
      made.op = VectorOp::kSigmoid;
      break;
    case ops::Activation::kTanh:
      made.op = VectorOp::kTanh;
      break;
    case ops::Activation::kSwish:
      made.op = VectorOp::kSwish;
      break;
    case ops::Activation::kHardSwish:
      made.op = VectorOp::kHardSwish;
      break;
    case ops::Activation::kHardSigmoid:
      made.op = VectorOp::kAffine;
      made.p = alpha;
      made.q = beta;
      break;
    case ops::Activation::kGeluErf:
      made.op = VectorOp::kGeluErf;
      break;
    case ops::Activation::kGeluTanh:
      made.op = VectorOp::kGeluTanh;
      break;
    case ops::Activation::kSoftplus:
      made.op = VectorOp::kSoftplus;
      break;
    case ops::Activation::kSoftsign:
      made.op = VectorOp::kSoftsign;
      break;
    case ops::Activation::kExp:
      made.op = VectorOp::kExp;
      break;
  }
  return made;
}

// Appends an activation; some take two instructions.
int append_activation(VectorProgram& program, ops::Activation activation, int operand, float alpha, float beta) {
  const int value = program.append(activation_instruction(activation, operand, alpha, beta));
  if (activation == ops::Activation::kHardSigmoid) return program.append({VectorOp::kClip, value, -1, -1, 0, 1});
  if (activation != ops::Activation::kElu || alpha == 1) return value;
  // elu with another alpha: max(x, 0) + alpha * min(elu(x), 0)
  const float infinity = std::numeric_limits<float>::infinity();
  const int positive = program.append({VectorOp::kRelu, operand, -1, -1, 0, 0});
  const int negative = program.append({VectorOp::kClip, value, -1, -1, -infinity, 0});
  const int scaled = program.append({VectorOp::kAffine, negative, -1, -1, alpha, 0});
  return program.append({VectorOp::kAdd, positive, scaled, -1, 0, 0});
}

VectorOp fused_op(ops::ElementwiseOp op) {
  switch (op) {
    case ops::ElementwiseOp::kConst:
    case ops::ElementwiseOp::kActivation:
      return VectorOp::kConstant;
    case ops::ElementwiseOp::kAdd:
      return VectorOp::kAdd;
    case ops::ElementwiseOp::kSub:
      return VectorOp::kSub;
    case ops::ElementwiseOp::kMul:
      return VectorOp::kMul;
    case ops::ElementwiseOp::kDiv:
      return VectorOp::kDiv;
    case ops::ElementwiseOp::kMinimum:
      return VectorOp::kMinimum;
    case ops::ElementwiseOp::kMaximum:
      return VectorOp::kMaximum;
    case ops::ElementwiseOp::kSquaredDifference:
      return VectorOp::kSquaredDifference;
    case ops::ElementwiseOp::kNeg:
      return VectorOp::kNeg;
    case ops::ElementwiseOp::kAbs:
      return VectorOp::kAbs;
    case ops::ElementwiseOp::kSquare:
      return VectorOp::kSquare;
    case ops::ElementwiseOp::kSqrt:
      return VectorOp::kSqrt;
    case ops::ElementwiseOp::kRsqrt:
      return VectorOp::kRsqrt;
    case ops::ElementwiseOp::kReciprocal:
      return VectorOp::kReciprocal;
    case ops::ElementwiseOp::kLog:
      return VectorOp::kLog;
    case ops::ElementwiseOp::kErf:
      return VectorOp::kErf;
    case ops::ElementwiseOp::kErfc:
      return VectorOp::kErfc;
    case ops::ElementwiseOp::kFloor:
      return VectorOp::kFloor;
    case ops::ElementwiseOp::kCeil:
      return VectorOp::kCeil;
  }
  return VectorOp::kConstant;
}

VectorProgram fused_program(const ir::Node& node) {
  const auto source = ops::ElementwiseProgram::parse(node.attrs, static_cast<int>(node.inputs.size()));
  VectorProgram program;
  program.inputs = source.num_operands;
  std::vector<int> values(static_cast<std::size_t>(source.num_registers), -1);
  for (int i = 0; i < source.num_operands; ++i) values[static_cast<std::size_t>(i)] = i;
  const auto value = [&](int reg) { return reg < 0 ? -1 : values[static_cast<std::size_t>(reg)]; };
  for (const ops::ElementwiseInstruction& from : source.instructions) {
    int made = -1;
    if (from.op == ops::ElementwiseOp::kActivation) {
      made = append_activation(program, from.activation, value(from.src[0]), from.alpha, from.beta);
    } else {
      made = program.append({fused_op(from.op), value(from.src[0]), value(from.src[1]), -1, from.alpha, 0});
    }
    values[static_cast<std::size_t>(from.dst)] = made;
  }
  for (const int reg : source.results) program.outputs.push_back(value(reg));
  return program;
}

VectorProgram add_n_program(const ir::Node& node) {
  VectorProgram program;
  program.inputs = static_cast<int>(node.inputs.size());
  int sum = 0;
  for (int i = 1; i < program.inputs; ++i) sum = program.append({VectorOp::kAdd, sum, i, -1, 0, 0});
  if (program.inputs == 1) sum = program.append({VectorOp::kAffine, 0, -1, -1, 1, 0});
  program.outputs = {sum};
  return program;
}

VectorProgram program_of(const ir::Node& node) {
  const int operands = static_cast<int>(node.inputs.size());
  VectorProgram program;
  program.inputs = operands;
  const auto activation = [&](ops::Activation kind) {
    program.outputs = {append_activation(program, kind, 0, node.attr_or<float>("alpha", ops::default_alpha(kind)),
                                         node.attr_or<float>("beta", ops::default_beta(kind)))};
    return program;
  };
  if (node.is("elementwise")) return fused_program(node);
  if (node.is("add_n")) return add_n_program(node);
  if (node.is("bias_add")) return single({VectorOp::kAdd}, 2);
  if (node.is("leaky_relu")) return activation(ops::Activation::kLeakyRelu);
  if (node.is("clip")) return activation(ops::Activation::kClip);
  if (node.is("hard_sigmoid")) return activation(ops::Activation::kHardSigmoid);
  if (node.is("gelu")) {
    return activation(node.attr_or<bool>("approximate", false) ? ops::Activation::kGeluTanh : ops::Activation::kGeluErf);
  }
  if (node.is("clip_by_value")) {
    const int low = program.append({VectorOp::kMinimum, 0, 2, -1, 0, 0});
    program.outputs = {program.append({VectorOp::kMaximum, low, 1, -1, 0, 0})};
    return program;
  }
  if (node.is("channel_affine")) {
    const auto epilogue = ops::Epilogue::parse(node.attrs);
    int value = program.append({VectorOp::kMulAdd, 0, 1, 2, 0, 0});
    if (epilogue.activation != ops::Activation::kNone) {
      value = append_activation(program, epilogue.activation, value, epilogue.alpha, epilogue.beta);
    }
    program.outputs = {value};
    return program;
  }
  for (const VectorOpName& known : kOps) {
    if (node.is(known.name)) return single({known.op}, operands);
  }
  fail(ErrorCode::kInternal, "{}: no element-wise program", node.describe());
}

// A bias along the second dimension.
bool channels_first(const ir::Node& node) {
  return node.is("bias_add") && node.attr_or<std::string>("data_format", "NHWC") == "NCHW";
}

std::vector<std::int64_t> operand_strides(const PlanContext& ctx, int operand, const Shape& loop) {
  const Place& place = ctx.operand(operand);
  if (operand == 1 && channels_first(ctx.node())) {
    std::vector<std::int64_t> strides(static_cast<std::size_t>(loop.rank()), 0);
    strides.at(1) = 1;
    return strides;
  }
  if (operand == 0 && ctx.node().is("select") && place.shape.rank() == 1 && loop.rank() > 1) {  // chooses whole rows
    std::vector<std::int64_t> strides(static_cast<std::size_t>(loop.rank()), 0);
    strides[0] = 1;
    return strides;
  }
  return broadcast_place(place, loop);
}

std::unique_ptr<Step> prepare(PlanContext& ctx, const VectorProgram& program) {
  const Shape& loop = ctx.result().shape;
  std::vector<ElementwiseOperand> inputs, outputs;
  std::vector<Slot> input_slots, output_slots;
  VectorProgram wanted = program;
  wanted.outputs.clear();
  for (int i = 0; i < ctx.num_operands(); ++i) {
    inputs.push_back({ctx.operand(i).dtype, operand_strides(ctx, i, loop)});
    input_slots.push_back(ctx.operand(i).slot);
  }
  for (int i = 0; i < ctx.num_results(); ++i) {
    if (ctx.result(i).slot < 0) continue;
    wanted.outputs.push_back(program.outputs.at(static_cast<std::size_t>(i)));
    outputs.push_back({ctx.result(i).dtype, place_strides(ctx.result(i))});
    output_slots.push_back(ctx.result(i).slot);
  }
  auto kernel = std::make_shared<const Elementwise>(wanted, loop.dims(), inputs, outputs);
  return make_step([kernel, input_slots, output_slots](const Frame& frame) {
    constexpr std::size_t kMost = 64;
    std::array<const void*, kMost> in;
    std::array<void*, kMost> out;
    for (std::size_t i = 0; i < input_slots.size(); ++i) in[i] = frame.at<const void>(input_slots[i]);
    for (std::size_t i = 0; i < output_slots.size(); ++i) out[i] = frame.at<void>(output_slots[i]);
    kernel->run({in.data(), input_slots.size()}, {out.data(), output_slots.size()}, *frame.team);
  });
}

Lowered lower_elementwise(const ir::Node& node, WeightSource&) {
  if (is_integer_node(node)) return lower_integer(node);
  Lowered lowered;
  lowered.kernel = "elementwise";
  lowered.pitched_operands = Positions::all();
  lowered.pitched_results = Positions::all();
  if (node.outputs.size() == 1) lowered.in_place = Positions::all();
  lowered.prepare = [program = program_of(node)](PlanContext& ctx) { return prepare(ctx, program); };
  return lowered;
}

// float32 operands; truth values where the op takes them.
Verdict supports_elementwise(const ir::Node& node) {
  if (is_integer_node(node)) return supports_integer(node);
  constexpr std::size_t kMostOperands = 24;
  if (node.inputs.size() > kMostOperands) return Verdict::no(fmt::format("{} operands, at most {} run in one pass", node.inputs.size(), kMostOperands));
  const bool select = node.is("select") || node.is("select_v2");
  for (std::size_t i = 0; i < node.inputs.size(); ++i) {
    const ir::Value& input = node.inputs[i];
    const DataType dtype = input.node->outputs[static_cast<std::size_t>(input.index)].dtype;
    const bool truth = node.is("logical_not") || node.is("logical_and") || node.is("logical_or") || (select && i == 0);
    if (dtype == (truth ? DataType::kBool : DataType::kFloat32)) continue;
    return Verdict::no(fmt::format("{} runs in an engine with {} operands, operand {} is {}", node.op->name, truth ? "bool" : "float32", i,
                                   dtype == DataType::kInvalid ? "of unknown dtype" : dtype_name(dtype)));
  }
  return Verdict::yes();
}

Verdict supports_integer_only(const ir::Node& node) {
  return is_integer_node(node) ? supports_integer(node) : Verdict::no(fmt::format("{} runs in an engine with int32 or int64 operands", node.op->name));
}

DataType result_dtype(const ir::Node& node) { return node.outputs.empty() ? DataType::kInvalid : node.outputs[0].dtype; }

DataType operand_dtype(const ir::Node& node) {
  return node.inputs.empty() ? DataType::kInvalid : node.inputs[0].node->outputs[static_cast<std::size_t>(node.inputs[0].index)].dtype;
}

Verdict supports_cast(const ir::Node& node) {
  const DataType from = operand_dtype(node), to = result_dtype(node);
  if (cast_function(from, to) != nullptr) return Verdict::yes();
  return Verdict::no(fmt::format("a cast from {} to {} does not run in an engine", dtype_name(from), dtype_name(to)));
}

Lowered lower_cast(const ir::Node& node, WeightSource&) {
  Lowered lowered;
  lowered.kernel = "cast";
  if (operand_dtype(node) == result_dtype(node)) {
    lowered.alias = 0;
    return lowered;
  }
  lowered.prepare = [](PlanContext& ctx) {
    const Place from = ctx.operand(0), to = ctx.result();
    return make_step([from, to, count = to.elements()](const Frame& frame) {
      cast(from.dtype, frame.at<const void>(from.slot), to.dtype, frame.at<void>(to.slot), count, *frame.team);
    });
  };
  return lowered;
}

std::span<const Lowering> lowerings() {
  static const auto list = [] {
    std::vector<Lowering> made;
    for (const VectorOpName& known : kOps) made.push_back({known.name, supports_elementwise, lower_elementwise});
    for (const std::string_view name : {"elementwise", "add_n", "bias_add", "leaky_relu", "clip", "hard_sigmoid", "gelu", "clip_by_value",
                                        "channel_affine"}) {
      made.push_back({name, supports_elementwise, lower_elementwise});
    }
    for (const std::string_view name : {"bitwise_and", "bitwise_or", "bitwise_xor", "invert", "truncate_div"}) {
      made.push_back({name, supports_integer_only, lower_elementwise});
    }
    made.push_back({"cast", supports_cast, lower_cast});
    return made;
  }();
  return list;
}

}  // namespace

const LoweringFamily& elementwise_lowerings() {
  static const LoweringFamily family{"elementwise", lowerings()};
  return family;
}

}  // namespace tenon::cpu
