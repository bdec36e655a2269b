#include "savedmodel/node_view.h"

#include <array>

#include "base/error.h"

namespace tenon::saved {
namespace {

// Positions in AttrValue's variant.
enum Kind : std::size_t { kString = 1, kInt, kFloat, kBool, kType, kShape, kTensor, kFunction, kList };

constexpr std::array<std::string_view, 11> kKindNames = {"none",  "string", "int",      "float", "bool",       "type",
                                                         "shape", "tensor", "function", "list",  "placeholder"};

[[noreturn]] void fail_attr(const NodeDef& node, std::string_view name, const AttrValue* found, std::size_t wanted) {
  if (found == nullptr) {
    fail(ErrorCode::kInvalidModel, "node \"{}\" ({}): attribute \"{}\" ({}) is missing", node.name, node.op, name,
         kKindNames[wanted]);
  }
  fail(ErrorCode::kInvalidModel, "node \"{}\" ({}): attribute \"{}\" is of kind {}, wanted {}", node.name, node.op, name,
       found->kind_name(), kKindNames[wanted]);
}

template <class T>
const T& required(const NodeDef& node, std::string_view name, std::size_t wanted) {
  const AttrValue* attr = find_attr(node.attrs, name);
  const T* value = attr == nullptr ? nullptr : attr->get_if<T>();
  if (value == nullptr) fail_attr(node, name, attr, wanted);
  return *value;
}

template <class T>
T optional(const NodeDef& node, std::string_view name, T fallback, std::size_t wanted) {
  return find_attr(node.attrs, name) == nullptr ? fallback : required<T>(node, name, wanted);
}

}  // namespace

std::string PartialShape::to_string() const {
  if (!known_rank) return "<unknown rank>";
  std::string text = "[";
  for (std::size_t i = 0; i < dims.size(); ++i) {
    if (i != 0) text += ',';
    text += dims[i] < 0 ? "?" : std::to_string(dims[i]);
  }
  return text + "]";
}

std::string_view AttrValue::kind_name() const noexcept { return kKindNames[value.index()]; }

AttrValue AttrValue::of(FunctionRef function) { return {std::make_shared<const FunctionRef>(std::move(function))}; }
AttrValue AttrValue::of(AttrList list) { return {std::make_shared<const AttrList>(std::move(list))}; }

const AttrValue* find_attr(const AttrMap& attrs, std::string_view name) noexcept {
  for (auto entry = attrs.rbegin(); entry != attrs.rend(); ++entry) {
    if (entry->first == name) return &entry->second;
  }
  return nullptr;
}

void set_attr(AttrMap& attrs, std::string_view name, AttrValue value) {
  if (const AttrValue* found = find_attr(attrs, name)) {
    const_cast<AttrValue&>(*found) = std::move(value);
  } else {
    attrs.emplace_back(std::string(name), std::move(value));
  }
}

NodeDef NodeDef::edited() const {
  NodeDef copy = *this;
  copy.raw = {};
  return copy;
}

FunctionDef FunctionDef::edited() const {
  FunctionDef copy = *this;
  copy.raw = {};
  return copy;
}

const std::string* FunctionDef::find_ret(std::string_view output) const noexcept {
  for (auto entry = ret.rbegin(); entry != ret.rend(); ++entry) {
    if (entry->first == output) return &entry->second;
  }
  return nullptr;
}

std::int64_t NodeDef::int_attr(std::string_view name) const { return required<std::int64_t>(*this, name, kInt); }
std::int64_t NodeDef::int_attr(std::string_view name, std::int64_t fallback) const {
  return optional<std::int64_t>(*this, name, fallback, kInt);
}
float NodeDef::float_attr(std::string_view name) const { return required<float>(*this, name, kFloat); }
float NodeDef::float_attr(std::string_view name, float fallback) const {
  return optional<float>(*this, name, fallback, kFloat);
}
bool NodeDef::bool_attr(std::string_view name) const { return required<bool>(*this, name, kBool); }
bool NodeDef::bool_attr(std::string_view name, bool fallback) const { return optional<bool>(*this, name, fallback, kBool); }
const std::string& NodeDef::string_attr(std::string_view name) const { return required<std::string>(*this, name, kString); }
std::string NodeDef::string_attr(std::string_view name, std::string_view fallback) const {
  return optional<std::string>(*this, name, std::string(fallback), kString);
}
DataType NodeDef::type_attr(std::string_view name) const { return required<DataType>(*this, name, kType); }
DataType NodeDef::type_attr(std::string_view name, DataType fallback) const {
  return optional<DataType>(*this, name, fallback, kType);
}
const PartialShape& NodeDef::shape_attr(std::string_view name) const { return required<PartialShape>(*this, name, kShape); }
const TensorValue& NodeDef::tensor_attr(std::string_view name) const { return required<TensorValue>(*this, name, kTensor); }
const FunctionRef& NodeDef::function_attr(std::string_view name) const {
  return *required<std::shared_ptr<const FunctionRef>>(*this, name, kFunction);
}
const AttrList& NodeDef::list_attr(std::string_view name) const {
  return *required<std::shared_ptr<const AttrList>>(*this, name, kList);
}
std::vector<std::int64_t> NodeDef::ints_attr(std::string_view name, std::vector<std::int64_t> fallback) const {
  return has_attr(name) ? ints_attr(name) : fallback;
}

}  // namespace tenon::saved
