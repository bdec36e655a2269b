// What is done with a model once it is read: decode, plan, rewrite.
#pragma once

#include <cstdint>

#include "savedmodel/load.h"
#include "savedmodel/variables.h"
#include "savedmodel/write.h"
#include "tenon/error.h"

namespace tenon::saved {
// A few bytes may stand for a constant of 2 GB: allowed, but not what is looked for here.
inline constexpr std::int64_t kMaxElements = 1 << 20;

inline void decode_constant(const NodeDef& node) {
  const TensorValue& value = node.tensor_attr("value");
  std::int64_t elements = 1;
  for (std::int64_t dim : value.shape()) {
    if (dim < 0 || __builtin_mul_overflow(elements, dim, &elements)) return;
  }
  if (elements <= kMaxElements) value.decode();
  value.decode_variants();
}

template <class F>
void attempt(F&& action) {
  try {
    action();
  } catch (const Error&) {
  }
}

inline void visit_model(const Model& model) {
  for (std::size_t i = 0; i < model.meta_graphs.size(); ++i) {
    const MetaGraph& meta_graph = model.meta_graphs[i];
    attempt([&] { decode_object_graph(meta_graph); });
    attempt([&] { meta_graph.init_op(); });
    attempt([&] { plan_restore(meta_graph, nullptr); });
    for (const AssetFileDef& asset : meta_graph.assets) attempt([&] { model.asset_path(asset); });
    for (const NodeDef& node : meta_graph.graph.nodes) attempt([&] { decode_constant(node); });
    MetaGraphEdit edit;
    edit.meta_graph = i;
    edit.nodes = meta_graph.graph.nodes;
    edit.functions = meta_graph.graph.functions;
    for (NodeDef& node : *edit.nodes) node = node.edited();
    for (FunctionDef& function : *edit.functions) function = function.edited();
    const std::string bytes = serialize(model, {edit});
    load_bytes(bytes, nullptr, "rewritten", FileFormat::kBinary);
  }
}

}  // namespace tenon::saved
