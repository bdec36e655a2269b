#include "ops/elementwise_program.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>

#include "base/error.h"

namespace tenon::ops {
namespace {

constexpr std::size_t kMaxInstructions = 1000;

struct OpName {
  std::string_view name;
  ElementwiseOp op;
  int arity;
};

constexpr OpName kOps[] = {
    {"const", ElementwiseOp::kConst, 0},
    {"add", ElementwiseOp::kAdd, 2},
    {"sub", ElementwiseOp::kSub, 2},
    {"mul", ElementwiseOp::kMul, 2},
    {"div", ElementwiseOp::kDiv, 2},
    {"minimum", ElementwiseOp::kMinimum, 2},
    {"maximum", ElementwiseOp::kMaximum, 2},
    {"squared_difference", ElementwiseOp::kSquaredDifference, 2},
    {"neg", ElementwiseOp::kNeg, 1},
    {"abs", ElementwiseOp::kAbs, 1},
    {"square", ElementwiseOp::kSquare, 1},
    {"sqrt", ElementwiseOp::kSqrt, 1},
    {"rsqrt", ElementwiseOp::kRsqrt, 1},
    {"reciprocal", ElementwiseOp::kReciprocal, 1},
    {"log", ElementwiseOp::kLog, 1},
    {"erf", ElementwiseOp::kErf, 1},
    {"erfc", ElementwiseOp::kErfc, 1},
    {"floor", ElementwiseOp::kFloor, 1},
    {"ceil", ElementwiseOp::kCeil, 1},
};

// How many numbers follow an instruction's operands.
int num_parameters(const ElementwiseInstruction& i) {
  if (i.op == ElementwiseOp::kConst) return 1;
  if (i.op != ElementwiseOp::kActivation) return 0;
  switch (i.activation) {
    case Activation::kClip:
    case Activation::kHardSigmoid:
      return 2;
    case Activation::kLeakyRelu:
    case Activation::kElu:
      return 1;
    default:
      return 0;
  }
}

std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find(separator), text.size());
    if (end > 0) parts.push_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return parts;
}

int parse_register(std::string_view text, int count) {
  int number = -1;
  const bool named = text.size() > 1 && text[0] == 'r';
  if (named) {
    const auto [end, error] = std::from_chars(text.data() + 1, text.data() + text.size(), number);
    if (error != std::errc{} || end != text.data() + text.size()) number = -1;
  }
  if (number < 0 || number >= count) fail(ErrorCode::kInvalidModel, "elementwise program: \"{}\" is not a register here", text);
  return number;
}

float parse_number(std::string_view text) {
  if (text == "nan") return std::nanf("");
  const bool negative = text.starts_with('-');
  std::string_view digits = negative ? text.substr(1) : text;
  float value = 0;
  if (digits == "inf") {
    value = HUGE_VALF;
  } else {
    if (!digits.starts_with("0x")) fail(ErrorCode::kInvalidModel, "elementwise program: \"{}\" is not a number", text);
    digits.remove_prefix(2);
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value, std::chars_format::hex);
    if (error != std::errc{} || end != digits.data() + digits.size() || digits.empty() || digits[0] == '-') {
      fail(ErrorCode::kInvalidModel, "elementwise program: \"{}\" is not a number", text);
    }
  }
  return negative ? -value : value;
}

std::string number_text(float value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value < 0 ? "-inf" : "inf";
  return fmt::format("{:a}", value);
}

ElementwiseInstruction parse_line(std::string_view line, int dst) {
  const auto words = split(line, ' ');
  if (words.size() < 2) fail(ErrorCode::kInvalidModel, "elementwise program: \"{}\" is not an instruction", line);
  ElementwiseInstruction result;
  const auto* known = std::find_if(std::begin(kOps), std::end(kOps), [&](const OpName& o) { return o.name == words[0]; });
  if (known != std::end(kOps)) {
    result.op = known->op;
  } else {
    result.op = ElementwiseOp::kActivation;
    result.activation = activation_from_name(words[0]);
  }
  const int arity = elementwise_arity(result.op);
  const int parameters = num_parameters(result);
  if (words.size() != static_cast<std::size_t>(2 + arity + parameters)) {
    fail(ErrorCode::kInvalidModel, "elementwise program: \"{}\" has {} words", line, words.size());
  }
  result.dst = parse_register(words[1], dst + 1);
  if (result.dst != dst) fail(ErrorCode::kInvalidModel, "elementwise program: \"{}\" must write r{}", line, dst);
  for (int i = 0; i < arity; ++i) result.src[static_cast<std::size_t>(i)] = parse_register(words[static_cast<std::size_t>(2 + i)], dst);
  if (parameters > 0) result.alpha = parse_number(words[static_cast<std::size_t>(2 + arity)]);
  if (parameters > 1) result.beta = parse_number(words[static_cast<std::size_t>(3 + arity)]);
  return result;
}

}  // namespace

int elementwise_arity(ElementwiseOp op) noexcept {
  for (const OpName& known : kOps) {
    if (known.op == op) return known.arity;
  }
  return 1;
}

bool elementwise_op_from_name(std::string_view name, ElementwiseOp& op) noexcept {
  for (const OpName& known : kOps) {
    if (known.name == name && known.op != ElementwiseOp::kConst) {
      op = known.op;
      return true;
    }
  }
  return false;
}

float elementwise_apply(const ElementwiseInstruction& i, float a, float b) noexcept {
  switch (i.op) {
    case ElementwiseOp::kConst:
      return i.alpha;
    case ElementwiseOp::kAdd:
      return a + b;
    case ElementwiseOp::kSub:
      return a - b;
    case ElementwiseOp::kMul:
      return a * b;
    case ElementwiseOp::kDiv:
      return a / b;
    case ElementwiseOp::kMinimum:  // a NaN on either side wins, as in TensorFlow
      return std::isnan(a) ? a : std::isnan(b) ? b : std::min(a, b);
    case ElementwiseOp::kMaximum:
      return std::isnan(a) ? a : std::isnan(b) ? b : std::max(a, b);
    case ElementwiseOp::kSquaredDifference:
      return (a - b) * (a - b);
    case ElementwiseOp::kNeg:
      return -a;
    case ElementwiseOp::kAbs:
      return std::fabs(a);
    case ElementwiseOp::kSquare:
      return a * a;
    case ElementwiseOp::kSqrt:
      return std::sqrt(a);
    case ElementwiseOp::kRsqrt:
      return 1.0f / std::sqrt(a);
    case ElementwiseOp::kReciprocal:
      return 1.0f / a;
    case ElementwiseOp::kLog:
      return std::log(a);
    case ElementwiseOp::kErf:
      return std::erf(a);
    case ElementwiseOp::kErfc:
      return std::erfc(a);
    case ElementwiseOp::kFloor:
      return std::floor(a);
    case ElementwiseOp::kCeil:
      return std::ceil(a);
    case ElementwiseOp::kActivation:
      return activate(i.activation, a, i.alpha, i.beta);
  }
  return 0;
}

ElementwiseProgram ElementwiseProgram::parse(const ir::Attrs& attrs, int num_operands) {
  ElementwiseProgram program;
  program.num_operands = program.num_registers = num_operands;
  const auto text = attrs.get<std::string>("program");
  for (const std::string_view line : split(text, '\n')) {
    if (program.instructions.size() == kMaxInstructions) {
      fail(ErrorCode::kInvalidModel, "elementwise program: more than {} instructions", kMaxInstructions);
    }
    program.instructions.push_back(parse_line(line, program.num_registers++));
  }
  for (const std::int64_t reg : attrs.get<std::vector<std::int64_t>>("results")) {
    if (reg < 0 || reg >= program.num_registers) fail(ErrorCode::kInvalidModel, "elementwise program: result r{}", reg);
    program.results.push_back(static_cast<int>(reg));
  }
  const auto types = attrs.get_or<std::vector<DataType>>("out_types", {});
  const bool all_float = std::all_of(types.begin(), types.end(), [](DataType t) { return t == DataType::kFloat32; });
  if (program.results.empty() || types.size() != program.results.size() || !all_float) {
    fail(ErrorCode::kInvalidModel, "elementwise program: {} results with {} types", program.results.size(), types.size());
  }
  return program;
}

void ElementwiseProgram::store(ir::Attrs& attrs) const {
  std::string text;
  for (const ElementwiseInstruction& i : instructions) {
    if (!text.empty()) text += '\n';
    std::string_view name = activation_name(i.activation);
    for (const OpName& known : kOps) {
      if (known.op == i.op) name = known.name;
    }
    text += fmt::format("{} r{}", name, i.dst);
    for (int s = 0; s < elementwise_arity(i.op); ++s) text += fmt::format(" r{}", i.src[static_cast<std::size_t>(s)]);
    if (num_parameters(i) > 0) text += " " + number_text(i.alpha);
    if (num_parameters(i) > 1) text += " " + number_text(i.beta);
  }
  attrs.set("program", std::move(text));
  attrs.set("results", std::vector<std::int64_t>(results.begin(), results.end()));
  attrs.set("out_types", std::vector<DataType>(results.size(), DataType::kFloat32));
}

}  // namespace tenon::ops
