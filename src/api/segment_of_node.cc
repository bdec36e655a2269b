#include "api/segment_of_node.h"

#include <algorithm>

#include "base/error.h"
#include "partition/partition.h"
#include "runtime/checkpoint.h"

namespace tenon::api {

// The part of a node's name after the last "/": what TF-TRT keys engines by.
std::string canonical_name(const std::string& node_name) {
  const std::size_t slash = node_name.rfind('/');
  return slash == std::string::npos ? node_name : node_name.substr(slash + 1);
}

EngineAttributes engine_attributes(const ir::Node& node) {
  EngineAttributes attributes;
  attributes.name = canonical_name(node.name);
  const auto strategy = node.attr_or<std::string>("profile_strategy", {});
  if (node.attr_or<bool>("_use_implicit_batch", false)) {
    attributes.mode = ShapeMode::kImplicitBatch;
  } else if (!strategy.empty()) {
    attributes.mode = ShapeMode::kProfiles;
    attributes.strategy = profile_strategy_from_name(strategy);
  }
  attributes.precision = node.attr_or<std::string>("precision_mode", "FP32");
  attributes.maximum_cached_engines = static_cast<int>(std::clamp<std::int64_t>(node.attr_or<std::int64_t>("max_cached_engines_count", 1), 1, 1 << 20));
  attributes.input_types = node.attr_or<std::vector<DataType>>("InT", {});
  attributes.output_types = node.attr_or<std::vector<DataType>>("OutT", {});
  for (const PartialShape& shape : node.attr_or<std::vector<PartialShape>>("input_shapes", {})) {
    ShapeSpec spec{shape.known_rank(), {}};
    if (spec.known_rank) {
      for (const Dim& dim : shape.dims()) spec.dims.push_back(dim.known() ? dim.size() : -1);
    }
    attributes.input_shapes.push_back(std::move(spec));
  }
  return attributes;
}

// The native segment as something to compile: parameters that are always the same know what they are.
Segment native_segment(const ir::Module& module, const ir::Node& node, const std::string& name) {
  const auto function = node.attr_or<ir::FunctionRef>("segment_func", {});
  const auto body = module.functions.find(function.name);
  if (body == module.functions.end()) {
    fail(ErrorCode::kNotFound, "its native segment \"{}\" is not in the model", function.name);
  }
  Segment segment{name, ir::clone(*body->second)};
  segment.module = &module;
  const auto frozen = partition::frozen_variables(module);
  const auto arguments = partition::known_arguments(module, frozen);
  for (std::size_t i = 0; i < segment.graph->parameters.size() && i < node.inputs.size(); ++i) {
    ir::Node& parameter = *segment.graph->parameters[i];
    const ir::ValueType& type = node.inputs[i].node->outputs.at(static_cast<std::size_t>(node.inputs[i].index));
    if (type.shape.known_rank() && type.dtype == parameter.outputs.at(0).dtype) {  // functions do not say what they are called with
      parameter.outputs[0].shape = type.shape;
      parameter.attrs.set("shape", type.shape);
    }
    const ir::Node& source = *partition::behind_identities(node.inputs[i]).node;
    if (!runtime::is_variable_handle(source) && !source.is("parameter")) continue;
    partition::Known known = partition::known_value(node.inputs[i], frozen, arguments);
    ir::Attrs& attrs = parameter.attrs;
    if (!known.variable.empty()) attrs.set("variable", std::move(known.variable));
    if (known.constant.valid()) attrs.set("constant", std::move(known.constant));
  }
  return segment;
}

}  // namespace tenon::api
