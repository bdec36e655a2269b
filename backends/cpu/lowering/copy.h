// Steps that only move data: copies to outputs, and parts of concatenations that could not be written in place.
#pragma once

#include <memory>
#include <span>

#include "backends/cpu/lowering/lowering.h"

namespace tenon::cpu {

// Copies elements in order; the rows of each side may lie apart.
std::unique_ptr<Step> make_copy_step(const Place& from, const Place& to);

// A part of a concatenation and where along the axis it begins.
struct ConcatPart {
  Place from;
  std::int64_t offset = 0;
};
std::unique_ptr<Step> make_concat_step(std::span<const ConcatPart> parts, const Place& to, int axis);

}  // namespace tenon::cpu
