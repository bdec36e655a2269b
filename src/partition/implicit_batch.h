// What may be in one engine in TF-TRT's implicit batch mode (TF-TRT behaviour 2.5, 2.6, 3.2): nodes that work on one batch,
// fed by values of that batch. Arithmetic on sizes goes with the tensor whose sizes they are, and never crosses the border
// of an engine.
#pragma once

#include <functional>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "partition/batch.h"

namespace tenon::partition {

struct SegmentPlan;

class ImplicitBatch {
 public:
  explicit ImplicitBatch(std::function<bool(const ir::Value&)> is_constant) : is_constant_(std::move(is_constant)) {}

  // Takes a node that the backend can run; its producers were given before it. False when its batch cannot be told, with the
  // reason.
  bool add(const ir::Node& node, std::string& reason);
  // The same for a loop and the ops of its tensor lists.
  bool add_loop_part(const ir::Node& node, std::string& reason);

  // Of nodes that were added: whether they work on one batch.
  bool together(const ir::Node& a, const ir::Node& b) const {
    return any_batch_.contains(&a) || any_batch_.contains(&b) || classes_.same(batch_.at(&a), batch_.at(&b));
  }

  // Whether the node's results follow from the shapes of other values.
  bool is_sizes(const ir::Node& node) const { return sizes_.contains(&node); }

  // Nodes of a segment that read an input which never has the batch of the others: its engine would refuse every call.
  std::vector<const ir::Node*> misplaced(const SegmentPlan& plan) const;

 private:
  bool add_sizes(const ir::Node& node, std::string& reason);
  void note_inputs(const ir::Node& node);
  bool join(const Dim& a, const Dim& b);
  std::optional<Dim> own_batch(const ir::Value& value) const;
  std::optional<Dim> data_batch(const ir::Node& node) const;
  std::optional<Dim> moved_batch(const ir::Node& node) const;
  bool joins(const ir::Node& node, const ir::Value& sizes, const Dim& batch);
  void follow_sizes(const ir::Node& node, const Dim& batch);
  bool moves_batch(const ir::Node& node, const Dim& batch) const;
  bool is_made_from_sizes(const Dim& dim) const { return !dim.known() && made_from_sizes_.contains(dim.symbol_id()); }
  bool fits(const ir::Node& node, const ir::Value& input, const std::vector<ir::Value>& inputs) const;

  std::function<bool(const ir::Value&)> is_constant_;
  std::unordered_map<const ir::Node*, Dim> batch_;
  std::unordered_set<const ir::Node*> sizes_;
  // Nodes whose results have the batch elsewhere than in dimension 0: [B,S,D] -> [S,B,D], and what is computed from that.
  std::unordered_map<const ir::Node*, Dim> moved_;
  std::vector<Dim> given_;                         // unknown batches of the graph's inputs
  std::unordered_set<const ir::Node*> any_batch_;  // loop parts that read constants alone
  BatchClasses equal_;                             // batches that are equal wherever a call succeeds
  BatchClasses classes_;  // these, and batches of tensors that were brought to a computed shape: [B,S,D] -> [B*S,D]
  std::unordered_set<std::int64_t> made_from_sizes_;  // such computed batches
};

}  // namespace tenon::partition
