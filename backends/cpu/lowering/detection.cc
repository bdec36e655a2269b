// Choosing among overlapping boxes, where the number of results does not depend on the data. The reference kernel, on the
// engine's team, is all there is: comparing scores and boxes one by one leaves nothing to a better one.
#include "backends/cpu/lowering/lowering.h"
#include "backends/cpu/lowering/reference.h"

namespace tenon::cpu {
namespace {

Lowered lower_selection(const ir::Node& node, WeightSource&) {
  Lowered lowered = lower_reference(node);
  lowered.kernel = "non-max suppression";
  lowered.reference = false;
  return lowered;
}

Verdict supports_combined(const ir::Node& node) {
  if (auto verdict = require_float32(node, 2); !verdict) return verdict;
  if (auto verdict = require_known(node, 2, "the number of boxes per class"); !verdict) return verdict;
  return require_known(node, 3, "the number of boxes in all");
}

Verdict supports_padded(const ir::Node& node) {
  const bool padded = node.attr_or<std::int64_t>("outputs", 1) >= 2 && node.attr_or<bool>("pad_to_max_output_size", false);
  if (!padded)
    return Verdict::no(
        "the number of boxes that it finds depends on data; with pad_to_max_output_size it runs in an engine");
  if (auto verdict = require_float32(node, 2); !verdict) return verdict;
  return require_known(node, 2, "the number of boxes");
}

constexpr Lowering kLowerings[] = {
    {"combined_non_max_suppression", supports_combined, lower_selection},
    {"non_max_suppression", supports_padded, lower_selection},
};

}  // namespace

const LoweringFamily& detection_lowerings() {
  static const LoweringFamily family{"detection", kLowerings};
  return family;
}

}  // namespace tenon::cpu
