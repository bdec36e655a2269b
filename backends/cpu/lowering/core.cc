// Values under another name or shape, and what is known when shapes are.
#include "backends/cpu/lowering/lowering.h"

namespace tenon::cpu {
namespace {

Verdict supports_any(const ir::Node& node) {
  for (const ir::ValueType& type : node.outputs) {
    if (type.dtype == DataType::kString || type.dtype == DataType::kResource || type.dtype == DataType::kVariant) {
      return Verdict::no(fmt::format("dtype {} does not run in an engine", dtype_name(type.dtype)));
    }
    if (type.dtype == DataType::kInvalid) return Verdict::no("the dtype is not known");
  }
  return Verdict::yes();
}

Verdict supports_reshape(const ir::Node& node) {
  if (auto verdict = supports_any(node); !verdict) return verdict;
  return node.inputs.size() < 2 ? Verdict::yes() : require_known(node, 1, "the new shape");
}

// Result i is operand i.
Lowered lower_alias(const ir::Node& node, WeightSource&) {
  Lowered lowered;
  lowered.kernel = "none";
  lowered.alias = 0;
  if (!node.is("identity")) lowered.unread = Positions::from(1);
  return lowered;
}

// Shapes and sizes are constants as soon as the inputs' shapes are known.
Verdict supports_shape(const ir::Node&) { return Verdict::yes(); }

Lowered lower_shape(const ir::Node&, WeightSource&) {
  Lowered lowered;
  lowered.kernel = "shape";
  lowered.unread = Positions::all();
  lowered.prepare = [](PlanContext& ctx) -> std::unique_ptr<Step> {
    fail(ErrorCode::kUnsupported, "{}: depends on a shape that is not known before running", ctx.node().describe());
  };
  return lowered;
}

constexpr Lowering kLowerings[] = {
    {"identity", supports_any, lower_alias},
    {"reshape", supports_reshape, lower_alias},
    {"squeeze", supports_any, lower_alias},
    {"expand_dims", supports_reshape, lower_alias},
    {"ensure_shape", supports_any, lower_alias},
    {"shape", supports_shape, lower_shape},
    {"shape_n", supports_shape, lower_shape},
    {"size", supports_shape, lower_shape},
    {"rank", supports_shape, lower_shape},
    {"const", supports_any, nullptr},
};

}  // namespace

const LoweringFamily& core_lowerings() {
  static const LoweringFamily family{"core", kLowerings};
  return family;
}

}  // namespace tenon::cpu
