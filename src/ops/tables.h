// Lookup tables: keys of any dtype to rows of values.
#pragma once

#include <optional>
#include <shared_mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "tenon/tensor.h"

namespace tenon::ops {

struct TableType {
  DataType key_dtype = DataType::kInvalid;
  DataType value_dtype = DataType::kInvalid;
  Shape key_shape;    // scalar but for dense tables
  Shape value_shape;  // of one value
  bool is_mutable = false;
};

// Thread-safe. Keys and values are tensors: keys of shape [..., key_shape], values of shape [..., value_shape]. Methods throw
// kInvalidArgument, naming `who`, for tensors of another type or of shapes that do not match.
class Table : public Object {
 public:
  explicit Table(TableType type) : type_(std::move(type)), values_(type_.value_dtype, grown(0)) {}

  const TableType& type() const noexcept { return type_; }
  std::int64_t size() const;
  // The value of every key; `fallback` (one value, or one per key) where there is none. An immutable table must have been
  // filled before.
  Tensor find(const Tensor& keys, const Tensor& fallback, std::string_view who) const;
  // Adds or replaces. A table that is not mutable refuses to give a key a second, different value.
  void insert(const Tensor& keys, const Tensor& values, std::string_view who);
  void remove(const Tensor& keys, std::string_view who);
  // Removes everything, then inserts.
  void replace(const Tensor& keys, const Tensor& values, std::string_view who);
  struct Entries {
    Tensor keys;
    Tensor values;
  };
  // In order of insertion.
  Entries entries() const;

 private:
  struct Hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view key) const noexcept { return std::hash<std::string_view>()(key); }
  };
  using Index = std::unordered_map<std::string, std::int64_t, Hash, std::equal_to<>>;

  std::string_view key_bytes(const Tensor& keys, std::int64_t i, std::string& buffer) const;
  std::int64_t count_keys(const Tensor& keys, std::string_view who) const;
  void check_values(const Tensor& values, std::int64_t count, std::string_view who) const;
  bool same_value(std::int64_t row, const Tensor& values, std::int64_t i) const;
  std::int64_t add_row(std::string_view key);
  void insert_locked(const Tensor& keys, const Tensor& values, std::string_view who);
  Shape grown(std::int64_t rows) const;

  const TableType type_;
  mutable std::shared_mutex mutex_;
  bool filled_ = false;
  Index index_;                                // key -> row
  std::vector<const std::string*> row_keys_;   // null: a free row
  std::vector<std::int64_t> free_rows_;
  Tensor values_;  // [capacity, value_shape]
};

}  // namespace tenon::ops
