#include "import/attributes.h"

#include <optional>

namespace tenon::importer {
namespace {

ir::FunctionRef convert_function(const saved::FunctionRef& function, const ir::Attrs& caller, SymbolSource& symbols) {
  return {function.name, std::make_shared<ir::Attrs>(convert_attrs(function.attrs, caller, symbols))};
}

ir::AttrValue convert_list(const saved::AttrList& list, const ir::Attrs& caller, SymbolSource& symbols) {
  if (!list.ints.empty()) return list.ints;
  if (!list.floats.empty()) return list.floats;
  if (!list.bools.empty()) return list.bools;
  if (!list.strings.empty()) return list.strings;
  if (!list.types.empty()) return list.types;
  if (!list.shapes.empty()) {
    std::vector<PartialShape> shapes;
    for (const saved::PartialShape& shape : list.shapes) shapes.push_back(convert_shape(shape, symbols));
    return shapes;
  }
  if (!list.tensors.empty()) {
    std::vector<Tensor> tensors;
    for (const saved::TensorValue& tensor : list.tensors) tensors.push_back(tensor.decode());
    return tensors;
  }
  if (!list.functions.empty()) {
    std::vector<ir::FunctionRef> functions;
    for (const saved::FunctionRef& function : list.functions) functions.push_back(convert_function(function, caller, symbols));
    return functions;
  }
  return ir::EmptyList{};
}

std::optional<ir::AttrValue> convert(const saved::AttrValue& attr, const ir::Attrs& caller, SymbolSource& symbols) {
  if (const auto* v = attr.get_if<std::string>()) return *v;
  if (const auto* v = attr.get_if<std::int64_t>()) return *v;
  if (const auto* v = attr.get_if<float>()) return *v;
  if (const auto* v = attr.get_if<bool>()) return *v;
  if (const auto* v = attr.get_if<DataType>()) return saved::remove_ref(*v);
  if (const auto* v = attr.get_if<saved::PartialShape>()) return convert_shape(*v, symbols);
  if (const auto* v = attr.get_if<saved::TensorValue>()) return v->decode();
  if (const auto* v = attr.get_if<std::shared_ptr<const saved::FunctionRef>>()) return convert_function(**v, caller, symbols);
  if (const auto* v = attr.get_if<std::shared_ptr<const saved::AttrList>>()) return convert_list(**v, caller, symbols);
  if (const auto* v = attr.get_if<saved::Placeholder>()) {
    if (const ir::AttrValue* bound = caller.find(v->name)) return *bound;
  }
  return std::nullopt;
}

}  // namespace

PartialShape convert_shape(const saved::PartialShape& shape, SymbolSource& symbols) {
  if (!shape.known_rank) return {};
  std::vector<Dim> dims;
  for (std::int64_t size : shape.dims) dims.push_back(size < 0 ? symbols.fresh() : Dim(size));
  return PartialShape(std::move(dims));
}

ir::Attrs convert_attrs(const saved::AttrMap& attrs, const ir::Attrs& caller, SymbolSource& symbols) {
  ir::Attrs result;
  for (const auto& [name, value] : attrs) {
    // Shapes that were inferred when the model was made say nothing that inference does not find; they can be wrong after edits.
    if (name == "_output_shapes" || name == "_class" || name.starts_with("_XlaMustCompile")) continue;
    if (auto converted = convert(value, caller, symbols)) result.set(name, *std::move(converted));
  }
  return result;
}

}  // namespace tenon::importer
