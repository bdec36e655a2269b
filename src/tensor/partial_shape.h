// Shapes whose rank or sizes may be unknown. A dimension is a number or a symbol; equal symbols mean equal sizes.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "tenon/tensor.h"

namespace tenon {

class Dim {
 public:
  Dim() = default;  // size 0
  Dim(std::int64_t size) : code_(size) {}  // NOLINT: a number is a dimension
  static Dim symbol(std::int64_t id) {
    Dim dim;
    dim.code_ = -1 - id;
    return dim;
  }
  bool known() const noexcept { return code_ >= 0; }
  // The size of a known dimension.
  std::int64_t size() const noexcept { return code_; }
  // The number of a symbol; negative for a known dimension.
  std::int64_t symbol_id() const noexcept { return -1 - code_; }
  std::string to_string() const;  // "3" or "s7"
  bool operator==(const Dim&) const = default;

 private:
  std::int64_t code_ = 0;
};

class PartialShape {
 public:
  PartialShape() = default;  // unknown rank
  explicit PartialShape(std::vector<Dim> dims) : dims_(std::move(dims)) {}
  PartialShape(std::initializer_list<Dim> dims) : dims_(std::vector<Dim>(dims)) {}
  PartialShape(const Shape& shape) : dims_(std::vector<Dim>(shape.begin(), shape.end())) {}  // NOLINT: a Shape is a PartialShape

  bool known_rank() const noexcept { return dims_.has_value(); }
  int rank() const { return static_cast<int>(dims_.value().size()); }
  Dim operator[](int axis) const { return (*dims_)[static_cast<std::size_t>(axis)]; }
  Dim& operator[](int axis) { return (*dims_)[static_cast<std::size_t>(axis)]; }
  // Requires a known rank.
  const std::vector<Dim>& dims() const { return dims_.value(); }
  std::vector<Dim>& dims() { return dims_.value(); }
  bool fully_known() const noexcept;
  // Requires fully_known().
  Shape to_shape() const;
  // The number of elements when it is known (a known 0 suffices), else nothing; nothing on overflow.
  std::optional<std::int64_t> num_elements() const noexcept;
  // True when a tensor of this concrete shape can have this type: symbols match anything.
  bool admits(const Shape& shape) const noexcept;
  std::string to_string() const;  // "[s0,224,224,3]", "?" for an unknown rank
  bool operator==(const PartialShape&) const = default;

 private:
  std::optional<std::vector<Dim>> dims_;
};

// Hands out symbols that were not used before. One per module.
class SymbolSource {
 public:
  Dim fresh() { return Dim::symbol(next_++); }
  PartialShape fresh_shape(int rank);
  std::int64_t count() const noexcept { return next_; }
  // Symbols up to this one count as handed out.
  void skip(std::int64_t last) noexcept { next_ = last < next_ ? next_ : last + 1; }

 private:
  std::int64_t next_ = 0;
};

}  // namespace tenon
