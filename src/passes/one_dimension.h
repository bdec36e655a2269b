// 1-D convolutions: TensorFlow spells one as a 2-D convolution of a single row between reshapes.
#pragma once

#include <string>

#include "passes/editor.h"

namespace tenon::passes {

// True for the shapes [N,W,C] and [N,1,W,C] of one value.
bool is_single_row(const PartialShape& line, const PartialShape& image);
// A reshape of [N,W,C] to [N,1,W,C]; null when two sizes are not known.
ir::Value widened(Editor& editor, ir::Value x, const std::string& name);

}  // namespace tenon::passes
