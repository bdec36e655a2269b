// The list of lowering families. A new lowering in a family edits no list; a new family adds two lines here.
#include <array>
#include <map>

#include "backends/cpu/lowering/lowering.h"
#include "base/error.h"

namespace tenon::cpu {

const LoweringFamily& attention_lowerings();
const LoweringFamily& conv_depthwise_lowerings();
const LoweringFamily& blending_lowerings();
const LoweringFamily& blocks_lowerings();
const LoweringFamily& conv_lowerings();
const LoweringFamily& conv_nd_lowerings();
const LoweringFamily& core_lowerings();
const LoweringFamily& detection_lowerings();
const LoweringFamily& elementwise_lowerings();
const LoweringFamily& indexing_lowerings();
const LoweringFamily& loop_lowerings();
const LoweringFamily& matmul_lowerings();
const LoweringFamily& movement_lowerings();
const LoweringFamily& normalization_lowerings();
const LoweringFamily& pool_lowerings();
const LoweringFamily& ranking_lowerings();
const LoweringFamily& volume_transpose_lowerings();

std::span<const LoweringFamily* const> lowering_families() {
  static const std::array list = {
      &attention_lowerings(),
      &conv_depthwise_lowerings(),
      &blending_lowerings(),
      &blocks_lowerings(),
      &conv_lowerings(),
      &conv_nd_lowerings(),
      &core_lowerings(),
      &detection_lowerings(),
      &elementwise_lowerings(),
      &indexing_lowerings(),
      &loop_lowerings(),
      &matmul_lowerings(),
      &movement_lowerings(),
      &normalization_lowerings(),
      &pool_lowerings(),
      &ranking_lowerings(),
      &volume_transpose_lowerings(),
  };
  return list;
}

const Lowering* find_lowering(std::string_view op) {
  static const auto by_name = [] {
    std::map<std::string_view, const Lowering*> map;
    for (const LoweringFamily* family : lowering_families()) {
      for (const Lowering& lowering : family->lowerings) map.emplace(lowering.op, &lowering);
    }
    return map;
  }();
  const auto it = by_name.find(op);
  return it == by_name.end() ? nullptr : it->second;
}

}  // namespace tenon::cpu
