// Reads the text form of a graph that ir/print.h writes. The text may be hostile: it never crashes the reader, and what is
// allocated is bounded by the text's size.
#pragma once

#include <functional>
#include <memory>
#include <string_view>

#include "ir/graph.h"

namespace tenon::ir {

struct ParseOptions {
  // The op of an IR name, null when there is none. Needed.
  std::function<const OpDef*(std::string_view)> find_op;
  // Tensor @k of the table outside the text; throws when k is not in it. Empty: such references are refused.
  std::function<Tensor(int)> tensor;
};

// Throws kInvalidModel naming the line when the text is not a graph. The result is verified (ir/verify.h).
std::unique_ptr<Graph> parse(std::string_view text, const ParseOptions& options);

}  // namespace tenon::ir
