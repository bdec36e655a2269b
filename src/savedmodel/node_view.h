// Nodes, functions and attributes of a TensorFlow graph as plain structs.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "tenon/tensor.h"

namespace tenon::saved {

// TensorFlow marks references to TF1 variables by adding 100 to the dtype's number.
constexpr bool is_ref(DataType dtype) noexcept { return static_cast<int>(dtype) > 100; }
constexpr DataType remove_ref(DataType dtype) noexcept {
  return is_ref(dtype) ? static_cast<DataType>(static_cast<int>(dtype) - 100) : dtype;
}

// A shape of which parts may be unknown.
struct PartialShape {
  bool known_rank = false;
  std::vector<std::int64_t> dims;  // -1: unknown; empty when the rank is unknown
  std::string to_string() const;   // "[?,224,3]", "<unknown rank>"
  bool operator==(const PartialShape&) const = default;
};

class TensorValue;

// One element of a variant tensor, such as a TensorList, as TensorFlow serializes it.
struct VariantValue {
  std::string type_name;  // "tensorflow::TensorList"
  std::string metadata;   // bytes, in the type's own encoding
  std::vector<TensorValue> tensors;
};

// A tensor in its file form (TensorProto); decoded when asked. Cheap to copy.
class TensorValue {
 public:
  TensorValue() = default;
  // `owner` keeps `proto` alive.
  TensorValue(std::string_view proto, std::shared_ptr<const void> owner) : proto_(proto), owner_(std::move(owner)) {}
  // Owns its bytes. Throws kUnsupported for resources and variants.
  static TensorValue encode(const Tensor& tensor);

  // From the header alone; throws kInvalidModel when malformed.
  DataType dtype() const;
  Shape shape() const;
  // Large plain data is borrowed from the file where its alignment allows (element size, not 64 bytes), else copied.
  // Throws kInvalidModel for malformed data, kUnsupported for resources and variants.
  Tensor decode() const;
  // The elements of a variant tensor (one per element of its shape, or fewer when trailing ones repeat).
  std::vector<VariantValue> decode_variants() const;
  std::string_view proto() const noexcept { return proto_; }

 private:
  std::string_view proto_;
  std::shared_ptr<const void> owner_;
};

struct AttrValue;
// In file order; when a name stands twice the last one counts.
using AttrMap = std::vector<std::pair<std::string, AttrValue>>;

// A function's name together with attributes to call it with.
struct FunctionRef;
// A list attribute. TensorFlow does not say what an empty list is a list of, so all kinds stand side by side.
struct AttrList;
// `placeholder: "T"`: stands in polymorphic function bodies for an attribute of the caller.
struct Placeholder {
  std::string name;
};

struct AttrValue {
  // std::string holds bytes; std::monostate means that no value was set.
  std::variant<std::monostate, std::string, std::int64_t, float, bool, DataType, PartialShape, TensorValue,
               std::shared_ptr<const FunctionRef>, std::shared_ptr<const AttrList>, Placeholder>
      value;

  template <class T>
  const T* get_if() const noexcept {
    return std::get_if<T>(&value);
  }
  // "int", "list", …: for messages.
  std::string_view kind_name() const noexcept;

  static AttrValue of(FunctionRef function);
  static AttrValue of(AttrList list);
  static AttrValue of(std::string bytes) { return {std::move(bytes)}; }
  static AttrValue of(std::int64_t value) { return {value}; }
  static AttrValue of(float value) { return {value}; }
  static AttrValue of(bool value) { return {value}; }
  static AttrValue of(DataType value) { return {value}; }
  static AttrValue of(PartialShape value) { return {std::move(value)}; }
  static AttrValue of(TensorValue value) { return {std::move(value)}; }
  static AttrValue of(const Tensor& tensor) { return {TensorValue::encode(tensor)}; }
  static AttrValue of(const char*) = delete;  // would become a bool
};

struct FunctionRef {
  std::string name;
  AttrMap attrs;
};

struct AttrList {
  std::vector<std::string> strings;
  std::vector<std::int64_t> ints;
  std::vector<float> floats;
  std::vector<bool> bools;
  std::vector<DataType> types;
  std::vector<PartialShape> shapes;
  std::vector<TensorValue> tensors;
  std::vector<FunctionRef> functions;
};

// nullptr when there is no such attribute.
const AttrValue* find_attr(const AttrMap& attrs, std::string_view name) noexcept;
// Adds or replaces.
void set_attr(AttrMap& attrs, std::string_view name, AttrValue value);

struct NodeDef {
  std::string name;
  std::string op;
  std::vector<std::string> inputs;  // "node", "node:1", "^control"; inside functions "node:output_arg:0" or "argument"
  std::string device;
  AttrMap attrs;
  // The node as it stands in the file; empty for a new node. Writers copy it when it is not empty, so whoever changes a
  // node clears it (see edited()). Valid as long as Model::storage.
  std::string_view raw;
  std::string other_fields;  // serialized fields that this struct does not show; kept when the node is written

  // A copy to be changed: same content, no raw bytes.
  NodeDef edited() const;

  bool has_attr(std::string_view name) const noexcept { return find_attr(attrs, name) != nullptr; }
  // The attribute's value. Without a fallback a missing attribute throws kInvalidModel; one of another kind always does. The
  // message names node, op and attribute.
  std::int64_t int_attr(std::string_view name) const;
  std::int64_t int_attr(std::string_view name, std::int64_t fallback) const;
  float float_attr(std::string_view name) const;
  float float_attr(std::string_view name, float fallback) const;
  bool bool_attr(std::string_view name) const;
  bool bool_attr(std::string_view name, bool fallback) const;
  const std::string& string_attr(std::string_view name) const;
  std::string string_attr(std::string_view name, std::string_view fallback) const;
  DataType type_attr(std::string_view name) const;
  DataType type_attr(std::string_view name, DataType fallback) const;
  const PartialShape& shape_attr(std::string_view name) const;
  const TensorValue& tensor_attr(std::string_view name) const;
  const FunctionRef& function_attr(std::string_view name) const;
  const AttrList& list_attr(std::string_view name) const;
  // Element lists; a missing attribute gives `fallback` for the second form.
  const std::vector<std::int64_t>& ints_attr(std::string_view name) const { return list_attr(name).ints; }
  std::vector<std::int64_t> ints_attr(std::string_view name, std::vector<std::int64_t> fallback) const;
  const std::vector<float>& floats_attr(std::string_view name) const { return list_attr(name).floats; }
  const std::vector<DataType>& types_attr(std::string_view name) const { return list_attr(name).types; }
  const std::vector<std::string>& strings_attr(std::string_view name) const { return list_attr(name).strings; }
  const std::vector<PartialShape>& shapes_attr(std::string_view name) const { return list_attr(name).shapes; }
  const std::vector<FunctionRef>& functions_attr(std::string_view name) const { return list_attr(name).functions; }
};

// An argument of a function or op: one tensor, `number_attr` tensors of one type, or one per type in `type_list_attr`.
struct ArgDef {
  std::string name;
  DataType dtype = DataType::kInvalid;  // kInvalid when an attribute gives it
  std::string type_attr;
  std::string number_attr;
  std::string type_list_attr;
  bool is_ref = false;
  std::string other_fields;
};

struct FunctionDef {
  std::string name;
  std::vector<ArgDef> input_args;
  std::vector<ArgDef> output_args;
  std::vector<std::string> control_outputs;
  bool is_stateful = false;
  AttrMap attrs;  // of the function itself: "_noinline", "api_implements", …
  std::vector<std::pair<std::uint32_t, AttrMap>>
      arg_attrs;  // by argument index: "_user_specified_name", "_output_shapes", …
  std::vector<NodeDef> nodes;
  std::vector<std::pair<std::string, std::string>> ret;          // output argument -> tensor of the body
  std::vector<std::pair<std::string, std::string>> control_ret;  // control output -> node of the body
  // As for NodeDef.
  std::string_view raw;
  std::string other_fields;            // of the function
  std::string signature_other_fields;  // of its signature: attribute declarations, description

  FunctionDef edited() const;
  // The body's tensor behind an output argument, or nullptr.
  const std::string* find_ret(std::string_view output) const noexcept;
};

}  // namespace tenon::saved
