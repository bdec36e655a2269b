#include "backends/cpu/lowering/epilogue.h"

#include <fmt/format.h>

#include "base/error.h"

namespace tenon::cpu {
namespace {

Activation kernel_activation(ops::Activation activation) {
  switch (activation) {
    case ops::Activation::kNone:
      return Activation::kNone;
    case ops::Activation::kRelu:
      return Activation::kRelu;
    case ops::Activation::kRelu6:
      return Activation::kRelu6;
    case ops::Activation::kClip:
      return Activation::kClip;
    case ops::Activation::kLeakyRelu:
      return Activation::kLeakyRelu;
    case ops::Activation::kElu:
      return Activation::kElu;
    case ops::Activation::kSelu:
      return Activation::kSelu;
    case ops::Activation::kSigmoid:
      return Activation::kSigmoid;
    case ops::Activation::kTanh:
      return Activation::kTanh;
    case ops::Activation::kSwish:
      return Activation::kSwish;
    case ops::Activation::kHardSwish:
      return Activation::kHardSwish;
    case ops::Activation::kHardSigmoid:
      return Activation::kHardSigmoid;
    case ops::Activation::kGeluErf:
      return Activation::kGeluErf;
    case ops::Activation::kGeluTanh:
      return Activation::kGeluTanh;
    case ops::Activation::kSoftplus:
      return Activation::kSoftplus;
    case ops::Activation::kSoftsign:
      return Activation::kSoftsign;
    case ops::Activation::kExp:
      return Activation::kExp;
  }
  return Activation::kNone;
}

}  // namespace

Epilogue kernel_epilogue(const ops::Epilogue& epilogue) {
  Epilogue result;
  result.activation = kernel_activation(epilogue.activation);
  result.alpha = epilogue.alpha;
  result.beta = epilogue.beta;
  if (epilogue.activation == ops::Activation::kSwish) result.alpha = 1;
  if (epilogue.activation == ops::Activation::kHardSwish) {
    result.alpha = 1.0f / 6.0f;
    result.beta = 0.5f;
  }
  result.residual = epilogue.residual == ops::Residual::kNone     ? ResidualPlace::kNone
                    : epilogue.residual == ops::Residual::kBefore ? ResidualPlace::kBeforeActivation
                                                                  : ResidualPlace::kAfterActivation;
  return result;
}

std::string epilogue_key(const ops::Epilogue& epilogue) {
  return fmt::format("{}{}{}", epilogue.has_bias ? "b" : "",
                     epilogue.residual == ops::Residual::kNone ? "" : epilogue.residual == ops::Residual::kBefore ? "+r" : "+R",
                     epilogue.activation == ops::Activation::kNone ? "" : ":" + std::string(ops::activation_name(epilogue.activation)));
}

void check_epilogue(const PlanContext& ctx, const EpilogueOperands& operands) {
  const Place& result = ctx.result();
  if (operands.bias >= 0 && ctx.operand(operands.bias).elements() != result.last()) {
    fail(ErrorCode::kUnsupported, "{}: the bias has {} values for {} channels", ctx.node().describe(), ctx.operand(operands.bias).elements(),
         result.last());
  }
  if (operands.residual >= 0 && ctx.operand(operands.residual).shape != result.shape) {
    fail(ErrorCode::kUnsupported, "{}: the residual has shape {}, the result {}", ctx.node().describe(),
         ctx.operand(operands.residual).shape.to_string(), result.shape.to_string());
  }
}

EpilogueOperands epilogue_operands(const ops::Epilogue& epilogue, int first) {
  EpilogueOperands operands;
  if (epilogue.has_bias) operands.bias = first++;
  if (epilogue.residual != ops::Residual::kNone) operands.residual = first;
  return operands;
}

}  // namespace tenon::cpu
