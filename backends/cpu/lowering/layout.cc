#include "backends/cpu/lowering/layout.h"

#include "base/error.h"

namespace tenon::cpu {

std::vector<std::int64_t> place_strides(const Place& place) {
  const int rank = place.shape.rank();
  std::vector<std::int64_t> strides(static_cast<std::size_t>(rank), 1);
  std::int64_t stride = place.pitch;
  for (int d = rank - 2; d >= 0; --d) {
    strides[static_cast<std::size_t>(d)] = stride;
    stride *= place.shape[d];
  }
  return strides;
}

std::vector<std::int64_t> broadcast_place(const Place& place, const Shape& to) {
  std::vector<std::int64_t> strides(static_cast<std::size_t>(to.rank()), 0);
  const std::vector<std::int64_t> own = place_strides(place);
  const int shift = to.rank() - place.shape.rank();
  TENON_CHECK(shift >= 0);
  for (int d = 0; d < place.shape.rank(); ++d) {
    if (place.shape[d] != 1 && place.shape[d] != to[d + shift]) {
      fail(ErrorCode::kUnsupported, "shape {} does not broadcast to {}", place.shape.to_string(), to.to_string());
    }
    if (place.shape[d] != 1) strides[static_cast<std::size_t>(d + shift)] = own[static_cast<std::size_t>(d)];
  }
  return strides;
}

int resolve_axis(const PlanContext& ctx, std::int64_t axis, int rank) {
  if (axis < -rank || axis >= rank) fail(ErrorCode::kInvalidModel, "{}: axis {} is out of range for rank {}", ctx.node().describe(), axis, rank);
  return static_cast<int>(axis < 0 ? axis + rank : axis);
}

}  // namespace tenon::cpu
