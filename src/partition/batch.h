// The batch that a node works on, in TF-TRT's implicit batch mode (TF-TRT behaviour 2.5 and 2.6).
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <unordered_map>

#include "ir/graph.h"

namespace tenon::partition {

// Dimension 0 of the operand of highest rank, among those that decide the batch for the node's op type. Nothing when it cannot be told;
// `reason` then says why. Constants may have any shape; other operands need a batch. Two unknown batches are taken for one: an engine
// checks at each call that its inputs have the same batch, and leaves the call to the native segment when they have not.
std::optional<Dim> batch_of(const ir::Node& node, const std::function<bool(const ir::Value&)>& is_constant, std::string& reason);

// Whether the op takes operands of highest rank by rows that belong together: element-wise ops and concatenations.
bool pairs_rows(const ir::Node& node);

// Which unknown batches are taken for equal because element-wise ops join them: two inputs of a model that are added, say. Batches
// that nothing joins (a reshaped one and the original) stay different.
class BatchClasses {
 public:
  void add(const ir::Node& node, const std::function<bool(const ir::Value&)>& is_constant);
  bool same(const Dim& a, const Dim& b) const;
  // Of two symbols.
  void unite(std::int64_t a, std::int64_t b);

 private:
  std::int64_t root(std::int64_t symbol) const;

  std::unordered_map<std::int64_t, std::int64_t> parent_;  // of symbols that are not the smallest of their class
};

}  // namespace tenon::partition
