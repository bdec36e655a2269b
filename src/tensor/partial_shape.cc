#include "tensor/partial_shape.h"

#include <algorithm>

#include "base/error.h"

namespace tenon {

std::string Dim::to_string() const { return known() ? std::to_string(code_) : "s" + std::to_string(symbol_id()); }

bool PartialShape::fully_known() const noexcept {
  return dims_ && std::all_of(dims_->begin(), dims_->end(), [](Dim d) { return d.known(); });
}

Shape PartialShape::to_shape() const {
  TENON_CHECK(fully_known());
  std::vector<std::int64_t> sizes;
  sizes.reserve(dims_->size());
  for (Dim d : *dims_) sizes.push_back(d.size());
  return Shape(std::move(sizes));
}

std::optional<std::int64_t> PartialShape::num_elements() const noexcept {
  if (!dims_) return std::nullopt;
  if (std::find(dims_->begin(), dims_->end(), Dim(0)) != dims_->end()) return 0;
  std::int64_t count = 1;
  for (Dim d : *dims_) {
    if (!d.known() || __builtin_mul_overflow(count, d.size(), &count)) return std::nullopt;
  }
  return count;
}

bool PartialShape::admits(const Shape& shape) const noexcept {
  if (!dims_) return true;
  if (shape.rank() != static_cast<int>(dims_->size())) return false;
  for (int i = 0; i < shape.rank(); ++i) {
    if ((*this)[i].known() && (*this)[i].size() != shape[i]) return false;
  }
  return true;
}

std::string PartialShape::to_string() const {
  if (!dims_) return "?";
  std::string text = "[";
  for (std::size_t i = 0; i < dims_->size(); ++i) {
    if (i) text += ',';
    text += (*dims_)[i].to_string();
  }
  return text + "]";
}

PartialShape SymbolSource::fresh_shape(int rank) {
  std::vector<Dim> dims;
  for (int i = 0; i < rank; ++i) dims.push_back(fresh());
  return PartialShape(std::move(dims));
}

}  // namespace tenon
