#include "passes/activation_node.h"

namespace tenon::passes {

ops::Epilogue activation_of(const ir::Node& node) {
  struct Named {
    std::string_view op;
    ops::Activation activation;
  };
  static constexpr Named kNamed[] = {
      {"relu", ops::Activation::kRelu},          {"relu6", ops::Activation::kRelu6},   {"leaky_relu", ops::Activation::kLeakyRelu},
      {"elu", ops::Activation::kElu},            {"selu", ops::Activation::kSelu},     {"sigmoid", ops::Activation::kSigmoid},
      {"tanh", ops::Activation::kTanh},          {"swish", ops::Activation::kSwish},   {"hard_swish", ops::Activation::kHardSwish},
      {"softplus", ops::Activation::kSoftplus},  {"clip", ops::Activation::kClip},     {"hard_sigmoid", ops::Activation::kHardSigmoid},
      {"softsign", ops::Activation::kSoftsign},  {"exp", ops::Activation::kExp},
  };
  ops::Epilogue result;
  if (node.inputs.size() != 1) return result;
  for (const Named& named : kNamed) {
    if (!node.is(named.op)) continue;
    result.set_activation(named.activation);
    result.alpha = node.attr_or<float>("alpha", result.alpha);
    result.beta = node.attr_or<float>("beta", result.beta);
  }
  if (node.is("gelu")) {
    result.set_activation(node.attr_or<bool>("approximate", false) ? ops::Activation::kGeluTanh : ops::Activation::kGeluErf);
  }
  return result;
}

}  // namespace tenon::passes
