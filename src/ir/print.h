// The text form of a graph: readable, deterministic, and parsed back by ir/parse.h.
//
//   graph "main"
//   n0 = parameter "x" {dtype: float32, shape: <s0,3>} () -> float32[s0,3]
//   n1 = const "w" {value: @0} () -> float32[3,4]
//   n2 = fused_matmul "y" {activation: "relu", alpha: 0.5f} (n0, n1) after (n0) from "MatMul" merged ("b", "r") -> float32[s0,4]
//   parameters (n0)
//   outputs (n2)
//   controls ()
//   end
//
// Nodes stand in topological order. `n3:1` is output 1. Attribute values: 5, 1.5f, true, "text", float32 (a dtype), <s0,3> or <?>
// (a shape), tensors, &"f"{…} (a function with its attributes), and lists [a, b] of one of these. Tensors: int32[2]{7, 8};
// float32[64]{=0.5} when all elements are equal; uint8-like other types in hexadecimal, bfloat16[2]x"0102a0b0"; @k for entry k of
// a table outside; float32[64,64]#hash where the values were left out (such text cannot be parsed back).
#pragma once

#include <functional>
#include <string>

#include "ir/graph.h"

namespace tenon::ir {

struct PrintOptions {
  // The place of a tensor in a table outside the text, for tensors with more than max_inline elements; negative: none, print it
  // here. Empty: such tensors are printed as #hash.
  std::function<int(const Tensor&)> external;
  std::int64_t max_inline = 16;
  // Whether types of values, TensorFlow's op types and names of merged nodes are printed.
  bool origins = true;
};

// Throws kInvalidModel for a cyclic graph, kInternal for tensors of resources or variants.
std::string print(const Graph& graph, const PrintOptions& options = {});
// One attribute value.
std::string print(const AttrValue& value, const PrintOptions& options = {});

}  // namespace tenon::ir
