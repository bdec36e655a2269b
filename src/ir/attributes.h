// Attributes of a node: a small ordered dictionary of typed values, as a NodeDef carries them.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/error.h"
#include "tensor/partial_shape.h"
#include "tenon/tensor.h"

namespace tenon::ir {

class Attrs;

// A function by name, with the attributes of the call site.
struct FunctionRef {
  std::string name;
  std::shared_ptr<const Attrs> attrs;
  bool operator==(const FunctionRef& other) const { return name == other.name; }
};

// An empty list in a file has no element type; it is kept as EmptyList and converts to any list.
struct EmptyList {
  bool operator==(const EmptyList&) const = default;
};

using AttrValue = std::variant<EmptyList, std::int64_t, float, bool, std::string, DataType, PartialShape, Tensor, FunctionRef,
                               std::vector<std::int64_t>, std::vector<float>, std::vector<bool>, std::vector<std::string>,
                               std::vector<DataType>, std::vector<PartialShape>, std::vector<Tensor>, std::vector<FunctionRef>>;

class Attrs {
 public:
  bool has(std::string_view name) const { return values_.find(name) != values_.end(); }
  const AttrValue* find(std::string_view name) const;
  void set(std::string name, AttrValue value) { values_.insert_or_assign(std::move(name), std::move(value)); }
  void erase(std::string_view name);

  // The value as T. Throws kInvalidModel when it is missing or of another type (hostile files do that).
  template <class T>
  T get(std::string_view name) const {
    const AttrValue* value = find(name);
    if (value == nullptr) fail(ErrorCode::kInvalidModel, "attribute \"{}\" is missing", name);
    return convert<T>(name, *value);
  }
  template <class T>
  T get_or(std::string_view name, T fallback) const {
    const AttrValue* value = find(name);
    return value == nullptr ? std::move(fallback) : convert<T>(name, *value);
  }

  auto begin() const { return values_.begin(); }
  auto end() const { return values_.end(); }
  std::size_t size() const { return values_.size(); }

 private:
  template <class T>
  struct IsVector : std::false_type {};
  template <class T>
  struct IsVector<std::vector<T>> : std::true_type {};

  template <class T>
  static T convert(std::string_view name, const AttrValue& value) {
    if (const T* typed = std::get_if<T>(&value)) return *typed;
    if constexpr (IsVector<T>::value) {
      if (std::holds_alternative<EmptyList>(value)) return {};
    }
    fail(ErrorCode::kInvalidModel, "attribute \"{}\" has a value of another type than the op defines", name);
  }

  std::map<std::string, AttrValue, std::less<>> values_;
};

}  // namespace tenon::ir
