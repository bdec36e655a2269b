// What TensorFlow's op registry says of each op: its results and the defaults of its attributes. Recorded, not linked.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ir/attributes.h"

namespace tenon::ops {

class TensorflowOp {
 public:
  // Null when TensorFlow 2.21 has no such op.
  static const TensorflowOp* find(std::string_view name);

  std::string_view name() const noexcept { return name_; }
  bool stateful() const noexcept { return stateful_; }
  // Sets every attribute that has a default and is not there.
  void fill_defaults(ir::Attrs& attrs) const;
  // The types of all results, list arguments flattened; kInvalid where an attribute that decides is missing.
  std::vector<DataType> result_types(const ir::Attrs& attrs) const;
  // Flat index of result `arg:index` as function bodies name it; nothing when there is none.
  std::optional<int> result_index(const ir::Attrs& attrs, std::string_view arg, int index) const;
  // The inverse: "arg:index" of a flat result; empty when there is none.
  std::string result_name(const ir::Attrs& attrs, int flat) const;

 private:
  struct Result {
    std::string_view name;
    std::string_view dtype;
  };
  friend struct TensorflowOpTable;
  static std::vector<DataType> types_of(const Result& result, const ir::Attrs& attrs);

  std::string_view name_;
  bool stateful_ = false;
  std::vector<Result> results_;
  std::vector<std::pair<std::string_view, std::string_view>> defaults_;  // attribute -> kind:value
};

}  // namespace tenon::ops
